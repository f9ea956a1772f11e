// A part of a remote-write request, of either version, of which everything but values and times is known: encoded and compressed once for
// a list of series, filled for every snapshot. A sample then costs storing eight bytes.
// 1.0: https://github.com/prometheus/prometheus/blob/v2.42.0/prompb/types.proto
// 2.0: https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto

import { putVarint, varintBytes } from "../../protobuf/index.ts";
import { compress, LATER, UNIQUE } from "./snappy.ts";

/** Bytes of a time in ms as varint: from 1971 to 2109 they are always six. */
const TIME_BYTES = 6;
export const MIN_TIME_MS = 2 ** 35;
export const MAX_TIME_MS = 2 ** 42 - 1;

// TimeSeries.samples = 2 {double value = 1; int64 timestamp = 2; of 2.0 also int64 start_timestamp = 3}
const SAMPLE = 0x12;
const VALUE = 0x09;
const TIME = 0x10;
const SAMPLE_BYTES = 1 + 8 + 1 + TIME_BYTES;
const BYTES = 2;
const START = 0x18;
const START_BYTES = 1 + TIME_BYTES;

/**
 * What Prometheus stores to say that a series has ended: one NaN of its own.
 * https://github.com/prometheus/prometheus/blob/v2.42.0/model/value/value.go
 */
const STALE_HIGH = 0x7ff0_0000;
const STALE_LOW = 0x0000_0002;

/** Versions of the protocol. */
export type WireVersion = 1 | 2;

/** What a request's series are: WriteRequest.timeseries and Request.timeseries. */
export const SERIES_FIELD: Readonly<Record<WireVersion, number>> = { 1: 1, 2: 5 };

/** A series' labels, as the fields of a TimeSeries message. */
export type EncodedLabels = Uint8Array;

/** What a TimeSeries message has beside its samples. */
export interface SeriesHead {
  /** Its labels, as the version has them, and what else is told of the series. */
  fields: Uint8Array;
  /** When it began to count, in unix ms, as long as all times; 0 does not say. Only 2.0 has it. */
  startMs: number;
}

export class Template {
  /** Bytes that it becomes, before the values are put in. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How long it is when it is decompressed. */
  readonly plainBytes: number;
  readonly samples: number;
  readonly #valueAt: Uint32Array;
  /** Place and index among the bytes of all times. */
  readonly #timeAt: Uint32Array;
  readonly #timeBytes: Uint8Array;

  /** @param depth samples of each series */
  constructor(
    series: readonly SeriesHead[],
    readonly depth: number,
    version: WireVersion,
  ) {
    const symbols = symbolsOf(series, depth, (SERIES_FIELD[version] << 3) | BYTES);
    const { bytes, places } = compress(symbols);
    this.bytes = bytes;
    this.plainBytes = symbols.length;
    this.samples = series.length * depth;
    this.#valueAt = new Uint32Array(this.samples);
    this.#timeBytes = new Uint8Array(depth * TIME_BYTES);
    const times: number[] = [];
    let valueBytes = 0;
    for (let i = 0; i < places.length; i += 2) {
      const place = places[i]!;
      const symbol = places[i + 1]!;
      if (symbol !== UNIQUE) times.push(place, symbol - LATER);
      else if (valueBytes++ % 8 === 0) this.#valueAt[(valueBytes - 1) / 8] = place;
    }
    this.#timeAt = Uint32Array.from(times);
  }

  /**
   * Writes the compressed part with its values.
   * @param target has room for `bytes.length` from `at` on
   * @param columns index of each series' value in a round
   * @param rounds values of `depth` moments, in the order of time
   * @param timesMs when they were
   */
  fill(
    target: DataView,
    at: number,
    columns: Int32Array,
    rounds: readonly Float64Array[],
    timesMs: readonly number[],
    first = 0,
  ): void {
    this.#begin(target, at, timesMs, first);
    const places = this.#valueAt;
    const { depth } = this;
    if (depth === 1) {
      const round = rounds[first]!;
      for (let i = 0; i < places.length; i++) {
        target.setFloat64(at + places[i]!, round[columns[i]!]!, true);
      }
      return;
    }
    for (let k = 0; k < depth; k++) {
      const round = rounds[first + k]!;
      for (let i = 0, place = k; i < columns.length; i++, place += depth) {
        target.setFloat64(at + places[place]!, round[columns[i]!]!, true);
      }
    }
  }

  /** As {@link Template.fill}, saying that the series have ended. */
  fillStale(target: DataView, at: number, timeMs: number): void {
    this.#begin(target, at, [timeMs], 0);
    for (const place of this.#valueAt) {
      target.setUint32(at + place, STALE_LOW, true);
      target.setUint32(at + place + 4, STALE_HIGH, true);
    }
  }

  #begin(target: DataView, at: number, timesMs: readonly number[], first: number): void {
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    bytes.set(this.bytes, at);
    const timeBytes = this.#timeBytes;
    for (let k = 0; k < this.depth; k++) putVarint(timeBytes, k * TIME_BYTES, timesMs[first + k]!);
    const places = this.#timeAt;
    for (let i = 0; i < places.length; i += 2) {
      bytes[at + places[i]!] = timeBytes[places[i + 1]!]!;
    }
  }
}

function symbolsOf(series: readonly SeriesHead[], depth: number, tag: number): Uint16Array {
  let total = 0;
  for (const head of series) {
    const size = seriesBytes(head, depth);
    total += 1 + varintBytes(size) + size;
  }
  const symbols = new Uint16Array(total);
  let at = 0;
  for (const head of series) {
    const { fields, startMs } = head;
    const sampleBytes = SAMPLE_BYTES + (startMs > 0 ? START_BYTES : 0);
    symbols[at++] = tag;
    at = putVarint(symbols, at, seriesBytes(head, depth));
    symbols.set(fields, at);
    at += fields.length;
    for (let k = 0; k < depth; k++) {
      symbols[at++] = SAMPLE;
      symbols[at++] = sampleBytes;
      symbols[at++] = VALUE;
      symbols.fill(UNIQUE, at, at + 8);
      at += 8;
      symbols[at++] = TIME;
      for (let i = 0; i < TIME_BYTES; i++) symbols[at++] = LATER + k * TIME_BYTES + i;
      if (startMs > 0) {
        symbols[at++] = START;
        at = putVarint(symbols, at, startMs);
      }
    }
  }
  return symbols;
}

function seriesBytes({ fields, startMs }: SeriesHead, depth: number): number {
  return fields.length + depth * (2 + SAMPLE_BYTES + (startMs > 0 ? START_BYTES : 0));
}
