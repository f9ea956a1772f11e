// Reads one pool through a transport: keeps its directory up to date by generation, then only value pages.
// Header, values and header again are one batch: equal, even generations say that no structure changed under the read.

import { allocateBuffer } from "../ffi/index.ts";
import {
  Directory,
  decodeHeader,
  decodeState,
  directoryHalf,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  type PoolHeader,
  type PoolState,
  planBytes,
  type ReadPlan,
  SLOT_BYTES,
  type Structure,
  Structures,
  type Wants,
} from "../layout/index.ts";
import {
  type ByteRange,
  type Destination,
  MovedError,
  type ReadFailure,
  type RemotePool,
  type Transport,
  TransportError,
} from "./transport.ts";

/** Where pages start in a snapshot's memory; the header read before them ends there. */
export const SNAPSHOT_LEAD_BYTES = 64;

/** Tries within one snapshot while the structure keeps moving; then the deadline is missed. */
const MAX_TRIES = 64;

/** Bytes of memory that a snapshot of a plan takes. */
function snapshotBytes(plan: ReadPlan): number {
  return SNAPSHOT_LEAD_BYTES + planBytes(plan) + SNAPSHOT_LEAD_BYTES;
}

/** What came of a snapshot. */
export type Outcome =
  | { kind: "taken"; generation: number; structure: Structure }
  /** There was no memory for it: the consumer is slow. */
  | { kind: "overrun" }
  /** The structure did not stand still, or its agent died while changing it. */
  | { kind: "unsettled" }
  | { kind: "failed"; error: Error };

interface PoolReaderHooks {
  /** Memory for a snapshot, or undefined when there is none free. */
  memory(bytes: number): Destination | undefined;
}

export class PoolReader {
  #header: PoolHeader | undefined;
  #directory: Directory | undefined;
  readonly #structures: Structures;
  /** Of what is read; undefined while it has to be looked at. */
  #structure: Structure | undefined;
  /** Batch of a snapshot, made with the structure. */
  #ranges: ByteRange[] = [];
  /** Generation that directory and structure are of. */
  #generation = -1;

  constructor(
    readonly transport: Transport,
    readonly pool: RemotePool,
    wants: Wants,
    readonly hooks: PoolReaderHooks,
  ) {
    const { mergeGapSlots } = transport;
    this.#structures = new Structures({ wants, mergeGapSlots });
  }

  /** As far as it was read; undefined before. */
  get directory(): Directory | undefined {
    return this.#directory;
  }

  /** Takes one snapshot; one at a time. */
  snapshot(done: (outcome: Outcome) => void): void {
    let tries = 0;
    const next = (): void => {
      if (tries++ >= MAX_TRIES) return done({ kind: "unsettled" });
      if (this.#header === undefined) return this.#readHeader(attempt);
      if (this.#structure === undefined) return this.#readState(attempt);
      this.#readBatch(this.#structure, (outcome) => (outcome === "again" ? next() : done(outcome)));
    };
    const attempt = (failure: ReadFailure): void => {
      if (failure === undefined || failure instanceof MovedError) next();
      else done({ kind: "failed", error: failure });
    };
    next();
  }

  #readHeader(done: (failure: ReadFailure) => void): void {
    this.#read([{ offset: 0, bytes: HEADER_BYTES_USED }], HEADER_BYTES_USED, done, (bytes) => {
      this.#header = decodeHeader(bytes, this.pool.fileBytes);
    });
  }

  #readState(done: (failure: ReadFailure) => void): void {
    const range = { offset: HEADER_LIVE_OFFSET, bytes: HEADER_LIVE_BYTES };
    let state: PoolState | undefined;
    this.#read(
      [range],
      HEADER_LIVE_BYTES,
      (failure) => (failure === undefined ? this.#sync(state!, done) : done(failure)),
      (bytes) => {
        state = decodeState(bytes, this.#header!);
        this.transport.observe?.(this.pool, state);
      },
    );
  }

  #readBatch(structure: Structure, done: (outcome: Outcome | "again") => void): void {
    const { plan } = structure;
    let memory: Destination | undefined;
    try {
      memory = this.hooks.memory(snapshotBytes(plan));
    } catch (error) {
      return done({ kind: "failed", error: new TransportError((error as Error).message) });
    }
    if (memory === undefined) return done({ kind: "overrun" });
    const start = SNAPSHOT_LEAD_BYTES - HEADER_LIVE_BYTES;
    const pagesEnd = SNAPSHOT_LEAD_BYTES + planBytes(plan);
    const into: Destination = {
      ...memory,
      address: memory.address + start,
      bytes: memory.bytes.subarray(start, pagesEnd + HEADER_LIVE_BYTES),
    };
    this.transport.read(this.pool, this.#ranges, into, (failure) => {
      if (failure instanceof MovedError) {
        this.#structure = undefined;
        return done("again");
      }
      if (failure !== undefined) return done({ kind: "failed", error: failure });
      let before: PoolState;
      let after: PoolState;
      try {
        before = decodeState(memory.bytes.subarray(start, SNAPSHOT_LEAD_BYTES), this.#header!);
        after = decodeState(memory.bytes.subarray(pagesEnd), this.#header!);
      } catch (error) {
        return done({ kind: "failed", error: error as Error });
      }
      this.transport.observe?.(this.pool, after);
      const { generation } = after;
      if (generation === before.generation && generation === this.#generation) {
        return done({ kind: "taken", generation, structure });
      }
      this.#sync(after, (syncFailure) => {
        if (syncFailure === undefined || syncFailure instanceof MovedError) done("again");
        else done({ kind: "failed", error: syncFailure });
      });
    });
  }

  /** Brings directory and structure up to a state that was read; an odd generation has to be read again. */
  #sync(state: PoolState, done: (failure: ReadFailure) => void): void {
    const header = this.#header!;
    this.#structure = undefined;
    if ((state.generation & 1) === 1)
      return done(new MovedError("the agent changes the structure"));
    let directory = this.#directory;
    if (
      directory === undefined ||
      directory.epoch !== state.epoch ||
      directory.length > state.directoryBytes
    ) {
      directory = new Directory(state.epoch, header.pageCapacity);
    }
    const known = directory.length;
    const bytes = state.directoryBytes - known;
    const finish = (): void => {
      this.#directory = directory;
      this.#generation = state.generation;
      this.#makeStructure(directory, header);
      done(undefined);
    };
    if (bytes === 0) return finish();
    const offset = directoryHalf(header, state.epoch) + known;
    this.#read(
      [{ offset, bytes }],
      bytes,
      (failure) => (failure === undefined ? finish() : done(failure)),
      (tail) => {
        directory.append(tail);
      },
    );
  }

  #makeStructure(directory: Directory, header: PoolHeader): void {
    const structure = this.#structures.of(directory);
    const { plan } = structure;
    const live = { offset: HEADER_LIVE_OFFSET, bytes: HEADER_LIVE_BYTES };
    const pages = plan.ranges.map(({ first, count }, i) => ({
      offset: header.pagesOffset + first * SLOT_BYTES,
      bytes: count * SLOT_BYTES,
      fence: i === 0,
    }));
    this.#structure = structure;
    // Values are read between two readings of the generation, whatever order a device would prefer.
    this.#ranges = [live, ...pages, { ...live, fence: true }];
  }

  /** Reads into memory of its own; what `take` throws is a failure. */
  #read(
    ranges: readonly ByteRange[],
    length: number,
    done: (failure: ReadFailure) => void,
    take: (bytes: Uint8Array) => void,
  ): void {
    const memory = allocateBuffer(length);
    const bytes = memory.bytes(0, length);
    this.transport.read(this.pool, ranges, { address: memory.address, bytes }, (failure) => {
      let outcome = failure;
      try {
        if (failure === undefined) take(bytes);
      } catch (error) {
        outcome = error as Error;
      }
      memory.unmap();
      done(outcome);
    });
  }
}
