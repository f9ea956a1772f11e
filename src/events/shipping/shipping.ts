// The main thread's side of shipping events: starts the thread, hands on what it says, and ends it. The agent uses it.

import type { ProcessIdentity } from "../../layout/index.ts";
import { threadFault } from "../../text/index.ts";
import type { RulesChange } from "../settings.ts";
import type {
  FromShipper,
  Identify,
  ShippingOptions,
  ShippingStatus,
  ToShipper,
} from "./protocol.ts";

// The compiled binary keeps workers below its root; from sources they lie beside this file.
const WORKER_URL = new URL(
  import.meta.url.includes("/$bunfs/") ? "./src/events/shipping/worker.ts" : "./worker.ts",
  import.meta.url,
);

export interface ShippingListeners {
  /** Who a process is, with the names of its pod. */
  identify: Identify;
  status(status: ShippingStatus): void;
  log(level: "info" | "warn", message: string, fields: Record<string, string | number>): void;
  /** The thread has ended by an error, and nothing is shipped any more. */
  failed(reason: string): void;
}

/** Why the thread does not begin. */
class ShippingError extends Error {
  override readonly name = "ShippingError";

  constructor(
    message: string,
    readonly hint: string | undefined,
  ) {
    super(message);
  }
}

export class EventShipping {
  readonly #worker: Worker;
  #stopped: PromiseWithResolvers<number> | undefined;
  #hasFailed = false;
  readonly #following = new Map<number, (rings: number) => void>();
  #nextId = 1;

  private constructor(worker: Worker, listeners: ShippingListeners) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromShipper>) => {
      if (data.kind === "status") listeners.status(data.status);
      else if (data.kind === "log") listeners.log(data.level, data.message, data.fields);
      else if (data.kind === "who") void tellWho(worker, data.id, listeners.identify(data.pid));
      else if (data.kind === "followed") {
        this.#following.get(data.id)?.(data.rings);
        this.#following.delete(data.id);
      } else if (data.kind === "stopped") this.#stopped?.resolve(data.left);
    };
    worker.onerror = ({ message }) => {
      this.#hasFailed = true;
      for (const resolve of this.#following.values()) resolve(0);
      this.#following.clear();
      this.#stopped?.resolve(0);
      listeners.failed(threadFault(message));
    };
  }

  /** @throws Error when the spool cannot be used */
  static async start(
    options: ShippingOptions,
    listeners: ShippingListeners,
  ): Promise<EventShipping> {
    const worker = new Worker(WORKER_URL.href);
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onerror = ({ message }) => reject(new Error(threadFault(message)));
        worker.onmessage = ({ data }: MessageEvent<FromShipper>) => {
          if (data.kind === "started") resolve();
          else if (data.kind === "failed") reject(new ShippingError(data.message, data.hint));
          else if (data.kind === "who") void tellWho(worker, data.id, listeners.identify(data.pid));
          else if (data.kind === "log") listeners.log(data.level, data.message, data.fields);
        };
        worker.postMessage({ kind: "start", options } satisfies ToShipper);
      });
      return new EventShipping(worker, listeners);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** Stores in rings what their writers are to record. @returns in how many of now */
  follow(change: RulesChange): Promise<number> {
    if (this.#hasFailed || this.#stopped !== undefined) return Promise.resolve(0);
    const { promise, resolve } = Promise.withResolvers<number>();
    const id = this.#nextId++;
    this.#following.set(id, resolve);
    this.#worker.postMessage({ kind: "follow", id, change } satisfies ToShipper);
    return promise;
  }

  /**
   * Ships what is there now, and lets go of everything.
   * @param graceMs how long the lake may take for what waits; the rest stays in the spool
   * @returns how many events that is
   */
  async stop(graceMs: number): Promise<number> {
    this.#stopped ??= Promise.withResolvers();
    if (this.#hasFailed) this.#stopped.resolve(0);
    this.#worker.postMessage({ kind: "stop", graceMs } satisfies ToShipper);
    const left = await this.#stopped.promise;
    this.#worker.terminate();
    return left;
  }
}

async function tellWho(
  worker: Worker,
  id: number,
  asked: Promise<ProcessIdentity | undefined>,
): Promise<void> {
  const identity = await asked.catch(() => undefined);
  worker.postMessage({ kind: "identity", id, identity } satisfies ToShipper);
}
