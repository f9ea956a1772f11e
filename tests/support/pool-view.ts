// A pool as a reader on its host sees it, for tests that ask what others would see.

import {
  findSeries,
  MmapTransport,
  PoolReader,
  SNAPSHOT_LEAD_BYTES,
} from "../../src/collector/index.ts";
import { allocateBuffer, type Mapping } from "../../src/ffi/index.ts";
import { type Directory, Gather, planBytes, type Structure } from "../../src/layout/index.ts";

/** One read of a pool. */
export interface Seen {
  directory: Directory;
  structure: Structure;
  slots: Float64Array;
  values: Float64Array;
}

/** Reads an application's pool again at every question; a pool that is replaced is followed. */
export class PoolView {
  readonly #transport: MmapTransport;
  readonly #app: string;
  #reader: PoolReader | undefined;
  #memory: Mapping | undefined;

  constructor(poolDir: string, app: string) {
    this.#transport = new MmapTransport(poolDir);
    this.#app = app;
  }

  /** @throws Error when there is no pool to read */
  read(): Seen {
    this.#follow();
    let seen: Seen | undefined;
    let failure = "there is no pool yet";
    this.#reader?.snapshot((outcome) => {
      if (outcome.kind !== "taken") {
        failure = outcome.kind === "failed" ? outcome.error.message : outcome.kind;
        return;
      }
      const { structure } = outcome;
      const { plan } = structure;
      const slots = new Float64Array(
        this.#memory!.buffer.slice(SNAPSHOT_LEAD_BYTES, SNAPSHOT_LEAD_BYTES + planBytes(plan)),
      );
      const values = new Float64Array(structure.valueCount);
      new Gather(structure).into(slots, values);
      seen = { directory: this.#reader!.directory!, structure, slots, values };
    });
    if (seen === undefined) throw new Error(failure);
    return seen;
  }

  /** The sum over a series' writers; undefined when there is no such series. */
  value(
    service: string,
    metric: string,
    labels: Readonly<Record<string, string>> = {},
  ): number | undefined {
    const { structure, values } = this.read();
    const found = findSeries(structure, { app: this.#app, service, metric, labels });
    return found === undefined ? undefined : values[found.index];
  }

  /** All values of a series: a histogram's buckets and its sum. */
  slots(service: string, metric: string, labels: Readonly<Record<string, string>> = {}): number[] {
    const { structure, values } = this.read();
    const found = findSeries(structure, { app: this.#app, service, metric, labels });
    if (found === undefined) return [];
    return [...values.subarray(found.index, found.index + found.metric.slots)];
  }

  /** Writers that are there, without the one that keeps the counts of the dead. */
  writers(service?: string): { id: number; pid: number; threadId: number }[] {
    return [...this.read().directory.writers.values()]
      .filter((w) => !w.retained && (service === undefined || w.serviceName === service))
      .map(({ id, pid, threadId }) => ({ id, pid, threadId }));
  }

  close(): void {
    this.#transport.close();
    this.#memory?.unmap();
  }

  #follow(): void {
    this.#transport.list((pools) => {
      if (pools instanceof Error) throw pools;
      const pool = pools.find(({ app }) => app === this.#app);
      if (pool === undefined || this.#reader?.pool.id === pool.id) return;
      this.#reader = new PoolReader(this.#transport, pool, () => true, {
        memory: (bytes) => this.#take(bytes),
      });
    });
  }

  #take(bytes: number): { address: number; bytes: Uint8Array } {
    if (this.#memory === undefined || this.#memory.byteLength < bytes) {
      this.#memory?.unmap();
      this.#memory = allocateBuffer(bytes);
    }
    return { address: this.#memory.address, bytes: this.#memory.bytes() };
  }
}
