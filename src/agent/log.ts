// The agent's log: lines for people, or JSON lines for programs, on stderr. Never a token, never a body.

export type LogLevel = "error" | "warn" | "info" | "debug";

const ORDER: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export interface Log {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  debug(message: string, fields?: Record<string, unknown>): void;
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
    write(`${time} ${at.padEnd(5)} ${message}${rest.join("")}\n`);
  };
  return {
    error: (message, fields) => emit("error", message, fields),
    warn: (message, fields) => emit("warn", message, fields),
    info: (message, fields) => emit("info", message, fields),
    debug: (message, fields) => emit("debug", message, fields),
  };
}
