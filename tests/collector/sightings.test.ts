// What a run remembers of the names that it has come across, for errors about globs that match none of them.

import { expect, test } from "bun:test";
import { type Filter, Sightings } from "../../src/collector/index.ts";
import { PoolBuilder, type PoolSnapshot } from "../../src/layout/index.ts";
import { define } from "../support/pools.ts";
import { until } from "../support/wait.ts";

function sightings(filter: Partial<Filter>): Sightings {
  return new Sightings({ apps: [], services: [], metrics: [], ...filter });
}

function snapshotOf(app: string, metric = "c_total"): PoolSnapshot {
  const pool = new PoolBuilder(app);
  const service = pool.service(`${app}-service`);
  pool.series(pool.writer(service), pool.metric(service, define.counter(metric)));
  const { structure } = pool;
  return { source: "host:7070", app, structure } as PoolSnapshot;
}

test("globs that match nothing are told with the nearest name, those that match are not", () => {
  const seen = sightings({ apps: ["shop", "bnak"], metrics: ["*"] });
  seen.addApps(["bank"]);
  seen.add(snapshotOf("shop"));
  expect(seen.unmatchedGlobs()).toEqual([
    { message: "no application matches 'bnak'", hint: "did you mean bank?" },
  ]);
});

test("structures of pools are not kept", async () => {
  const seen = sightings({ metrics: ["c_*"] });
  const structures: WeakRef<object>[] = [];
  for (let i = 0; i < 1000; i++) {
    const snapshot = snapshotOf(`job-${i}`);
    structures.push(new WeakRef(snapshot.structure));
    seen.add(snapshot);
  }
  await until("nearly all are let go of", () => {
    Bun.gc(true);
    return structures.filter((each) => each.deref() !== undefined).length <= 10;
  });
  expect(seen.unmatchedGlobs()).toEqual([]);
  expect(seen.size).toBe(1);
});

test("names are kept within a limit, beyond which what a glob still lacks is noticed", () => {
  const seen = sightings({ apps: ["job-1*", "late"] });
  for (let i = 0; i < 30_000; i++) seen.addApps([`job-${i}`]);
  expect(seen.unmatchedGlobs().map(({ message }) => message)).toEqual([
    "no application matches 'late'",
  ]);
  seen.addApps(["late", "later"]);
  expect(seen.unmatchedGlobs()).toEqual([]);
  expect(seen.size).toBeLessThan(10_010);
});

test.each([
  ["failure", { metrics: ["dept", "depth", "zzz"] }, "metric", ["dept", "zzz"]],
  ["failure", { services: ["aut", "nope"] }, "service", ["aut", "nope"]],
  ["failure", { apps: ["nope", "nada"] }, "application", ["nope", "nada"]],
  ["appFailure", { apps: ["nope", "nada"] }, "application", ["nope", "nada"]],
] as const)("%s with %j names each %s that matches nothing", (failure, filter, what, missing) => {
  const seen = sightings(filter);
  seen.add(snapshotOf("shop", "depth"));
  const said: string[] = [];
  const error = seen[failure]((line) => said.push(line));
  const [first, second] = missing.map((glob) => `no ${what} matches '${glob}'`);
  expect(error?.message).toBe(first);
  expect(said).toEqual([expect.stringContaining(second!)]);
});

test("nothing is said of services and metrics while an application is missing", () => {
  const seen = sightings({ apps: ["nope"], services: ["nope"], metrics: ["nope"] });
  seen.add(snapshotOf("shop"));
  expect(seen.unmatchedGlobs().map(({ message }) => message)).toEqual([
    "no application matches 'nope'",
  ]);
});
