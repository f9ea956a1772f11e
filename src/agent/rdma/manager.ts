// Connections by rdma_cm, for collectors that ask for it: REST gives them a ticket, which they show where this listens.
// Events are only looked for while somebody is expected, so that nothing runs for those who are connected.

import { ConnectionManager, type ManagerEvent, type QueuePair } from "../../ffi/index.ts";
import type { Log } from "../../guard/index.ts";

/** A collector that does not come with its ticket by then does not come. */
const TICKET_TIMEOUT_MS = 10_000;
const LOOK_INTERVAL_MS = 5;

interface Expected {
  queuePair: QueuePair;
  reads: number;
  untilMs: number;
  /** The connection did not come about. */
  failed: () => void;
}

export class ManagerDoor {
  readonly port: number;
  readonly #manager: ConnectionManager;
  readonly #expected = new Map<string, Expected>();
  /** Links by queue pair: they go with it. */
  readonly #links = new Map<QueuePair, number>();
  #timer: Timer | undefined;

  /** @throws SystemError when rdma_cm is not there, or the address cannot be listened on */
  constructor(
    readonly deviceName: string,
    readonly options: { host: string; port: number; library: string },
    readonly log: Log,
    /** Somebody was not let in. */
    readonly refused: (code: string, remote: string) => void,
  ) {
    this.#manager = ConnectionManager.open(options.library);
    try {
      this.port = this.#manager.listen(options.host, options.port);
    } catch (error) {
      this.#manager.close();
      throw error;
    }
  }

  /** @returns the ticket by which the collector of a queue pair is known when it comes */
  expect(queuePair: QueuePair, reads: number, failed: () => void): string {
    const ticket = crypto.randomUUID();
    const untilMs = Date.now() + TICKET_TIMEOUT_MS;
    this.#expected.set(ticket, { queuePair, reads, untilMs, failed });
    this.#timer ??= setInterval(() => this.look(), LOOK_INTERVAL_MS);
    return ticket;
  }

  /** Lets go of a queue pair's link; before the queue pair is closed. */
  forget(queuePair: QueuePair): void {
    for (const [ticket, each] of this.#expected) {
      if (each.queuePair === queuePair) this.#expected.delete(ticket);
    }
    const link = this.#links.get(queuePair);
    if (link === undefined) return;
    this.#links.delete(queuePair);
    this.#manager.closeLink(link);
  }

  /** Takes note of what has happened. */
  look(nowMs = Date.now()): void {
    for (let e = this.#manager.event(); e !== undefined; e = this.#manager.event()) this.#take(e);
    for (const [ticket, { untilMs, failed }] of this.#expected) {
      if (nowMs < untilMs) continue;
      this.#expected.delete(ticket);
      failed();
    }
    if (this.#expected.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#manager.close();
  }

  #take(event: ManagerEvent): void {
    switch (event.kind) {
      case "request":
        return this.#admit(event);
      case "failed":
      case "disconnected":
        // The queue pair goes with its session; what is left of the link goes now.
        for (const [queuePair, link] of this.#links) {
          if (link === event.link) this.forget(queuePair);
        }
    }
  }

  #admit({ link, data, device, remote }: Extract<ManagerEvent, { kind: "request" }>): void {
    const expected = this.#expected.get(data);
    if (expected === undefined || device !== this.deviceName) {
      this.refused(expected === undefined ? "no-ticket" : "other-device", remote);
      return this.#manager.reject(link);
    }
    this.#expected.delete(data);
    try {
      this.#manager.accept(link, expected.queuePair, expected.reads);
      this.#links.set(expected.queuePair, link);
    } catch (error) {
      this.log.warn("a connection by rdma_cm failed", { remote, reason: (error as Error).message });
      this.#manager.closeLink(link);
      expected.failed();
    }
  }
}
