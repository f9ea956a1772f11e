// What a service may say about its events, and the handles that it gets.

import type { Level } from "../../layout/index.ts";

/** Called for each property; gives what is recorded in its place. What it throws hides the value. */
export type RedactionHook = (key: string, value: unknown) => unknown;

export interface EventsOptions {
  /** Logs of this level and worse are recorded, unless an operator asks for others; default "info". */
  level?: Level | "off";
  /** Whether spans and measures are; default true. */
  spans?: boolean;
  measures?: boolean;
  /** The share of traces that are recorded, of those that begin in this service; default 1. */
  sample?: number;
  /** Whether the trace of a caller is continued, and recorded where he says so; default false. */
  trustTraceparent?: boolean;
  /** Lines a second of one message and level, from warn down, of which more are left out and counted; default 10,000. */
  thinAbove?: number;
  /** Names of properties that are never recorded, besides those of secrets that are known; see docs/events.md. */
  redact?: readonly string[];
  /** Sees each property, and each message under the key "message", before it is recorded. */
  redactHook?: RedactionHook;
}

/** What is recorded with a log, a measure or a span. */
export type Properties = Readonly<Record<string, unknown>>;

/** Records lines. None of its methods ever throws or waits. */
export interface Log {
  /**
   * @param message an Error is recorded with its stack and causes
   * @param properties an Error is recorded as the property `error`
   */
  fatal(message: string | Error, properties?: Properties | Error): void;
  error(message: string | Error, properties?: Properties | Error): void;
  warn(message: string | Error, properties?: Properties | Error): void;
  info(message: string | Error, properties?: Properties | Error): void;
  debug(message: string | Error, properties?: Properties | Error): void;
  trace(message: string | Error, properties?: Properties | Error): void;
  /** Whether a line of this level would be recorded now: for messages that cost something to make. */
  isEnabled(level: Level): boolean;
}
