// Pools made of values alone, for tests of what is exposed of them; and the texts.

import {
  type ExposedPool,
  Exposition,
  type Format,
  type ScrapeOptions,
} from "../../src/exposition/index.ts";
import { type MetricDefinition, PoolBuilder, type PoolSnapshot } from "../../src/layout/index.ts";

export interface Exposed {
  definition: MetricDefinition;
  series: [labelValues: string[], ...values: number[]][];
}

/** A pool that a test may change: then its structure is another one. */
export interface TestPool extends ExposedPool {
  /** Has one service and one writer, 1 and 1, and its metrics from 1 on. */
  builder: PoolBuilder;
}

/** A pool of one service whose values lie in the order in which its metrics are given. */
export function exposedPool(
  app: string,
  service: string,
  metrics: readonly Exposed[],
  startedAtMs = 0,
): TestPool {
  const pool = new PoolBuilder(app);
  const id = pool.service(service);
  const writer = pool.writer(id, { pid: 1, threadId: 1, startedAtMs });
  const values: number[] = [];
  for (const { definition, series } of metrics) {
    const metric = pool.metric(id, definition);
    for (const [labelValues, ...given] of series) {
      const { slots } = pool.series(writer, metric, labelValues);
      if (given.length !== slots)
        throw new Error(`${slots} values are needed, ${given.length} are given`);
      values.push(...given);
    }
  }
  return {
    app,
    builder: pool,
    get structure() {
      return pool.structure;
    },
    values: Float64Array.from(values),
  };
}

/** The same as a collector reads it, as far as what is sent depends on it. */
export function snapshotOf(
  { app, structure, values }: ExposedPool,
  takenAtMs: number,
  source: string,
): PoolSnapshot {
  return { app, source, structure, values, takenAtMs } as unknown as PoolSnapshot;
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
