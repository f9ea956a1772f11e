// A set of sinks that is one itself, for a source of frames that go to several places. It keeps no frames: each sink keeps
// what it has not delivered, within its own bounds.

import type { PoolSnapshot } from "../layout/index.ts";
import type { Sink, SinkEnd } from "./sink.ts";

/** A sink of a set. */
export interface Member<End extends SinkEnd = SinkEnd> {
  /** How it has ended, once the set is closed. */
  readonly ended: Promise<End>;
}

/** How a set has ended. */
export interface SinksEnd extends SinkEnd {
  /** Each of them, in the order in which they were added. */
  readonly ends: readonly SinkEnd[];
}

/** A sink whose end is of a known type. */
type SinkTo<Frame, End extends SinkEnd> = Omit<Sink<Frame>, "close"> & {
  close(graceMs: number): Promise<End>;
};

export class Sinks<Frame = PoolSnapshot> implements Sink<Frame> {
  readonly #sinks: Sink<Frame>[] = [];
  /** What closes each of them. */
  readonly #closing: ((graceMs: number) => Promise<SinkEnd>)[] = [];
  #end: Promise<SinksEnd> | undefined;

  /** @param watch sees the end come, e.g. to say what is waited for */
  add<End extends SinkEnd>(
    sink: SinkTo<Frame, End>,
    watch: (end: Promise<End>) => Promise<End> = (end) => end,
  ): Member<End> {
    const { promise, resolve, reject } = Promise.withResolvers<End>();
    // The set's own end fails too, which is looked at.
    promise.catch(() => {});
    this.#sinks.push(sink);
    this.#closing.push(async (graceMs) => {
      try {
        const end = await watch(sink.close(graceMs));
        resolve(end);
        return end;
      } catch (error) {
        reject(error);
        throw error;
      }
    });
    return { ended: promise };
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
    const settled = await Promise.allSettled(this.#closing.map((close) => close(graceMs)));
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
