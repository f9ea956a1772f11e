// The log of a server on stderr: text for people, or lines of JSON for programs. It never has a token or a body in it.

type LogLevel = "error" | "warn" | "info" | "debug";

const ORDER: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export interface Log {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  debug(message: string, fields?: Record<string, unknown>): void;
}

// Control and format characters, and line separators. Texts of other programs may have them, but an entry of the log is
// one line.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A text as one line that is safe for a terminal. */
function oneLine(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** @param write called with whole lines */
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
