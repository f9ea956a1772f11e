// One agent as the reading thread sees it: its connection, its pools, and a snapshot of each at every deadline.

import { monotonicNs, type Poll, unixMs } from "../ffi/index.ts";
import {
  type Directory,
  type Structure,
  StructureSender,
  skippedRecords,
} from "../layout/index.ts";
import { type Filter, type Wanted, wantedBy } from "./filter.ts";
import { MmapTransport } from "./mmap-transport.ts";
import { type Outcome, PoolReader } from "./pool-reader.ts";
import { SnapshotBuffers } from "./snapshot-buffers.ts";
import { TcpTransport } from "./tcp-transport.ts";
import { BrokenError, type RemotePool, type Transport, TransportError } from "./transport.ts";
import { VerbsTransport } from "./verbs-transport.ts";
import type {
  DirectoryFlaws,
  FromReader,
  ReadPool,
  SkipReason,
  TargetSpec,
} from "./worker-protocol.ts";

/** How often pools are looked for on a mapped host, or while there is none; else every answer tells of new ones. */
const RESCAN_INTERVAL_NS = 100e6;
/** While there is no pool at all, an agent that would have to be asked each time is asked this often. */
const ASK_INTERVAL_NS = 1e9;
/** A pool that cannot be understood is tried again after so long. */
const DAMAGED_RETRY_NS = 1e9;
/** A change of structure takes microseconds: one that takes so long was left unfinished. */
const UNSETTLED_MAX_NS = 1e9;
/** Files that cannot be read as pools are named up to so many. */
const FILES_NAMED_MAX = 20;
/** A pool whose connection broke is tried again after so long, and twice as long each time that it breaks again. */
const BROKEN_RETRY_NS = 10e6;
const BROKEN_RETRY_MAX_NS = 1e9;
/** An agent that does not answer for so long is away. */
const ANSWER_TIMEOUT_NS = 10e9;

interface Pool {
  public: ReadPool;
  remote: RemotePool;
  reader: PoolReader;
  sender: StructureSender;
  buffers: SnapshotBuffers;
  busy: boolean;
  /** Of its last snapshot. */
  deadlineNs: number;
  /** When a pool that was found damaged, or whose connection broke, is tried again. */
  retryAtNs: number;
  /** How long after its next breaking. */
  brokenRetryNs: number;
  /** Since when its structure was not seen to stand still; 0 while it does. */
  unsettledSinceNs: number;
}

interface TargetReaderOptions {
  target: number;
  spec: TargetSpec;
  filter: Filter;
  intervalNs: number;
  buffers: number;
}

let nextPool = 1;

export class TargetReader {
  readonly transport: Transport;
  /** The deadline that comes. */
  nextNs = monotonicNs();
  readonly #wanted: Wanted;
  /** The deadline that came last. */
  #deadlineNs = this.nextNs;
  readonly #pools = new Map<number, Pool>();
  #listing = false;
  #listedGeneration = -1;
  #listedAtNs = Number.NEGATIVE_INFINITY;
  #busySinceNs = 0;
  #connected = false;
  #lost = false;
  #events = 0;
  readonly #asks = new Map<number, (answer: unknown, error: string | undefined) => void>();
  #nextAsk = 1;
  /** Files that cannot be read as pools and were reported. */
  #filesNamed = 0;

  /** @param took told how long reads took that one may spin for */
  constructor(
    readonly options: TargetReaderOptions,
    readonly poll: Poll,
    readonly tell: (message: FromReader) => void,
    took?: (ns: number) => void,
  ) {
    const { spec } = options;
    this.#wanted = wantedBy(options.filter);
    this.transport = this.#open(spec, took);
    if (this.transport.fd >= 0) {
      this.#events = this.transport.events;
      poll.add(this.transport.fd, this.#events);
    }
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** Reads are under way that may complete any moment. */
  get busy(): boolean {
    return !this.#lost && this.transport.busy === true;
  }

  /** Looks for completions. */
  look(): void {
    this.ready(0);
  }

  /** What the agent answered to something that was asked by REST. */
  answer(ask: number, answer: unknown, error: string | undefined): void {
    const done = this.#asks.get(ask);
    this.#asks.delete(ask);
    if (this.#lost) return;
    try {
      done?.(answer, error);
    } catch (thrown) {
      this.#lose((thrown as Error).message);
    }
  }

  /** The agent is gone, as others have noticed. */
  lose(reason: string): void {
    this.#lose(reason);
  }

  /**
   * Starts the snapshots of the deadline that has come. Pools that are still busy with the last one miss it. A deadline
   * that could not be kept is passed over; the ones after it stay where they were.
   */
  tick(now: number): void {
    if (this.#lost) return;
    const { intervalNs } = this.options;
    const due = Math.max(0, Math.floor((now - this.nextNs) / intervalNs));
    this.#deadlineNs = this.nextNs + due * intervalNs;
    this.nextNs = this.#deadlineNs + intervalNs;
    if (this.#isBusy()) {
      if (now - this.#busySinceNs > ANSWER_TIMEOUT_NS) this.#lose("it does not answer");
    } else {
      this.#busySinceNs = now;
    }
    // Asking fails as well as being answered, when the agent has gone since.
    try {
      if (!this.#listing && this.#shouldList(now)) this.#list();
      for (const pool of this.#pools.values()) {
        if (pool.busy || now < pool.retryAtNs || pool.deadlineNs === this.#deadlineNs) continue;
        this.#snapshot(pool);
      }
      this.#wait();
    } catch (error) {
      this.#lose((error as Error).message);
    }
  }

  /** Handles the connection's descriptor. */
  ready(events: number): void {
    if (this.#lost) return;
    try {
      this.transport.progress(events);
      this.#wait();
    } catch (error) {
      this.#lose((error as Error).message);
    }
  }

  close(): void {
    if (this.transport.fd >= 0) this.poll.remove(this.transport.fd);
    // Nothing may fill the buffers any more when they go.
    this.transport.close();
    for (const { buffers } of this.#pools.values()) buffers.close();
  }

  #open(spec: TargetSpec, took: ((ns: number) => void) | undefined): Transport {
    switch (spec.transport) {
      case "mmap":
        return new MmapTransport(
          spec.poolDir ?? undefined,
          (app, reason) => this.#skipFile(app, reason),
          spec.uids,
        );
      case "tcp":
        return new TcpTransport(spec.host, spec.port, spec.token);
      case "verbs": {
        const { target } = this.options;
        return new VerbsTransport(
          spec,
          (question, done) => {
            const ask = this.#nextAsk++;
            this.#asks.set(ask, done);
            this.tell({ kind: "ask", target, ask, question });
          },
          took,
        );
      }
    }
  }

  #isBusy(): boolean {
    if (this.#listing) return true;
    for (const pool of this.#pools.values()) if (pool.busy) return true;
    return false;
  }

  #shouldList(now: number): boolean {
    if (this.transport.fd >= 0) {
      if (this.transport.poolsGeneration !== this.#listedGeneration) return true;
      // Without a pool nothing is read, so no answer tells of new ones.
      if (this.#pools.size > 0) return false;
    }
    const interval = this.transport.name === "verbs" ? ASK_INTERVAL_NS : RESCAN_INTERVAL_NS;
    return now - this.#listedAtNs >= interval;
  }

  #list(): void {
    this.#listing = true;
    this.#listedAtNs = monotonicNs();
    const askedAt = this.transport.poolsGeneration;
    this.transport.list((pools) => {
      this.#listing = false;
      if (pools instanceof Error) return this.#lose(pools.message);
      // What an answer carries is of its time; what was noticed of the pools meanwhile may be newer than the answer.
      this.#listedGeneration =
        this.transport.name === "verbs" ? askedAt : this.transport.poolsGeneration;
      this.#take(pools);
    });
  }

  #take(listed: readonly RemotePool[]): void {
    const { target, buffers: count } = this.options;
    const wanted = listed.filter(({ app }) => this.#wanted.app(app));
    if (!this.#connected) {
      this.#connected = true;
      this.#begin();
      const { name: transport } = this.transport;
      const apps = listed.map(({ app }) => app);
      this.tell({ kind: "connected", target, transport, pools: wanted.length, apps });
    }
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, pool] of this.#pools) if (!ids.has(id)) this.#drop(pool);
    for (const remote of wanted) {
      if (this.#pools.has(remote.id)) continue;
      const { transport } = this;
      const buffers = new SnapshotBuffers(count, transport.pin?.bind(transport));
      const shown: ReadPool = {
        target,
        pool: nextPool++,
        app: remote.app,
      };
      const pool: Pool = {
        public: shown,
        remote,
        reader: this.#newReader(remote, buffers),
        sender: new StructureSender(),
        buffers,
        busy: false,
        deadlineNs: 0,
        retryAtNs: 0,
        brokenRetryNs: BROKEN_RETRY_NS,
        unsettledSinceNs: 0,
      };
      this.#pools.set(remote.id, pool);
      this.#snapshot(pool);
    }
  }

  /** Reading begins now, however long it took to connect: the second snapshot comes an interval after the first. */
  #begin(): void {
    this.#deadlineNs = monotonicNs();
    this.nextNs = this.#deadlineNs + this.options.intervalNs;
  }

  #newReader(remote: RemotePool, buffers: SnapshotBuffers): PoolReader {
    return new PoolReader(this.transport, remote, this.#wanted.metric, {
      memory: (bytes) => buffers.acquire(bytes),
    });
  }

  #drop(pool: Pool): void {
    this.#pools.delete(pool.remote.id);
    // A READ that is under way still fills its buffer: then the memory goes with the connection.
    if (!pool.busy) pool.buffers.close();
    const { target, pool: number, app } = pool.public;
    this.tell({ kind: "gone", target, pool: number, app });
  }

  #snapshot(pool: Pool): void {
    const deadlineNs = this.#deadlineNs;
    pool.busy = true;
    pool.deadlineNs = deadlineNs;
    const startUnixMs = unixMs();
    const startNs = monotonicNs();
    pool.reader.snapshot((outcome) => {
      pool.busy = false;
      this.#finish(pool, outcome, { deadlineNs, startNs, startUnixMs });
    });
  }

  #finish(
    pool: Pool,
    outcome: Outcome,
    times: { deadlineNs: number; startNs: number; startUnixMs: number },
  ): void {
    const { buffers } = pool;
    const { target, app } = pool.public;
    if (this.#lost) return;
    // Dropped while it was read: the main thread was told that it is gone, and is told nothing more.
    if (this.#pools.get(pool.remote.id) !== pool) return buffers.close();
    switch (outcome.kind) {
      case "taken":
        pool.brokenRetryNs = BROKEN_RETRY_NS;
        pool.unsettledSinceNs = 0;
        this.#tellStructure(pool, outcome.structure);
        buffers.give();
        this.tell({
          kind: "snapshot",
          pool: pool.public,
          buffer: buffers.buffer,
          state: buffers.state,
          index: buffers.index,
          generation: outcome.generation,
          serial: pool.sender.serial,
          endNs: monotonicNs(),
          counters: { ...this.transport.counters },
          ...times,
        });
        return;
      case "failed":
        if (outcome.error instanceof TransportError) return this.#lose(outcome.error.message);
        if (outcome.error instanceof BrokenError) {
          pool.retryAtNs = monotonicNs() + pool.brokenRetryNs;
          pool.brokenRetryNs = Math.min(pool.brokenRetryNs * 2, BROKEN_RETRY_MAX_NS);
          return this.#skip(app, "broken", outcome.error.message);
        }
        // A damaged pool concerns that pool alone.
        pool.retryAtNs = monotonicNs() + DAMAGED_RETRY_NS;
        pool.reader = this.#newReader(pool.remote, buffers);
        this.#skip(app, "damaged", outcome.error.message);
        return;
      default:
        this.tell({ kind: "skipped", target, app, reason: outcome.kind, detail: "" });
        if (outcome.kind === "unsettled") this.#noteUnsettled(pool);
    }
  }

  /** With the snapshots of it, so that no more of them wait for the main thread than snapshots do. */
  #tellStructure({ public: pool, reader, sender }: Pool, structure: Structure): void {
    const news = sender.newsOf(structure);
    if (news === undefined) return;
    this.tell({ kind: "structure", pool, news, flaws: flawsOf(reader.directory!) });
  }

  /** Names what cannot be read as a pool, up to a number: anybody may make very many such files. */
  #skipFile(app: string, reason: string): void {
    if (!this.#wanted.app(app) || this.#filesNamed > FILES_NAMED_MAX) return;
    const isLast = this.#filesNamed++ === FILES_NAMED_MAX;
    this.#skip(
      app,
      "unreadable",
      isLast ? `${reason}; so are more files, which are not named` : reason,
    );
  }

  #noteUnsettled(pool: Pool): void {
    const now = monotonicNs();
    if (pool.unsettledSinceNs === 0) pool.unsettledSinceNs = now;
    if (now - pool.unsettledSinceNs < UNSETTLED_MAX_NS) return;
    this.#skip(
      pool.public.app,
      "damaged",
      "its agent has left a change of its structure unfinished: it is read when that is finished; start an agent if none runs there",
    );
  }

  #skip(app: string, reason: SkipReason, detail: string): void {
    if (!this.#wanted.app(app)) return;
    this.tell({ kind: "skipped", target: this.options.target, app, reason, detail });
  }

  #wait(): void {
    const { fd, events } = this.transport;
    if (fd < 0 || events === this.#events || this.#lost) return;
    this.#events = events;
    this.poll.want(fd, events);
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.tell({ kind: "lost", target: this.options.target, reason });
  }
}

function flawsOf(directory: Directory): DirectoryFlaws {
  const { damageCount, damage, skipped } = directory;
  const last = damage.at(-1);
  return {
    damageCount,
    damage: last && `the directory at byte ${last.offset}: ${last.reason}`,
    skippedTypes: skipped.size,
    skipped: skippedRecords(directory),
  };
}
