// What waits to be encoded, within a bound of memory. When there is no room the oldest snapshot is left out and counted:
// the next one of its pool tells as much, but for its time.

import { poolKey, type Structure } from "../../layout/index.ts";
import type { Taken } from "./encoder.ts";

export type Job =
  | { kind: "snapshot"; taken: Taken }
  | { kind: "end"; source: string; app: string; atMs: number };

/** Of a series in a structure: its id, its index and where its label values are. */
const BYTES_PER_SERIES = 12;

/** A structure of snapshots that wait. */
interface Held {
  snapshots: number;
  /** What it takes, about, while nobody else keeps it. */
  bytes: number;
}

export class Jobs {
  /** What snapshots that wait take: their values, and structures that no later snapshot of their pool has. */
  bytes = 0;
  /** Data points of snapshots that wait, at most: gauges without a value have none. */
  points = 0;
  /** Likewise, of those that were left out. */
  dropped = 0;
  readonly #jobs: Job[] = [];
  readonly #held = new Map<Structure, Held>();
  /** Of each pool, that of its latest snapshot. Others keep it too, so that it costs nothing here. */
  readonly #newest = new Map<string, Structure>();

  constructor(readonly maxBytes: number) {}

  push(job: Job): void {
    this.#jobs.push(job);
    if (job.kind === "end") {
      this.#follow(poolKey(job), undefined);
      return;
    }
    const { structure, values } = job.taken;
    const held = this.#held.get(structure) ?? { snapshots: 0, bytes: 0 };
    held.snapshots++;
    this.#held.set(structure, held);
    this.bytes += values.byteLength;
    this.points += structure.seriesCount;
    this.#follow(poolKey(job.taken), structure);
    while (this.bytes > this.maxBytes && this.#leaveOut()) {}
  }

  shift(): Job | undefined {
    const job = this.#jobs.shift();
    if (job !== undefined) this.#release(job);
    return job;
  }

  clear(): void {
    while (this.shift() !== undefined) {}
  }

  /** Forgets the oldest snapshot that waits, unless it is the only one. */
  #leaveOut(): boolean {
    const isSnapshot = ({ kind }: Job) => kind === "snapshot";
    const oldest = this.#jobs.findIndex(isSnapshot);
    if (oldest === this.#jobs.findLastIndex(isSnapshot)) return false;
    const [job] = this.#jobs.splice(oldest, 1);
    this.dropped += pointsOf(job!);
    this.#release(job!);
    return true;
  }

  #release(job: Job): void {
    if (job.kind === "end") return;
    const { structure, values } = job.taken;
    const held = this.#held.get(structure)!;
    this.bytes -= values.byteLength;
    this.points -= structure.seriesCount;
    held.snapshots--;
    if (held.snapshots > 0) return;
    this.bytes -= held.bytes;
    this.#held.delete(structure);
  }

  /** The structure before is kept by nothing but what waits from now on. */
  #follow(key: string, structure: Structure | undefined): void {
    const before = this.#newest.get(key);
    if (before === structure) return;
    if (structure === undefined) this.#newest.delete(key);
    else this.#newest.set(key, structure);
    const held = before && this.#held.get(before);
    if (held === undefined || held.bytes > 0) return;
    // A structure that has grown shares its log with those before.
    const logBytes = before!.log.buffer === structure?.log.buffer ? 0 : before!.log.length;
    held.bytes = before!.seriesCount * BYTES_PER_SERIES + logBytes;
    this.bytes += held.bytes;
  }
}

/** Data points of a snapshot, at most. */
export function pointsOf(job: Job): number {
  return job.kind === "snapshot" ? job.taken.structure.seriesCount : 0;
}
