// The kinds of flags a subcommand declares. One declaration gives the type in `run`, the check,
// the line in the help and the shell completion.

import { PATH_MTUS_BYTES, type PathMtuBytes } from "../calling/index.ts";
import { nearest, splitList } from "../text/index.ts";
import { formatDurationMs, parseDurationMs } from "./duration.ts";
import { UsageError } from "./errors.ts";
import { type Bounds, parseFileMode, parseInteger } from "./integer.ts";
import { formatSizeBytes, parseSizeBytes } from "./size.ts";

/** What shells offer as a value. */
export type Completes = "path" | "directory";

/** One flag, or the operands of a subcommand (the words that are not flags). */
export interface Flag<Value> {
  /** `switch` takes no value, `value` takes one, `list` may be repeated. */
  readonly kind: "switch" | "value" | "list";
  /** What it is for; one line of the help. */
  readonly description: string;
  /** Heading in the help; flags without one come under "Flags". */
  readonly group?: string | undefined;
  /** Placeholder in the help, e.g. `DURATION`. */
  readonly hint: string;
  /** Default as the help shows it. */
  readonly shownDefault?: string | undefined;
  /** The only values it takes. */
  readonly choices?: readonly string[] | undefined;
  readonly completes?: Completes | undefined;
  /** It must be given. */
  readonly isRequired?: true;
  /**
   * Reads what was typed.
   * @param texts the values in the order given; empty when the flag is absent
   * @param label how errors name it, e.g. `--interval`
   * @throws UsageError when a value is not acceptable
   */
  read(texts: readonly string[], label: string): Value;
}

/** Flags by their name in camel case; `dataPort` is typed as `--data-port`. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** What `run` gets: the value of each flag. */
export type Options<Declared extends Flags> = {
  readonly [Name in keyof Declared]: Declared[Name] extends Flag<infer Value> ? Value : never;
};

/** What every flag may say about itself. */
interface Spec {
  readonly description: string;
  readonly group?: string;
  readonly hint?: string;
  /** For defaults that only the room knows, e.g. "the run directory". */
  readonly shownDefault?: string;
  readonly completes?: Completes;
}

interface SpecWithDefault extends Spec {
  /** As one would type it. */
  readonly default: string;
}

type Parse<Value> = (text: string, label: string) => Value;

function single<Value>(
  spec: Spec & { readonly default?: string },
  hint: string,
  parse: Parse<Value>,
): Flag<Value | undefined> {
  const { description, group, completes } = spec;
  return {
    kind: "value",
    description,
    group,
    completes,
    hint: spec.hint ?? hint,
    shownDefault: spec.shownDefault ?? spec.default,
    read(texts, label) {
      const text = texts[0] ?? spec.default;
      return text === undefined ? undefined : parse(text, label);
    },
  };
}

/** A value in a notation of its own. */
export function parsed<Value>(parse: Parse<Value>, spec: SpecWithDefault): Flag<Value>;
export function parsed<Value>(parse: Parse<Value>, spec: Spec): Flag<Value | undefined>;
export function parsed<Value>(
  parse: Parse<Value>,
  spec: Spec & { readonly default?: string },
): Flag<Value | undefined> {
  return single(spec, "VALUE", parse);
}

/** The largest packet on an RDMA path. */
export function pathMtu(spec: Spec): Flag<PathMtuBytes> {
  const sizes = PATH_MTUS_BYTES.map((bytes) => `${bytes}` as const);
  const flag = choice(sizes, { hint: "BYTES", ...spec, default: "4096" });
  return {
    ...flag,
    read: (texts, label) => Number(flag.read(texts, label)) as PathMtuBytes,
  };
}

/** A switch: false unless given. */
export function toggle(spec: Pick<Spec, "description" | "group">): Flag<boolean> {
  return {
    kind: "switch",
    description: spec.description,
    group: spec.group,
    hint: "",
    read: (texts) => texts.length > 0,
  };
}

/** Any text but the empty one. */
export function text(spec: SpecWithDefault): Flag<string>;
export function text(spec: Spec): Flag<string | undefined>;
export function text(spec: Spec & { readonly default?: string }): Flag<string | undefined> {
  return single(spec, "TEXT", notEmpty);
}

/** A file, which shells complete. */
export function path(spec: SpecWithDefault): Flag<string>;
export function path(spec: Spec): Flag<string | undefined>;
export function path(spec: Spec & { readonly default?: string }): Flag<string | undefined> {
  return single({ completes: "path", ...spec }, "FILE", notEmpty);
}

/** A directory, which shells complete. */
export function directory(spec: SpecWithDefault): Flag<string>;
export function directory(spec: Spec): Flag<string | undefined>;
export function directory(spec: Spec & { readonly default?: string }): Flag<string | undefined> {
  return single({ completes: "directory", ...spec }, "DIR", notEmpty);
}

/** Timers of 2³¹ ms and more run at once, and again and again. */
export const LONGEST_TIMER_MS = 24 * 24 * 3600e3;

/** A duration with its unit; the value is in milliseconds. `min` and `max`, 24 days, are typed likewise. */
type DurationBounds = { readonly min?: string; readonly max?: string };
export function duration(spec: SpecWithDefault & DurationBounds): Flag<number>;
export function duration(spec: Spec & DurationBounds): Flag<number | undefined>;
export function duration(
  spec: Spec & DurationBounds & { readonly default?: string },
): Flag<number | undefined> {
  const minMs = spec.min === undefined ? 0 : parseDurationMs(spec.min, "min");
  const maxMs = spec.max === undefined ? LONGEST_TIMER_MS : parseDurationMs(spec.max, "max");
  return single(spec, "DURATION", (typed, label) => {
    const durationMs = parseDurationMs(typed, label);
    if (durationMs < minMs) {
      throw new UsageError(
        `${label} is too short: ${typed}`,
        `the shortest is ${formatDurationMs(minMs)}`,
      );
    }
    if (durationMs > maxMs) {
      throw new UsageError(
        `${label} is too long: ${typed}`,
        `the longest is ${formatDurationMs(maxMs)}`,
      );
    }
    return durationMs;
  });
}

/** A size; the value is in bytes. */
type SizeBounds = { readonly min?: string; readonly max?: string };
export function size(spec: SpecWithDefault & SizeBounds): Flag<number>;
export function size(spec: Spec & SizeBounds): Flag<number | undefined>;
export function size(
  spec: Spec & SizeBounds & { readonly default?: string },
): Flag<number | undefined> {
  const minBytes = parseSizeBytes(spec.min ?? "1", "min");
  const maxBytes = spec.max === undefined ? Number.MAX_VALUE : parseSizeBytes(spec.max, "max");
  return single(spec, "SIZE", (typed, label) => {
    const sizeBytes = parseSizeBytes(typed, label);
    if (sizeBytes < minBytes) {
      throw new UsageError(
        `${label} is too small: ${typed}`,
        `the smallest is ${formatSizeBytes(minBytes)}`,
      );
    }
    if (sizeBytes > maxBytes) {
      throw new UsageError(
        `${label} is too large: ${typed}`,
        `the largest is ${formatSizeBytes(maxBytes)}`,
      );
    }
    return sizeBytes;
  });
}

/** A whole number, from 0 upwards unless bounded otherwise. */
export function integer(spec: SpecWithDefault & Bounds): Flag<number>;
export function integer(spec: Spec & Bounds): Flag<number | undefined>;
export function integer(
  spec: Spec & Bounds & { readonly default?: string },
): Flag<number | undefined> {
  return single(spec, "N", (typed, label) => parseInteger(typed, label, spec));
}

/** A port; 0 lets the system choose one. */
export function port(spec: SpecWithDefault): Flag<number>;
export function port(spec: Spec): Flag<number | undefined>;
export function port(spec: Spec & { readonly default?: string }): Flag<number | undefined> {
  return integer({ hint: "PORT", min: 0, max: 65_535, ...spec });
}

/** A file mode in octal. */
export function fileMode(spec: SpecWithDefault): Flag<number>;
export function fileMode(spec: Spec): Flag<number | undefined>;
export function fileMode(spec: Spec & { readonly default?: string }): Flag<number | undefined> {
  return single(spec, "MODE", parseFileMode);
}

/** One of a few words. */
export function choice<const Word extends string>(
  words: readonly Word[],
  spec: Spec & { readonly default: NoInfer<Word> },
): Flag<Word>;
export function choice<const Word extends string>(
  words: readonly Word[],
  spec: Spec,
): Flag<Word | undefined>;
export function choice<const Word extends string>(
  words: readonly Word[],
  spec: Spec & { readonly default?: Word },
): Flag<Word | undefined> {
  const flag = single(spec, spec.hint ?? words.join("|"), (typed, label) => {
    const word = words.find((candidate) => candidate === typed);
    if (word !== undefined) return word;
    const meant = nearest(typed, words);
    throw new UsageError(
      `${label} cannot be '${typed}'`,
      `${meant === undefined ? "" : `did you mean ${meant}? `}it is one of ${words.join(", ")}`,
    );
  });
  return { ...flag, choices: words };
}

/** Several values: repeat the flag, or separate them by commas. `parse` reads each one. */
export function list(spec: Spec): Flag<readonly string[]>;
export function list<Value>(spec: Spec, parse: Parse<Value>): Flag<readonly Value[]>;
export function list<Value>(
  spec: Spec,
  parse: Parse<Value | string> = notEmpty,
): Flag<readonly (Value | string)[]> {
  const { description, group, completes, shownDefault } = spec;
  return {
    kind: "list",
    description,
    group,
    completes,
    shownDefault,
    hint: spec.hint ?? "TEXT",
    read(texts, label) {
      return texts.flatMap((typed) => {
        const entries = splitList(typed);
        if (entries.length === 0) throw new UsageError(`${label} is empty`);
        return entries.map((entry) => parse(entry, label));
      });
    },
  };
}

/** Makes a flag or operand one that must be given. */
export function required<Value>(flag: Flag<Value | undefined>): Flag<Value> {
  return {
    ...flag,
    isRequired: true,
    read(texts, label) {
      const value = flag.read(texts, label);
      if (value === undefined) {
        throw new UsageError(`${label} is missing`, describeExpected(flag));
      }
      return value;
    },
  };
}

function describeExpected(flag: Flag<unknown>): string {
  return flag.choices ? `it is one of ${flag.choices.join(", ")}` : flag.description;
}

function notEmpty(typed: string, label: string): string {
  if (typed === "") throw new UsageError(`${label} is empty`);
  return typed;
}

/** `dataPort` → `--data-port`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
