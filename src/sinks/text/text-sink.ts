// What all sinks that write text share: a snapshot is delivered when its text has been handed over.

import type { PoolSnapshot } from "../../layout/index.ts";
import type { Sink, SinkEnd, SinkOptions } from "../sink.ts";

const END: SinkEnd = { summary: "", undelivered: 0 };

export abstract class TextSink implements Sink {
  readonly isIdle = true;
  #isClosed = false;

  constructor(readonly options: SinkOptions) {}

  abstract write(snapshot: PoolSnapshot): void;

  /** Forgets what is kept of an application that has ended. Text does not say that it has. */
  abstract gone(source: string, app?: string): void;

  /** The reader of the text has not taken it yet. */
  get isBehind(): boolean {
    return this.options.isFull?.() === true;
  }

  async close(): Promise<SinkEnd> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.finish();
    }
    return END;
  }

  /** Writes what is left. Called once. */
  protected finish(): void {}
}
