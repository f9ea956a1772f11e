// Where pino writes its lines to: into the ring of this thread. A line is text by then, so that serialisers, formatters
// and redaction of pino have done their part, and no object of the service is looked at.

import { type ClientSource, clientOf, LineReader } from "../client/index.ts";
import { levelNamed } from "./levels.ts";

export type PinoSource = ClientSource;

/** What records through a client that may have been made for it. */
export interface Closable extends AsyncDisposable {
  /** Lets go of the client, if it was made here; lines from then on are seen by nobody. One that was given stays open. */
  close(): Promise<void>;
}

/** As much of a stream as pino needs. */
export interface Destination extends Closable {
  /** By this pino knows it from options. */
  readonly writable: true;
  write(line: string): void;
}

/** What pino calls it unless it is told otherwise. */
export const MESSAGE_KEY = "msg";
/** What each event says already. */
export const OF_EVENT: ReadonlySet<string> = new Set(["level", "time", "pid", "hostname"]);

/**
 * A destination for pino, as for one of several in `pino.multistream`. What pino itself leaves out by its level does not
 * come here: {@link microview} is for levels that can be changed from outside.
 */
export function destination(source: PinoSource & { messageKey?: string }): Destination {
  const { mv, close } = clientOf(source);
  const { recorder } = mv;
  const messageKey = source.messageKey ?? MESSAGE_KEY;
  const target = recorder.target("");
  const reader = new LineReader({ messageKey, leftOut: OF_EVENT });
  return {
    writable: true,
    write(line) {
      const text = String(line);
      const level = levelNamed(text);
      if (recorder.gate.asked(level) !== false) recorder.logLine(level, target, text, reader);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
