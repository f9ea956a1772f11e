// How many long texts are being taken at once, and for how long each may be: whoever takes one slowly, or not at all,
// holds the values that it is made of.

import type { NameClash } from "./naming/shown.ts";

/** What scrapers may hold. */
export interface ScrapeLimits {
  /** Texts that are too long to be answered whole, at once. */
  atOnce: number;
  /** How long one of them may be taken. */
  deadlineMs: number;
}

/** Told as it happens. */
export interface ScrapeEvents {
  /** A scrape was told to come again. */
  refused(): void;
  /** A text was not taken in time. */
  cut(): void;
  /** A text could not be completed, by a fault of ours. */
  failed(error: unknown): void;
  /** Metrics are shown differently from their declaration because names clash; called at each scrape. */
  clash(clashes: readonly NameClash[]): void;
}

export const SCRAPE_LIMITS: Readonly<ScrapeLimits> = { atOnce: 8, deadlineMs: 25_000 };

/** After which another attempt may find room; Prometheus asks again with its next scrape anyway. */
export const RETRY_AFTER_S = 5;

/** As many texts are being taken as may be. */
export class BusyError extends Error {
  override readonly name = "BusyError";
  readonly hint = "ask again later, or for less: ?app=, ?service=, ?metric=";

  constructor(atOnce: number) {
    super(`${atOnce} long texts are being taken already, which is the limit`);
  }
}

export class ScrapeLimiter {
  /** Texts that are being taken. */
  active = 0;

  constructor(
    readonly limits: ScrapeLimits,
    readonly events: ScrapeEvents,
  ) {}

  /**
   * A text as it is taken, piece by piece, at the pace of whoever takes it.
   * @param first pieces that are there already
   * @throws BusyError when as many are being taken as may be
   */
  open(
    first: readonly Uint8Array[],
    rest: { next(): Uint8Array | undefined },
  ): ReadableStream<Uint8Array> {
    if (this.active >= this.limits.atOnce) {
      this.events.refused();
      throw new BusyError(this.limits.atOnce);
    }
    this.active++;
    const ready = [...first];
    // What is held is let go of at the end, however that comes.
    let pieces: { next(): Uint8Array | undefined } | undefined = rest;
    const end = () => {
      if (pieces === undefined) return;
      pieces = undefined;
      ready.length = 0;
      clearTimeout(timer);
      this.active--;
    };
    // The connection breaks off: a text that just ended would look whole.
    let breakOff = (_reason: string) => {};
    const timer = setTimeout(() => {
      this.events.cut();
      breakOff("the text was not taken in time");
    }, this.limits.deadlineMs);
    timer.unref();
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          breakOff = (reason) => {
            end();
            controller.error(new Error(reason));
          };
        },
        pull: (controller) => {
          try {
            const piece = ready.shift() ?? pieces?.next();
            if (piece !== undefined) return controller.enqueue(piece);
          } catch (error) {
            this.events.failed(error);
            // Not at once: Bun would write the error to stderr, with the source around it.
            setTimeout(() => breakOff("the text could not be made"));
            return;
          }
          end();
          controller.close();
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }
}
