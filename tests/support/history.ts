// Random histories of a directory: every record an agent can write, in any order that makes sense, beside a plain
// model of what a reader must know afterwards.

import fc from "fast-check";
import {
  type Directory,
  type GrantRecord,
  type MetricDefinition,
  RecordWriter,
  SLOTS_PER_PAGE,
  slotsPerSeries,
  WRITER_FLAGS,
} from "../../src/layout/index.ts";
import { define } from "./pools.ts";

export const PAGE_CAPACITY = 64;

interface ModelMetric {
  service: number;
  definition: MetricDefinition;
  retired: boolean;
}

interface ModelWriter {
  service: number;
  flags: number;
  /** With the next slot that is free in it; only one-page grants are bound to. */
  grants: { grant: GrantRecord; next: number }[];
  places: Map<number, { page: number; slot: number }>;
}

/** What a reader knows, as plain values that can be compared. */
export interface Facts {
  services: Record<number, string>;
  metrics: Record<number, { service: number; definition: MetricDefinition; retired: boolean }>;
  series: Record<number, { metric: number; labelValues: string[]; bound: boolean }>;
  writers: Record<
    number,
    { service: string; flags: number; grants: GrantRecord[]; places: Record<number, string> }
  >;
}

/** One step: what to do, and numbers that choose to whom. */
export interface Step {
  what: (typeof STEPS)[number];
  a: number;
  b: number;
  text: string;
}

const STEPS = [
  "service",
  "metric",
  "series",
  "writer",
  "grant",
  "bind",
  "release",
  "ungrant",
  "retire",
] as const;

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...STEPS) },
    { weight: 3, arbitrary: fc.constantFrom("series" as const, "bind" as const, "grant" as const) },
  ),
  a: fc.nat(1000),
  b: fc.nat(1000),
  text: fc.string({ unit: "binary", maxLength: 12 }),
});

/** Steps of a history; the first ones see to it that there is something to bind. */
export const steps: fc.Arbitrary<Step[]> = fc
  .array(step, { maxLength: 120, size: "max" })
  .map((more) => [
    ...(["service", "metric", "series", "writer", "grant", "bind"] as const).map((what) => ({
      what,
      a: 0,
      b: 0,
      text: "first",
    })),
    ...more,
  ]);

const DEFINITIONS: readonly MetricDefinition[] = [
  define.counter("requests_total", ["path"]),
  define.gauge("temperature", "mean", ["room", "floor"]),
  define.gauge("version", "last"),
  define.histogram("latency_seconds", [0.1, 1], ["path"]),
  define.logLinear("size_bytes", { min: 1, max: 1e6, error: 0.3 }),
  { ...define.counter("bytes_total", ["path"]), unit: "bytes", help: "Bytes sent.\nAll of them." },
];

/** A history as records, where each of them ends, and as a model. */
export class History {
  readonly records = new RecordWriter();
  /** Offsets at which a commit may have ended: after each record. */
  readonly ends: number[] = [0];
  readonly #services: string[] = [];
  readonly #metrics: ModelMetric[] = [];
  readonly #series: { metric: number; labelValues: string[]; bound: boolean }[] = [];
  readonly #writers = new Map<number, ModelWriter>();
  #lastWriter = 0;
  #nextPage = 0;

  constructor(steps: readonly Step[]) {
    for (const step of steps) {
      this.#take(step);
      if (this.records.bytes.length > this.ends.at(-1)!) this.ends.push(this.records.bytes.length);
    }
  }

  get bytes(): Uint8Array {
    return this.records.bytes.bytes();
  }

  get lastId(): Directory["lastId"] {
    return {
      service: this.#services.length,
      metric: this.#metrics.length,
      series: this.#series.length,
      writer: this.#lastWriter,
    };
  }

  facts(): Facts {
    const facts: Facts = { services: {}, metrics: {}, series: {}, writers: {} };
    for (const [i, name] of this.#services.entries()) facts.services[i + 1] = name;
    for (const [i, metric] of this.#metrics.entries()) facts.metrics[i + 1] = metric;
    for (const [i, series] of this.#series.entries()) facts.series[i + 1] = series;
    for (const [id, { service, flags, grants, places }] of this.#writers) {
      facts.writers[id] = {
        service: this.#services[service - 1]!,
        flags,
        grants: grants.map(({ grant }) => grant),
        places: Object.fromEntries(
          [...places].map(([series, { page, slot }]) => [series, `${page}:${slot}`]),
        ),
      };
    }
    return facts;
  }

  #take({ what, a, b, text }: Step): void {
    const { records } = this;
    switch (what) {
      case "service": {
        if (this.#services.length >= 4) return;
        this.#services.push(`${text}${this.#services.length}`);
        records.service(this.#services.length, this.#services.at(-1)!);
        return;
      }
      case "metric": {
        const service = (a % this.#services.length) + 1;
        const definition = DEFINITIONS[b % DEFINITIONS.length]!;
        const known = this.#metrics.some(
          (m) => !m.retired && m.service === service && m.definition.name === definition.name,
        );
        if (known) return;
        this.#metrics.push({ service, definition, retired: false });
        records.metric(this.#metrics.length, service, definition);
        return;
      }
      case "series": {
        const metric = (a % this.#metrics.length) + 1;
        const { definition } = this.#metrics[metric - 1]!;
        for (let i = 0; i <= b % 12; i++) {
          const id = this.#series.length + 1;
          const labelValues = definition.labelNames.map((_, j) =>
            j === 0 ? `${text}${id}` : text,
          );
          if (labelValues.length === 0 && this.#series.some((s) => s.metric === metric)) return;
          this.#series.push({ metric, labelValues, bound: false });
          records.series(id, metric, labelValues);
        }
        return;
      }
      case "writer": {
        const id = ++this.#lastWriter;
        const service = (a % this.#services.length) + 1;
        const flags = b % 3 === 0 ? WRITER_FLAGS.retained : 0;
        this.#writers.set(id, { service, flags, grants: [], places: new Map() });
        records.writer({
          id,
          service,
          flags,
          pid: a,
          threadId: b,
          startedAtMs: 1.7e12 + a,
          lockOffset: 4096 * a + 64,
          lockBytes: 4032,
        });
        return;
      }
      case "grant": {
        const found = this.#writer(a);
        if (found === undefined) return;
        const [id, writer] = found;
        const pages = b % 5 === 0 ? 2 : 1;
        if (this.#nextPage + pages > PAGE_CAPACITY) return;
        const part = b % 3 !== 0;
        const last = writer.grants.at(-1)?.grant;
        if (part && last !== undefined && last.slots > 0 && last.slot + 2 * last.slots <= 504) {
          // Right behind the writer's last part of a page, where series may go on from one to the other.
          const grant = { ...last, slot: last.slot + last.slots };
          writer.grants.push({ grant, next: grant.slot });
          records.grant(grant);
          return;
        }
        const grant: GrantRecord = {
          writer: id,
          page: this.#nextPage,
          pages: part ? 1 : pages,
          slot: part ? 8 : 0,
          slots: part ? 4 : 0,
        };
        this.#nextPage += pages;
        writer.grants.push({ grant, next: grant.slot });
        records.grant(grant);
        return;
      }
      case "bind":
        this.#bind(a, b);
        return;
      case "release": {
        const found = this.#writer(a);
        if (found === undefined || b % 2 === 0) return;
        this.#writers.delete(found[0]);
        records.release(found[0]);
        return;
      }
      case "ungrant": {
        const found = this.#writer(a);
        const given = found?.[1].grants.at(b % Math.max(1, found[1].grants.length));
        if (found === undefined || given === undefined) return;
        const [id, writer] = found;
        const { page, pages, slot, slots } = given.grant;
        writer.grants = writer.grants.filter((g) => g !== given);
        for (const [series, place] of writer.places) {
          const inPages = place.page >= page && place.page < page + pages;
          const inSlots = slots === 0 || (place.slot >= slot && place.slot < slot + slots);
          if (inPages && inSlots) writer.places.delete(series);
        }
        records.ungrant(id, page, slot);
        return;
      }
      case "retire": {
        const metric = (a % this.#metrics.length) + 1;
        if (b % 2 === 0 || this.#metrics[metric - 1]!.retired) return;
        this.#metrics[metric - 1]!.retired = true;
        records.retire(metric);
        return;
      }
    }
  }

  /** Binds series from one on, as many as follow, fit and are not bound by the writer. */
  #bind(a: number, b: number): void {
    const found = this.#writer(a);
    if (found === undefined || this.#series.length === 0) return;
    const [id, writer] = found;
    // Often the series that follows those bound last, so that runs join.
    const last = Math.max(0, ...writer.places.keys());
    const firstSeries = (b % 4 === 0 || last === 0 ? b % this.#series.length : last) + 1;
    if (firstSeries > this.#series.length) return;
    const { metric } = this.#series[firstSeries - 1]!;
    const slots = slotsPerSeries(this.#metrics[metric - 1]!.definition);
    const given = writer.grants.at(-1);
    if (given === undefined) return;
    const { grant } = given;
    const end = grant.slots === 0 ? SLOTS_PER_PAGE : grant.slot + grant.slots;
    let count = 0;
    while (
      count <= a % 5 &&
      this.#series[firstSeries + count - 1]?.metric === metric &&
      !writer.places.has(firstSeries + count) &&
      given.next + (count + 1) * slots <= end
    ) {
      count++;
    }
    if (count === 0) return;
    this.records.bind({ writer: id, firstSeries, count, page: grant.page, slot: given.next });
    for (let i = 0; i < count; i++) {
      this.#series[firstSeries + i - 1]!.bound = true;
      writer.places.set(firstSeries + i, { page: grant.page, slot: given.next + i * slots });
    }
    given.next += count * slots;
  }

  #writer(choice: number): [number, ModelWriter] | undefined {
    const all = [...this.#writers];
    return all[choice % Math.max(1, all.length)];
  }
}

/** The same facts, asked of a directory through what it offers to readers. */
export function factsOf(directory: Directory): Facts {
  const facts: Facts = { services: {}, metrics: {}, series: {}, writers: {} };
  for (const [id, name] of directory.services) facts.services[id] = name;
  for (const { id, service, definition, retired } of directory.metrics.values()) {
    facts.metrics[id] = { service, definition, retired };
  }
  for (let id = 1; id <= directory.lastId.series; id++) {
    const metric = directory.metricOf(id);
    if (metric === undefined) continue;
    facts.series[id] = {
      metric: metric.id,
      labelValues: directory.labelValues(id),
      bound: directory.valueIndexOf(id) >= 0,
    };
  }
  for (const writer of directory.writers.values()) {
    const places: Record<number, string> = {};
    for (let id = 1; id <= directory.lastId.series; id++) {
      const place = directory.find(writer, id);
      if (place !== undefined) places[id] = `${place.page}:${place.slot}`;
    }
    facts.writers[writer.id] = {
      service: writer.serviceName,
      flags: writer.flags,
      grants: writer.grants,
      places,
    };
  }
  return facts;
}
