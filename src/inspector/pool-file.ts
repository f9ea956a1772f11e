// A pool's file, mapped for reading only: what is in it now, whole, without asking its agent.

import { lstatSync } from "node:fs";
import {
  type Mapping,
  monotonicNs,
  type Owners,
  openOwned,
  type SharedFile,
  sleepUntilNs,
  unixMs,
} from "../ffi/index.ts";
import {
  type Damage,
  Directory,
  decodeHeader,
  decodeState,
  directoryHalf,
  Gather,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  isUnlocked,
  mappedPlan,
  NOT_READ,
  PAGE_BYTES,
  PoolFormatError,
  type PoolHeader,
  type PoolState,
  type ReadPlan,
  type Structure,
  Structures,
  type StructureWriter,
  type Writer,
} from "../layout/index.ts";
import { readersOwners } from "./discovery.ts";

/** How long to wait for an agent that is changing the structure; a change takes microseconds. */
const PATIENCE_MS = 200;
const RETRY_AFTER_MS = 1;

const FENCE = new Int32Array(1);

/**
 * Whether the structure stood still while it was read. `interrupted`: its agent died in a change, and a new one will
 * finish or drop it. `changing`: it did not stand still in 200 ms.
 */
export type Consistency = "settled" | "interrupted" | "changing";

/** A pool at one moment. */
export interface PoolReading {
  takenAtMs: number;
  consistency: Consistency;
  state: PoolState;
  /** Goes on growing with later readings of the same file. */
  directory: Directory;
  /** What series there are; pages are where they are among {@link PoolFile.pageSlots}. */
  structure: Structure;
  /** Per series, added up over writers; NaN is absent. */
  values: Float64Array;
  /** What does not fit together beyond what the directory has noted; offsets are bytes of the file. */
  damage: Damage[];
}

/** What the lock says of a writer. `unlocked` ones hold none: they live until they are detached. */
export type WriterLife = "alive" | "dead" | "retained" | "unlocked";

export class PoolFile {
  #directory: Directory | undefined;
  /** Made for so many pages as were handed out. */
  #structures: { pages: number; of: Structures } | undefined;
  #gather: { structure: Structure; step: Gather } | undefined;
  #damage: Damage[] = [];

  private constructor(
    readonly path: string,
    readonly header: PoolHeader,
    readonly inode: number,
    readonly device: number,
    readonly file: SharedFile,
    readonly mapping: Mapping,
  ) {}

  /**
   * @param owners whose files are read
   * @throws ForeignFileError for those of others, PoolFormatError when it is no pool, of another version or damaged,
   *   SystemError when it cannot be opened
   */
  static open(path: string, owners: Owners = readersOwners()): PoolFile {
    const file = openOwned(path, false, owners);
    let mapping: Mapping | undefined;
    try {
      const { bytes, inode, device } = file.stat();
      const header = decodeHeader(file.head(HEADER_BYTES_USED), bytes);
      mapping = file.map(0, header.fileBytes, false);
      return new PoolFile(path, header, inode, device, file, mapping);
    } catch (error) {
      mapping?.unmap();
      file.close();
      throw error;
    }
  }

  /** All pages as f64s, from the first page on. */
  get pageSlots(): Float64Array {
    const { pagesOffset, pageCapacity } = this.header;
    return new Float64Array(this.mapping.buffer, pagesOffset, (pageCapacity * PAGE_BYTES) / 8);
  }

  /** Whether an agent keeps this pool: it holds the lock of the header's page. */
  get agentAlive(): boolean {
    return this.file.locked(0, PAGE_BYTES);
  }

  /** Whether the path still leads to this file. */
  get isCurrent(): boolean {
    const there = lstatSync(this.path, { throwIfNoEntry: false });
    return there?.ino === this.inode && there.dev === this.device;
  }

  lifeOf(writer: Writer): WriterLife {
    const { retained, lockOffset, lockBytes } = writer;
    if (retained) return "retained";
    if (isUnlocked(writer)) return "unlocked";
    // A forged place of a lock is no reason to fail.
    if (lockBytes === 0 || lockOffset + lockBytes > this.header.fileBytes) return "dead";
    return this.file.locked(lockOffset, lockBytes) ? "alive" : "dead";
  }

  /**
   * Reads the structure and all values, again while the generation moves.
   * @throws PoolFormatError, DamageError when it cannot be read at all
   */
  read(): PoolReading {
    const deadlineNs = monotonicNs() + PATIENCE_MS * 1e6;
    for (;;) {
      const consistency = this.#readOnce();
      if (consistency.settled) return { ...consistency.reading, consistency: "settled" };
      if (monotonicNs() > deadlineNs) {
        const interrupted = consistency.odd && !this.agentAlive;
        return { ...consistency.reading, consistency: interrupted ? "interrupted" : "changing" };
      }
      sleepUntilNs(monotonicNs() + RETRY_AFTER_MS * 1e6);
    }
  }

  close(): void {
    this.mapping.unmap();
    this.file.close();
  }

  #readOnce(): { settled: boolean; odd: boolean; reading: Omit<PoolReading, "consistency"> } {
    const { bytes } = this.file.stat();
    if (bytes < this.header.fileBytes) {
      // Touching what was cut off would end this process.
      throw new PoolFormatError(`the file was cut to ${bytes} of ${this.header.fileBytes} bytes`);
    }
    const takenAtMs = unixMs();
    const state = this.#state();
    const directory = this.#follow(state);
    const structure = this.#structureOf(directory, state);
    if (this.#gather?.structure !== structure) {
      this.#gather = { structure, step: new Gather(structure) };
    }
    const values = new Float64Array(structure.valueCount);
    this.#gather.step.into(this.pageSlots, values);
    const after = this.#state();
    const odd = (state.generation & 1) === 1;
    return {
      settled: !odd && after.generation === state.generation,
      odd,
      reading: { takenAtMs, state, directory, structure, values, damage: this.#damage },
    };
  }

  #state(): PoolState {
    // Not Atomics.load on the mapping: compiled, it also stores, and this memory may not be written.
    // Copies are calls into the runtime, which no compiler moves; the fence keeps the processor from it.
    Atomics.add(FENCE, 0, 1);
    const live = this.mapping.bytes(HEADER_LIVE_OFFSET, HEADER_LIVE_BYTES).slice();
    Atomics.add(FENCE, 0, 1);
    return decodeState(live, this.header);
  }

  /** The directory up to the state: its tail appended, or all of it when it was rewritten. */
  #follow({ epoch, directoryBytes }: PoolState): Directory {
    let directory = this.#directory;
    if (directory === undefined || directory.epoch !== epoch || directory.length > directoryBytes) {
      directory = new Directory(epoch, this.header.pageCapacity);
      this.#directory = directory;
    }
    const tail = directoryHalf(this.header, epoch) + directory.length;
    directory.append(this.mapping.bytes(tail, directoryBytes - directory.length).slice());
    return directory;
  }

  #structureOf(directory: Directory, { pagesHighWater: pages }: PoolState): Structure {
    if (this.#structures?.pages !== pages) {
      const plan = (writers: readonly StructureWriter[]) => this.#planOf(writers, pages);
      this.#structures = { pages, of: new Structures({ plan }) };
    }
    return this.#structures.of.of(directory);
  }

  /** A page that was never handed out has no memory: reading it would take some, or fail where none is left. */
  #planOf(writers: readonly StructureWriter[], pages: number): ReadPlan {
    const plan = mappedPlan(writers);
    this.#damage = [];
    for (let page = pages; page < plan.base.length; page++) {
      if (plan.base[page] === NOT_READ) continue;
      plan.base[page] = NOT_READ;
      this.#damage.push({
        offset: this.header.pagesOffset + page * PAGE_BYTES,
        reason: `page ${page} is bound, but no page from ${pages} on was handed out`,
      });
    }
    return plan;
  }
}
