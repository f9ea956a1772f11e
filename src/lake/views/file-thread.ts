// A thread that writes Parquet, as the lake sees it: started when there is something to do, and again when it has died.

import { threadFault } from "../../text/index.ts";
import type { FromThread, Setup, Task, Tasks, ToThread } from "./worker-protocol.ts";

// The compiled binary keeps workers below its root; from sources they lie beside this file.
const WORKER_URL = new URL(
  import.meta.url.includes("/$bunfs/") ? "./src/lake/views/worker.ts" : "./worker.ts",
  import.meta.url,
);

interface Waiting {
  resolve(done: Tasks[Task]["done"]): void;
  reject(error: Error): void;
}

/** The thread has died of what it was asked for, or was stopped. */
export class FileThreadError extends Error {
  override readonly name = "FileThreadError";
}

export class FileThread {
  readonly #setup: Setup;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #next = 0;

  constructor(setup: Omit<Setup, "kind">) {
    this.#setup = { kind: "setup", ...setup };
  }

  /**
   * @param transfer memory of what is given that goes to the thread instead of a copy
   * @throws FileThreadError, or what the thread says that it lacks, such as room on the disk
   */
  run<T extends Task>(
    kind: T,
    given: Tasks[T]["given"],
    transfer: ArrayBuffer[] = [],
  ): Promise<Tasks[T]["done"]> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    worker.ref();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject });
      worker.postMessage({ kind, id, given } as ToThread, transfer);
    });
  }

  /** Whatever it is doing is not finished. */
  stop(): void {
    this.#worker?.terminate();
    this.#end("the lake stops");
  }

  #start(): Worker {
    const worker = new Worker(WORKER_URL);
    worker.onmessage = ({ data }: MessageEvent<FromThread>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("done" in data) waiting?.resolve(data.done);
      else waiting?.reject(new Error(data.failure));
      if (this.#waiting.size === 0) worker.unref();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      if (this.#worker === worker) this.#end(threadFault(event.message));
    };
    worker.postMessage(this.#setup);
    return worker;
  }

  #end(reason: string): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(new FileThreadError(reason));
    this.#waiting.clear();
  }
}
