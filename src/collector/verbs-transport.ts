// Reads pools by one-sided RDMA READs: the agent's device answers them out of the pool's memory, and no code runs on its
// host. A queue pair per pool, for each pool has a protection domain of its own there. What has to be asked of the
// agent goes through the main thread and REST (verbs-session.ts); that happens when something new is there, not per read.

import {
  type Completion,
  ConnectionManager,
  DEVICE_FATAL,
  Device,
  type Domain,
  type ManagerEvent,
  monotonicNs,
  type QueuePair,
  ReadList,
  type Region,
  STATUS_REMOTE_ACCESS,
  statusText,
} from "../ffi/index.ts";
import type { PoolState } from "../layout/index.ts";
import type { QueuePairRequest, QueuePairResponse, RdmaRegion } from "../rest/index.ts";
import type { Question } from "./agent-client.ts";
import {
  BrokenError,
  type ByteRange,
  type Destination,
  MovedError,
  newCounters,
  type ReadFailure,
  type RemotePool,
  type Transport,
  TransportError,
} from "./transport.ts";
import { parsePools, parseQueuePair, parseRegions } from "./verbs-answers.ts";
import { splitRanges } from "./verbs-plan.ts";

/** Where a collector's device is, and how it speaks to an agent's. */
export interface VerbsSpec {
  device: string;
  port: number;
  gid: string;
  gidIndex: number;
  lid: number;
  /** Path MTU at most, in bytes. */
  mtu: number;
  /** Acknowledgement timeout as the exponent of 4.096 µs · 2^n. */
  timeout: number;
  retries: number;
  session: string;
  library: string;
  /** Connects by rdma_cm, to the agent at an IP address. */
  manager: { host: string; library: string } | null;
}

/** What is asked of the agent, and what the main thread made of the answer. */
export type Ask = (
  question: Question,
  done: (answer: unknown, error: string | undefined) => void,
) => void;

/** READs of one post; a plan with more goes out as several. */
const MAX_SENDS = 512;
const PSN_MASK = 0xff_ffff;
/** READs of a page for nothing cost less than another READ. */
const MERGE_GAP_SLOTS = 1024;
/** Keys of regions are asked for so many times before a range counts as not there. */
const MAX_REGION_ASKS = 2;

/** One pool's connection. */
interface Link {
  readonly pool: RemotePool;
  readonly queuePair: QueuePair;
  id: number;
  regions: readonly RdmaRegion[];
  /** Raised with each change of the regions, so that lists made of them are made again. */
  version: number;
  state: "connecting" | "ready" | "closed";
  /** What waits for the connection. */
  waiting: ((failure: ReadFailure) => void)[];
  reads: Batch[];
}

interface Managed {
  link: Link;
  reads: number;
  ticket: string;
}

/** READs that are under way on one queue pair, and who waits for them. */
interface Batch {
  readonly id: number;
  readonly link: Link;
  readonly list: ReadList;
  /** READs posted so far. */
  posted: number;
  startedNs: number;
  readonly base: number;
  readonly localKey: number;
  readonly done: (failure: ReadFailure) => void;
}

/** READs made of ranges, kept while ranges and regions stay the same. */
interface Compiled {
  link: Link;
  version: number;
  list: ReadList;
  bytes: number;
}

export class VerbsTransport implements Transport {
  readonly name = "verbs";
  readonly fd: number;
  readonly events = 1;
  readonly mergeGapSlots = MERGE_GAP_SLOTS;
  readonly counters = newCounters();
  poolsGeneration = 0;
  readonly #device: Device;
  readonly #domain: Domain;
  readonly #links = new Map<number, Link>();
  /** By the number of their queue pair, which completions carry. */
  readonly #byNumber = new Map<number, Link>();
  readonly #compiled = new WeakMap<readonly ByteRange[], Compiled>();
  readonly #notices = new Map<number, number>();
  readonly #sends: number;
  readonly #manager: ConnectionManager | undefined;
  /** Queue pairs that rdma_cm connects or has connected, by its links. */
  readonly #managed = new Map<number, Managed>();
  readonly #take = (completion: Completion) => this.#complete(completion);
  #nextBatch = 1;
  #underWay = 0;
  #closed = false;

  /**
   * @param took told how long each batch of READs took
   * @throws SystemError when the device cannot be opened
   */
  constructor(
    readonly spec: VerbsSpec,
    readonly ask: Ask,
    readonly took?: (ns: number) => void,
  ) {
    this.#device = Device.open(spec.device, spec.port, spec.library);
    this.fd = this.#device.fd;
    this.#sends = Math.min(MAX_SENDS, this.#device.facts.maxSends);
    try {
      this.#domain = this.#device.openDomain();
      if (spec.manager === null) return;
      this.#manager = ConnectionManager.open(spec.manager.library);
      this.#manager.join(this.#device);
    } catch (error) {
      this.#manager?.close();
      this.#device.close();
      throw error;
    }
  }

  /** Reads are under way, so that a completion may come any moment. */
  get busy(): boolean {
    return this.#underWay > 0;
  }

  list(done: (pools: RemotePool[] | Error) => void): void {
    this.ask({ call: "GET /v1/rdma", values: {}, body: undefined }, (answer, error) => {
      if (this.#closed) return;
      if (error !== undefined) return done(new TransportError(error));
      const pools = parsePools(answer);
      if (!(pools instanceof Error)) this.#forget(pools);
      done(pools);
    });
  }

  read(
    pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void {
    const link = this.#links.get(pool.id) ?? this.#connect(pool);
    if (link instanceof Error) return done(link);
    if (link.state === "connecting") {
      link.waiting.push((failure) =>
        failure === undefined ? this.read(pool, ranges, into, done) : done(failure),
      );
      return;
    }
    this.#start(link, ranges, into, done, 0);
  }

  pin(address: number, bytes: number): { key: number; release(): void } {
    let region: Region | undefined = this.#domain.register(address, bytes);
    return {
      key: region.localKey,
      release: () => {
        if (!this.#closed) region?.close();
        region = undefined;
      },
    };
  }

  observe(pool: RemotePool, { notices }: PoolState): void {
    const known = this.#notices.get(pool.id);
    this.#notices.set(pool.id, notices);
    if (known === undefined || known === notices) return;
    this.poolsGeneration++;
    const link = this.#links.get(pool.id);
    if (link?.state === "ready") this.#askRegions(link, () => {});
  }

  progress(events: number): void {
    const device = this.#device;
    try {
      // Nothing was found ready: somebody spins.
      if (events === 0) return void device.poll(this.#take);
      // Events make the descriptor ready too. They come seldom, and asking costs a system call: not for each READ.
      if (device.completions(this.#take) > 0) return;
      for (let event = device.event(); event !== undefined; event = device.event()) {
        if (event.type === DEVICE_FATAL) throw new TransportError("the RDMA device is gone");
      }
      for (let e = this.#manager?.event(); e !== undefined; e = this.#manager?.event()) {
        this.#takeEvent(e);
      }
    } catch (error) {
      if (error instanceof TransportError) throw error;
      throw new TransportError((error as Error).message);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Queue pairs go before the memory that they fill.
    for (const link of this.#links.values()) this.#end(link);
    this.#manager?.close();
    this.#device.close();
    this.#links.clear();
    this.#byNumber.clear();
    this.#underWay = 0;
  }

  #connect(pool: RemotePool): Link | Error {
    const { spec } = this;
    const { facts } = this.#device;
    let queuePair: QueuePair;
    try {
      queuePair = this.#domain.queuePair(this.#sends);
    } catch (error) {
      return new TransportError((error as Error).message);
    }
    const link: Link = {
      pool,
      queuePair,
      id: 0,
      regions: [],
      version: 0,
      state: "connecting",
      waiting: [],
      reads: [],
    };
    this.#links.set(pool.id, link);
    this.#byNumber.set(queuePair.number, link);
    const psn = Math.floor(Math.random() * PSN_MASK);
    const request: QueuePairRequest = {
      session: spec.session,
      app: pool.app,
      poolId: pool.poolId,
      number: queuePair.number,
      psn,
      linkLayer: facts.linkLayer,
      gid: spec.gid,
      lid: facts.lid,
      mtu: Math.min(spec.mtu, facts.mtu),
      reads: Math.max(1, Math.min(facts.maxReadsInitiator, 255)),
      ...(spec.manager === null ? {} : { manager: true }),
    };
    const call = "POST /v1/rdma/queue-pairs";
    this.ask({ call, values: {}, body: request }, (answer, error) => {
      if (this.#closed || link.state === "closed") return;
      let failure: ReadFailure;
      try {
        if (error !== undefined) throw new TransportError(error);
        const parsed = parseQueuePair(answer);
        if (spec.manager !== null) return this.#resolve(link, spec.manager.host, parsed);
        this.#connected(link, psn, parsed);
      } catch (thrown) {
        failure = new TransportError((thrown as Error).message);
        this.#drop(link);
      }
      for (const waiting of link.waiting.splice(0)) waiting(failure);
    });
    return link;
  }

  /** Lets rdma_cm find the way and connect; what waits for the link waits on. */
  #resolve(link: Link, host: string, { id, regions, reads, manager }: QueuePairResponse): void {
    link.id = id;
    link.regions = regions;
    link.version++;
    if (manager === undefined) throw new TransportError("the agent gives no ticket for rdma_cm");
    const handle = this.#manager!.resolve(host, manager.port);
    this.#managed.set(handle, { link, reads, ticket: manager.ticket });
  }

  #takeEvent(event: ManagerEvent): void {
    const managed = this.#managed.get(event.link);
    if (managed === undefined) return;
    const { link, reads, ticket } = managed;
    const { timeout, retries, device } = this.spec;
    try {
      switch (event.kind) {
        case "resolved":
          if (event.device !== device) {
            throw new Error(`the way to the agent is by ${event.device}, not ${device}: --rdma`);
          }
          this.#manager!.connect(event.link, link.queuePair, {
            reads,
            timeout,
            retries,
            data: ticket,
          });
          return;
        case "connected":
          link.state = "ready";
          for (const waiting of link.waiting.splice(0)) waiting(undefined);
          return;
        case "failed":
          throw new Error(event.reason);
        case "disconnected":
          this.#break(link, new BrokenError(`${link.pool.app}: the agent has disconnected`));
      }
    } catch (error) {
      this.#break(link, new TransportError((error as Error).message));
    }
  }

  #connected(link: Link, psn: number, answer: QueuePairResponse): void {
    const { spec } = this;
    link.id = answer.id;
    link.queuePair.connect({
      remoteNumber: answer.number,
      remotePsn: answer.psn,
      psn,
      mtu: answer.mtu,
      port: spec.port,
      gid: answer.gid,
      gidIndex: spec.gidIndex,
      lid: answer.lid,
      serviceLevel: 0,
      trafficClass: 0,
      timeout: spec.timeout,
      retries: spec.retries,
      readsInitiator: answer.reads,
      readsTarget: 1,
    });
    link.regions = answer.regions;
    link.version++;
    link.state = "ready";
  }

  #start(
    link: Link,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
    asked: number,
  ): void {
    const compiled = this.#compile(link, ranges);
    if (compiled === undefined) {
      // Pages or directory have grown beyond what is registered here, as far as this side knows.
      if (asked === MAX_REGION_ASKS) return done(new MovedError("the range is not registered"));
      this.#askRegions(link, (failure) => {
        if (failure !== undefined) done(failure);
        else this.#start(link, ranges, into, done, asked + 1);
      });
      return;
    }
    if (compiled.list.count === 0) return done(undefined);
    let { key: localKey } = into;
    let finish = done;
    if (localKey === undefined) {
      try {
        const { key, release } = this.pin(into.address, into.bytes.byteLength);
        localKey = key;
        finish = (failure) => {
          release();
          done(failure);
        };
      } catch (error) {
        return done(new TransportError((error as Error).message));
      }
    }
    const batch: Batch = {
      id: this.#nextBatch++,
      link,
      list: compiled.list,
      posted: 0,
      startedNs: 0,
      base: into.address,
      localKey,
      done: finish,
    };
    this.#underWay++;
    link.reads.push(batch);
    this.counters.bytes += compiled.bytes;
    if (link.reads.length === 1) this.#post(link, batch);
  }

  /** Posts what fits into the send queue: one call, one completion. Batches of a pool follow each other. */
  #post(link: Link, batch: Batch): void {
    const count = Math.min(batch.list.count - batch.posted, this.#sends);
    const { list, posted, base, localKey, id } = batch;
    if (posted === 0 && this.took !== undefined) batch.startedNs = monotonicNs();
    batch.posted += count;
    this.counters.requests += count;
    try {
      link.queuePair.read(list, posted, count, base, localKey, id);
    } catch (error) {
      this.#break(link, new BrokenError((error as Error).message));
    }
  }

  #complete(completion: Completion): void {
    this.counters.completions++;
    // What was flushed with a queue pair that is gone concerns nobody any more.
    const link = this.#byNumber.get(completion.number);
    const batch = link?.reads[0];
    if (link === undefined || batch?.id !== completion.id) return;
    if (completion.status !== 0) {
      const text = `${link.pool.app}: ${statusText(completion)}`;
      // Refused access concerns this pool: it was replaced, or its memory is registered again. Else the agent is gone.
      const refused = completion.status === STATUS_REMOTE_ACCESS;
      this.#break(link, refused ? new BrokenError(text) : new TransportError(text));
      return;
    }
    if (batch.posted < batch.list.count) return this.#post(link, batch);
    this.took?.(monotonicNs() - batch.startedNs);
    this.#underWay--;
    link.reads.shift();
    const next = link.reads[0];
    if (next !== undefined) this.#post(link, next);
    batch.done(undefined);
  }

  /** A queue pair that met an error is of no use: it goes, and the next read makes another. */
  #break(link: Link, failure: BrokenError | TransportError): void {
    this.#drop(link);
    for (const waiting of link.waiting.splice(0)) waiting(failure);
    for (const batch of link.reads.splice(0)) {
      this.#underWay--;
      batch.done(failure);
    }
  }

  #drop(link: Link): void {
    this.#links.delete(link.pool.id);
    this.#notices.delete(link.pool.id);
    if (link.id !== 0) {
      const call = "DELETE /v1/rdma/queue-pairs/:id";
      this.ask({ call, values: { id: link.id }, body: undefined }, () => {});
    }
    this.#end(link);
  }

  #end(link: Link): void {
    if (link.state === "closed") return;
    link.state = "closed";
    for (const [handle, managed] of this.#managed) {
      if (managed.link !== link) continue;
      this.#managed.delete(handle);
      this.#manager?.closeLink(handle);
    }
    this.#byNumber.delete(link.queuePair.number);
    link.queuePair.close();
  }

  /** Pools that are not listed any more. */
  #forget(listed: readonly RemotePool[]): void {
    const ids = new Set(listed.map(({ id }) => id));
    for (const link of [...this.#links.values()]) {
      if (!ids.has(link.pool.id)) this.#break(link, new BrokenError("the pool is gone"));
    }
  }

  #askRegions(link: Link, done: (failure: ReadFailure) => void): void {
    const call = "POST /v1/rdma/queue-pairs/:id/regions";
    this.ask({ call, values: { id: link.id }, body: undefined }, (answer, error) => {
      if (this.#closed) return;
      if (link.state === "closed") return done(new BrokenError("the queue pair is gone"));
      if (error !== undefined) return done(new TransportError(error));
      const regions = parseRegions(answer);
      if (regions === undefined)
        return done(new TransportError("the agent's regions make no sense"));
      link.regions = regions;
      link.version++;
      done(undefined);
    });
  }

  /** READs for ranges, or undefined when a range lies outside of the regions that are known. */
  #compile(link: Link, ranges: readonly ByteRange[]): Compiled | undefined {
    const known = this.#compiled.get(ranges);
    if (known !== undefined && known.link === link && known.version === link.version) return known;
    const { maxMessageBytes } = this.#device.facts;
    const pieces = splitRanges(ranges, link.regions, maxMessageBytes);
    if (pieces === undefined) return undefined;
    const list = new ReadList(pieces.length);
    let local = 0;
    for (const { offset, bytes, key, fence } of pieces) {
      list.add(offset, local, bytes, key, fence);
      local += bytes;
    }
    const compiled = { link, version: link.version, list, bytes: local };
    this.#compiled.set(ranges, compiled);
    return compiled;
  }
}
