// The RDMA connection manager as typed objects over c/rdma_cm.h: it finds the way to an IP address and connects queue
// pairs that are ours, on fabrics where the two sides cannot tell each other how they are reached.

import { check, SystemError } from "./errno.ts";
import { shim } from "./shim.ts";
import type { Device, QueuePair } from "./verbs.ts";

/** What has happened to a link. */
export type ManagerEvent =
  /** The way is known: connect a queue pair of this device. */
  | { kind: "resolved"; link: number; device: string; devicePort: number }
  /** Somebody wants a connection. */
  | { kind: "request"; link: number; device: string; remote: string; data: string; reads: number }
  | { kind: "connected"; link: number; reads: number }
  | { kind: "failed"; link: number; reason: string }
  | { kind: "disconnected"; link: number };

/** Of struct mv_cm_event. */
const EVENT_BYTES = 416;
const KINDS = ["", "resolved", "request", "connected", "rejected", "failed"] as const;
const RESOLVE_TIMEOUT_MS = 2000;
/** The reason of a rejection by the program at the other side, and by nobody listening. */
const REJECTED_BY_PROGRAM = 28;
const NOBODY_LISTENS = 8;

const outHandle = new BigUint64Array(1);

function text0(text: string): never {
  return Buffer.from(`${text}\0`) as never;
}

/** One event queue, and the links on it. All of one thread. */
export class ConnectionManager {
  readonly #event = new Uint8Array(EVENT_BYTES);
  readonly #view = new DataView(this.#event.buffer);

  private constructor(
    readonly handle: number,
    readonly fd: number,
  ) {}

  /**
   * @param library another librdmacm, by path
   * @throws SystemError when librdmacm or the kernel's part of it is not there
   */
  static open(library = ""): ConnectionManager {
    check(shim().mv_cm_load(text0(library)), "cannot load librdmacm.so.1");
    check(
      shim().mv_cm_open(outHandle as never),
      "cannot open the RDMA connection manager (module rdma_ucm)",
    );
    const handle = Number(outHandle[0]);
    return new ConnectionManager(handle, shim().mv_cm_fd(handle as never));
  }

  /** Lets a device's descriptor tell of this one's events too. */
  join(device: Device): void {
    check(shim().mv_device_watch(device.handle as never, this.fd), "cannot watch rdma_cm");
  }

  /** Waits for connections at a local IP address. @returns the port */
  listen(address: string, port: number): number {
    return check(
      shim().mv_cm_listen(this.handle as never, text0(address), port, 64, outHandle as never),
      `cannot listen by rdma_cm on ${address}:${port}`,
    );
  }

  /** Looks for the way to an IP address. @returns the link */
  resolve(address: string, port: number): number {
    check(
      shim().mv_cm_resolve(
        this.handle as never,
        text0(address),
        port,
        RESOLVE_TIMEOUT_MS,
        outHandle as never,
      ),
      `cannot resolve ${address} by rdma_cm`,
    );
    return Number(outHandle[0]);
  }

  /** @param data told to the other side, at most 56 bytes */
  connect(
    link: number,
    pair: QueuePair,
    options: { reads: number; timeout: number; retries: number; data: string },
  ): void {
    const data = Buffer.from(options.data);
    check(
      shim().mv_cm_connect(
        link as never,
        pair.handle as never,
        options.reads,
        1,
        options.timeout,
        options.retries,
        data as never,
        data.length,
      ),
      "cannot connect by rdma_cm",
    );
  }

  /** Answers a request with a queue pair that answers READs. */
  accept(link: number, pair: QueuePair, reads: number): void {
    const status = shim().mv_cm_accept(
      link as never,
      pair.handle as never,
      1,
      reads,
      null as never,
      0,
    );
    check(status, "cannot accept by rdma_cm");
  }

  reject(link: number): void {
    shim().mv_cm_reject(link as never, null as never, 0);
  }

  /** Ends a link; its queue pair is its owner's to close. */
  closeLink(link: number): void {
    shim().mv_cm_link_close(link as never);
  }

  /** The next event, or undefined when none waits. */
  event(): ManagerEvent | undefined {
    const status = check(
      shim().mv_cm_event(this.handle as never, this.#event as never),
      "cannot ask rdma_cm for events",
    );
    return status === 0 ? undefined : this.#decode();
  }

  close(): void {
    shim().mv_cm_close(this.handle as never);
  }

  #decode(): ManagerEvent {
    const word = (at: number) => this.#view.getUint32(at, true);
    const link = Number(this.#view.getBigUint64(0, true));
    const status = this.#view.getInt32(20, true);
    switch (KINDS[word(16)]) {
      case "resolved":
        return { kind: "resolved", link, device: this.#text(48, 64), devicePort: word(32) };
      case "request":
        return {
          kind: "request",
          link,
          device: this.#text(48, 64),
          remote: this.#text(112, 48),
          data: this.#text(160, Math.min(word(40), 256)),
          reads: word(28),
        };
      case "connected":
        return { kind: "connected", link, reads: word(24) };
      case "rejected":
        return { kind: "failed", link, reason: rejection(status) };
      case "failed":
        return { kind: "failed", link, reason: failure(-status) };
      default:
        return { kind: "disconnected", link };
    }
  }

  /** Text up to its first zero. */
  #text(at: number, bytes: number): string {
    const text = this.#event.subarray(at, at + bytes);
    const end = text.indexOf(0);
    return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
  }
}

/** Loopback leads to no device that rdma_cm could use, Soft-RoCE's on `lo` neither. */
function failure(errno: number): string {
  const { code, message } = new SystemError("rdma_cm cannot connect", errno);
  return code === "ENODEV" ? "rdma_cm finds no RDMA device that leads to the agent" : message;
}

function rejection(status: number): string {
  if (status === REJECTED_BY_PROGRAM) return "the agent refuses the connection by rdma_cm";
  if (status === NOBODY_LISTENS) return "nobody listens there by rdma_cm";
  return `the connection by rdma_cm is rejected (reason ${status})`;
}
