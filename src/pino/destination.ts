// Where pino writes its lines to: into the ring of this thread. A line is text by then, so that serialisers, formatters
// and redaction of pino have done their part, and no object of the service is looked at.

import { LineReader, MicroView, type MicroViewOptions, type Recorder } from "../client/index.ts";
import { levelNamed } from "./levels.ts";

/** Either a `MicroView` that is there already, or what is needed to make one. */
export type PinoSource = { mv: MicroView } | (MicroViewOptions & { mv?: never });

/** As much of a stream as pino needs. */
export interface Destination {
  /** By this pino knows it from options. */
  readonly writable: true;
  write(line: string): void;
}

/** What pino calls it unless it is told otherwise. */
export const MESSAGE_KEY = "msg";
/** What each event says already. */
export const OF_EVENT: ReadonlySet<string> = new Set(["level", "time", "pid", "hostname"]);

export function recorderOf(source: PinoSource): Recorder {
  return (source.mv ?? new MicroView(source)).recorder;
}

/**
 * A destination for pino, as for one of several in `pino.multistream`. What pino itself leaves out by its level does not
 * come here: {@link microview} is for levels that can be changed from outside.
 */
export function destination(source: PinoSource & { messageKey?: string }): Destination {
  const recorder = recorderOf(source);
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
  };
}
