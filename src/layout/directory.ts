// The directory as its readers hold it: replayed from the log's bytes, a tail at a time.
// Agent (recovery), collector (synchronisation) and inspect all come through here. The log may be hostile:
// what is damaged is noted with its place and stepped over, and no forged number makes it allocate without end.

import { ByteReader, DamageError } from "./bytes.ts";
import { LIMITS, RECORD, RECORD_HEADER_BYTES, SLOTS_PER_PAGE } from "./constants.ts";
import { type MetricDefinition, slotsPerSeries } from "./metric.ts";
import {
  type BindRecord,
  type GrantRecord,
  readBind,
  readGrant,
  readMetric,
  readService,
  readWriter,
  WRITER_FLAGS,
  type WriterRecord,
} from "./records.ts";

/** A metric of a service. */
export interface Metric {
  id: number;
  service: number;
  definition: MetricDefinition;
  /** Slots per series. */
  slots: number;
  /** Its name was declared anew under another id. */
  retired: boolean;
  /** Ids of its series, ascending. */
  series: number[];
}

/** Consecutive series of one metric in consecutive slots of a page, and where their values go in a snapshot. */
export interface Run extends BindRecord {
  metric: Metric;
  /** Index of the first series' first value among a snapshot's values. */
  valueIndex: number;
}

/** A writer with all that was handed to it. */
export interface Writer extends WriterRecord {
  serviceName: string;
  retained: boolean;
  grants: GrantRecord[];
  /** In the order of their first series. */
  runs: Run[];
}

/** A damaged place of the directory. */
export interface Damage {
  /** Bytes from the start of the directory's current half. */
  offset: number;
  reason: string;
}

const MAX_DAMAGE_KEPT = 100;
const NO_VALUE = 0xffff_ffff;

/** One epoch of a pool's directory. Feed it with {@link Directory.append}; read its maps. */
export class Directory {
  readonly services = new Map<number, string>();
  readonly metrics = new Map<number, Metric>();
  /** Writers that were not released; dead ones stay until the agent has folded them. */
  readonly writers = new Map<number, Writer>();
  /** The first hundred damaged places; `damageCount` counts all. */
  readonly damage: Damage[] = [];
  damageCount = 0;
  /** Series known, bound or not. */
  seriesCount = 0;
  /** Values a snapshot of this directory has. */
  valueCount = 0;
  /** Highest ids seen, for whoever hands out the next. */
  readonly lastId = { service: 0, metric: 0, series: 0, writer: 0 };

  #log = new Uint8Array(4096);
  #length = 0;
  #replayed = 0;
  #reader = new ByteReader(this.#log);
  #seriesMetric = new Uint32Array(64);
  #seriesRecord = new Uint32Array(64);
  #seriesValue = new Uint32Array(64).fill(NO_VALUE);
  readonly #maxValues: number;

  /**
   * @param epoch which writing of the log this is
   * @param pageCapacity pages of the pool, the bound on every page number
   */
  constructor(
    readonly epoch: number,
    readonly pageCapacity: number,
  ) {
    // A slot holds one value; the rest is room for series whose writers are gone.
    this.#maxValues = pageCapacity * SLOTS_PER_PAGE * 4;
  }

  /** Bytes of the log taken in so far. */
  get length(): number {
    return this.#length;
  }

  /** A view of the log's bytes; valid until the next append. */
  get log(): Uint8Array {
    return this.#log.subarray(0, this.#length);
  }

  /** Takes in the bytes that follow those it has, and replays every complete record. */
  append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#log.length) {
      // A long log grows by a quarter: half of a doubled one would lie idle.
      const factor = length > 1 << 20 ? 1.25 : 2;
      const grown = new Uint8Array(Math.max(length, Math.ceil(this.#log.length * factor)));
      grown.set(this.log);
      this.#log = grown;
    }
    this.#log.set(bytes, this.#length);
    this.#length = length;
    this.#reader = new ByteReader(this.#log);
    this.#replay();
  }

  /** The metric of a series, or undefined when there is no such series. */
  metricOf(series: number): Metric | undefined {
    return this.metrics.get(this.#seriesMetric[series] ?? 0);
  }

  /** Index of a series' first value in a snapshot, or -1 when it was never bound. */
  valueIndexOf(series: number): number {
    const index = this.#seriesValue[series] ?? NO_VALUE;
    return index === NO_VALUE ? -1 : index;
  }

  /** Label values of a series, in the order of its metric's label names. */
  labelValues(series: number): string[] {
    const metric = this.metricOf(series);
    if (metric === undefined) return [];
    const start = this.#seriesRecord[series]! + RECORD_HEADER_BYTES + 8;
    this.#reader.seek(start, this.#length);
    return metric.definition.labelNames.map(() => this.#reader.text(LIMITS.labelValueBytes));
  }

  /**
   * Where a series' label values begin in {@link Directory.log}, each as a u16 length and UTF-8 that was checked; −1 when
   * there is no such series.
   */
  labelsOffset(series: number): number {
    if (this.metricOf(series) === undefined) return -1;
    return this.#seriesRecord[series]! + RECORD_HEADER_BYTES + 8;
  }

  /** The bytes of a series' record from its metric's id on: what makes it that series and no other. */
  seriesKey(series: number): Uint8Array {
    const start = this.#seriesRecord[series]!;
    const words = this.#log[start + 2]! | (this.#log[start + 3]! << 8);
    return this.#log.subarray(start + RECORD_HEADER_BYTES + 4, start + words * 8);
  }

  /** Where a writer stores a series, or undefined when it does not. */
  find(writer: Writer, series: number): { page: number; slot: number } | undefined {
    const run = writer.runs[runsUpTo(writer.runs, series) - 1];
    if (run === undefined || series >= run.firstSeries + run.count) return undefined;
    return { page: run.page, slot: run.slot + (series - run.firstSeries) * run.metric.slots };
  }

  #replay(): void {
    while (this.#replayed + RECORD_HEADER_BYTES <= this.#length) {
      const start = this.#replayed;
      this.#reader.seek(start, this.#length);
      const type = this.#reader.u16();
      const words = this.#reader.u16();
      const checksum = this.#reader.u32();
      const end = start + words * 8;
      if (words === 0 || end > this.#length) {
        // Without a length there is no next record: the rest of this epoch is lost to readers.
        this.#note(start, `a record of ${words * 8} bytes where ${this.#length - start} are left`);
        this.#replayed = this.#length;
        return;
      }
      this.#replayed = end;
      const body = this.#log.subarray(start + RECORD_HEADER_BYTES, end);
      if (Bun.hash.crc32(body) !== checksum) {
        this.#note(start, `a record of type ${type} whose checksum does not match`);
        continue;
      }
      this.#reader.seek(start + RECORD_HEADER_BYTES, end);
      try {
        this.#apply(type, start);
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        this.#note(start, error.message);
      }
    }
  }

  #apply(type: number, start: number): void {
    const reader = this.#reader;
    switch (type) {
      case RECORD.service: {
        const { id, name } = readService(reader);
        this.#checkId(id, "service", start);
        this.services.set(id, name);
        return;
      }
      case RECORD.metric: {
        const { id, service, metric } = readMetric(reader);
        this.#checkId(id, "metric", start);
        if (!this.services.has(service)) {
          throw new DamageError(`a metric of the unknown service ${service}`, start);
        }
        this.metrics.set(id, {
          id,
          service,
          definition: metric,
          slots: slotsPerSeries(metric),
          retired: false,
          series: [],
        });
        return;
      }
      case RECORD.series:
        this.#applySeries(start);
        return;
      case RECORD.writer: {
        const record = readWriter(reader);
        const serviceName = this.services.get(record.service);
        if (serviceName === undefined || record.id === 0 || this.writers.has(record.id)) {
          throw new DamageError(`a writer ${record.id} of service ${record.service}`, start);
        }
        this.lastId.writer = Math.max(this.lastId.writer, record.id);
        const retained = (record.flags & WRITER_FLAGS.retained) !== 0;
        this.writers.set(record.id, { ...record, serviceName, retained, grants: [], runs: [] });
        return;
      }
      case RECORD.grant: {
        const grant = readGrant(reader);
        const whole = grant.slots === 0 && grant.slot === 0 && grant.pages > 0;
        const part =
          grant.slots > 0 && grant.pages === 1 && grant.slot + grant.slots <= SLOTS_PER_PAGE;
        if (!(whole || part) || grant.page + grant.pages > this.pageCapacity) {
          throw new DamageError(`a grant of pages that do not exist`, start);
        }
        this.#writer(grant.writer, start).grants.push(grant);
        return;
      }
      case RECORD.bind:
        this.#applyBind(readBind(reader), start);
        return;
      case RECORD.release: {
        const writer = reader.u32();
        this.lastId.writer = Math.max(this.lastId.writer, writer);
        this.writers.delete(writer);
        return;
      }
      case RECORD.ungrant: {
        const writer = this.#writer(reader.u32(), start);
        const page = reader.u32();
        const slot = reader.u32();
        const grant = writer.grants.find((g) => g.page === page && g.slot === slot);
        if (grant === undefined) throw new DamageError(`page ${page} was not granted`, start);
        writer.grants = writer.grants.filter((g) => g !== grant);
        writer.runs = writer.runs.flatMap((run) => outside(grant, run));
        return;
      }
      case RECORD.retire: {
        const metric = this.metrics.get(reader.u32());
        if (metric === undefined) throw new DamageError("an unknown metric is retired", start);
        metric.retired = true;
        return;
      }
      default:
        throw new DamageError(`a record of the unknown type ${type}`, start);
    }
  }

  #applySeries(start: number): void {
    const id = this.#reader.u32();
    const metric = this.metrics.get(this.#reader.u32());
    if (metric === undefined) throw new DamageError("a series of an unknown metric", start);
    for (const _ of metric.definition.labelNames) this.#reader.skipText(LIMITS.labelValueBytes);
    this.#checkId(id, "series", start);
    if (id >= this.#seriesMetric.length) this.#growSeries(id);
    if (this.#seriesMetric[id] !== 0) throw new DamageError(`series ${id} stands twice`, start);
    this.#seriesMetric[id] = metric.id;
    this.#seriesRecord[id] = start;
    this.seriesCount++;
    metric.series.push(id);
  }

  #applyBind(bind: BindRecord, start: number): void {
    const writer = this.#writer(bind.writer, start);
    const metric = this.metricOf(bind.firstSeries);
    if (metric === undefined || bind.count === 0) {
      throw new DamageError(`series ${bind.firstSeries} is bound and unknown`, start);
    }
    const end = bind.slot + bind.count * metric.slots;
    if (bind.page >= this.pageCapacity || end > SLOTS_PER_PAGE) {
      throw new DamageError(`slots ${bind.slot} to ${end} of page ${bind.page} are bound`, start);
    }
    if (this.valueCount + bind.count * metric.slots > this.#maxValues) {
      throw new DamageError("more series are bound than the pool can hold", start);
    }
    for (let i = 1; i < bind.count; i++) {
      if (this.#seriesMetric[bind.firstSeries + i] !== metric.id) {
        throw new DamageError(
          `a run of series goes beyond metric ${metric.definition.name}`,
          start,
        );
      }
    }
    // Series that were bound before, by another writer, keep their place: a run is cut where places do not follow on.
    let run: Run | undefined;
    for (let i = 0; i < bind.count; i++) {
      const series = bind.firstSeries + i;
      let valueIndex = this.#seriesValue[series]!;
      if (valueIndex === NO_VALUE) {
        valueIndex = this.valueCount;
        this.#seriesValue[series] = valueIndex;
        this.valueCount += metric.slots;
      }
      if (run !== undefined && valueIndex === run.valueIndex + run.count * metric.slots) {
        run.count++;
      } else {
        run = {
          ...bind,
          firstSeries: series,
          count: 1,
          slot: bind.slot + i * metric.slots,
          metric,
          valueIndex,
        };
        const place = runsUpTo(writer.runs, series);
        const before = writer.runs[place - 1];
        if (before !== undefined && follows(before, run)) {
          run = before;
          run.count++;
        } else {
          writer.runs.splice(place, 0, run);
        }
      }
    }
  }

  #writer(id: number, start: number): Writer {
    const writer = this.writers.get(id);
    if (writer === undefined) throw new DamageError(`writer ${id} is unknown`, start);
    return writer;
  }

  #checkId(id: number, what: "service" | "metric" | "series", start: number): void {
    // Ids are handed out in order, so a record cannot make its reader's tables much longer than the log.
    if (id === 0 || id !== this.lastId[what] + 1 || id > LIMITS.maxId) {
      throw new DamageError(`the ${what} id ${id} does not follow ${this.lastId[what]}`, start);
    }
    this.lastId[what] = id;
  }

  #growSeries(id: number): void {
    const capacity = Math.max(id + 1, this.#seriesMetric.length * 2);
    const grow = (column: Uint32Array, fill: number) => {
      const grown = new Uint32Array(capacity).fill(fill);
      grown.set(column);
      return grown;
    };
    this.#seriesMetric = grow(this.#seriesMetric, 0);
    this.#seriesRecord = grow(this.#seriesRecord, 0);
    this.#seriesValue = grow(this.#seriesValue, NO_VALUE);
  }

  #note(offset: number, reason: string): void {
    this.damageCount++;
    if (this.damage.length < MAX_DAMAGE_KEPT) this.damage.push({ offset, reason });
  }
}

/** How many of the runs, which are in the order of their series, start at or before a series. */
function runsUpTo(runs: readonly Run[], series: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.firstSeries <= series) low = middle + 1;
    else high = middle;
  }
  return low;
}

function follows(last: Run, next: Run): boolean {
  return (
    last.metric === next.metric &&
    last.page === next.page &&
    last.firstSeries + last.count === next.firstSeries &&
    last.slot + last.count * last.metric.slots === next.slot &&
    last.valueIndex + last.count * last.metric.slots === next.valueIndex
  );
}

/** What of a run does not lie in a grant: runs go on from one part of a page to the next. */
function outside(grant: GrantRecord, run: Run): Run[] {
  if (run.page < grant.page || run.page >= grant.page + grant.pages) return [run];
  if (grant.slots === 0) return [];
  const { slots } = run.metric;
  const startingBefore = (slot: number) =>
    Math.min(run.count, Math.max(0, Math.ceil((slot - run.slot) / slots)));
  const part = (from: number, to: number): Run => ({
    ...run,
    firstSeries: run.firstSeries + from,
    count: to - from,
    slot: run.slot + from * slots,
    valueIndex: run.valueIndex + from * slots,
  });
  const before = part(0, startingBefore(grant.slot));
  const behind = part(startingBefore(grant.slot + grant.slots), run.count);
  return [before, behind].filter(({ count }) => count > 0);
}

/** Whether a slot lies in a grant. */
export function covers(grant: GrantRecord, place: { page: number; slot: number }): boolean {
  if (place.page < grant.page || place.page >= grant.page + grant.pages) return false;
  return grant.slots === 0 || (place.slot >= grant.slot && place.slot < grant.slot + grant.slots);
}
