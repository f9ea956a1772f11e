// Writers whose pool was lost and has another in its place: what is copied, and what is taken when they die on the way.

import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { Pool } from "../../src/agent/pool/pool.ts";
import { LocalSnapshots } from "../../src/agent/registry/local-snapshots.ts";
import { Pools } from "../../src/agent/registry/pools.ts";
import { STRATEGIES } from "../../src/agent/registry/strategies/index.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { createLog } from "../../src/guard/log.ts";
import {
  application,
  ask,
  define,
  limits,
  places,
  readImage,
  Scratch,
  scan,
  TestWriter,
  Told,
  totals,
} from "../support/pools.ts";

const scratch = new Scratch();
const requests = define.counter("requests_total");
const latency = define.histogram("latency_seconds", [1, 2]);
const depth = define.gauge("depth");

/** An application whose only writer has stored something, and that goes on in a second pool. */
function lost() {
  const told = new Told();
  const first = scratch.pool();
  const app = application(first, { told });
  const writer = new TestWriter(app);
  writer.put(requests, [], 10);
  writer.put(latency, [], 1, 2, 3, 9);
  writer.put(depth, [], 5);
  return { told, first, app, writer };
}

/** Takes the pool's file away and gives the application another. */
function replace(app: ReturnType<typeof application>): Pool {
  const { path } = app.pool;
  rmSync(path);
  const next = Pool.replace(app.pool, path, app.writers().length, { mode: 0o600 });
  app.replace(next);
  return next;
}

/** The writer's lock in the pool that its application has now. */
function lockOf(app: ReturnType<typeof application>, id: number): SharedFile {
  const { lockOffset, lockBytes } = app.writer(id);
  const file = SharedFile.open(app.pool.path, true);
  if (!file.lock(lockOffset, lockBytes)) throw new Error("it is locked");
  return file;
}

function slotsOf(app: ReturnType<typeof application>, pool: Pool, id: number): Float64Array[] {
  return app.writer(id).runs.map((run) => {
    const first = pool.slotIndexOf(run.page, run.slot);
    return pool.slots.subarray(first, first + run.count * run.metric.slots);
  });
}

describe("a pool that takes the place of a lost one", () => {
  test("has the same structure and values, and the lost one cannot be read on", () => {
    const { app, first } = lost();
    const before = { totals: totals(first), length: app.directory.length, id: first.header.poolId };
    const next = replace(app);
    expect(first.generation % 2).toBe(1);
    expect(next.generation % 2).toBe(0);
    expect(totals(next)).toEqual(before.totals);
    expect(app.directory.length).toBe(before.length);
    expect(next.header).toMatchObject({ lineage: before.id, replacements: 1 });
    expect(next.header.poolId).not.toBe(before.id);
    const image = readImage(new Uint8Array(next.mapping.bytes()));
    expect(totals(image)).toEqual(before.totals);
    app.close();
  });

  test("is not made where the name is taken; the lost one can be read as before", () => {
    const { app, first } = lost();
    rmSync(first.path);
    writeFileSync(first.path, "");
    expect(() => Pool.replace(first, first.path, 1, { mode: 0o600 })).toThrow("EEXIST");
    expect(first.generation % 2).toBe(0);
    app.close();
  });

  test("is not made where there is no room, and is made when there is", () => {
    const folder = scratch.tmpfs("8m");
    if (folder === undefined) return;
    const lines: string[] = [];
    const told: string[] = [];
    const pools = new Pools(
      { poolDir: folder, mode: 0o600, limits: limits(), strategy: STRATEGIES.page },
      createLog("error", true, (line) => lines.push(JSON.parse(line).message)),
      Object.assign(new Told(), {
        opened: () => {},
        setAside: () => {},
        leftAlone: () => {},
        restored: (_: unknown, pool: Pool | undefined) => void told.push(pool?.path ?? ""),
      }),
    );
    const app = pools.open("shop");
    const writer = new TestWriter(app);
    writer.put(requests, [], 10);
    const { path } = app.pool;
    rmSync(path);
    const ballast = `${folder}/ballast`;
    Bun.spawnSync(["dd", "if=/dev/zero", `of=${ballast}`, "bs=64k"], { stderr: "ignore" });
    pools.restoreLost();
    pools.restoreLost();
    expect(pools.troubleOf(app)).toContain("no memory is left");
    expect(lines).toHaveLength(1);
    expect(app.pool.generation % 2).toBe(0);
    writer.store("requests_total", [], 11);
    expect(new LocalSnapshots().exposed(app, false).values[0]).toBe(11);
    rmSync(ballast);
    Bun.sleepSync(1_001);
    pools.restoreLost();
    expect(pools.troubleOf(app)).toBeUndefined();
    expect(told).toEqual([path]);
    expect(Object.values(totals(app.pool))).toEqual([[11]]);
    pools.close();
  });
});

describe("a writer in a lost pool", () => {
  test("is seen by what it stores there, until it has moved", () => {
    const { told, app, first, writer } = lost();
    const next = replace(app);
    const [counter, histogram, gauge] = slotsOf(app, first, writer.id);
    counter![0] = 12;
    histogram!.set([2, 2, 3, 9.5]);
    gauge![0] = 6;
    expect(app.scan()).toBe(0);
    expect(app.living).toBe(1);
    expect(slotsOf(app, next, writer.id)).toEqual([counter!, histogram!, gauge!]);
    expect(next.elsewhere).toBe(1);
    expect(() => app.register(writer.id, [])).toThrow("another pool has taken the place");
    expect(() => app.detach(writer.id)).toThrow("is alive");

    const lock = lockOf(app, writer.id);
    app.hold(writer.id, next.header.poolId);
    const [moved] = slotsOf(app, next, writer.id);
    moved![0] = 13;
    app.scan();
    // It is not overwritten, though the lost pool has another value.
    expect(moved![0]).toBe(13);
    writer.die();
    expect(app.scan()).toBe(0);
    expect(next.elsewhere).toBe(0);
    expect(told.abandonedPools).toEqual([first]);
    app.register(writer.id, [ask(define.counter("late_total"))]);
    lock.close();
    expect(app.scan()).toBe(1);
    expect(Object.values(totals(next))).toContainEqual([13]);
    app.close();
  });

  test("that dies there is kept with all that it has stored, without its gauges", () => {
    const { app, first, writer } = lost();
    const next = replace(app);
    const [counter, , gauge] = slotsOf(app, first, writer.id);
    counter![0] = 12;
    gauge![0] = 60;
    writer.die();
    expect(scan(app)).toBe(1);
    expect(Object.values(totals(next))).toEqual([[12], [1, 2, 3, 9]]);
    app.close();
  });

  test("that dies while it copies, or later, is kept with what is whole, whatever the order of its stores", () => {
    const all = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(all, fc.nat(5), fc.nat(3), fc.nat(5), (order, copied, more, cleared) => {
        const { app, first, writer } = lost();
        const next = replace(app);
        const flat = (pool: Pool) => {
          const [counter, histogram] = slotsOf(app, pool, writer.id);
          return [counter!, ...[0, 1, 2, 3].map((i) => histogram!.subarray(i, i + 1))];
        };
        const [from, to] = [flat(first), flat(next)];
        // Not seen by the agent before it moves.
        from[0]![0]! += 2;
        from[1]![0]! += 1;
        from[4]![0]! += 0.25;
        const expected = from.map((slot) => slot[0]!);
        const lock = lockOf(app, writer.id);
        app.hold(writer.id, next.header.poolId);
        for (const i of order.slice(0, copied)) to[i]![0] = from[i]![0]!;
        if (copied === 5) {
          // In the order of the slots.
          for (let i = 0; i < cleared; i++) from[i]![0] = 0;
          for (let i = 0; i < more; i++) {
            to[0]![0]! += 1;
            to[2]![0]! += 1;
            to[4]![0]! += 1.5;
            expected[0]! += 1;
            expected[2]! += 1;
            expected[4]! += 1.5;
          }
        }
        writer.die();
        lock.close();
        scan(app);
        expect(Object.values(totals(next)).flat()).toEqual(expected);
        app.close();
      }),
      { numRuns: 150 },
    );
  });

  test("without a lock, as the prototype's, is seen where it stores, in the one or the other", () => {
    const told = new Told();
    const first = scratch.pool();
    const app = application(first, { told });
    const writer = app.attach({ service: "auth", pid: 0, threadId: 0 }, { unlocked: true });
    const { results } = app.register(writer.id, [ask(requests)]);
    const [place] = places(results[0]!, 1);
    const index = first.slotIndexOf(place!.page, place!.slot);
    first.slots[index] = 4;
    app.scan();
    const next = replace(app);
    app.scan();
    first.slots[index] = 5;
    app.scan();
    expect(next.slots[index]).toBe(5);
    // It was told another name, and stores there from now on.
    next.slots[index] = 6;
    app.scan();
    app.scan();
    expect(next.slots[index]).toBe(6);
    expect(app.living).toBe(1);
    app.close();
  });
});

describe("an agent that finds writers elsewhere", () => {
  test("keeps one that has come to each new pool and not said so, although only the last one knows", () => {
    const { app: first } = lost();
    const { path } = replace(first);
    first.close();
    // From here on nobody but the writer knows of the pool in which it stores.
    const told = new Told();
    const app = application(Pool.adopt(path)!, { told });
    const { id } = app.writers()[0]!;
    const second = lockOf(app, id);
    replace(app);
    const third = lockOf(app, id);
    second.close();
    replace(app);
    expect(scan(app)).toBe(0);
    expect(app.isAlive(app.writer(id))).toBe(true);
    third.close();
    expect(scan(app)).toBe(1);
    app.close();
  });

  test("waits for them, and then keeps what was copied last; writers that come later do not bring it again", () => {
    const { app, writer } = lost();
    const place = {
      writer: writer.id,
      poolId: app.pool.header.poolId,
      lineage: app.pool.header.lineage,
      replacements: 0,
    };
    const path = replace(app).path;
    app.close();
    const pool = Pool.adopt(path)!;
    const next = application(pool);
    expect(next.scan(Date.now() + 29_000)).toBe(0);
    expect(next.isAlive(next.writer(writer.id))).toBe(false);
    expect(next.mayStore(next.writer(writer.id))).toBe(true);
    expect(next.scan(Date.now() + 31_000)).toBe(1);
    expect(pool.elsewhere).toBe(0);
    expect(Object.values(totals(pool))).toEqual([[10], [1, 2, 3, 9]]);
    expect(next.resume("auth", place, "any")).toBeUndefined();
    expect(next.hasCounted(place)).toBe(true);
    expect(next.hasCounted({ ...place, replacements: 2 })).toBe(false);
    expect(next.hasCounted({ ...place, lineage: place.lineage + 1 })).toBe(false);
    next.close();
  });
});
