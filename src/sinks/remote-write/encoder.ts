// Snapshots into remote-write requests of either version, compressed. Several snapshots of a pool share the names of its
// series. In 1.0 several pools share a request; in 2.0, where a request begins with the names, it has those of one part.
// https://prometheus.io/docs/specs/prw/remote_write_spec/
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/

import { type PoolSnapshot, poolKey } from "../../layout/index.ts";
import { ProtoWriter } from "../../protobuf/index.ts";
import {
  type Before,
  type FlatOptions,
  FlatPool,
  type FlatSeries,
  type Owners,
} from "./flat-series.ts";
import { writeNative, writeStaleNative } from "./native-histogram.ts";
import { type Encoded, RequestBuilder } from "./request-builder.ts";
import {
  type Layout,
  layoutOf,
  NATIVE_SAMPLES,
  type Named,
  type NativePart,
  NOTHING,
  namedIn,
  type Part,
  presentOf,
} from "./request-layout.ts";
import { SharedNames } from "./shared-names.ts";
import { compress } from "./snappy.ts";
import { MAX_TIME_MS, MIN_TIME_MS, SERIES_FIELD, Template, type WireVersion } from "./template.ts";

interface RemoteWriteEncoderOptions extends FlatOptions {
  /** Samples after which a request is full. */
  maxSamples: number;
  /** Version of the protocol to begin with. */
  protocol: WireVersion;
  /** Receives each request when it is complete. */
  onRequest: (request: Encoded) => void;
}

interface EncoderCounters {
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

/** Pools that have ended and may come back, of which it is remembered what was sent; the first of more are forgotten. */
const MAX_AWAY = 16;
/** Pools of which it is remembered when they ended; it matters for milliseconds. */
const MAX_ENDED = 1000;
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
  /** The values that were written last, which no other may take the room of. */
  before: Before | undefined;
  lastMs: number;
  clashes: number;
}

export class RemoteWriteEncoder {
  readonly counters: EncoderCounters = { samples: 0, ended: 0, clashes: 0, late: 0 };
  readonly #pools = new Map<string, Pool>();
  readonly #owners: Owners = new Map();
  /** How all pools' metrics are called. */
  readonly names: SharedNames;
  /** When pools have ended that may come again. */
  readonly #endedMs = new Map<string, number>();
  readonly #away = new Map<string, Pick<Pool, "flat" | "before">>();
  readonly #request: RequestBuilder;
  readonly #writer = new ProtoWriter(64 << 10);
  #version: WireVersion;

  constructor(readonly options: RemoteWriteEncoderOptions) {
    this.#request = new RequestBuilder(options.maxSamples, options.onRequest);
    this.#version = options.protocol;
    this.names = new SharedNames(options.names ?? "underscores");
  }

  /** Writes what comes from now on in another version of the protocol. */
  speak(version: WireVersion): void {
    this.flush();
    this.#version = version;
    for (const pool of this.#pools.values()) pool.version = -1;
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
    const { flat } = pool;
    // 1.0 has no place for when a series began.
    const before = this.#version === 2 ? pool.before : undefined;
    const ended = flat.follow(snapshot, before);
    if (ended !== undefined) this.#restructure(pool, ended, timeMs);
    const round = roomIn(pool) ?? new Float64Array(flat.width);
    flat.values(snapshot.values, round);
    if (before !== undefined) flat.restart(snapshot, before, round);
    this.#followGauges(pool, round, timeMs);
    pool.rounds.push(round);
    pool.timesMs.push(timeMs);
    pool.before = { values: round, timeMs };
    pool.lastMs = timeMs;
    if (pool.rounds.length >= this.#depth(pool)) this.#put(pool);
  }

  /** Says that a source's series, or those of one of its applications, have ended. */
  end(source: string, app: string | undefined, nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      if (pool.source !== source || (app !== undefined && pool.app !== app)) continue;
      this.#put(pool);
      const timeMs = Math.max(Math.round(nowMs), pool.lastMs + 1);
      this.#putEnded(presentOf(pool.layout), timeMs);
      const { flat, before } = pool;
      flat.end();
      this.#pools.delete(key);
      this.#away.set(key, { flat, before: before && { ...before, timeMs } });
      for (const oldest of this.#away.keys()) {
        if (this.#away.size <= MAX_AWAY) break;
        this.#away.delete(oldest);
      }
      if (this.#endedMs.size >= MAX_ENDED) this.#endedMs.clear();
      this.#endedMs.set(key, timeMs);
    }
  }

  /** Completes the request that is being made. */
  flush(): void {
    for (const pool of this.#pools.values()) this.#put(pool);
    this.#request.finish(this.#version);
  }

  #poolOf(snapshot: PoolSnapshot): Pool {
    const { source, app } = snapshot;
    const key = poolKey(snapshot);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const away = this.#away.get(key);
      this.#away.delete(key);
      pool = {
        source,
        app,
        flat: away?.flat ?? new FlatPool(this.options, this.#owners, this.names),
        version: -1,
        layout: NOTHING,
        present: new Uint8Array(),
        rounds: [],
        timesMs: [],
        spare: [],
        before: away?.before,
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
    const known = new Set(isAsked ? presentOf(pool.layout).map(({ key }) => key) : []);
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
    const { maxSamples } = this.options;
    pool.layout = layoutOf(this.#version, flat, present, pool.layout, maxSamples);
    pool.version = flat.version;
  }

  /** How many snapshots of a pool are written together. */
  #depth({ layout, flat }: Pool): number {
    const samples = layout.columns.length + NATIVE_SAMPLES * flat.natives.length;
    const fit = Math.floor(this.options.maxSamples / Math.max(1, samples));
    return Math.max(1, Math.min(MAX_DEPTH, fit));
  }

  /** Writes a pool's waiting snapshots. */
  #put(pool: Pool): void {
    const { rounds, timesMs, layout } = pool;
    if (rounds.length === 0) return;
    if (layout.version === 1) {
      // All parts of a moment before those of the next: requests stay in the order of time.
      for (const { first, depth } of depths(rounds.length)) {
        for (const part of layout.parts) this.#putPart(part, 1, pool, first, depth);
      }
      for (const part of layout.natives) this.#putNatives(part, 1, pool);
    } else {
      for (const part of layout.parts) {
        this.#begin(part);
        for (const { first, depth } of depths(rounds.length)) {
          this.#putPart(part, 2, pool, first, depth);
        }
        this.#request.finish(2);
      }
      for (const part of layout.natives) {
        this.#begin(part);
        this.#putNatives(part, 2, pool);
        this.#request.finish(2);
      }
    }
    pool.spare.push(...rounds);
    rounds.length = 0;
    timesMs.length = 0;
  }

  /** A request of 2.0 begins with its table of strings. */
  #begin({ table }: Named): void {
    this.#request.finish(2);
    if (table !== undefined) this.#request.put(table.table.bytes, table.plainBytes, 0);
  }

  #putPart(
    part: Part,
    version: WireVersion,
    { rounds, timesMs }: Pool,
    first: number,
    depth: number,
  ): void {
    let template = part.templates.get(depth);
    if (template === undefined) {
      template = new Template(part.heads, depth, version);
      part.templates.set(depth, template);
    }
    const at = this.#request.reserve(template.bytes.length);
    template.fill(this.#request.view, at, part.columns, rounds, timesMs, first);
    this.#add(template, version);
  }

  #putNatives({ natives, heads }: NativePart, version: WireVersion, pool: Pool): void {
    const { rounds, timesMs } = pool;
    const w = this.#writer;
    w.clear();
    for (const [i, { shape, at }] of natives.entries()) {
      const { fields, startMs } = heads[i]!;
      w.open(SERIES_FIELD[version]).raw(fields);
      for (const [k, round] of rounds.entries()) {
        writeNative(w, version, shape, round, at, timesMs[k]!, startMs);
      }
      w.close();
    }
    this.#putWritten(natives.length * rounds.length, version);
  }

  /** Compresses what the writer has, and adds it. */
  #putWritten(samples: number, version: WireVersion): void {
    const { bytes } = this.#writer;
    this.#request.put(compress(Uint16Array.from(bytes)).bytes, bytes.length, samples);
    this.counters.samples += samples;
    if (version === 1 && this.#request.isFull) this.#request.finish(version);
  }

  #putEnded(ended: readonly FlatSeries[], timeMs: number): void {
    const version = this.#version;
    for (const isNative of [false, true]) {
      const all = ended.filter((series) => series.isNative === isNative);
      const step = isNative
        ? Math.max(1, Math.floor(this.options.maxSamples / NATIVE_SAMPLES))
        : this.options.maxSamples;
      for (let from = 0; from < all.length; from += step) {
        const part = all.slice(from, from + step);
        const named = namedIn(version, part);
        if (version === 2) this.#begin(named);
        if (isNative) this.#putEndedNatives(named, version, timeMs);
        else this.#putEndedScalars(named, version, timeMs);
        if (version === 2) this.#request.finish(version);
      }
    }
    this.counters.ended += ended.length;
  }

  #putEndedScalars({ heads }: Named, version: WireVersion, timeMs: number): void {
    const template = new Template(heads, 1, version);
    const at = this.#request.reserve(template.bytes.length);
    template.fillStale(this.#request.view, at, timeMs);
    this.#add(template, version);
  }

  #putEndedNatives({ heads }: Named, version: WireVersion, timeMs: number): void {
    const w = this.#writer;
    w.clear();
    for (const { fields } of heads) {
      w.open(SERIES_FIELD[version]).raw(fields);
      writeStaleNative(w, version, timeMs);
      w.close();
    }
    this.#putWritten(heads.length, version);
  }

  #add({ bytes, plainBytes, samples }: Template, version: WireVersion): void {
    this.counters.samples += samples;
    this.#request.add({ bytes: bytes.length, plainBytes, samples });
    if (version === 1 && this.#request.isFull) this.#request.finish(version);
  }
}

/** Room for a snapshot's values, if there is any. */
function roomIn({ spare, before }: Pool): Float64Array | undefined {
  const free = spare.pop();
  if (free === undefined || free !== before?.values) return free;
  const other = spare.pop();
  spare.push(free);
  return other;
}

/** Cuts rounds into powers of two, for each of which there is a template. */
function* depths(rounds: number): Generator<{ first: number; depth: number }> {
  for (let first = 0; first < rounds; ) {
    const depth = 2 ** Math.floor(Math.log2(rounds - first));
    yield { first, depth };
    first += depth;
  }
}
