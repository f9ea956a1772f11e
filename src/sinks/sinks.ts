// A set of sinks that is one itself, for a source of frames that go to several places. It keeps no frames: each sink keeps
// what it has not delivered, within its own bounds.

import type { PoolSnapshot } from "../layout/index.ts";
import { counted } from "../text/index.ts";
import type { Sink, SinkEnd } from "./sink.ts";

/** Reasons of a sink's failures that are told; more may be without end. */
const MAX_REASONS = 10;

/** A sink of a set. */
export interface Member<End extends SinkEnd = SinkEnd> {
  /** How it has ended, once the set is closed. Rejects when the sink could not be closed. */
  readonly ended: Promise<End>;
}

/** How a set has ended. */
export interface SinksEnd extends SinkEnd {
  /** Each of them, in the order in which they were added; instead of a set, those in it. */
  readonly ends: readonly SinkEnd[];
}

/** What is kept of a sink in the set. */
interface Entry<Frame> {
  /** How people know it. */
  readonly name: string;
  readonly sink: Sink<Frame>;
  close(graceMs: number): Promise<SinkEnd>;
  /** Frames that it threw an error at, and what people call them. */
  lost: number;
  readonly frameNoun: string;
  /** Of its errors. */
  readonly reasons: Set<string>;
}

/** A sink whose end is of a known type. */
type SinkTo<Frame, End extends SinkEnd> = Omit<Sink<Frame>, "close"> & {
  close(graceMs: number): Promise<End>;
};

export class Sinks<Frame = PoolSnapshot> implements Sink<Frame> {
  readonly #entries: Entry<Frame>[] = [];
  #end: Promise<SinksEnd> | undefined;

  /**
   * @param onTrouble told once of each reason for which a sink fails; the others, and its next frames, go on
   * @param frameNoun what people call a frame
   */
  constructor(
    readonly onTrouble: (text: string) => void,
    readonly frameNoun = "snapshot",
  ) {}

  /**
   * @param name of the sink, as people know it
   * @param watch sees the end come, e.g. to say what is waited for
   */
  add<End extends SinkEnd>(
    name: string,
    sink: SinkTo<Frame, End>,
    watch: (end: Promise<End>) => Promise<End> = (end) => end,
  ): Member<End> {
    const { promise, resolve, reject } = Promise.withResolvers<End>();
    // The set's own end has the error too, which is looked at.
    promise.catch(() => {});
    const entry: Entry<Frame> = {
      ...{ name, sink, lost: 0, frameNoun: this.frameNoun, reasons: new Set<string>() },
      async close(graceMs) {
        try {
          const end = withLost(await watch(sink.close(graceMs)), entry);
          resolve(end);
          return end;
        } catch (error) {
          reject(error);
          return failedEnd(error, entry);
        }
      },
    };
    this.#entries.push(entry);
    return { ended: promise };
  }

  /** Gives the frame to each of them. A sink that throws has lost it, which its end tells. */
  write(frame: Frame): void {
    for (const entry of this.#entries) {
      try {
        entry.sink.write(frame);
      } catch (error) {
        entry.lost++;
        this.#tell(entry, error);
      }
    }
  }

  gone(source: string, app?: string): void {
    for (const entry of this.#entries) {
      try {
        entry.sink.gone(source, app);
      } catch (error) {
        this.#tell(entry, error);
      }
    }
  }

  /** One of them is: the others wait for it where the source can wait. */
  get isBehind(): boolean {
    for (const { sink } of this.#entries) if (sink.isBehind) return true;
    return false;
  }

  get isIdle(): boolean {
    return this.#entries.every(({ sink }) => sink.isIdle);
  }

  /** Closes all of them at once. One that cannot be closed has an end with the error. */
  close(graceMs: number): Promise<SinksEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinksEnd> {
    // Not one after the other: a receiver that does not answer must not keep a file open.
    const closed = await Promise.all(this.#entries.map((entry) => entry.close(graceMs)));
    const ends = closed.flatMap((end) => (isOfSet(end) ? end.ends : [end]));
    const failed = ends.find(({ error }) => error !== undefined);
    return {
      ends,
      summary: ends.flatMap(({ summary }) => (summary === "" ? [] : [summary])).join("\n"),
      undelivered: ends.reduce((sum, { undelivered }) => sum + undelivered, 0),
      ...(failed === undefined ? {} : { error: failed.error }),
    };
  }

  #tell({ name, reasons }: Entry<Frame>, error: unknown): void {
    const reason = messageOf(error);
    if (reasons.has(reason) || reasons.size >= MAX_REASONS) return;
    reasons.add(reason);
    this.onTrouble(`${name} has failed, and goes on with what comes next: ${reason}`);
  }
}

function isOfSet(end: SinkEnd): end is SinksEnd {
  return "ends" in end;
}

/** An end that tells of the frames, too, that the sink threw an error at. */
function withLost<End extends SinkEnd>(
  end: End,
  { name, lost, frameNoun, reasons }: Entry<never>,
): End {
  if (lost === 0) return end;
  const frames = `${counted(lost, frameNoun)} lost by an error: ${[...reasons][0]}`;
  const summary = `${end.summary === "" ? name : end.summary}; ${frames}`;
  return { ...end, summary, undelivered: end.undelivered + lost };
}

/** The end of a sink that could not be closed: what it has delivered is not known. */
function failedEnd(error: unknown, { name, lost }: Entry<never>): SinkEnd {
  const summary = `${name} could not be ended in order: ${messageOf(error)}`;
  return { summary, undelivered: lost, error };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
