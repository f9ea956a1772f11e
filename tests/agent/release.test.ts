// Series that a living writer gives back: their slots are the writer's for others, and nobody else's counts change.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LimitError } from "../../src/agent/errors.ts";
import type { StrategyName } from "../../src/agent/registry/strategies/index.ts";
import type { MetricDefinition } from "../../src/layout/index.ts";
import type { SeriesRelease } from "../../src/rest/index.ts";
import {
  application,
  ask,
  define,
  errorOf,
  overlap,
  placesByName,
  Scratch,
  SMALL,
  scan,
  TestWriter,
  totals,
} from "../support/pools.ts";

const scratch = new Scratch();
const requests = define.counter("requests_total", ["path"]);
const latency = define.histogram("latency_seconds", [0.1, 1], ["path"]);
const inFlight = define.gauge("in_flight", "sum", ["path"]);

function start(options: Parameters<typeof application>[1] = {}, sizes = {}) {
  const pool = scratch.pool({ ...SMALL, ...sizes });
  return { pool, app: application(pool, options) };
}

function of({ name, labelNames }: MetricDefinition, ...paths: string[]): SeriesRelease {
  return { name, labelNames, series: paths.map((path) => [path]) };
}

describe("a release", () => {
  test("forgets what nobody else has, and leaves all other places as they were", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    for (const path of ["/a", "/b", "/c"]) {
      writer.put(requests, [path], 1);
      writer.put(latency, [path], 1, 0, 0, 0.05);
      writer.put(inFlight, [path], 3);
    }
    const before = placesByName(app.directory);
    expect(writer.release(of(requests, "/b"), of(inFlight, "/a", "/b"))).toBe(3);
    const names = ['requests_total["/b"]', 'in_flight["/a"]', 'in_flight["/b"]'];
    for (const name of names) delete before[`${writer.id} auth/${name}`];
    expect(placesByName(app.directory)).toEqual(before);
    expect(app.directory.seriesCount).toBe(6);
    expect(totals(pool)).toEqual({
      'auth/requests_total["/a"]': [1],
      'auth/requests_total["/c"]': [1],
      'auth/latency_seconds["/a"]': [1, 0, 0, 0.05],
      'auth/latency_seconds["/b"]': [1, 0, 0, 0.05],
      'auth/latency_seconds["/c"]': [1, 0, 0, 0.05],
    });
    pool.close();
  });

  test("leaves what other writers and the dead have counted", () => {
    const { pool, app } = start();
    const [dead, other, writer] = [1, 2, 3].map(() => new TestWriter(app));
    dead!.put(requests, ["/"], 10);
    dead!.die();
    scan(app);
    other!.put(requests, ["/"], 20);
    other!.put(requests, ["/other"], 1);
    writer!.put(requests, ["/"], 40);
    expect(writer!.release(of(requests, "/", "/other"))).toBe(1);
    expect(totals(pool)).toEqual({
      'auth/requests_total["/"]': [30],
      'auth/requests_total["/other"]': [1],
    });
    pool.close();
  });

  test("makes room: the slots are used again, and the limit on label values counts what is left", () => {
    const { pool, app } = start({ limits: { seriesPerMetric: 400 } });
    const writer = new TestWriter(app);
    for (let round = 0; round < 20; round++) {
      const paths = Array.from({ length: 300 }, (_, i) => `/${round}/${i}`);
      writer.register(
        ask(
          requests,
          paths.map((path) => [path]),
        ),
      );
      expect(writer.release(of(requests, ...paths))).toBe(300);
    }
    expect(app.pagesUsed).toBe(1);
    expect(app.directory.seriesCount).toBe(0);
    pool.close();
  });

  test("of what the writer has not, or twice the same, changes nothing", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 1);
    const { epoch, length } = app.directory;
    const wrong = [
      of(requests, "/unknown"),
      of(latency, "/"),
      { ...of(requests, "/"), labelNames: ["route"] },
      { ...of(requests), series: [[], ["/", "/"]] },
    ];
    expect(writer.release(...wrong)).toBe(0);
    expect([app.directory.epoch, app.directory.length]).toEqual([epoch, length]);
    expect(writer.release(of(requests, "/", "/"))).toBe(1);
    expect(writer.release(of(requests, "/"))).toBe(0);
    pool.close();
  });

  test("that a registration has overtaken is refused, and its series stay", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    const { turn } = app.register(writer.id, [ask(requests, [["/"]])]);
    app.register(writer.id, [ask(requests, [["/"]])]);
    expect(errorOf(() => app.release(writer.id, [of(requests, "/")], turn))).toMatchObject({
      code: "release-overtaken",
      status: 409,
    });
    // Of the agent before this one.
    const next = application(pool);
    const error = errorOf(() => next.release(writer.id, [of(requests, "/")], turn));
    expect(error.code).toBe("release-overtaken");
    expect(next.directory.seriesCount).toBe(1);
    pool.close();
  });

  test("for a writer that is not there, or is the agent's own, is an error", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 1);
    writer.die();
    scan(app);
    const keeper = [...app.directory.writers.values()].find(({ retained }) => retained)!;
    for (const id of [writer.id, keeper.id, 99]) {
      expect(errorOf(() => app.release(id, [of(requests, "/")], 1)).status).toBe(404);
    }
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [1] });
    pool.close();
  });

  test("that finds no room for the new directory is refused, and changes nothing", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 1);
    const before = placesByName(app.directory);
    pool.compact = () => false;
    expect(errorOf(() => writer.release(of(requests, "/")))).toBeInstanceOf(LimitError);
    expect(placesByName(app.directory)).toEqual(before);
    pool.close();
  });

  test("is put off when releases have taken their share of the agent's time", () => {
    const { pool, app } = start();
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 1);
    app.releasing.spent(60_000);
    const error = errorOf(() => writer.release(of(requests, "/")));
    expect(error).toMatchObject({ code: "release-busy", status: 429 });
    expect(app.directory.seriesCount).toBe(1);
    pool.close();
  });

  test("of anything, at any time, never gives a slot to two series, nor changes what is left", () => {
    const path = fc.integer({ min: 0, max: 30 }).map((n) => `/${n}`);
    const step = fc.record({
      kind: fc.constantFrom("register", "release", "restart"),
      writer: fc.nat(1),
      metric: fc.constantFrom(requests, latency, inFlight),
      paths: fc.uniqueArray(path, { minLength: 1, maxLength: 12 }),
    });
    const strategies: StrategyName[] = ["page", "packed", "slab"];
    const steps = fc.array(step, { maxLength: 30 });
    fc.assert(
      fc.property(fc.constantFrom(...strategies), steps, (strategy, steps) => {
        const pool = scratch.pool();
        let app = application(pool, { strategy });
        const writers = [new TestWriter(app), new TestWriter(app)];
        const model = new Map<string, string>();
        for (const { kind, writer, metric, paths } of steps) {
          const { id } = writers[writer]!;
          const names = paths.map((path) => `${id} auth/${metric.name}["${path}"]`);
          if (kind === "restart") {
            app = application(pool, { strategy });
            for (const each of writers) each.app = app;
          } else if (kind === "release") {
            const had = names.filter((name) => model.delete(name)).length;
            expect(writers[writer]!.release(of(metric, ...paths))).toBe(had);
          } else {
            app.register(id, [
              ask(
                metric,
                paths.map((path) => [path]),
              ),
            ]);
            const places = placesByName(app.directory);
            for (const name of names) {
              if (!model.has(name)) model.set(name, places[name]!);
            }
          }
          expect(placesByName(app.directory)).toEqual(Object.fromEntries(model));
          expect(overlap(app.directory)).toBeUndefined();
          expect(app.directory.damage).toEqual([]);
        }
        for (const writer of writers) writer.die();
        pool.close();
      }),
      { numRuns: 100 },
    );
  });
});
