// A pool as a recording tells of it: its directory is written anew out of the definitions of its series, as the agent
// would have written it, so that whoever takes snapshots of a living pool takes these too.

import {
  checkDefinition,
  checkLabelValue,
  checkServiceName,
  Directory,
  Gather,
  isAppName,
  type MetricDefinition,
  PAGE_HEADER_SLOTS,
  POOL_DEFAULTS,
  type ReadPlan,
  RecordWriter,
  SLOTS_PER_PAGE,
  slotsPerSeries,
  WRITER_FLAGS,
} from "../layout/index.ts";

/** A series as its row tells. */
export interface RecordedSeries {
  series: number;
  service: string;
  definition: MetricDefinition;
  labelValues: readonly string[];
  /** Since when its service, or its writer, has counted; in unix ms, 0 when that is not known. */
  sinceMs: number;
  /** Undefined where writers were added up. */
  writer: RecordedWriter | undefined;
}

export interface RecordedWriter {
  id: number;
  pid: number;
  threadId: number;
  retained: boolean;
}

/** Where the values of a series are. */
export interface Place {
  /** Index of its first slot. */
  at: number;
  slots: number;
  isHistogram: boolean;
  /** Its writer as the directory has it. */
  writer: number;
}

const MAX_PAGES = POOL_DEFAULTS.pageCapacity;

export class RecordedPool {
  directory = new Directory(1, MAX_PAGES, "own");
  plan: ReadPlan;
  slots = new Float64Array();
  values = new Float64Array();
  #gather: Gather;
  readonly #services = new Map<string, number>();
  /** By service and all that makes a metric another one. */
  readonly #metrics = new Map<string, number>();
  /** The metric that a service's name stands for. */
  readonly #current = new Map<string, number>();
  readonly #writers = new Map<string, number>();
  /** Series that a writer has, which has not ended. */
  readonly #living = new Map<number, number>();
  #writerCount = 0;
  /** Series that have not ended. */
  seriesCount = 0;
  #seriesCount = 0;
  #pages = 0;
  #slotsInPage = SLOTS_PER_PAGE;
  #isStale = false;

  /** @throws RangeError for names that no pool has */
  constructor(
    readonly source: string,
    readonly app: string,
  ) {
    if (!isAppName(app))
      throw new RangeError(`an application cannot be called ${JSON.stringify(app)}`);
    this.plan = { ranges: [], slotCount: 0, base: new Int32Array(), directory: this.directory };
    this.#gather = new Gather(this.plan);
  }

  /** Forgets all values: a block begins. */
  clear(): void {
    this.slots.fill(Number.NaN);
  }

  /** @throws RangeError or DefinitionError for what no agent would have taken */
  add({ service, definition, labelValues, sinceMs, writer }: RecordedSeries): Place {
    checkServiceName(service);
    checkDefinition(definition);
    if (labelValues.length !== definition.labelNames.length) {
      throw new RangeError(
        `${definition.name} has ${labelValues.length} label values for ${definition.labelNames.length} labels`,
      );
    }
    for (const value of labelValues) checkLabelValue(definition.name, value);
    const records = new RecordWriter();
    const serviceId = this.#serviceOf(service, records);
    const metric = this.#metricOf(serviceId, definition, records);
    const writerId = this.#writerOf(serviceId, writer, sinceMs, records);
    const slots = slotsPerSeries(definition);
    const { page, slot } = this.#place(slots);
    const series = ++this.#seriesCount;
    records.series(series, metric, labelValues);
    records.bind({ writer: writerId, firstSeries: series, count: 1, page, slot });
    this.#apply(records);
    this.seriesCount++;
    this.#living.set(writerId, (this.#living.get(writerId) ?? 0) + 1);
    const isHistogram = definition.kind === "histogram" || definition.kind === "loglinear";
    return { at: page * SLOTS_PER_PAGE + slot, slots, isHistogram, writer: writerId };
  }

  /** A series has ended. A writer all of whose series have is no more. */
  end({ at, slots, isHistogram, writer }: Place): void {
    this.seriesCount--;
    const left = (this.#living.get(writer) ?? 0) - 1;
    this.#living.set(writer, left);
    for (const [key, id] of this.#writers) {
      if (id !== writer || key.startsWith("all ")) continue;
      // What is added up with others must not make them nothing.
      if (isHistogram) this.slots.fill(0, at, at + slots);
      if (left > 0) continue;
      this.#apply(new RecordWriter().release(writer));
      this.#writers.delete(key);
    }
  }

  /** Brings {@link RecordedPool.values} up to the slots. */
  gather(): void {
    if (this.#isStale) this.#replan();
    this.#gather.into(this.slots, this.values);
  }

  #serviceOf(name: string, records: RecordWriter): number {
    let id = this.#services.get(name);
    if (id === undefined) {
      id = this.#services.size + 1;
      this.#services.set(name, id);
      records.service(id, name);
    }
    return id;
  }

  #metricOf(service: number, definition: MetricDefinition, records: RecordWriter): number {
    const { help: _, ...rest } = definition;
    const key = JSON.stringify([service, rest]);
    const name = JSON.stringify([service, definition.name]);
    let id = this.#metrics.get(key);
    const current = this.#current.get(name);
    // A name that was declared anew stays with the newer declaration.
    if (id === undefined || id !== current) {
      id = this.directory.lastId.metric + 1;
      if (current !== undefined) records.retire(current);
      records.metric(id, service, definition);
      this.#metrics.set(key, id);
      this.#current.set(name, id);
    }
    return id;
  }

  #writerOf(
    service: number,
    writer: RecordedWriter | undefined,
    sinceMs: number,
    records: RecordWriter,
  ): number {
    const key = writer === undefined ? `all ${service}` : `${service} ${writer.id}`;
    let id = this.#writers.get(key);
    if (id === undefined) {
      id = writer?.id ?? ++this.#writerCount;
      this.#writers.set(key, id);
      records.writer({
        id,
        service,
        flags: writer?.retained === true ? WRITER_FLAGS.retained : 0,
        pid: writer?.pid ?? 0,
        threadId: writer?.threadId ?? 0,
        startedAtMs: sinceMs,
        lockOffset: 0,
        lockBytes: 0,
      });
    }
    return id;
  }

  #place(slots: number): { page: number; slot: number } {
    if (this.#slotsInPage + slots > SLOTS_PER_PAGE) {
      if (this.#pages === MAX_PAGES)
        throw new RangeError(`${this.app} has more series than a pool holds`);
      this.#pages++;
      this.#slotsInPage = 0;
    }
    const slot = this.#slotsInPage;
    this.#slotsInPage += slots;
    const needed = this.#pages * SLOTS_PER_PAGE;
    if (needed > this.slots.length) {
      const grown = new Float64Array(Math.max(needed, this.slots.length * 2)).fill(Number.NaN);
      grown.set(this.slots);
      this.slots = grown;
    }
    return { page: this.#pages - 1, slot };
  }

  #apply(records: RecordWriter): void {
    this.directory.append(records.bytes.bytes());
    const damage = this.directory.damage[0];
    if (damage !== undefined) throw new RangeError(damage.reason);
    this.#isStale = true;
  }

  #replan(): void {
    const { directory } = this;
    const base = Int32Array.from(
      { length: this.#pages },
      (_, page) => page * SLOTS_PER_PAGE - PAGE_HEADER_SLOTS,
    );
    this.plan = { ranges: [], slotCount: this.slots.length, base, directory };
    this.#gather = new Gather(this.plan);
    this.values = new Float64Array(directory.valueCount);
    this.#isStale = false;
  }
}
