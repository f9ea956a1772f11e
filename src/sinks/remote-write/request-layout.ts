// Which series of a pool go together into a request, and what is known of them before there are values. Made again when
// series or gauges' values come or go; what stays the same keeps its templates.

import type { FlatPool, FlatSeries, NativeSeries } from "./flat-series.ts";
import { type SeriesAbout, type Symbolized, symbolize } from "./symbols.ts";
import type { SeriesHead, Template, WireVersion } from "./template.ts";

/** Series that share a template, on the average; in 2.0 they are a request. */
const PART_SERIES: Readonly<Record<WireVersion, number>> = { 1: 512, 2: 4096 };
/** A moment of a native histogram is as long as so many samples. */
export const NATIVE_SAMPLES = 16;

/** The series that are written, and what was made of them. */
export interface Layout {
  version: WireVersion;
  columns: Int32Array;
  parts: Part[];
  natives: NativePart[];
}

/** Series that share a template, by how many snapshots it is for. */
export interface Part extends Named {
  columns: Int32Array;
  series: FlatSeries[];
  templates: Map<number, Template>;
}

/** Native histograms, which are encoded each time: which buckets hold something changes. */
export interface NativePart extends Named {
  natives: NativeSeries[];
}

/** What a part says of its series, and the table of strings that this refers to, which 1.0 does not have. */
export interface Named {
  table: Symbolized | undefined;
  heads: readonly SeriesHead[];
}

export const NOTHING: Layout = { version: 1, columns: new Int32Array(), parts: [], natives: [] };

/**
 * @param flat the pool's series
 * @param present which of its gauges have a value
 * @param before the layout that this one follows
 * @param maxSamples of a request
 */
export function layoutOf(
  version: WireVersion,
  flat: FlatPool,
  present: Uint8Array,
  before: Layout,
  maxSamples: number,
): Layout {
  const absent = new Uint8Array(flat.series.length);
  for (let i = 0; i < present.length; i++) if (present[i] === 0) absent[flat.gauges[i]!] = 1;
  const columns = new Int32Array(flat.series.length);
  let count = 0;
  for (let i = 0; i < columns.length; i++) if (absent[i] === 0) columns[count++] = i;
  const active = columns.slice(0, count);
  const parts: Part[] = [];
  const kept = before.version === version ? before.parts : [];
  const known = new Map(kept.map((part) => [part.series[0]!.key, part]));
  for (let from = 0; from < count; ) {
    const to = partEnd(flat.series, active, from, maxSamples, PART_SERIES[version]);
    const series = Array.from(active.subarray(from, to), (column) => flat.series[column]!);
    const last = known.get(series[0]!.key);
    const same = last !== undefined && sameSeries(last.series, series) ? last : undefined;
    const { table, heads } = same ?? namedIn(version, series);
    const templates = same?.templates ?? new Map<number, Template>();
    parts.push({ columns: active.slice(from, to), series, table, heads, templates });
    from = to;
  }
  const natives: NativePart[] = [];
  const step = Math.max(1, Math.floor(maxSamples / NATIVE_SAMPLES));
  for (let from = 0; from < flat.natives.length; from += step) {
    const some = flat.natives.slice(from, from + step);
    natives.push({
      natives: some,
      ...namedIn(
        version,
        some.map(({ series }) => series),
      ),
    });
  }
  return { version, columns: active, parts, natives };
}

/** What a version says of series: their labels, or references to a table of strings. */
export function namedIn(version: WireVersion, series: readonly FlatSeries[]): Named {
  if (version === 1) {
    const heads = series.map(({ labels }) => ({ fields: labels, startMs: 0 }));
    return { table: undefined, heads };
  }
  const table = symbolize(series);
  return { table, heads: table.heads };
}

/**
 * Where a part that begins at `from` ends. It depends on the series alone, by numbers that are as good as random: when
 * one comes or goes, the parts before and behind it stay what they are, and need not be compressed again.
 */
function partEnd(
  series: readonly FlatSeries[],
  active: Int32Array,
  from: number,
  maxSeries: number,
  usualSeries: number,
): number {
  const end = Math.min(active.length, from + maxSeries);
  for (let i = from; i < end; i++) if (series[active[i]!]!.key % usualSeries === 0) return i + 1;
  return end;
}

function sameSeries(one: readonly FlatSeries[], other: readonly FlatSeries[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ key, about }, i) => key === other[i]!.key && isSame(about, other[i]!.about))
  );
}

function isSame(one: SeriesAbout, other: SeriesAbout): boolean {
  if (one === other) return true;
  const { type, help, unit, startMs } = one;
  return (
    type === other.type && help === other.help && unit === other.unit && startMs === other.startMs
  );
}

/** The series of which the receiver has a value. */
export function presentOf(layout: Layout): FlatSeries[] {
  const natives = layout.natives.flatMap((part) => part.natives.map(({ series }) => series));
  return [...layout.parts.flatMap(({ series }) => series), ...natives];
}
