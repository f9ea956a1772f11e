// The one place that prints an error and chooses the exit code.

import type { Style } from "../text/index.ts";
import { CliError } from "./errors.ts";

/** What to print on stderr, and how to exit. */
export interface Report {
  readonly text: string;
  readonly exitCode: number;
}

const DEFECT = "this may be a defect of microview; MICROVIEW_DEBUG=1 shows where it happened";

/** The hint of an error from another room. */
function hintOf(error: unknown): string | undefined {
  const { hint } = (error ?? {}) as { hint?: unknown };
  return typeof hint === "string" ? hint : undefined;
}

/**
 * Turns whatever was thrown into a message for people. An error that no command threw on purpose
 * keeps its stack to itself unless MICROVIEW_DEBUG is set.
 */
export function describeError(
  error: unknown,
  style: Style,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Report {
  const { message, hint } = wordsOf(error);
  const debug = (environment["MICROVIEW_DEBUG"] ?? "") !== "";
  const stack = debug && error instanceof Error ? `${error.stack ?? ""}\n` : "";
  const hintLine = hint === undefined ? "" : `${style.yellow("hint:")} ${hint}\n`;
  return {
    text: `${style.red("microview:")} ${message}\n${hintLine}${stack}`,
    exitCode: error instanceof CliError ? error.exitCode : 1,
  };
}

/** The same for programs: a line as those of the agent's log with `--json-logs`. */
export function errorLine(error: unknown): string {
  const { message, hint } = wordsOf(error);
  return logLine("error", message, hint);
}

/** A line as `--json-logs` has them. */
export function logLine(level: "error" | "warn", message: string, hint?: string): string {
  const time = new Date().toISOString();
  return `${JSON.stringify({ time, level, message, ...(hint === undefined ? {} : { hint }) })}\n`;
}

function wordsOf(error: unknown): { message: string; hint: string | undefined } {
  return {
    message: error instanceof Error ? error.message || error.name : String(error),
    hint: error instanceof CliError ? error.hint : (hintOf(error) ?? DEFECT),
  };
}
