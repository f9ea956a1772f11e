// What a service says on its console is recorded too: `mv.captureConsole()`. The console goes on as before.
//
// Objects become properties and are never made text of: in a text nobody could tell what is secret.

import type { Level } from "../../layout/index.ts";
import type { Log, Properties } from "./options.ts";

const METHODS = {
  error: "error",
  warn: "warn",
  info: "info",
  log: "info",
  debug: "debug",
  trace: "trace",
} as const satisfies Partial<Record<keyof Console, Level>>;
type Method = keyof typeof METHODS;

/** What stands in the console's place has the method that it calls. */
const ORIGINAL = Symbol.for("microview.console.original");
/** `%s` and the others of the console's first text (https://console.spec.whatwg.org/#formatter). */
const DIRECTIVE = /%[sdifoOjc%]/g;

interface Captured {
  (...values: unknown[]): void;
  [ORIGINAL]?: Captured;
}

/** @returns ends it */
export function captureConsole(log: Log, target: Console = console): () => void {
  const methods = target as unknown as Record<string, Captured>;
  // A call within a call is the console's own, or one of a hook or getter of the service.
  let isWithin = false;
  const put: (() => void)[] = [];
  let hasEnded = false;
  const capture = (name: string, record: (values: unknown[]) => void) => {
    const found = methods[name];
    if (found === undefined) return;
    // After a reload of `bun --hot` it is what was captured before.
    const original = found[ORIGINAL] ?? found;
    const captured: Captured = (...values) => {
      if (isWithin || hasEnded) return original.apply(target, values);
      isWithin = true;
      try {
        record(values);
        original.apply(target, values);
      } finally {
        isWithin = false;
      }
    };
    captured[ORIGINAL] = original;
    methods[name] = captured;
    put.push(() => {
      // What stands in its place by now goes on calling it, and it is the console alone then.
      if (methods[name] === captured) methods[name] = original;
    });
  };
  for (const name of Object.keys(METHODS) as Method[]) {
    const level = METHODS[name];
    capture(name, (values) => recordCall(log, level, values));
  }
  capture("assert", ([isTrue, ...values]) => {
    if (!isTrue) recordCall(log, "error", values.length > 0 ? values : ["assertion failed"]);
  });
  return () => {
    hasEnded = true;
    for (const back of put) back();
  };
}

function recordCall(log: Log, level: Level, values: unknown[]): void {
  const texts: string[] = [];
  const objects: unknown[] = [];
  let error: Error | undefined;
  const [first, ...others] = values;
  let rest = values;
  if (typeof first === "string" && first.includes("%") && others.length > 0) {
    texts.push(formatted(first, others));
    rest = others;
  }
  for (const value of rest) {
    if (isError(value) && error === undefined) error = value;
    else if (isObject(value)) objects.push(value);
    else texts.push(textOf(value));
  }
  const properties = propertiesOf(objects);
  if (error === undefined) log[level](texts.join(" "), properties);
  else if (texts.length === 0) log[level](error, properties);
  else log[level](texts.join(" "), { ...properties, error });
}

/** Fills in texts and numbers, and takes them away from the values; where an object belongs its place stays. */
function formatted(format: string, values: unknown[]): string {
  const left: unknown[] = [];
  const text = format.replaceAll(DIRECTIVE, (directive) => {
    if (directive === "%%") return "%";
    if (values.length === 0) return directive;
    const value = values.shift();
    if (directive === "%c") return "";
    if (!isObject(value)) return textOf(value);
    left.push(value);
    return directive;
  });
  values.unshift(...left);
  return text;
}

function propertiesOf(objects: unknown[]): Properties | undefined {
  if (objects.length === 0) return undefined;
  const [only] = objects;
  if (objects.length === 1 && isPlain(only)) return only as Properties;
  return { values: objects };
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    // A proxy may throw.
    return false;
  }
}

function isPlain(value: unknown): boolean {
  try {
    const prototype: unknown = Object.getPrototypeOf(value);
    return prototype === Object.prototype || prototype === null;
  } catch {
    // A proxy may throw.
    return false;
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : String(value);
}
