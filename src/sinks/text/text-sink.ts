// What all sinks share that write text: they are done with a snapshot when they have handed its text over.

import type { PoolSnapshot } from "../../layout/index.ts";
import type { Sink, SinkEnd, SinkOptions } from "../sink.ts";

const END: SinkEnd = { summary: "", undelivered: 0 };

export abstract class TextSink implements Sink {
  readonly isIdle = true;
  #isClosed = false;

  constructor(readonly options: SinkOptions) {}

  abstract write(snapshot: PoolSnapshot): void;

  /** Nothing more comes of it, which is all that text says. */
  gone(_source: string, _app?: string): void {}

  /** Whoever reads the text has not taken it yet. */
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
