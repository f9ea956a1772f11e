// `const pino = microview(original, { app, service })`: pino whose loggers record into shared memory, and whose levels can
// be changed while they are used, those of children too.
//
// Pino takes the methods of levels that are off away from a logger when its level is set, so that nobody can ask again.
// Here all methods are there, and a hook that pino has for it decides at each call.

import { clientOf, LineReader, type Recorder } from "../client/index.ts";
import { type Closable, MESSAGE_KEY, OF_EVENT, type PinoSource } from "./destination.ts";
import { levelNamed, levelOf } from "./levels.ts";

/** As much of a logger as is used here. */
interface Logger {
  readonly levelVal: number;
  levels: { values: Record<string, number> };
  isLevelEnabled(level: string): boolean;
}

type LogMethod = (this: Logger, ...values: unknown[]) => void;
type Hook = (this: Logger, values: unknown[], method: LogMethod, level: number) => void;
type Comparison = (current: number, expected: number) => boolean;

/** As many of pino's options as are used here. */
interface Options {
  base?: object | null;
  timestamp?: unknown;
  messageKey?: string;
  name?: string;
  level?: string;
  levels?: Record<string, number>;
  customLevels?: Record<string, number>;
  useOnlyCustomLevels?: boolean;
  levelComparison?: string | Comparison;
  hooks?: { logMethod?: Hook };
  formatters?: { level?: unknown };
  transport?: object;
}

interface Stream {
  write(line: string): unknown;
  [name: string | symbol]: unknown;
}

/** Pino, of whatever version and copy of the package: nothing of it is loaded here. */
// biome-ignore lint/suspicious/noExplicitAny: pino's own types depend on levels that each logger adds
type Make = (...values: any[]) => any;
type Pino = Make & { destination: Make; transport: Make };

/** By these names pino has itself. */
const ITSELF = ["pino", "default"];
/** Says to pino that it tells a stream of each line's level before it. */
const METADATA = Symbol.for("pino.metadata");
const METADATA_NAMES = ["lastLevel", "lastObj", "lastMsg", "lastTime", "lastLogger"];

/**
 * Pino whose loggers record events. All else of it stays: what is given as a destination gets its lines as before.
 * @param pino what the package `pino` exports
 */
export function microview<P extends Pino>(pino: P, source: PinoSource): P & Closable {
  const { mv, close } = clientOf(source);
  const { recorder } = mv;
  const make = (given?: unknown, to?: unknown) => makeLogger(pino, recorder, given, to);
  const names = Object.fromEntries(
    ITSELF.filter((name) => name in pino).map((name) => [name, make]),
  );
  return Object.assign(make as P, pino, names, { close, [Symbol.asyncDispose]: close });
}

function makeLogger(pino: Pino, recorder: Recorder, given: unknown, to: unknown): unknown {
  // pino(destination), pino("file") and pino(options, destination)
  const isDestination = typeof given === "string" || isStream(given);
  const options: Options = isDestination ? {} : { ...(given as Options | undefined) };
  const other = otherStream(pino, options, isDestination ? given : to);
  const gate = new Gate(recorder, options, other);
  if (other === undefined) {
    // Of what an event says by itself no text need be made. A name is left out where `base` is null.
    options.base ??= options.base === null ? null : {};
    options.timestamp ??= false;
  }
  const logger: Logger = pino(
    { ...options, levelComparison: () => true, hooks: { ...options.hooks, logMethod: gate.hook } },
    gate.stream,
  );
  // Children have it from their prototype.
  logger.isLevelEnabled = function (level) {
    const value = this.levels.values[level];
    return value !== undefined && gate.lets(this, value);
  };
  return logger;
}

/** The stream that a logger writes to besides, where there is one. */
function otherStream(pino: Pino, options: Options, given: unknown): Stream | undefined {
  if (typeof given === "string") return pino.destination(given);
  if (options.transport === undefined) return given as Stream | undefined;
  const { transport } = options;
  delete options.transport;
  const levels = options.useOnlyCustomLevels
    ? options.customLevels
    : { ...options.levels, ...options.customLevels };
  return pino.transport({ ...transport, ...(options.customLevels && { levels }) });
}

function isStream(value: unknown): boolean {
  const { writable, _writableState } = (value ?? {}) as Record<string, unknown>;
  return Boolean(writable || _writableState);
}

/** Decides which calls become lines, and which lines are recorded. */
class Gate {
  readonly hook: Hook;
  readonly stream: Stream;
  readonly #recorder: Recorder;
  readonly #target: ReturnType<Recorder["target"]>;
  readonly #reader: LineReader;
  readonly #isWithin: Comparison;
  readonly #hasOther: boolean;
  /** Of the call whose line is made now, where its line does not say it. */
  #level = 0;
  #isRecorded = true;
  #isForwarded = true;

  constructor(recorder: Recorder, options: Options, other: Stream | undefined) {
    const { hooks, formatters, messageKey = MESSAGE_KEY, name = "" } = options;
    this.#recorder = recorder;
    // A name is what part of the program it is.
    this.#target = recorder.target(name);
    this.#reader = new LineReader({ messageKey, leftOut: OF_EVENT });
    this.#isWithin = comparisonOf(options.levelComparison);
    this.#hasOther = other !== undefined;
    const own = hooks?.logMethod ?? apply;
    if (other === undefined && formatters?.level === undefined) {
      this.hook = own === apply ? this.#hook() : this.#hookOf(own);
      this.stream = { write: (line: string) => this.#record(levelNamed(line), line) };
    } else {
      this.hook = this.#hookWithState(own);
      this.stream = this.#streamBefore(other);
    }
  }

  /** Whether a call becomes a line. */
  lets(logger: Logger, value: number): boolean {
    return this.records(logger, value) || (this.#hasOther && this.isOwn(logger, value));
  }

  /** Whether the logger's own level lets it pass. */
  isOwn(logger: Logger, value: number): boolean {
    return this.#isWithin(value, logger.levelVal);
  }

  /** What was asked for from outside goes before a logger's own level, unless that is silent. */
  records(logger: Logger, value: number): boolean {
    const asked = this.#recorder.gate.asked(levelOf(value));
    if (asked === undefined) return this.#isWithin(value, logger.levelVal);
    return asked && Number.isFinite(logger.levelVal);
  }

  #record(level: number, line: string): void {
    this.#recorder.logLine(level, this.#target, line, this.#reader);
  }

  #hook(): Hook {
    const gate = this;
    return function (values, method, value) {
      if (gate.records(this, value)) method.apply(this, values);
    };
  }

  #hookOf(own: Hook): Hook {
    const gate = this;
    return function (values, method, value) {
      if (gate.records(this, value)) own.call(this, values, method, value);
    };
  }

  /** For a line that says no level, or that goes elsewhere too. */
  #hookWithState(own: Hook): Hook {
    const gate = this;
    return function (values, method, value) {
      const isOwn = gate.isOwn(this, value);
      const isRecorded = gate.records(this, value);
      if (!isOwn && !isRecorded) return;
      // A getter of what is logged may log too, before this line is written.
      const level = gate.#level;
      const wasRecorded = gate.#isRecorded;
      const wasForwarded = gate.#isForwarded;
      gate.#level = levelOf(value);
      gate.#isRecorded = isRecorded;
      gate.#isForwarded = isOwn;
      try {
        own.call(this, values, method, value);
      } finally {
        gate.#level = level;
        gate.#isRecorded = wasRecorded;
        gate.#isForwarded = wasForwarded;
      }
    };
  }

  #streamBefore(other: Stream | undefined): Stream {
    const stream: Stream = {
      write: (line: string) => {
        if (this.#isRecorded) this.#record(this.#level, String(line));
        if (this.#isForwarded) other?.write(line);
      },
    };
    if (other === undefined) return stream;
    for (const name of ["flush", "flushSync", "end", "emit"]) {
      const method = other[name];
      if (typeof method === "function") stream[name] = method.bind(other);
    }
    if (other[METADATA] === true) {
      stream[METADATA] = true;
      for (const name of METADATA_NAMES) {
        const set = (value: unknown) => {
          other[name] = value;
        };
        Object.defineProperty(stream, name, { set });
      }
    }
    return stream;
  }
}

const apply: Hook = function (values, method) {
  method.apply(this, values);
};

function comparisonOf(given: string | Comparison | undefined): Comparison {
  if (typeof given === "function") return given;
  return given === "DESC"
    ? (current, expected) => current <= expected
    : (current, expected) => current >= expected;
}
