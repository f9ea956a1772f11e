// What the agent has to know of a pool to change it: names and series by key, free pages, each writer's free slots.
// All of it follows from the directory and is made again from it when in doubt.

import {
  type Directory,
  type DirectoryMetric,
  type GrantRecord,
  RecordWriter,
  type Writer,
} from "../../layout/index.ts";
import type { Pool, SlotValue } from "../pool/pool.ts";
import { FreeSlots, type Place } from "./free-slots.ts";
import type { Limits } from "./limits.ts";
import { SeriesIndex } from "./series-index.ts";
import type { AllocationStrategy } from "./strategies/index.ts";
import { PageSpace } from "./strategies/page-space.ts";

/** A change in the making: records to append, pages granted by them, and values that come with them. */
export class Change {
  readonly records = new RecordWriter();
  readonly grants: GrantRecord[] = [];
  readonly values: SlotValue[] = [];
}

export class Registry {
  readonly series = new SeriesIndex();
  readonly #services = new Map<string, number>();
  readonly #metrics = new Map<string, number[]>();
  readonly #freeSlots = new Map<number, FreeSlots>();
  #directory: Directory;
  #space: PageSpace;
  #lastMetric = 0;

  constructor(
    readonly pool: Pool,
    readonly limits: Limits,
    readonly strategy: AllocationStrategy,
  ) {
    this.#directory = pool.directory;
    this.#space = this.#newSpace();
    this.rebuild();
  }

  get directory(): Directory {
    return this.pool.directory;
  }

  get pagesUsed(): number {
    return this.#space.used;
  }

  service(name: string): number | undefined {
    return this.#services.get(name);
  }

  /** The metrics that a service's name means now: one, or one for each set of label names where those are open. */
  metrics(service: number, name: string): DirectoryMetric[] {
    const ids = this.#metrics.get(metricKey(service, name)) ?? [];
    return ids.map((id) => this.directory.metrics.get(id)!).filter(({ retired }) => !retired);
  }

  /**
   * Slots in a row for a writer: of what it has, or of pages that the change grants it.
   * @param slots how many now
   * @param moreSlots how many it will need in all, as a hint to the strategy
   * @throws LimitError when the pool or tmpfs is full
   */
  takeSlots(writer: Writer, slots: number, moreSlots: number, change: Change): Place {
    let free = this.#freeSlots.get(writer.id);
    if (free === undefined) {
      free = FreeSlots.of(writer);
      this.#freeSlots.set(writer.id, free);
    }
    const place = free.take(slots);
    if (place !== undefined) return place;
    free.add(this.grant(writer, Math.max(slots, moreSlots), change));
    const granted = free.take(slots);
    if (granted === undefined)
      throw new Error(`${slots} slots do not fit a grant of ${this.strategy.name}`);
    return granted;
  }

  /** Grants a writer room for `slots` slots, or the strategy's share of it. */
  grant(writer: Writer, slots: number, change: Change): GrantRecord {
    const grants = [...writer.grants, ...change.grants.filter((g) => g.writer === writer.id)];
    const placement = this.strategy.place(this.#space, { service: writer.service, grants }, slots);
    const { page, pages, fresh } = placement;
    if (fresh) this.pool.preparePages(page, pages, placement.slots === 0 ? writer.id : 0);
    const grant = { writer: writer.id, page, pages, slot: placement.slot, slots: placement.slots };
    this.#space.hold(grant, writer.service);
    change.grants.push(grant);
    change.records.grant(grant);
    return grant;
  }

  /**
   * Sees to it that a change of so many bytes fits the directory. Call it before the change is begun: ids of series
   * and metrics, and the directory's objects, may be others afterwards.
   */
  reserve(bytes: number): void {
    this.pool.reserve(bytes);
    this.follow();
  }

  /**
   * Commits a change and brings the registry up to date; if that fails, the registry stays as it was.
   * @param frees whether the change gives something back
   */
  commit(change: Change, frees = false): void {
    if (change.records.bytes.length === 0) return;
    try {
      this.pool.commit(change.records, change.values, frees);
    } catch (error) {
      this.rebuild();
      throw error;
    }
    this.follow();
  }

  /** A writer is gone: its pages are free. */
  forget(writerId: number, grants: readonly GrantRecord[]): void {
    for (const grant of grants) this.#space.free(grant);
    this.#freeSlots.delete(writerId);
  }

  /** Takes in what the directory has more than before. */
  follow(): void {
    if (this.#directory !== this.pool.directory) {
      this.rebuild();
      return;
    }
    this.series.settle();
    for (let id = this.#services.size + 1; id <= this.directory.lastId.service; id++) {
      this.#services.set(this.directory.services.get(id)!, id);
    }
    while (this.#lastMetric < this.directory.lastId.metric) this.#note(++this.#lastMetric);
  }

  /** Makes the registry again from the directory. */
  rebuild(): void {
    this.#directory = this.pool.directory;
    this.#space = this.#newSpace();
    this.#freeSlots.clear();
    this.#services.clear();
    this.#metrics.clear();
    for (const [id, name] of this.directory.services) this.#services.set(name, id);
    for (const id of this.directory.metrics.keys()) this.#note(id);
    this.#lastMetric = this.directory.lastId.metric;
    this.series.settle();
  }

  #note(id: number): void {
    const metric = this.directory.metrics.get(id);
    if (metric === undefined || metric.retired) return;
    const key = metricKey(metric.service, metric.definition.name);
    const known = this.#metrics.get(key) ?? [];
    const living = known.filter((each) => this.directory.metrics.get(each)?.retired === false);
    this.#metrics.set(key, [...living, id]);
  }

  #newSpace(): PageSpace {
    const { pageCapacity } = this.pool.header;
    return new PageSpace(this.directory, Math.min(this.limits.pages, pageCapacity));
  }
}

export function metricKey(service: number, name: string): string {
  return `${service} ${name}`;
}
