// Reads pools as the collector's thread does, but in step: one snapshot, and back. For benchmarks that time a read.

import {
  PoolReader,
  type RemotePool,
  SNAPSHOT_LEAD_BYTES,
  type Transport,
} from "../../src/collector/index.ts";
import { SnapshotBuffers } from "../../src/collector/snapshot-buffers.ts";
import { monotonicNs, Poll } from "../../src/ffi/index.ts";
import {
  type Directory,
  Gather,
  planBytes,
  type ReadPlan,
  type Writer,
} from "../../src/layout/index.ts";

/** An agent that does not answer for so long is broken. */
const TIMEOUT_NS = 30e9;

/** A transport that is driven until each call is done. */
export class Connection {
  readonly #poll = new Poll();
  #events: number;

  constructor(readonly transport: Transport) {
    this.#events = transport.events;
    if (transport.fd >= 0) this.#poll.add(transport.fd, this.#events);
  }

  /** The pool of an application. @throws Error when there is none */
  pool(app: string): RemotePool {
    let listed: RemotePool[] | Error | undefined;
    this.transport.list((pools) => {
      listed = pools;
    });
    this.drive(() => listed !== undefined);
    if (listed instanceof Error) throw listed;
    const pool = listed!.find((each) => each.app === app);
    if (pool === undefined) throw new Error(`there is no pool of ${app}`);
    return pool;
  }

  /** Serves the connection until `done` says so. A transport without a descriptor is done at once. */
  drive(done: () => boolean): void {
    const { transport } = this;
    const { fd } = transport;
    const ready = (_fd: number, events: number) => transport.progress(events);
    while (!done()) {
      if (fd < 0) throw new Error("a read did not complete");
      if (transport.events !== this.#events) {
        this.#events = transport.events;
        this.#poll.want(fd, this.#events);
      }
      if (this.#poll.wait(monotonicNs() + TIMEOUT_NS, ready) === 0) {
        throw new Error("the agent does not answer");
      }
    }
  }

  close(): void {
    this.transport.close();
    this.#poll.close();
  }
}

/** One application's pool, read into the same memory each time. */
export class PoolScraper {
  readonly #connection: Connection;
  readonly #buffers = new SnapshotBuffers(1);
  readonly #reader: PoolReader;
  #plan: ReadPlan | undefined;
  #gather: Gather | undefined;
  #slots: Float64Array = new Float64Array();
  /** Values per series, added up over writers, after {@link scrape}. */
  values = new Float64Array();

  /** @param wanted which services to read */
  constructor(
    connection: Connection,
    app: string,
    wanted: (service: string) => boolean = () => true,
  ) {
    this.#connection = connection;
    const remote = connection.pool(app);
    const isWanted = (writer: Writer) => wanted(writer.serviceName);
    this.#reader = new PoolReader(connection.transport, remote, isWanted, {
      memory: (bytes) => this.#buffers.acquire(bytes),
      directory: () => {},
    });
  }

  get directory(): Directory {
    return this.#plan!.directory;
  }

  /** Bytes of pages that a snapshot brings. */
  get pageBytes(): number {
    return planBytes(this.#plan!);
  }

  /** Brings the pool's pages into memory. */
  snapshot(): void {
    let plan: ReadPlan | undefined;
    let failure: string | undefined;
    this.#reader.snapshot((outcome) => {
      if (outcome.kind === "taken") plan = outcome.plan;
      else failure = outcome.kind === "failed" ? outcome.error.message : outcome.kind;
    });
    this.#connection.drive(() => plan !== undefined || failure !== undefined);
    if (plan === undefined) throw new Error(`a snapshot failed: ${failure}`);
    if (plan === this.#plan) return;
    this.#plan = plan;
    this.#gather = new Gather(plan);
    this.#slots = new Float64Array(this.#buffers.buffer, SNAPSHOT_LEAD_BYTES, planBytes(plan) / 8);
    this.values = new Float64Array(plan.directory.valueCount);
  }

  /** Turns the pages that the last snapshot brought into values. */
  gather(): void {
    this.#gather!.into(this.#slots, this.values);
  }

  /** What a collector does at each deadline. */
  scrape(): void {
    this.snapshot();
    this.gather();
  }
}
