// A set of sinks as one, for whoever has frames and several places for them. It keeps no frames: what waits, waits in a
// sink, within that sink's bounds.

import type { PoolSnapshot } from "../layout/index.ts";
import type { Sink, SinkEnd } from "./sink.ts";

/** How a set has ended. */
interface SinksEnd extends SinkEnd {
  /** Each of them, in the order in which they were added. */
  readonly ends: readonly SinkEnd[];
}

/** Watches a sink's end, e.g. to say what is waited for. */
type Ending = (end: Promise<SinkEnd>) => Promise<SinkEnd>;

export class Sinks<Frame = PoolSnapshot> implements Sink<Frame> {
  readonly #sinks: Sink<Frame>[] = [];
  readonly #endings: Ending[] = [];
  #end: Promise<SinksEnd> | undefined;

  add(sink: Sink<Frame>, ending: Ending = (end) => end): void {
    this.#sinks.push(sink);
    this.#endings.push(ending);
  }

  /** Gives the frame to each of them. @throws the first error of a sink, when all others have the frame */
  write(frame: Frame): void {
    let failure: { error: unknown } | undefined;
    for (const sink of this.#sinks) {
      try {
        sink.write(frame);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  /** Tells each of them. @throws the first error of a sink, when all others know */
  gone(source: string, app?: string): void {
    let failure: { error: unknown } | undefined;
    for (const sink of this.#sinks) {
      try {
        sink.gone(source, app);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  /** One of them is: the others wait for it where the source can wait. */
  get isBehind(): boolean {
    for (const sink of this.#sinks) if (sink.isBehind) return true;
    return false;
  }

  get isIdle(): boolean {
    return this.#sinks.every(({ isIdle }) => isIdle);
  }

  /** Closes all of them at once. @throws the first error of a sink, when all others are closed */
  close(graceMs: number): Promise<SinksEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinksEnd> {
    // Not one after the other: a receiver that does not answer must not keep a file open.
    const settled = await Promise.allSettled(
      this.#sinks.map(async (sink, i) => this.#endings[i]!(sink.close(graceMs))),
    );
    const ends = settled.map((each) => {
      if (each.status === "rejected") throw each.reason;
      return each.value;
    });
    return {
      ends,
      summary: ends.flatMap(({ summary }) => (summary === "" ? [] : [summary])).join("\n"),
      undelivered: ends.reduce((sum, { undelivered }) => sum + undelivered, 0),
    };
  }
}
