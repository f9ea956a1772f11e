// Log-linear histograms as Prometheus's native ones: integer buckets of equal ratio, only those that hold something.
// https://prometheus.io/docs/specs/native_histograms/
//
// A schema s has 2^s buckets to each power of two, as OTLP's scale; see src/sinks/encoding/exponential.ts for how buckets are mapped. A
// quantile is looked for anywhere in its bucket, not only in the middle: with n buckets to a power, it is off by at most
// (1 + 1/(2n + 1)) · 2^(1/n) − 1 within the range, 15.5 % for n = 8, the default.

import { type Metric, shapeOf } from "../../layout/index.ts";
import type { ProtoWriter } from "../../protobuf/index.ts";
import { exponentialMap, toExponential } from "../encoding/exponential.ts";
import type { WireVersion } from "./template.ts";

/** Prometheus has no finer ones. */
const MAX_SCHEMA = 8;
/** Empty buckets between two that hold something up to which they are written out: a span costs as much. */
const MAX_GAP = 2;

/** TimeSeries.histograms of 1.0 and of 2.0. */
const HISTOGRAMS: Readonly<Record<WireVersion, number>> = { 1: 4, 2: 3 };
// Histogram
const COUNT_INT = 1;
const SUM = 3;
const SCHEMA = 4;
const ZERO_THRESHOLD = 5;
const ZERO_COUNT_INT = 6;
const POSITIVE_SPANS = 11;
const POSITIVE_DELTAS = 12;
const TIMESTAMP = 15;
/** Of 2.0 alone. */
export const HISTOGRAM_START = 17;
/** What says, as the sum, that a series has ended. */
const STALE = 0x7ff0_0000_0000_0002n;

export interface NativeShape {
  schema: number;
  zeroThreshold: number;
  /** Index of the native bucket of each bucket, less one: OTLP counts from there. */
  targets: Int32Array;
}

/** How a log-linear metric's buckets become native ones. */
export function nativeShape({ definition }: Metric): NativeShape {
  const { scale, zeroThreshold, targets } = exponentialMap(shapeOf(definition));
  const tooFine = Math.max(0, scale - MAX_SCHEMA);
  return { schema: scale - tooFine, zeroThreshold, targets: targets.map((at) => at >> tooFine) };
}

/**
 * Writes one moment of a histogram into the TimeSeries message that is open.
 * @param slots its slots, from `at` on; what is no count is none
 * @param startMs when it began to count; 0 does not say
 */
export function writeNative(
  w: ProtoWriter,
  version: WireVersion,
  shape: NativeShape,
  slots: Float64Array,
  at: number,
  timeMs: number,
  startMs: number,
): void {
  const sumAt = at + shape.targets.length + 1;
  const { zeroCount, count, offset, counts } = toExponential(shape, slots, at);
  w.open(HISTOGRAMS[version]).uint(COUNT_INT, count).double(SUM, slots[sumAt]!);
  w.sint(SCHEMA, shape.schema).double(ZERO_THRESHOLD, shape.zeroThreshold);
  w.uint(ZERO_COUNT_INT, zeroCount);
  const { spans, deltas } = spansOf(counts, offset + 1);
  for (let i = 0; i < spans.length; i += 2) {
    w.open(POSITIVE_SPANS)
      .sint(1, spans[i]!)
      .uint(2, spans[i + 1]!)
      .close();
  }
  if (deltas.length > 0) w.packedSints(POSITIVE_DELTAS, deltas);
  w.uint(TIMESTAMP, timeMs);
  if (version === 2 && startMs > 0) w.uint(HISTOGRAM_START, startMs);
  w.close();
}

/** Says that a histogram's series has ended. */
export function writeStaleNative(w: ProtoWriter, version: WireVersion, timeMs: number): void {
  w.open(HISTOGRAMS[version]).uint(COUNT_INT, 0).fixed64(SUM, STALE);
  w.uint(ZERO_COUNT_INT, 0).uint(TIMESTAMP, timeMs).close();
}

/** Runs of buckets, as gap and length, and each bucket's count less that of the one before. */
function spansOf(counts: Float64Array, first: number): { spans: number[]; deltas: number[] } {
  const spans: number[] = [];
  const deltas: number[] = [];
  let before = 0;
  let next = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!;
    if (count === 0) continue;
    const gap = i - next;
    if (spans.length === 0 || gap > MAX_GAP) {
      spans.push(spans.length === 0 ? first + i : gap, 0);
    } else {
      for (let j = 0; j < gap; j++) {
        deltas.push(-before);
        before = 0;
      }
      spans[spans.length - 1]! += gap;
    }
    spans[spans.length - 1]! += 1;
    deltas.push(count - before);
    before = count;
    next = i + 1;
  }
  return { spans, deltas };
}
