// Reads pools as the collector's thread does, but in step: one snapshot, and back. For benchmarks that time a read.

import {
  type Outcome,
  PoolReader,
  type RemotePool,
  SNAPSHOT_LEAD_BYTES,
  type Transport,
} from "../../src/collector/index.ts";
import { SnapshotBuffers } from "../../src/collector/snapshot-buffers.ts";
import type { Spinnable, Spinner } from "../../src/collector/spinner.ts";
import { monotonicNs, Poll } from "../../src/ffi/index.ts";
import { type Directory, Gather, planBytes, type Structure } from "../../src/layout/index.ts";

/** An agent that does not answer for so long is broken. */
const TIMEOUT_NS = 30e9;
const NO_DEADLINE = -1;

/** A transport that is driven until each call is done. */
export class Connection {
  readonly #poll = new Poll();
  readonly #spun: readonly Spinnable[];
  /** What was asked by REST and has no answer yet. */
  asked = 0;
  readonly #ready = (_fd: number, events: number) => this.transport.progress(events);
  #events: number;

  /** @param spinner says how completions are waited for before the thread sleeps; it sleeps at once without */
  constructor(
    readonly transport: Transport,
    readonly spinner?: Spinner,
  ) {
    this.#events = transport.events;
    const isBusy = () => transport.busy === true;
    const look = () => transport.progress(0);
    this.#spun = [
      {
        get busy() {
          return isBusy();
        },
        look,
      },
    ];
    if (transport.fd >= 0) this.#poll.add(transport.fd, this.#events);
  }

  /** The pool of an application. @throws Error when there is none */
  pool(app: string): RemotePool {
    const { listed, found } = this.#list(app);
    this.drive(listed);
    return found();
  }

  /** As {@link pool}, of a transport that asks the agent by REST. */
  async poolByRest(app: string): Promise<RemotePool> {
    const { listed, found } = this.#list(app);
    await this.driveByRest(listed);
    return found();
  }

  /** Serves the connection until `done` says so. A transport without a descriptor is done at once. */
  drive(done: () => boolean): void {
    if (!this.driveUntilAsked(done)) throw new Error("the agent has to be asked by REST");
  }

  /** As {@link drive}. @returns false when it cannot go on before the event loop had a turn: {@link driveByRest} */
  driveUntilAsked(done: () => boolean): boolean {
    const { transport } = this;
    const { fd } = transport;
    while (!done()) {
      this.spinner?.spin(this.#spun, NO_DEADLINE);
      if (done()) return true;
      if (this.asked > 0) return false;
      if (fd < 0) throw new Error("a read did not complete");
      if (transport.events !== this.#events) {
        this.#events = transport.events;
        this.#poll.want(fd, this.#events);
      }
      if (this.#poll.wait(monotonicNs() + TIMEOUT_NS, this.#ready) === 0) {
        transport.progress(0);
        const why = done() ? "nothing woke the reader" : "the agent does not answer";
        throw new Error(`${transport.name}: ${why}`);
      }
    }
    return true;
  }

  /** As {@link drive}, with turns of the event loop between, which answers of the agent's REST interface need. */
  async driveByRest(done: () => boolean): Promise<void> {
    const { transport } = this;
    const untilNs = monotonicNs() + TIMEOUT_NS;
    while (!done()) {
      if (monotonicNs() > untilNs) throw new Error("the agent does not answer");
      this.#poll.wait(monotonicNs(), (_fd, events) => transport.progress(events));
      await Bun.sleep(1);
    }
  }

  close(): void {
    this.transport.close();
    this.#poll.close();
  }

  #list(app: string) {
    let answer: RemotePool[] | Error | undefined;
    this.transport.list((pools) => {
      answer = pools;
    });
    return {
      listed: () => answer !== undefined,
      found(): RemotePool {
        if (answer instanceof Error) throw answer;
        const pool = answer!.find((each) => each.app === app);
        if (pool === undefined) throw new Error(`there is no pool of ${app}`);
        return pool;
      },
    };
  }
}

/** One application's pool, read into the same memory each time. */
export class PoolScraper {
  readonly #connection: Connection;
  readonly #buffers: SnapshotBuffers;
  readonly #reader: PoolReader;
  #structure: Structure | undefined;
  #gather: Gather | undefined;
  #slots: Float64Array = new Float64Array();
  /** Values per series, added up over writers, after {@link scrape}. */
  values = new Float64Array();

  /**
   * @param pool as the connection has it, or by its application's name
   * @param wanted which services to read
   */
  constructor(
    connection: Connection,
    pool: RemotePool | string,
    wanted: (service: string) => boolean = () => true,
  ) {
    this.#connection = connection;
    const { transport } = connection;
    this.#buffers = new SnapshotBuffers(1, transport.pin?.bind(transport));
    const remote = typeof pool === "string" ? connection.pool(pool) : pool;
    this.#reader = new PoolReader(transport, remote, wanted, {
      memory: (bytes) => this.#buffers.acquire(bytes),
    });
  }

  get directory(): Directory {
    return this.#reader.directory!;
  }

  get structure(): Structure {
    return this.#structure!;
  }

  /** Bytes of pages that a snapshot brings. */
  get pageBytes(): number {
    return planBytes(this.#structure!.plan);
  }

  /** Brings the pool's pages into memory. */
  snapshot(): void {
    const { ended, take } = this.#start();
    this.#connection.drive(ended);
    take();
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

  /**
   * As {@link scrape}, over a transport that sometimes asks the agent by REST.
   * @returns undefined when it did not have to
   */
  scrapeByRest(): Promise<void> | undefined {
    const { ended, take } = this.#start();
    const finish = () => {
      take();
      this.gather();
    };
    if (this.#connection.driveUntilAsked(ended)) return void finish();
    return this.#connection.driveByRest(ended).then(finish);
  }

  #start() {
    let outcome: Outcome | undefined;
    this.#reader.snapshot((came) => {
      outcome = came;
    });
    return { ended: () => outcome !== undefined, take: () => this.#take(outcome!) };
  }

  #take(outcome: Outcome): void {
    if (outcome.kind !== "taken") {
      const why = outcome.kind === "failed" ? outcome.error.message : outcome.kind;
      throw new Error(`a snapshot failed: ${why}`);
    }
    const { structure } = outcome;
    if (structure === this.#structure) return;
    this.#structure = structure;
    this.#gather = new Gather(structure);
    const { plan } = structure;
    this.#slots = new Float64Array(this.#buffers.buffer, SNAPSHOT_LEAD_BYTES, planBytes(plan) / 8);
    this.values = new Float64Array(structure.valueCount);
  }
}
