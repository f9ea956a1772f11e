// Snapshots into remote-write requests, version 1.0, compressed. Several snapshots of a pool share the names of its
// series, several pools share a request.
// https://prometheus.io/docs/specs/prw/remote_write_spec/

import type { PoolSnapshot } from "../layout/index.ts";
import { type FlatOptions, FlatPool, type FlatSeries, type Owners } from "./flat-series.ts";
import { putVarint } from "./protobuf.ts";
import { MAX_TIME_MS, MIN_TIME_MS, Template } from "./template.ts";

/** A request's body. */
export interface Encoded {
  body: Uint8Array<ArrayBuffer>;
  samples: number;
}

export interface RemoteWriteEncoderOptions extends FlatOptions {
  /** Samples after which a request is full. */
  maxSamples: number;
  /** Receives each request when it is complete. */
  onRequest: (request: Encoded) => void;
}

export interface EncoderCounters {
  samples: number;
  /** Series that were said to have ended. */
  ended: number;
  /** Series left out because another has the same labels. */
  clashes: number;
  /** Snapshots that were not newer than the one before, as after a clock was put back. */
  late: number;
}

/** Snapshots of a pool that share a message per series; a template is kept for each power of two. */
const MAX_DEPTH = 64;
/**
 * Two snapshots within a millisecond, which is the finest that the format tells: the second is given the next one.
 * Further ahead than this it is left out instead.
 */
const MAX_LEAD_MS = 3;

/** Pools of which it is remembered when they ended; it matters for milliseconds. */
const MAX_ENDED = 1000;
/** Series that share a template, on the average. */
const PART_SERIES = 512;

interface Pool {
  source: string;
  app: string;
  flat: FlatPool;
  /** Of `flat` as the layout has it. */
  version: number;
  layout: Layout;
  /** Which gauges have a value. */
  present: Uint8Array;
  rounds: Float64Array[];
  timesMs: number[];
  spare: Float64Array[];
  lastMs: number;
  clashes: number;
}

/** The series that are written, and what was made of them. */
interface Layout {
  columns: Int32Array;
  parts: Part[];
}

/** Series that share a template, by how many snapshots it is for. */
interface Part {
  columns: Int32Array;
  series: FlatSeries[];
  templates: Map<number, Template>;
}

const NOTHING: Layout = { columns: new Int32Array(), parts: [] };

export class RemoteWriteEncoder {
  readonly counters: EncoderCounters = { samples: 0, ended: 0, clashes: 0, late: 0 };
  readonly #pools = new Map<string, Pool>();
  readonly #owners: Owners = new Map();
  /** When pools have ended that may come again. */
  readonly #endedMs = new Map<string, number>();
  readonly #request: RequestBuilder;

  constructor(readonly options: RemoteWriteEncoderOptions) {
    this.#request = new RequestBuilder(options.maxSamples, options.onRequest);
  }

  /** Whether something waits to be flushed. */
  get pending(): boolean {
    if (this.#request.samples > 0) return true;
    for (const { rounds } of this.#pools.values()) if (rounds.length > 0) return true;
    return false;
  }

  /** Takes a snapshot in; its arrays may be used again afterwards. */
  write(snapshot: PoolSnapshot): void {
    const pool = this.#poolOf(snapshot);
    const timeMs = this.#timeOf(pool, snapshot.takenAtMs);
    if (timeMs === undefined) return;
    const ended = pool.flat.follow(snapshot);
    if (ended !== undefined) this.#restructure(pool, ended, timeMs);
    const { flat } = pool;
    const round = pool.spare.pop() ?? new Float64Array(flat.series.length);
    flat.values(snapshot.values, round);
    this.#followGauges(pool, round, timeMs);
    pool.rounds.push(round);
    pool.timesMs.push(timeMs);
    pool.lastMs = timeMs;
    if (pool.rounds.length >= this.#depth(pool)) this.#put(pool);
  }

  /** Says that a source's series, or those of one of its applications, have ended. */
  end(source: string, app: string | undefined, nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      if (pool.source !== source || (app !== undefined && pool.app !== app)) continue;
      this.#put(pool);
      const timeMs = Math.max(Math.round(nowMs), pool.lastMs + 1);
      this.#putEnded(presentOf(pool), timeMs);
      pool.flat.end();
      this.#pools.delete(key);
      if (this.#endedMs.size >= MAX_ENDED) this.#endedMs.clear();
      this.#endedMs.set(key, timeMs);
    }
  }

  /** Completes the request that is being made. */
  flush(): void {
    for (const pool of this.#pools.values()) this.#put(pool);
    this.#request.finish();
  }

  #poolOf({ source, app }: PoolSnapshot): Pool {
    const key = `${app} ${source}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = {
        source,
        app,
        flat: new FlatPool(this.options, this.#owners),
        version: -1,
        layout: NOTHING,
        present: new Uint8Array(),
        rounds: [],
        timesMs: [],
        spare: [],
        lastMs: this.#endedMs.get(key) ?? MIN_TIME_MS - 1,
        clashes: 0,
      };
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** A time in whole ms after that of the snapshot before: receivers take samples of a series in no other order. */
  #timeOf(pool: Pool, takenAtMs: number): number | undefined {
    const timeMs = Math.floor(takenAtMs);
    const next = pool.lastMs + 1;
    if (timeMs > MAX_TIME_MS || next > timeMs + MAX_LEAD_MS) {
      this.counters.late++;
      return undefined;
    }
    return Math.max(timeMs, next);
  }

  #restructure(pool: Pool, ended: readonly FlatSeries[], timeMs: number): void {
    const { flat } = pool;
    // What was absent has been said to have ended, or was never there.
    const isAsked = ended.length > 0 || flat.gauges.length > 0;
    const known = new Set(isAsked ? presentOf(pool).map(({ key }) => key) : []);
    this.#put(pool);
    this.#putEnded(
      ended.filter(({ key }) => known.has(key)),
      timeMs,
    );
    // A gauge that is there and has no value is found out by the values that follow.
    pool.present = new Uint8Array(flat.gauges.length);
    for (let i = 0; i < flat.gauges.length; i++) {
      pool.present[i] = known.has(flat.series[flat.gauges[i]!]!.key) ? 1 : 0;
    }
    pool.version = -1;
    pool.spare = [];
    this.counters.clashes += flat.clashes - pool.clashes;
    pool.clashes = flat.clashes;
  }

  /** Makes another layout when gauges have come or gone. */
  #followGauges(pool: Pool, round: Float64Array, timeMs: number): void {
    const { flat, present } = pool;
    let changed = pool.version !== flat.version;
    const ended: FlatSeries[] = [];
    for (let i = 0; i < present.length; i++) {
      const column = flat.gauges[i]!;
      const value = round[column]!;
      const is = Number.isNaN(value) ? 0 : 1;
      if (is === present[i]) continue;
      changed = true;
      present[i] = is;
      if (is === 0) ended.push(flat.series[column]!);
    }
    if (!changed) return;
    this.#put(pool);
    this.#putEnded(ended, timeMs);
    pool.layout = this.#layoutOf(pool);
    pool.version = flat.version;
  }

  #layoutOf({ flat, present, layout }: Pool): Layout {
    const absent = new Uint8Array(flat.series.length);
    for (let i = 0; i < present.length; i++) if (present[i] === 0) absent[flat.gauges[i]!] = 1;
    const columns = new Int32Array(flat.series.length);
    let count = 0;
    for (let i = 0; i < columns.length; i++) if (absent[i] === 0) columns[count++] = i;
    const active = columns.slice(0, count);
    const parts: Part[] = [];
    const before = new Map(layout.parts.map((part) => [part.series[0]!.key, part]));
    for (let from = 0; from < count; ) {
      const to = partEnd(flat.series, active, from, this.options.maxSamples);
      const series = Array.from(active.subarray(from, to), (column) => flat.series[column]!);
      const known = before.get(series[0]!.key);
      const isSame = known !== undefined && sameSeries(known.series, series);
      const templates = isSame ? known.templates : new Map<number, Template>();
      parts.push({ columns: active.slice(from, to), series, templates });
      from = to;
    }
    return { columns: active, parts };
  }

  /** How many snapshots of a pool are written together. */
  #depth({ layout }: Pool): number {
    const fit = Math.floor(this.options.maxSamples / Math.max(1, layout.columns.length));
    return Math.max(1, Math.min(MAX_DEPTH, fit));
  }

  /** Writes a pool's waiting snapshots. */
  #put(pool: Pool): void {
    const { rounds, timesMs } = pool;
    for (let first = 0; first < rounds.length; ) {
      const depth = 2 ** Math.floor(Math.log2(rounds.length - first));
      for (const part of pool.layout.parts) {
        let template = part.templates.get(depth);
        if (template === undefined) {
          template = new Template(
            part.series.map(({ labels }) => labels),
            depth,
          );
          part.templates.set(depth, template);
        }
        const at = this.#request.reserve(template.bytes.length);
        template.fill(this.#request.view, at, part.columns, rounds, timesMs, first);
        this.#add(template);
      }
      first += depth;
    }
    pool.spare.push(...rounds);
    rounds.length = 0;
    timesMs.length = 0;
  }

  #putEnded(ended: readonly FlatSeries[], timeMs: number): void {
    const { maxSamples } = this.options;
    for (let from = 0; from < ended.length; from += maxSamples) {
      const part = ended.slice(from, from + maxSamples);
      const template = new Template(
        part.map(({ labels }) => labels),
        1,
      );
      const at = this.#request.reserve(template.bytes.length);
      template.fillStale(this.#request.view, at, timeMs);
      this.#add(template);
    }
    this.counters.ended += ended.length;
  }

  #add(template: Template): void {
    this.counters.samples += template.samples;
    this.#request.add(template);
  }
}

/**
 * Where a part that begins at `from` ends. It depends on the series alone, by numbers that are as good as random: when
 * one comes or goes, the parts before and behind it stay what they are, and need not be compressed anew.
 */
function partEnd(
  series: readonly FlatSeries[],
  active: Int32Array,
  from: number,
  maxSeries: number,
): number {
  const end = Math.min(active.length, from + maxSeries);
  for (let i = from; i < end; i++) if (series[active[i]!]!.key % PART_SERIES === 0) return i + 1;
  return end;
}

function sameSeries(one: readonly FlatSeries[], other: readonly FlatSeries[]): boolean {
  return one.length === other.length && one.every(({ key }, i) => key === other[i]!.key);
}

/** The series of which the receiver has a value. */
function presentOf({ layout }: Pool): FlatSeries[] {
  return layout.parts.flatMap(({ series }) => series);
}

/** A request that grows until it is full. */
class RequestBuilder {
  view = new DataView(new ArrayBuffer(64 << 10));
  samples = 0;
  #plainBytes = 0;
  #length = LENGTH_ROOM;

  constructor(
    readonly maxSamples: number,
    readonly onRequest: (request: Encoded) => void,
  ) {}

  /** Room for a part that is about to be added. @returns where it begins */
  reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.view.byteLength) {
      const grown = new Uint8Array(Math.max(needed, this.view.byteLength * 2));
      grown.set(new Uint8Array(this.view.buffer, 0, this.#length));
      this.view = new DataView(grown.buffer);
    }
    return this.#length;
  }

  /** The part that {@link RequestBuilder.reserve} made room for was written. */
  add({ bytes, plainBytes, samples }: Template): void {
    this.#length += bytes.length;
    this.#plainBytes += plainBytes;
    this.samples += samples;
    if (this.samples >= this.maxSamples) this.finish();
  }

  finish(): void {
    if (this.samples === 0) return;
    const bytes = new Uint8Array(this.view.buffer);
    // The block begins with how long it is when decompressed.
    const length = new Uint8Array(LENGTH_ROOM);
    const lengthBytes = putVarint(length, 0, this.#plainBytes);
    const start = LENGTH_ROOM - lengthBytes;
    bytes.set(length.subarray(0, lengthBytes), start);
    const { samples } = this;
    const body = bytes.slice(start, this.#length);
    this.samples = 0;
    this.#plainBytes = 0;
    this.#length = LENGTH_ROOM;
    this.onRequest({ body, samples });
  }
}

const LENGTH_ROOM = 5;
