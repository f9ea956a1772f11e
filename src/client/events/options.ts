// What a service may say about its events, and the handles that it gets.

/** Called for each property; gives what is recorded in its place. What it throws hides the value. */
export type RedactionHook = (key: string, value: unknown) => unknown;

export interface EventsOptions {
  /** Names of properties that are never recorded, besides those of secrets that are known; see docs/events.md. */
  redact?: readonly string[];
  /** Sees each property, and each message under the key "message", before it is recorded. */
  redactHook?: RedactionHook;
}

/** What is recorded with a log or a measure. */
export type Properties = Readonly<Record<string, unknown>>;

/** Records lines. None of its methods ever throws or waits. */
export interface Log {
  /** @param message an Error is recorded with its stack and causes */
  fatal(message: string | Error, properties?: Properties): void;
  error(message: string | Error, properties?: Properties): void;
  warn(message: string | Error, properties?: Properties): void;
  info(message: string | Error, properties?: Properties): void;
  debug(message: string | Error, properties?: Properties): void;
  trace(message: string | Error, properties?: Properties): void;
}
