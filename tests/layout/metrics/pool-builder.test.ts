// What is made of definitions is read as a pool of an agent's is.

import { describe, expect, test } from "bun:test";
import {
  Gather,
  PAGE_HEADER_SLOTS,
  PoolBuilder,
  SLOTS_PER_PAGE_STRIDE,
  Structures,
} from "../../../src/layout/index.ts";
import { define } from "../../support/pools.ts";

/** Adds a series with a value. */
function put(
  pool: PoolBuilder,
  writer: number,
  metric: number,
  value: number,
  ...labels: string[]
) {
  const { at } = pool.series(writer, metric, labels);
  pool.slots[at] = value;
}

describe("a pool that is built", () => {
  test("has each series where its place says, and values in the order in which they were added", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service, { pid: 7, threadId: 1, startedAtMs: 5 });
    const requests = pool.metric(service, define.counter("requests_total", ["route"]));
    const latency = pool.metric(service, define.histogram("latency", [1, 2]));
    const places = [
      pool.series(writer, requests, ["/"]),
      pool.series(writer, latency),
      pool.series(writer, requests, ["/login"]),
    ];
    for (const [i, { at, slots }] of places.entries()) pool.slots.fill(i + 1, at, at + slots);
    expect([...pool.gather()]).toEqual([1, 2, 2, 2, 2, 3]);
    const { directory } = pool;
    expect(directory.damage).toEqual([]);
    expect(directory.writers.get(writer)).toMatchObject({
      serviceName: "auth",
      pid: 7,
      threadId: 1,
    });
    expect(places.map(({ series }) => directory.labelValues(series))).toEqual([
      ["/"],
      [],
      ["/login"],
    ]);
  });

  test("grows beyond pages, and what was stored before stays", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const metric = pool.metric(service, define.counter("requests_total", ["id"]));
    const count = 2000;
    for (let i = 0; i < count; i++) put(pool, writer, metric, i, `${i}`);
    expect([...pool.gather()]).toEqual(Array.from({ length: count }, (_, i) => i));
    put(pool, writer, metric, -1, "late");
    expect(pool.gather().at(-1)).toBe(-1);
    expect(pool.directory.seriesCount).toBe(count + 1);
  });

  test("adds up writers, and forgets one that is released", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const [one, two] = [pool.writer(service), pool.writer(service, { id: 9 })];
    expect(pool.writer(service)).toBe(10);
    const depth = define.gauge("depth");
    for (const writer of [one, two]) {
      put(pool, writer, pool.metric(service, depth), writer);
    }
    expect([...pool.gather()]).toEqual([1, 9]);
    pool.release(one);
    expect(pool.gather()[0]).toBeNaN();
  });

  test("retires a metric whose name is declared otherwise, and brings it back when it is again", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const [a, b] = [
      define.counter("changing_total", ["a"]),
      define.counter("changing_total", ["b"]),
    ];
    const first = pool.metric(service, a);
    expect(pool.metric(service, { ...a, help: "Another." })).toBe(first);
    const second = pool.metric(service, b);
    const third = pool.metric(service, a);
    const retired = [first, second, third].map((id) => pool.directory.metrics.get(id)?.retired);
    expect(retired).toEqual([true, true, false]);
  });

  test("has a metric for each set of labels where those are open", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const ids = [["a"], ["b"], ["a"]].map((labels) =>
      pool.metric(service, { ...define.counter("open_total", labels), dialect: "opentelemetry" }),
    );
    expect(ids).toEqual([1, 2, 1]);
    expect([...pool.directory.metrics.values()].map(({ retired }) => retired)).toEqual([
      false,
      false,
    ]);
  });

  test("is read by its plan as by one that is made of its directory", () => {
    const pool = new PoolBuilder("shop");
    const service = pool.service("auth");
    const writer = pool.writer(service);
    const metric = pool.metric(service, define.counter("requests_total", ["id"]));
    for (let i = 0; i < 600; i++) put(pool, writer, metric, i, `${i}`);
    const structure = new Structures().of(pool.directory);
    const { plan } = structure;
    const values = new Float64Array(structure.valueCount);
    // Its slots lie page by page, without the headers that a plan counts along.
    const fetched = plan.ranges.flatMap(({ first, count }) =>
      Array.from({ length: count }, (_, i) => {
        const page = Math.floor((first + i) / SLOTS_PER_PAGE_STRIDE);
        return pool.slots[first + i - (page + 1) * PAGE_HEADER_SLOTS] ?? Number.NaN;
      }),
    );
    new Gather(structure).into(Float64Array.from(fetched), values);
    expect([...values]).toEqual([...pool.gather()]);
  });
});
