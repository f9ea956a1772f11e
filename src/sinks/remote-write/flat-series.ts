// A pool's series as Prometheus has them: a histogram is many. Found, named and encoded once per structure; a
// snapshot then costs computing their values. Used by the remote-write encoder.

import {
  type Buckets,
  formatBound,
  type NameScheme,
  type Shown,
  type ShownBuckets,
  shownBuckets,
} from "../../exposition/index.ts";
import type { Metric, PoolSnapshot, Structure, StructureMetric } from "../../layout/index.ts";
import { ProtoWriter } from "../../protobuf/index.ts";
import { type NativeShape, nativeShape } from "./native-histogram.ts";
import { isSameShown, type SharedMetric, type SharedNames } from "./shared-names.ts";
import { METRIC_TYPE, type SeriesAbout } from "./symbols.ts";
import { type EncodedLabels, MAX_TIME_MS, MIN_TIME_MS } from "./template.ts";

/** How log-linear histograms are sent. */
export type HistogramForm = Buckets | "native";

/** A label that is added to every series that has none of its name. */
type ExtraLabel = readonly [name: string, value: string];

export interface FlatOptions {
  /** Added to those of a pool's own series, which go first; then `app`, `service` and `instance`. */
  labels: readonly ExtraLabel[];
  /** Which buckets of log-linear histograms are sent, or whether they are native; powers of two unless told otherwise. */
  histograms?: HistogramForm;
  /** How names are spelt that are not Prometheus's own; with underscores unless told otherwise. */
  names?: NameScheme;
  /** What the label `instance` says of a source. */
  instanceOf: (source: string) => string;
}

/** One series of the receiver's. */
export interface FlatSeries {
  /** Tells it apart from all others. */
  readonly key: number;
  readonly labels: EncodedLabels;
  readonly about: SeriesAbout;
  /** A histogram that stays one. */
  readonly isNative: boolean;
}

/** A histogram that stays one. */
export interface NativeSeries {
  readonly series: FlatSeries;
  readonly shape: NativeShape;
  /** Where its slots begin among the values that {@link FlatPool.values} computes. */
  readonly at: number;
}

/** Which pool stores a series at the receiver. Two with the same labels would make it refuse whole requests. */
export type Owners = Map<number, object>;

interface Histogram {
  /** Index of the first slot among a snapshot's values. */
  source: number;
  /** Slots after which the count so far is a bucket's; the last is the last slot, +Inf. */
  cuts: Int32Array;
  /** Index of the first bucket; the sum and the count follow the buckets. */
  target: number;
}

/** Series of which it is remembered that they have ended, or when they began. */
const MAX_REMEMBERED = 100_000;

/** The values of the snapshot before, as {@link FlatPool.values} computed them, and when that was. */
export interface Before {
  values: Float64Array;
  timeMs: number;
}

/** What a series becomes, kept as long as its number. */
type Encoded = readonly FlatSeries[];

export class FlatPool {
  /** In the order of the values that {@link FlatPool.values} computes. */
  series: FlatSeries[] = [];
  /** Their slots follow behind those values. */
  natives: NativeSeries[] = [];
  /** Values that {@link FlatPool.values} computes. */
  width = 0;
  /** Raised whenever `series` has changed. */
  version = 0;
  /** Series left out because another has the same labels. */
  clashes = 0;
  /** Indexes of gauges, which alone may be absent. */
  gauges = new Int32Array();
  #structure: Structure | undefined;
  #sources = new Int32Array();
  #histograms: Histogram[] = [];
  /** Where the slots of each native histogram begin among a snapshot's values. */
  #nativeSources = new Int32Array();
  #shapes = new Map<Metric, NativeShape>();
  #since: ReadonlyMap<number, number> = new Map();
  #takenAtMs = 0;
  #encoded = new Map<number, Encoded>();
  #buckets = new Map<Metric, ShownBuckets>();
  #names = new Map<Metric, FlatLabel[][]>();
  #shown = new Map<Metric, Shown>();
  #namesVersion = -1;
  #released = 0;
  #about = new Map<Metric, SeriesAbout>();
  /** When series began that did not begin with their service, by key. */
  readonly #starts = new Map<number, number>();
  /** Keys of series that have ended. */
  readonly #ended = new Set<number>();
  /** The series that there were at the end. */
  #left: { series: FlatSeries[]; natives: NativeSeries[] } | undefined;
  readonly #writer = new ProtoWriter();

  constructor(
    readonly options: FlatOptions,
    readonly owners: Owners,
    readonly shared: SharedNames,
  ) {}

  /**
   * Brings the series up to a snapshot's structure.
   * @param before is brought up to it too
   * @returns those that have ended, or undefined when nothing changed
   */
  follow(snapshot: PoolSnapshot, before?: Before): FlatSeries[] | undefined {
    const { structure } = snapshot;
    this.shared.settle();
    const same =
      structure === this.#structure &&
      this.shared.version === this.#namesVersion &&
      (this.clashes === 0 || this.shared.released === this.#released);
    if (same) return undefined;
    const isAnew = !structure.continues(this.#structure);
    const { series, natives } = this.#left ?? this;
    this.#left = undefined;
    if (isAnew) {
      this.#encoded = new Map();
      this.#buckets = new Map();
      this.#names = new Map();
      this.#about = new Map();
      this.#shapes = new Map();
      this.#shown = new Map();
    }
    this.#structure = structure;
    // In a directory that was rewritten, or is another pool's with what services went on counting.
    const going = isAnew ? startsOf(series, natives) : undefined;
    const ended = this.#rebuild(snapshot, this.#all(), before?.timeMs ?? 0, going);
    if (before !== undefined) before.values = this.#carried(before.values, series, natives);
    return ended;
  }

  /**
   * Lets what went back since the snapshot before begin again there: a receiver that is told when series began is told
   * that too. Sums may go either way.
   */
  restart(snapshot: PoolSnapshot, before: Before, now: Float64Array): void {
    const { series } = this;
    const began: number[] = [];
    const last = before.values;
    for (let i = 0; i < this.#sources.length; i++) {
      if (now[i]! < last[i]! && series[i]!.about.startMs > 0) began.push(series[i]!.key);
    }
    for (const { target, cuts } of this.#histograms) {
      if (wentBack(last, now, target, target + cuts.length)) began.push(series[target]!.key);
    }
    for (const { series: native, at, shape } of this.natives) {
      // The last of the slots is the sum.
      if (wentBack(last, now, at, at + shape.targets.length + 1)) began.push(native.key);
    }
    if (began.length === 0) return;
    for (const key of began) this.#startAt(key, before.timeMs);
    this.#rebuild(snapshot, this.#all(), before.timeMs);
  }

  /** Values in the order that series had, in the one that they have now; NaN for those that are new. */
  #carried(
    last: Float64Array,
    series: readonly FlatSeries[],
    natives: readonly NativeSeries[],
  ): Float64Array {
    const places = new Map<number, number>();
    for (let i = 0; i < series.length; i++) places.set(series[i]!.key, i);
    for (const { series: native, at } of natives) places.set(native.key, at);
    const carried = new Float64Array(this.width).fill(Number.NaN);
    for (let i = 0; i < this.series.length; i++) {
      const place = places.get(this.series[i]!.key);
      if (place !== undefined) carried[i] = last[place]!;
    }
    for (const { series: native, at, shape } of this.natives) {
      const place = places.get(native.key);
      if (place === undefined) continue;
      carried.set(last.subarray(place, place + shape.targets.length + 2), at);
    }
    return carried;
  }

  /** Gives its series free. When it is followed again they go on. */
  end(): void {
    for (const { key } of this.#all()) this.owners.delete(key);
    this.shared.released++;
    this.shared.remove(this);
    this.#left = { series: this.series, natives: this.natives };
    this.series = [];
    this.natives = [];
    this.#structure = undefined;
    this.version++;
  }

  /** Computes the values of all series. @param into has room for them; absent gauges become NaN */
  values(values: Float64Array, into: Float64Array): void {
    const sources = this.#sources;
    for (let i = 0; i < sources.length; i++) into[i] = values[sources[i]!]!;
    for (const { source, cuts, target } of this.#histograms) {
      let slot = 0;
      let count = 0;
      for (let i = 0; i < cuts.length; i++) {
        const cut = cuts[i]!;
        for (; slot <= cut; slot++) count += values[source + slot]!;
        into[target + i] = count;
      }
      into[target + cuts.length] = values[source + slot]!;
      into[target + cuts.length + 1] = count;
    }
    for (let i = 0; i < this.natives.length; i++) {
      const { at, shape } = this.natives[i]!;
      const source = this.#nativeSources[i]!;
      into.set(values.subarray(source, source + shape.targets.length + 2), at);
    }
  }

  #all(): FlatSeries[] {
    return [...this.series, ...this.natives.map(({ series }) => series)];
  }

  /**
   * @param before the series that there were
   * @param lastMs when they were seen last
   * @param going when those began that go on, where that is not known of their metrics
   */
  #rebuild(
    { structure, app, source, takenAtMs }: PoolSnapshot,
    before: readonly FlatSeries[],
    lastMs: number,
    going?: ReadonlyMap<number, number>,
  ): FlatSeries[] {
    this.#since = structure.startsMs;
    this.#takenAtMs = takenAtMs;
    const metrics = this.#metricsOf(structure, app, this.options.instanceOf(source));
    this.#follow(structure.metrics, this.shared.take(this, metrics));
    const scalars: { series: FlatSeries; source: number; gauge: boolean }[] = [];
    const histograms: { series: Encoded; source: number; metric: Metric }[] = [];
    const natives: { series: FlatSeries; source: number; metric: Metric }[] = [];
    const held = new Set<number>();
    this.clashes = 0;
    for (const entry of structure.metrics) {
      const { metric, indexes } = entry;
      const { kind } = metric.definition;
      for (const [at, id] of entry.series.entries()) {
        const index = indexes[at]!;
        const encoded = this.#begun(id, this.#encode(structure, entry, at), lastMs, going);
        if (!this.#hold(encoded, held)) this.clashes++;
        else if (kind === "counter" || kind === "gauge") {
          scalars.push({ series: encoded[0]!, source: index, gauge: kind === "gauge" });
        } else if (this.#isNative(metric)) {
          natives.push({ series: encoded[0]!, source: index, metric });
        } else {
          histograms.push({ series: encoded, source: index, metric });
        }
      }
    }
    this.series = scalars.map(({ series }) => series);
    this.#sources = Int32Array.from(scalars, ({ source }) => source);
    this.gauges = Int32Array.from(scalars.flatMap(({ gauge }, i) => (gauge ? [i] : [])));
    this.#histograms = histograms.map(({ series, source, metric }) => {
      const target = this.series.length;
      for (const each of series) this.series.push(each);
      return { source, cuts: this.#bucketsOf(metric).cuts, target };
    });
    this.width = this.series.length;
    this.natives = natives.map(({ series, metric }) => {
      const at = this.width;
      this.width += metric.slots;
      return { series, shape: this.#shapeOf(metric), at };
    });
    this.#nativeSources = Int32Array.from(natives, ({ source }) => source);
    this.version++;
    const ended = before.filter(({ key }) => !held.has(key));
    for (const { key, about } of ended) {
      if (this.owners.get(key) === this) this.owners.delete(key);
      this.#starts.delete(key);
      if (about.startMs > 0 && this.#ended.size < MAX_REMEMBERED) this.#ended.add(key);
    }
    if (ended.length > 0) this.shared.released++;
    this.#released = this.shared.released;
    return ended;
  }

  /** Says of a series when it began, where that is not when its service did: it was there before, or is back. */
  #begun(
    id: number,
    encoded: Encoded,
    lastMs: number,
    going: ReadonlyMap<number, number> | undefined,
  ): Encoded {
    const { key, about } = encoded[0]!;
    if (about.startMs === 0) return encoded;
    const since = going?.get(key) ?? 0;
    if (since > 0 && since !== about.startMs) this.#startAt(key, since);
    else if (this.#ended.size > 0 && this.#ended.delete(key)) this.#startAt(key, lastMs);
    const startMs = this.#starts.get(key) ?? 0;
    if (startMs === about.startMs || startMs < MIN_TIME_MS) return encoded;
    const own = { ...about, startMs };
    const begun = encoded.map((series) => ({ ...series, about: own }));
    this.#encoded.set(id, begun);
    return begun;
  }

  #metricsOf({ metrics }: Structure, app: string, instance: string): SharedMetric[] {
    return metrics.map(({ service, metric }) => {
      const { definition } = metric;
      return { metric, definition, origin: { app, service, instance } };
    });
  }

  /** Forgets what was made of metrics that are shown otherwise now. */
  #follow(entries: readonly StructureMetric[], shown: Map<Metric, Shown>): void {
    for (const { metric, series } of entries) {
      const before = this.#shown.get(metric);
      if (before === undefined || isSameShown(before, shown.get(metric)!)) continue;
      this.#names.delete(metric);
      this.#about.delete(metric);
      for (const id of series) this.#encoded.delete(id);
    }
    this.#shown = shown;
    this.#namesVersion = this.shared.version;
  }

  #startAt(key: number, startMs: number): void {
    if (this.#starts.size < MAX_REMEMBERED || this.#starts.has(key)) this.#starts.set(key, startMs);
  }

  #isNative({ definition: { kind } }: Metric): boolean {
    return kind === "loglinear" && this.options.histograms === "native";
  }

  /** Takes a series' keys, or none of them where one is taken. */
  #hold(encoded: Encoded, held: Set<number>): boolean {
    let isAnew = false;
    for (const { key } of encoded) {
      const owner = this.owners.get(key);
      if (held.has(key) || (owner !== undefined && owner !== this)) return false;
      isAnew ||= owner === undefined;
    }
    for (const { key } of encoded) held.add(key);
    if (isAnew) for (const { key } of encoded) this.owners.set(key, this);
    return true;
  }

  #encode(structure: Structure, entry: StructureMetric, at: number): Encoded {
    const id = entry.series[at]!;
    const known = this.#encoded.get(id);
    if (known !== undefined) return known;
    const { metric } = entry;
    let names = this.#names.get(metric);
    if (names === undefined) {
      const buckets = this.#isNative(metric) ? undefined : this.#bucketsOf(metric);
      names = flatNames(metric, this.#shown.get(metric)!, buckets, this.options.labels);
      this.#names.set(metric, names);
    }
    const labelValues = structure.labelValues(entry, at);
    const kind = { about: this.#aboutOf(metric), isNative: this.#isNative(metric) };
    const encoded = names.map((labels) => this.#flat(labels, labelValues, kind));
    this.#encoded.set(id, encoded);
    return encoded;
  }

  #flat(
    labels: readonly FlatLabel[],
    labelValues: readonly string[],
    kind: Pick<FlatSeries, "about" | "isNative">,
  ): FlatSeries {
    const writer = this.#writer;
    writer.clear();
    for (const label of labels) {
      if (label instanceof Uint8Array) {
        writer.raw(label);
        continue;
      }
      const value = labelValues[label.place] ?? "";
      // The specification knows no empty values: they are no label.
      if (value !== "") writer.open(1).string(1, label.name).string(2, value).close();
    }
    const bytes = writer.bytes.slice();
    return { key: keyOf(bytes), labels: bytes, ...kind };
  }

  /** The same for all series of a metric. */
  #aboutOf(metric: Metric): SeriesAbout {
    let about = this.#about.get(metric);
    if (about === undefined) {
      const { kind, help } = metric.definition;
      const shown = this.#shown.get(metric)!;
      const { unit } = shown.names;
      const type = METRIC_TYPE[shown.type];
      // A clock of the agent's that is ahead of ours has begun nothing after we saw it.
      const since = Math.floor(Math.min(this.#since.get(metric.service) ?? 0, this.#takenAtMs));
      const hasStart = kind !== "gauge" && since >= MIN_TIME_MS && since <= MAX_TIME_MS;
      about = { type, help, unit, startMs: hasStart ? since : 0 };
      this.#about.set(metric, about);
    }
    return about;
  }

  #shapeOf(metric: Metric): NativeShape {
    let shape = this.#shapes.get(metric);
    if (shape === undefined) {
      shape = nativeShape(metric);
      this.#shapes.set(metric, shape);
    }
    return shape;
  }

  #bucketsOf(metric: Metric): ShownBuckets {
    const { histograms } = this.options;
    let buckets = this.#buckets.get(metric);
    if (buckets === undefined) {
      buckets = shownBuckets(metric, histograms === "all" ? "all" : "powers");
      this.#buckets.set(metric, buckets);
    }
    return buckets;
  }
}

/** A label of a metric's series: the same for all of them, and encoded; or the series' own. */
type FlatLabel = Uint8Array | { name: string; place: number };

/**
 * The labels of each series that one of the metric becomes, in the order of the bytes of their names.
 * @param buckets of a histogram that is not native
 * @param extra labels that are added where there is none of their name
 */
function flatNames(
  metric: Metric,
  { names: { name, labelNames }, added }: Shown,
  buckets: ShownBuckets | undefined,
  extra: readonly ExtraLabel[],
): FlatLabel[][] {
  const { kind } = metric.definition;
  const labels = new Map<string, string | number>([...extra, ...added]);
  for (const [place, label] of labelNames.entries()) labels.set(label, place);
  const of = (flatName: string, le?: string): FlatLabel[] => {
    const all = new Map(labels).set("__name__", flatName);
    if (le !== undefined) all.set("le", le);
    return [...all]
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .flatMap(([label, value]): FlatLabel[] => {
        if (typeof value === "number") return [{ name: label, place: value }];
        if (value === "") return [];
        const writer = new ProtoWriter(64);
        return [writer.open(1).string(1, label).string(2, value).close().bytes.slice()];
      });
  };
  if (kind === "counter" || kind === "gauge" || buckets === undefined) return [of(name)];
  return [
    ...buckets.bounds.map((bound) => of(`${name}_bucket`, formatBound(bound))),
    of(`${name}_sum`),
    of(`${name}_count`),
  ];
}

function startsOf(
  series: readonly FlatSeries[],
  natives: readonly NativeSeries[],
): Map<number, number> {
  const all = [...series, ...natives.map((native) => native.series)];
  return new Map(all.map(({ key, about }) => [key, about.startMs]));
}

function wentBack(last: Float64Array, now: Float64Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (now[i]! < last[i]!) return true;
  return false;
}

// Nobody who names series can foresee which numbers they get. Not xxHash32, however many seeds: it has differences that
// meet again under most of them.
const [SEED] = crypto.getRandomValues(new BigUint64Array(1));

/** 53 bits of a series' labels: among a million series two are the same once in twenty thousand runs. */
function keyOf(bytes: Uint8Array): number {
  return Number(Bun.hash.wyhash(bytes, SEED) >> 11n);
}
