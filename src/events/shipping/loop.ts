// Ships rings into the spool and the spool to the lake, round after round, and says what becomes of it. worker.ts runs it
// in a thread of the agent.

import type { RulesChange } from "../settings.ts";
import { makeBlock } from "./blocks.ts";
import { lakeSender } from "./lake-sender.ts";
import { Losses } from "./losses.ts";
import type { FromShipper, Identify, ShippingOptions } from "./protocol.ts";
import type { Step } from "./shipped-ring.ts";
import { Shipper } from "./shipper.ts";
import { Spool } from "./spool.ts";

const STATUS_MS = 1000;
/** Of files that are left alone, so many are told in such a time; the rest is counted. */
const LEFT_ALONE_MAX = 10;
const LEFT_ALONE_MS = 60_000;

export class ShippingLoop {
  readonly #tell: (message: FromShipper) => void;
  readonly #losses = new Losses((message, fields) => this.#log("warn", message, fields));
  readonly #spool: Spool;
  readonly #shipper: Shipper;
  readonly #sender: ReturnType<typeof lakeSender>;
  readonly #status: Timer;
  #timer: Timer | undefined;
  #failure = "";
  #leftSinceMs = Number.NEGATIVE_INFINITY;
  #leftCount = 0;

  /**
   * @param tell takes what the main thread is to know
   * @param identify tells who a process is
   * @param step called between stores, for tests
   * @throws SpoolError
   */
  constructor(
    options: ShippingOptions,
    tell: (message: FromShipper) => void,
    identify: Identify,
    step?: (step: Step) => void,
  ) {
    this.#tell = tell;
    this.#spool = new Spool({
      folder: options.spool,
      maxBytes: options.spoolBytes,
      maxAgeMs: options.spoolAgeMs,
      onTrouble: (message) => this.#log("warn", message),
      onLost: (cause, events) => this.#losses.add(cause, events),
      onNotice: (message) => this.#log("warn", message),
    });
    this.#shipper = new Shipper({
      spool: this.#spool,
      makeBlock,
      host: options.host,
      isForAll: options.isForAll,
      identify,
      onUnreadable: (path, reason) => this.#leftAlone(path, reason),
      ...(step === undefined ? {} : { step }),
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
    });
    this.#sender = lakeSender(this.#spool, options, (text) => this.#log("warn", text));
    // Rings are told first what the spool has of them: what is sent now is not shipped again.
    this.#round();
    this.#sender.start();
    this.#status = setInterval(() => this.#tellStatus(), STATUS_MS);
  }

  /** @returns in how many rings something is asked for */
  follow(change: RulesChange): number {
    return this.#shipper.follow(change);
  }

  async stop(graceMs: number): Promise<number> {
    clearTimeout(this.#timer);
    clearInterval(this.#status);
    try {
      this.#shipper.flush();
      this.#spool.seal();
    } catch (error) {
      this.#log("warn", "the last events were not shipped", { reason: (error as Error).message });
    }
    const left = await this.#sender.stop(graceMs);
    this.#shipper.close();
    this.#spool.close();
    this.#tellStatus();
    return left;
  }

  #round(): void {
    try {
      const isFlushed = this.#shipper.round() && this.#spool.flushed();
      if (this.#spool.tick() || isFlushed) this.#sender.wake();
      this.#losses.tell();
      this.#failure = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#failure)
        this.#log("warn", "events were not shipped", { reason: message });
      this.#failure = message;
    }
    this.#timer = setTimeout(() => this.#round(), this.#shipper.everyMs);
  }

  /** Anybody may make files with names of rings, and as many as he likes. */
  #leftAlone(path: string, reason: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#leftSinceMs > LEFT_ALONE_MS) {
      if (this.#leftCount > LEFT_ALONE_MAX) {
        const more = this.#leftCount - LEFT_ALONE_MAX;
        this.#log("warn", "more rings of events were left alone", { more });
      }
      this.#leftSinceMs = nowMs;
      this.#leftCount = 0;
    }
    if (++this.#leftCount > LEFT_ALONE_MAX) return;
    this.#log("warn", "a ring of events is left alone", { path, reason });
  }

  #tellStatus(): void {
    // What could not be read from the disk a moment ago may be readable now.
    this.#sender.wake();
    const { counters, denied } = this.#sender;
    const { items: waiting, bytes: spoolBytes, oldestMs, trouble } = this.#spool;
    this.#tell({
      kind: "status",
      status: {
        rings: this.#shipper.ringCount,
        shipped: counters.items,
        requests: counters.requests,
        bytes: counters.bytes,
        retries: counters.retries,
        lost: this.#losses.counts,
        unreadBytes: this.#shipper.skippedWords * 8,
        skippedRecords: this.#shipper.skippedRecords,
        waiting,
        spoolBytes,
        lagMs: oldestMs === undefined ? 0 : Math.max(0, Date.now() - oldestMs),
        aside: this.#spool.aside,
        ...(trouble === undefined ? {} : { trouble }),
        ...(denied === undefined ? {} : { denied }),
      },
    });
  }

  #log(level: "warn", message: string, fields: Record<string, string | number> = {}): void {
    this.#tell({ kind: "log", level, message, fields });
  }
}
