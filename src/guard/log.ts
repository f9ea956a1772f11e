// The log of a server: lines for people, or JSON lines for programs, on stderr. Never a token, never a body.

type LogLevel = "error" | "warn" | "info" | "debug";

const ORDER: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export interface Log {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  debug(message: string, fields?: Record<string, unknown>): void;
}

// Controls, format characters as bidirectional overrides, separators of lines: a receiver's reason may have them, and a
// line of the log is one line.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A text as one line that a terminal shows as it is. */
function oneLine(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** @param write receives whole lines */
export function createLog(
  level: LogLevel,
  json: boolean,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Log {
  const emit = (at: LogLevel, message: string, fields: Record<string, unknown> = {}) => {
    if (ORDER.indexOf(at) > ORDER.indexOf(level)) return;
    const time = new Date().toISOString();
    if (json) {
      write(`${JSON.stringify({ time, level: at, message, ...fields })}\n`);
      return;
    }
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
    write(`${oneLine(`${time} ${at.padEnd(5)} ${message}${rest.join("")}`)}\n`);
  };
  return {
    error: (message, fields) => emit("error", message, fields),
    warn: (message, fields) => emit("warn", message, fields),
    info: (message, fields) => emit("info", message, fields),
    debug: (message, fields) => emit("debug", message, fields),
  };
}
