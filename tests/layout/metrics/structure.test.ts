// What whoever takes snapshots may rely on about a structure: it has what the directory has, only what is wanted, it never
// changes, and the next one tells what has become of its series.

import { serialize } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Directory,
  Gather,
  PoolBuilder,
  RecordWriter,
  type Structure,
  StructureReceiver,
  StructureSender,
  Structures,
} from "../../../src/layout/index.ts";
import { History, PAGE_CAPACITY, steps } from "../../support/history.ts";
import { define } from "../../support/pools.ts";

const WRITER = {
  ...{ id: 1, service: 1, flags: 0, pid: 1, threadId: 1, startedAtMs: 0 },
  ...{ lockOffset: 64, lockBytes: 4032 },
};

/** All that a structure says, as plain values. */
function told(structure: Structure) {
  const { metrics, writers, plan, valueCount, startsMs, names, seriesCount } = structure;
  return {
    metrics: metrics.map((entry) => ({
      id: entry.metric.id,
      definition: entry.metric.definition,
      service: entry.service,
      series: Array.from(entry.series, (id, at) => ({
        id,
        index: entry.indexes[at],
        labels: structure.labelValues(entry, at),
      })),
    })),
    writers: writers.map(({ runs, ...writer }) => ({
      ...writer,
      runs: runs.map(({ metric, ...run }) => ({ ...run, metric: metric.id })),
    })),
    ...{ plan, valueCount, startsMs: [...startsMs], names, seriesCount },
  };
}

/** What a directory says of the same. */
function ofDirectory(directory: Directory) {
  return [...directory.metrics.values()]
    .filter(({ retired }) => !retired)
    .map((metric) => ({
      id: metric.id,
      definition: metric.definition,
      service: directory.services.get(metric.service)!,
      series: metric.series
        .map((id) => ({
          id,
          index: directory.valueIndexOf(id),
          labels: directory.labelValues(id),
        }))
        .filter(({ index }) => index >= 0),
    }));
}

/** Appends a history piece by piece. */
function* growing(history: History): Generator<Directory> {
  const directory = new Directory(0, PAGE_CAPACITY);
  for (const end of history.ends) {
    directory.append(history.bytes.slice(directory.length, end));
    yield directory;
  }
}

describe("a structure", () => {
  test("has the metrics, series and places that the directory has, whatever has happened", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const structures = new Structures();
        for (const directory of growing(new History(given))) {
          expect(told(structures.of(directory)).metrics).toEqual(ofDirectory(directory));
        }
      }),
      { numRuns: 50 },
    );
  });

  test("never changes, whatever becomes of the directory", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const structures = new Structures();
        const seen: { structure: Structure; facts: ReturnType<typeof told> }[] = [];
        for (const directory of growing(new History(given))) {
          const structure = structures.of(directory);
          if (seen.at(-1)?.structure !== structure)
            seen.push({ structure, facts: told(structure) });
        }
        for (const { structure, facts } of seen) expect(told(structure)).toEqual(facts);
      }),
      { numRuns: 50 },
    );
  });

  test("is the same object while nothing changes, and its metrics and writers while they do not", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const other = pool.writer(service);
    const grows = pool.metric(service, define.counter("grows_total", ["n"]));
    const stays = pool.metric(service, define.counter("stays_total"));
    pool.series(writer, grows, ["1"]);
    pool.series(other, stays);
    const { structure } = pool;
    expect(pool.structure).toBe(structure);
    pool.series(writer, grows, ["2"]);
    const next = pool.structure;
    expect(next).not.toBe(structure);
    expect(next.continues(structure)).toBe(true);
    expect(next.metrics[0]).not.toBe(structure.metrics[0]);
    expect(next.metrics[0]!.metric).toBe(structure.metrics[0]!.metric);
    expect(next.metrics[1]).toBe(structure.metrics[1]!);
    expect(next.writers[0]).not.toBe(structure.writers[0]);
    expect(next.writers[1]).toBe(structure.writers[1]!);
    expect(next.names).toBe(structure.names);
  });

  test("has only what is wanted, and the names of the rest", () => {
    const pool = new PoolBuilder("shop", (service, { definition: { name } }) => {
      return service === "auth" && name !== "unwanted_total";
    });
    for (const name of ["auth", "cart"]) {
      const service = pool.service(name);
      const writer = pool.writer(service);
      for (const metric of ["wanted_total", "unwanted_total"]) {
        pool.series(writer, pool.metric(service, define.counter(metric)));
      }
    }
    const { metrics, writers, names, seriesCount } = pool.structure;
    expect(metrics.map(({ service, metric }) => [service, metric.definition.name])).toEqual([
      ["auth", "wanted_total"],
    ]);
    expect(writers.map(({ runs }) => runs.length)).toEqual([1, 0]);
    expect(names).toEqual({
      services: ["auth", "cart"],
      metrics: ["wanted_total", "unwanted_total"],
    });
    expect(seriesCount).toBe(1);
  });

  test("adds up what its writers have, as the directory that it was made of does", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const metric = pool.metric(service, define.counter("c_total"));
    const { at } = pool.series(pool.writer(service), metric);
    pool.slots[at] = 3;
    const values = new Float64Array(pool.structure.valueCount);
    new Gather(pool.structure).into(pool.slots, values);
    expect([...values]).toEqual([3]);
  });
});

describe("the structure after another", () => {
  function built(labels: readonly string[]) {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const metric = pool.metric(service, define.counter("c_total", ["n"]));
    const writer = pool.writer(service);
    for (const label of labels) pool.series(writer, metric, [label]);
    return pool;
  }

  function formerIds(now: Structure, before: Structure): number[] {
    const since = now.seriesSince(before);
    return now.metrics.flatMap((entry) => Array.from(entry.series, (_, at) => since(entry, at)));
  }

  test("tells by number which series it had already, and which are new", () => {
    const pool = built(["a", "b"]);
    const before = pool.structure;
    const { metric } = before.metrics[0]!;
    pool.series(1, metric.id, ["c"]);
    const known = new Set(before.metrics[0]!.series);
    expect(pool.structure.continues(before)).toBe(true);
    expect(formerIds(pool.structure, before).map((id) => known.has(id))).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("tells by their names, when series are numbered again", () => {
    const before = built(["a", "b", "c"]).structure;
    const now = built(["c", "new", "a"]).structure;
    expect(now.continues(before)).toBe(false);
    expect(formerIds(now, before)).toEqual([3, 0, 1]);
  });

  test("takes a metric of another kind or unit for another one", () => {
    const before = built(["a"]).structure;
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    pool.series(pool.writer(service), pool.metric(service, define.gauge("c_total", "sum", ["n"])), [
      "a",
    ]);
    expect(formerIds(pool.structure, before)).toEqual([0]);
  });
});

describe("a structure that is told to another thread", () => {
  test("is the same there, after any history, whatever is wanted", () => {
    fc.assert(
      fc.property(steps, steps, fc.integer({ min: 1, max: 3 }), (given, others, share) => {
        const structures = new Structures({ wants: (_, { id }) => id % share === 0 });
        const sender = new StructureSender();
        const receiver = new StructureReceiver();
        const seen: { structure: Structure; facts: ReturnType<typeof told> }[] = [];
        // A directory that is rewritten follows.
        for (const history of [new History(given), new History(others)]) {
          for (const directory of growing(history)) {
            const structure = structures.of(directory);
            const news = sender.newsOf(structure);
            if (news === undefined) continue;
            const received = receiver.take(structuredClone(news))!;
            expect(told(received)).toEqual(told(structure));
            expect(receiver.current(sender.serial)).toBe(received);
            // Snapshots of the structure before, which come late, are of none.
            expect(receiver.current(sender.serial - 1)).toBeUndefined();
            seen.push({ structure: received, facts: told(received) });
          }
        }
        for (const { structure, facts } of seen) expect(told(structure)).toEqual(facts);
      }),
      { numRuns: 50 },
    );
  });

  test("costs no more than what has changed, in whatever pool", () => {
    const records = new RecordWriter().service(1, "auth");
    records.metric(1, 1, define.counter("many_total", ["n"]));
    records.metric(2, 1, define.counter("one_total", ["n"]));
    for (let id = 1; id <= 20_000; id++) records.series(id, 1, [`label ${id}`]);
    const directory = new Directory(0, PAGE_CAPACITY);
    directory.append(records.bytes.bytes().slice());
    const bind = (writer: number, firstSeries: number, count: number, page: number) => {
      const change = new RecordWriter().writer({ ...WRITER, id: writer });
      change.grant({ writer, page, pages: 1, slot: 0, slots: 0 });
      change.bind({ writer, firstSeries, count, page, slot: 0 });
      directory.append(change.bytes.bytes());
    };
    const structures = new Structures();
    const sender = new StructureSender();
    for (let page = 0; page < 40; page++) bind(page + 1, 1 + page * 500, 500, page);
    expect(directory.damage).toEqual([]);
    const whole = serialize(sender.newsOf(structures.of(directory))).byteLength;
    directory.append(new RecordWriter().series(20_001, 2, ["new"]).bytes.bytes());
    bind(41, 20_001, 1, 41);
    const change = serialize(sender.newsOf(structures.of(directory))).byteLength;
    expect(whole).toBeGreaterThan(20_000 * 12);
    expect(change).toBeLessThan(whole / 50);
  });

  test("brings nothing of what is not wanted", () => {
    const pool = new PoolBuilder("shop", (_, { definition }) => definition.name === "one_total");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const many = pool.metric(service, define.counter("many_total", ["n"]));
    const one = pool.metric(service, define.counter("one_total"));
    for (let i = 0; i < 10_000; i++) pool.series(writer, many, [`label ${i}`]);
    pool.series(writer, one);
    const news = new StructureSender().newsOf(pool.structure)!;
    expect(serialize({ ...news, plan: undefined }).byteLength).toBeLessThan(4096);
  });

  test("names the metrics and writers that are the same, and sends the others", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const other = pool.writer(service);
    const many = pool.metric(service, define.counter("many_total", ["n"]));
    const one = pool.metric(service, define.counter("one_total"));
    for (let i = 0; i < 1000; i++) pool.series(writer, many, [String(i)]);
    const sender = new StructureSender();
    sender.newsOf(pool.structure);
    pool.series(other, one);
    const news = sender.newsOf(pool.structure)!;
    expect(news.metrics.map(({ metric }) => metric.id)).toEqual([one]);
    expect(news.writers.map(({ id }) => id)).toEqual([other]);
    expect(news).toMatchObject({ metricIds: undefined, writerIds: undefined, names: undefined });
    expect(sender.newsOf(pool.structure)).toBeUndefined();
  });

  test("brings of a metric that has grown the new series alone", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const metric = pool.metric(service, define.counter("c_total", ["n"]));
    for (let i = 0; i < 1000; i++) pool.series(writer, metric, [String(i)]);
    const sender = new StructureSender();
    const receiver = new StructureReceiver();
    const before = receiver.take(sender.newsOf(pool.structure)!)!;
    const { columns } = pool.structure.metrics[0]!;
    pool.series(writer, metric, ["new"]);
    const news = sender.newsOf(pool.structure)!;
    expect(news.metrics[0]).toMatchObject({ known: 1000, series: Uint32Array.of(1001) });
    const after = receiver.take(structuredClone(news))!;
    expect(pool.structure.metrics[0]!.columns).toBe(columns);
    expect(after.labelValues(after.metrics[0]!, 1000)).toEqual(["new"]);
    expect(before.metrics[0]!.series.length).toBe(1000);
  });

  test("is not made of a change whose beginning nobody was told", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const metric = pool.metric(service, define.counter("c_total", ["n"]));
    pool.series(writer, metric, ["a"]);
    const sender = new StructureSender();
    const whole = sender.newsOf(pool.structure)!;
    pool.series(writer, metric, ["b"]);
    const change = sender.newsOf(pool.structure)!;
    pool.series(writer, metric, ["c"]);
    const next = sender.newsOf(pool.structure)!;
    expect(new StructureReceiver().take(change)).toBeUndefined();
    const receiver = new StructureReceiver();
    receiver.take(whole);
    expect(receiver.take(next)).toBeUndefined();
    expect(receiver.take(change)!.seriesCount).toBe(2);
  });
});
