// Pools made of values alone, for tests of what is exposed of them; and the texts.

import {
  type ExposedPool,
  Exposition,
  type Format,
  type ScrapeOptions,
} from "../../src/exposition/index.ts";
import {
  Directory,
  type MetricDefinition,
  type PoolSnapshot,
  RecordWriter,
} from "../../src/layout/index.ts";

export interface Exposed {
  definition: MetricDefinition;
  series: [labelValues: string[], ...values: number[]][];
}

/** A pool of one service whose values lie in the order in which its metrics are given. */
export function exposedPool(
  app: string,
  service: string,
  metrics: readonly Exposed[],
  startedAtMs = 0,
): ExposedPool {
  const records = new RecordWriter().service(1, service);
  const values: number[] = [];
  let series = 0;
  records.writer({
    id: 1,
    service: 1,
    flags: 0,
    pid: 1,
    threadId: 1,
    startedAtMs,
    lockOffset: 64,
    lockBytes: 4032,
  });
  for (const [i, { definition, series: given }] of metrics.entries()) {
    records.metric(i + 1, 1, definition);
    for (const [labelValues, ...slots] of given) {
      records.series(++series, i + 1, labelValues);
      records.bind({ writer: 1, firstSeries: series, count: 1, page: series, slot: 0 });
      for (const slot of slots) values.push(slot);
    }
  }
  const directory = new Directory(0, series + 1, "own");
  directory.append(records.bytes.bytes());
  if (directory.damageCount > 0) throw new Error(directory.damage[0]!.reason);
  if (directory.valueCount !== values.length) {
    throw new Error(`${directory.valueCount} values are needed, ${values.length} are given`);
  }
  return { app, directory, values: Float64Array.from(values) };
}

/** The same as a collector reads it, as far as what is sent depends on it. */
export function snapshotOf(
  { app, directory, values }: ExposedPool,
  takenAtMs: number,
  source: string,
): PoolSnapshot {
  return { app, source, directory, values, takenAtMs } as unknown as PoolSnapshot;
}

/** All of a scrape as one text. */
export function textOf(
  pools: readonly ExposedPool[],
  options: Partial<ScrapeOptions> = {},
  exposition = new Exposition(),
): string {
  return piecesOf(pools, options, exposition).join("");
}

export function piecesOf(
  pools: readonly ExposedPool[],
  options: Partial<ScrapeOptions> = {},
  exposition = new Exposition(),
): string[] {
  const format: Format = "text";
  const scrape = exposition.scrape(pools, { format, ...options });
  const pieces: string[] = [];
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let piece = scrape.next(); piece !== undefined; piece = scrape.next()) {
    pieces.push(decoder.decode(piece));
  }
  return pieces;
}
