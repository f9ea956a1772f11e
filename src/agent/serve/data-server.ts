// The main thread's side of the data plane: starts its thread, tells it which pools there are, and ends it.

import { WakeEvent } from "../../ffi/index.ts";
import {
  callerOf,
  type KnownToken,
  NOBODY,
  serverTls,
  startTunnel,
  type TlsIdentity,
  type Tunnel,
  type TunnelGuard,
  type TunnelStream,
} from "../../guard/index.ts";
import { STATUS } from "../../layout/index.ts";
import { threadFault } from "../../text/index.ts";
import type { Pool } from "../pool/pool.ts";
import { GREETING_MAX_EACH } from "./data-callers.ts";
import {
  DATA_COUNTER_COUNT,
  type DataListenOptions,
  type DataRefusal,
  encodePreface,
  type FromWorker,
  SECRET_BYTES,
  type ServedPool,
  type ToWorker,
} from "./data-protocol.ts";

// The compiled binary keeps workers below its root; from sources they lie beside this file.
const WORKER_URL = new URL(
  import.meta.url.includes("/$bunfs/") ? "./src/agent/serve/data-worker.ts" : "./data-worker.ts",
  import.meta.url,
);

interface DataServerOptions extends DataListenOptions {
  /** Takes TLS on the port, and carries it to the thread on loopback. */
  tls?: TlsIdentity;
  /** The thread has ended by an error, and nobody serves the port any more. */
  failed(reason: string): void;
  /** Whether somebody may try from an address; asked where TLS is taken. */
  mayTry(address: string): boolean;
  /** Somebody was not let in. @param status by STATUS, or OpenSSL's word for what his certificate is */
  refused(status: number | string, token: string, address: string): void;
}

export class DataServer {
  /** Counts of the thread, by DATA_COUNTERS. */
  readonly counters: Float64Array;
  readonly port: number;
  readonly #worker: Worker;
  readonly #wake: WakeEvent;
  readonly #posted: Int32Array;
  readonly #pools = new Map<Pool, number>();
  readonly #waiting = new Map<string, () => void>();
  readonly #tunnel: Tunnel | undefined;
  #refused: (refusal: DataRefusal) => void = () => {};
  #nextId = 1;
  #failed = false;

  private constructor(
    worker: Worker,
    wake: WakeEvent,
    shared: Shared,
    port: number,
    tunnel: Tunnel | undefined,
  ) {
    this.#worker = worker;
    this.#wake = wake;
    this.#posted = new Int32Array(shared.posted);
    this.counters = new Float64Array(shared.counters);
    this.#tunnel = tunnel;
    this.port = tunnel?.port ?? port;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "refused") return this.#refused(data);
      const key = data.kind === "dropped" ? `dropped ${data.id}` : data.kind;
      this.#waiting.get(key)?.();
      this.#waiting.delete(key);
    };
  }

  /** @throws Error when the port cannot be listened on */
  static async start(given: DataServerOptions): Promise<DataServer> {
    const { tls, mayTry, refused, failed, ...options } = given;
    const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    const plain = tls === undefined ? options : { ...options, host: "127.0.0.1", port: 0, secret };
    const worker = new Worker(WORKER_URL.href);
    const wake = WakeEvent.create();
    const shared: Shared = {
      posted: new SharedArrayBuffer(4),
      counters: new SharedArrayBuffer(8 * DATA_COUNTER_COUNT),
    };
    try {
      const port = await new Promise<number>((resolve, reject) => {
        worker.onerror = ({ message }) => reject(new Error(threadFault(message)));
        worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
          if (data.kind === "listening") resolve(data.port);
          else if (data.kind === "failed") reject(new Error(data.message));
        };
        Atomics.add(new Int32Array(shared.posted), 0, 1);
        worker.postMessage({
          kind: "start",
          ...plain,
          ...shared,
          wakeFd: wake.fd,
        } satisfies ToWorker);
      });
      const tunnel =
        tls === undefined
          ? undefined
          : startTunnel(
              { hostname: options.host, port: options.port, tls: serverTls(tls) },
              { hostname: "127.0.0.1", port },
              guardOf(given),
              (address, port) => encodePreface(secret, address, port),
            );
      const server = new DataServer(worker, wake, shared, port, tunnel);
      worker.onerror = ({ message }) => {
        server.#fail();
        failed(threadFault(message));
      };
      server.#refused = ({ status, token, address }) => refused(status, token, address);
      return server;
    } catch (error) {
      worker.terminate();
      wake.close();
      throw error;
    }
  }

  add(pool: Pool): void {
    const id = this.#nextId++;
    this.#pools.set(pool, id);
    const served: ServedPool = {
      id,
      app: pool.app,
      poolId: pool.header.poolId,
      address: pool.mapping.address,
      fileBytes: pool.header.fileBytes,
    };
    this.#post({ kind: "add", pool: served });
  }

  /** Resolves when the thread no longer reads the pool's memory. */
  async drop(pool: Pool): Promise<void> {
    const id = this.#pools.get(pool);
    if (id === undefined) return;
    this.#pools.delete(pool);
    const dropped = this.#answer(`dropped ${id}`);
    this.#post({ kind: "drop", id });
    await dropped;
  }

  /** Other tokens, or the same at a time when one has expired: connections that have no right any more are closed. */
  renewTokens(tokens: readonly KnownToken[]): void {
    this.#post({ kind: "tokens", tokens });
  }

  /** Shows another certificate to those who connect from now on. */
  renewTls(tls: TlsIdentity): void {
    this.#tunnel?.renewTls(serverTls(tls));
  }

  async stop(): Promise<void> {
    this.#tunnel?.stop();
    const stopped = this.#answer("stopped");
    this.#post({ kind: "stop" });
    await stopped;
    this.#worker.terminate();
    this.#wake.close();
  }

  /** The thread answers nobody any more. */
  #fail(): void {
    this.#failed = true;
    for (const answered of this.#waiting.values()) answered();
    this.#waiting.clear();
  }

  #answer(key: string): Promise<void> {
    if (this.#failed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  #post(message: ToWorker): void {
    Atomics.add(this.#posted, 0, 1);
    this.#worker.postMessage(message);
    this.#wake.set();
  }
}

/**
 * Bounds those who come through the tunnel and have not been let in by the thread. Of too many from one address, the one
 * that has been greeting by TLS for the longest makes room.
 */
function guardOf({ maxConnectionsEach, mayTry, refused }: DataServerOptions): TunnelGuard {
  const streams = new Map<string, Set<TunnelStream>>();
  const refuse = (status: number, address: string) => refused(status, NOBODY.name, address);
  return {
    admit(address, stream) {
      if (!mayTry(address)) {
        refuse(STATUS.tooManyWrong, address);
        return false;
      }
      const origin = callerOf(address);
      const same = streams.get(origin) ?? new Set();
      streams.set(origin, same);
      if (same.size >= maxConnectionsEach + GREETING_MAX_EACH) {
        refuse(STATUS.busy, address);
        const oldest = [...same].find(({ isGreeting }) => isGreeting);
        if (oldest === undefined) return false;
        same.delete(oldest);
        oldest.end();
      }
      same.add(stream);
      return true;
    },
    left(address, stream) {
      const origin = callerOf(address);
      const same = streams.get(origin);
      same?.delete(stream);
      if (same?.size === 0) streams.delete(origin);
    },
    refused: (address, reason) => refused(reason, NOBODY.name, address),
  };
}

interface Shared {
  posted: SharedArrayBuffer;
  counters: SharedArrayBuffer;
}
