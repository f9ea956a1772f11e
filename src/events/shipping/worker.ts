// The agent's thread for events: ships rings into the spool and the spool to the lake, so that neither holds up whoever
// asks the agent something. shipping.ts starts it.

import { makeBlock } from "./blocks.ts";
import { lakeSender } from "./lake-sender.ts";
import { Losses } from "./losses.ts";
import type { FromShipper, ShippingOptions, ToShipper } from "./protocol.ts";
import { Shipper } from "./shipper.ts";
import { Spool } from "./spool.ts";

declare const self: Worker;

const STATUS_MS = 1000;

function tell(message: FromShipper): void {
  self.postMessage(message);
}

function log(
  level: "info" | "warn",
  message: string,
  fields: Record<string, string | number> = {},
) {
  tell({ kind: "log", level, message, fields });
}

class Shipping {
  readonly #losses = new Losses((message, fields) => log("warn", message, fields));
  readonly #spool: Spool;
  readonly #shipper: Shipper;
  readonly #sender: ReturnType<typeof lakeSender>;
  readonly #status: Timer;
  #timer: Timer | undefined;
  #failure = "";

  /** @throws SpoolError */
  constructor(options: ShippingOptions) {
    this.#spool = new Spool({
      folder: options.spool,
      maxBytes: options.spoolBytes,
      maxAgeMs: options.spoolAgeMs,
      onTrouble: (message) => log("warn", message),
      onLost: (cause, events) => this.#losses.add(cause, events),
    });
    this.#shipper = new Shipper({
      spool: this.#spool,
      makeBlock,
      host: options.host,
      isForAll: options.isForAll,
      onUnreadable: (path, reason) =>
        log("warn", "a ring of events is left alone", { path, reason }),
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
    });
    this.#sender = lakeSender(this.#spool, options, (text) => log("warn", text));
    // Rings are told first what the spool has of them: what is sent now is not shipped again.
    this.#shipper.round();
    this.#sender.start();
    this.#status = setInterval(() => this.#tellStatus(), STATUS_MS);
    this.#round();
  }

  async stop(graceMs: number): Promise<number> {
    clearTimeout(this.#timer);
    clearInterval(this.#status);
    try {
      this.#shipper.flush();
      this.#spool.seal();
    } catch (error) {
      log("warn", "the last events were not shipped", { reason: (error as Error).message });
    }
    const left = await this.#sender.stop(graceMs);
    this.#shipper.close();
    this.#spool.close();
    this.#tellStatus();
    return left;
  }

  #round(): void {
    try {
      const isFlushed = this.#shipper.round();
      if ((isFlushed && this.#spool.flushed()) || this.#spool.tick()) this.#sender.wake();
      this.#losses.tell();
      this.#failure = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#failure) log("warn", "events were not shipped", { reason: message });
      this.#failure = message;
    }
    this.#timer = setTimeout(() => this.#round(), this.#shipper.everyMs);
  }

  #tellStatus(): void {
    const { counters } = this.#sender;
    const { items: waiting, bytes: spoolBytes, oldestMs, trouble } = this.#spool;
    tell({
      kind: "status",
      status: {
        rings: this.#shipper.ringCount,
        shipped: counters.items,
        requests: counters.requests,
        bytes: counters.bytes,
        retries: counters.retries,
        lost: this.#losses.counts,
        unreadBytes: this.#shipper.skippedWords * 8,
        waiting,
        spoolBytes,
        lagMs: oldestMs === undefined ? 0 : Math.max(0, Date.now() - oldestMs),
        ...(trouble === undefined ? {} : { trouble }),
      },
    });
  }
}

let shipping: Shipping | undefined;

self.onmessage = async ({ data }: MessageEvent<ToShipper>) => {
  switch (data.kind) {
    case "start":
      try {
        shipping = new Shipping(data.options);
        tell({ kind: "started" });
      } catch (error) {
        tell({ kind: "failed", message: (error as Error).message });
      }
      return;
    case "stop":
      tell({ kind: "stopped", left: (await shipping?.stop(data.graceMs)) ?? 0 });
  }
};
