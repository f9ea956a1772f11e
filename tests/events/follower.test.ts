// Events as others see them: while their service lives, after it was killed at full load, and from all its threads.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EventFollower, type EventRow, RingKeeper } from "../../src/events/index.ts";
import { Lease } from "../../src/events/lease.ts";
import { OpenRing } from "../../src/events/rings.ts";
import { ownUids, SharedFile } from "../../src/ffi/index.ts";
import { RINGS_PER_APP } from "../../src/layout/index.ts";
import { Random, seedOf } from "../chaos/random.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { recordingService, ringsOf } from "./recording.ts";

const SEED = seedOf("EVENTS_SEED");

function follower(
  host: TestHost,
  options: Partial<ConstructorParameters<typeof EventFollower>[0]> = {},
) {
  const following = new EventFollower({
    poolDir: host.poolDir,
    wantsApp: () => true,
    wantsService: () => true,
    onUnreadable: () => {},
    ...options,
  });
  host.onEnd(() => following.close());
  return following;
}

function numbersOf(rows: readonly EventRow[]): number[] {
  return rows.flatMap((row) =>
    row.kind === "log" && row.message === "a line" ? [row.properties["n"] as number] : [],
  );
}

describe("events of a living service", () => {
  test("are seen without an agent, by who was there and by who comes later", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("first", { n: 1 });
    const early = follower(host);
    expect(early.next()).toMatchObject([
      { kind: "log", app: "shop", service: "auth", level: "info", message: "first", thread: 0 },
    ]);
    expect(early.next()).toEqual([]);
    mv.measure("latency", "seconds").record(0.5, { route: "/" });
    const [measure] = early.next();
    expect(measure).toMatchObject({
      kind: "measure",
      name: "latency",
      unit: "seconds",
      value: 0.5,
    });
    expect(Math.abs(measure!.timeMs - Date.now())).toBeLessThan(60_000);
    expect(follower(host).next()).toHaveLength(2);
  });

  test("have spans with parents, depths, traces and what was logged within", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const [request, query] = [mv.span("request"), mv.span("query")];
    await request.runAsync(async () => {
      await Bun.sleep(1);
      mv.log.info("within");
      expect(query.run(() => 5)).toBe(5);
      await Promise.all([query.runAsync(() => Bun.sleep(1)), query.runAsync(() => Bun.sleep(1))]);
    });
    expect(() =>
      request.run(() => {
        throw new Error("failed");
      }),
    ).toThrow("failed");
    const begun = query.begin();
    begun.end();
    begun.end();
    const rows = follower(host).next();
    const spans = rows.filter((row) => row.kind === "span");
    const root = spans.find(({ name, status }) => name === "request" && status === "ok")!;
    const below = spans.filter(({ parentId }) => parentId === root.spanId);
    expect(below.map(({ name, depth, traceId }) => [name, depth, traceId])).toEqual(
      new Array(3).fill(["query", 1, root.traceId]),
    );
    expect(rows.find((row) => row.kind === "log")).toMatchObject({ spanId: root.spanId });
    const others = spans.filter((span) => span.traceId !== root.traceId);
    expect(others.map(({ name, status, depth }) => [name, status, depth])).toEqual([
      ["request", "error", 0],
      ["query", "ok", 0],
    ]);
  });

  test("have an error with its stack and its causes", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    mv.log.error(new TypeError("no answer", { cause }), { attempt: 2 });
    expect(follower(host).next()).toMatchObject([
      {
        message: "no answer",
        properties: {
          attempt: 2,
          error: {
            name: "TypeError",
            stack: expect.stringContaining("follower.test.ts"),
            cause: { message: "refused", code: "ECONNREFUSED" },
          },
        },
      },
    ]);
  });

  test("survive callers who pass anything, and who record something while they are read", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const log = mv.log as unknown as Record<string, (...given: unknown[]) => void>;
    log["info"]!(Symbol("s"), 5);
    log["info"]!(Object.create(null));
    (mv.measure("m") as { record(given: unknown): void }).record(5n);
    mv.log.info("outer", {
      get nested() {
        mv.log.info("inner");
        mv.measure("m").record(1);
        return "value";
      },
    });
    const rows = follower(host).next();
    const texts = rows.map((row) => (row.kind === "log" ? row.message : row.kind));
    expect(texts).toEqual(["Symbol(s)", "measure", "inner", "measure", "outer", "refused"]);
    expect(rows.at(-2)).toMatchObject({ properties: { nested: "value" } });
    expect(rows.at(-1)).toMatchObject({ failed: 1 });
  });

  test("come from each Worker by a ring of its own", async () => {
    await using host = new TestHost();
    const workers = [1, 2].map(
      () =>
        new Worker(new URL("./fixtures/worker.ts", import.meta.url).href, {
          env: { TEST_POOL_DIR: host.poolDir },
        }),
    );
    host.onEnd(() => workers.forEach((worker) => void worker.terminate()));
    const following = follower(host);
    const rows: EventRow[] = [];
    await until("both have logged", () => rows.push(...following.next()) > 1 || rows.length > 1);
    expect(new Set(rows.map(({ thread }) => thread)).size).toBe(2);
    expect(new Set(rows.map(({ pid }) => pid))).toEqual(new Set([process.pid]));
    // A ring whose thread has ended has no lock, and its lines are there still.
    await Promise.all(workers.map((worker) => worker.terminate()));
    expect(follower(host).next()).toHaveLength(2);
  });

  test("stay when the client is closed, which then records for nobody", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const latency = mv.measure("latency");
    mv.log.info("before");
    await mv.close();
    mv.log.info("after");
    latency.record(1);
    mv.span("later").run(() => {});
    expect(
      follower(host)
        .next()
        .map((row) => row.kind === "log" && row.message),
    ).toEqual(["before"]);
  });
});

describe("a service that is killed at full load", () => {
  test(`leaves every event whose call has returned, once and in order (EVENTS_SEED=${SEED})`, async () => {
    await using host = new TestHost();
    const random = new Random(SEED);
    for (let round = 0; round < 12; round++) {
      const { child, returned } = recordingService(host, { burst: 1 + round * 2000, restMs: 0 });
      const wanted = random.between(1, 12_000);
      // Without a pause, so that it is killed in the middle of its work.
      await until("it has begun", () => {
        if (child.exitCode !== null) throw new Error("it ended");
        return returned() > 0;
      });
      const deadline = performance.now() + 1000;
      while (returned() < wanted && performance.now() < deadline);
      child.kill("SIGKILL");
      await child.exited;
      const calls = returned();
      const rows = follower(host)
        .next()
        .filter(({ pid }) => pid === child.pid);
      expect(rows.filter(({ kind }) => kind === "damaged" || kind === "missed")).toEqual([]);
      const numbers = numbersOf(rows);
      expect(numbers).toEqual(Array.from(numbers, (_, i) => i));
      // Where it was killed too late to find room for all, the rest was counted.
      const refused = rows.reduce((sum, row) => sum + (row.kind === "refused" ? row.severe : 0), 0);
      // The call that had not returned may be there too.
      expect([calls, calls + 1]).toContain(numbers.length + refused);
    }
  }, 120_000);

  test("leaves a span that was open as lost", async () => {
    await using host = new TestHost();
    const { child, returned } = recordingService(host, { burst: 1, restMs: 1 });
    await until("it has begun", () => returned() > 3);
    const following = follower(host);
    expect(following.next().filter(({ kind }) => kind === "span")).toEqual([]);
    child.kill("SIGKILL");
    await child.exited;
    const rows: EventRow[] = [];
    await until("its end is seen", () => {
      rows.push(...following.next());
      return rows.find(({ kind }) => kind === "span");
    });
    expect(rows.find(({ kind }) => kind === "span")).toMatchObject({
      name: "work",
      status: "lost",
    });
  });
});

describe("the last words of a process", () => {
  test.each([
    ["throws when it is loaded", "throw new Error('at load')", 1],
    ["leaves a rejection to nobody", "void Promise.reject(new Error('rejected'))", 1],
    ["exits at once", "process.exit(3)", 3],
    ["has nothing to do", "", 0],
  ])("are there when it %s", async (_what, end, exitCode) => {
    await using host = new TestHost();
    const path = join(host.folder, "program.ts");
    await Bun.write(
      path,
      `import { MicroView } from ${JSON.stringify(join(ROOT, "src/client"))};
      const mv = new MicroView({ app: "shop", service: "auth" });
      mv.log.fatal("last words");
      mv.span("open").begin();
      ${end};`,
    );
    const env = surroundings({ MICROVIEW_POOL_DIR: host.poolDir });
    const child = host.own(
      Bun.spawn([process.execPath, path], { env, stdin: "ignore", stderr: "ignore" }),
    );
    expect(await child.exited).toBe(exitCode);
    expect(follower(host).next()).toMatchObject([
      { kind: "log", level: "fatal", message: "last words" },
      { kind: "span", name: "open", status: "lost" },
    ]);
  });
});

describe("an agent", () => {
  test("keeps the newest events of a ring, so that nothing is refused for long", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client({ poolDir: host.poolDir });
    let n = 0;
    await until("there were more than a ring holds", async () => {
      for (let i = 0; i < 500; i++) mv.log.error("a line", { n: n++ });
      await Bun.sleep(1);
      return n > 40_000;
    });
    await until("room was made", () => {
      mv.log.info("not the worst");
      return follower(host)
        .next()
        .some((row) => row.kind === "log" && row.level === "info");
    });
    const numbers = numbersOf(follower(host).next());
    expect(numbers[0]).toBeGreaterThan(0);
    expect(numbers.at(-1)!).toBeGreaterThan(30_000);
  });

  test("that comes after the first event is attached to as ever", async () => {
    await using host = new TestHost();
    const mv = host.client();
    const other = host.client({ poolDir: host.poolDir });
    other.log.info("before any agent");
    await host.agent();
    other.counter("requests_total").inc();
    mv.counter("requests_total").inc();
    expect((await other.ready).attached).toBe(true);
    expect((await mv.ready).attached).toBe(true);
    await host.shows(2, "requests_total");
    expect(follower(host).next()).toMatchObject([{ message: "before any agent" }]);
  });

  test("is the only one that keeps a ring, until it ends", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const position = () => {
      const file = SharedFile.open(ringsOf(host)[0]!, false);
      const head = new DataView(file.head(12_288).buffer).getUint32(8192, true);
      file.close();
      return head;
    };
    const [first, second] = [new RingKeeper(host.poolDir), new RingKeeper(host.poolDir)];
    const fill = () => {
      for (let i = 0; i < 20_000; i++) mv.log.error("a line that is not so short", { i });
    };
    fill();
    first.round();
    const kept = position();
    expect(kept).toBeGreaterThan(0);
    fill();
    second.round();
    expect(position()).toBe(kept);
    first.close();
    const third = new RingKeeper(host.poolDir);
    third.round();
    expect(position()).toBeGreaterThan(kept);
    for (const each of [second, third]) each.close();
  });
});

describe("a reader that is slower than whoever ships", () => {
  test("misses nothing until the writer comes there again, and says what it misses then", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    const following = follower(host);
    let n = 0;
    const record = (lines: number) => {
      for (let i = 0; i < lines; i++) mv.log.error("a line that is not so short", { n: n++ });
    };
    record(1);
    expect(following.next()).toHaveLength(1);
    const ring = OpenRing.open(ringsOf(host)[0]!, { uids: ownUids() }, true);
    host.onEnd(() => ring.close());
    const lease = Lease.take(ring)!;
    const ship = () => {
      lease.storeTotal(lease.total + lease.news, undefined);
      lease.storePosition(lease.total);
    };
    for (let i = 0; i < 50; i++) {
      record(100);
      ship();
    }
    const rows = following.next();
    expect(rows.map(({ kind }) => kind)).toEqual(new Array(5000).fill("log"));
    for (let i = 0; i < 300; i++) {
      record(100);
      ship();
    }
    record(10);
    const later = following.next();
    expect(later.map(({ kind }) => kind)).toEqual(["missed", ...new Array(10).fill("log")]);
  });
});

describe("a ring that is cut short", () => {
  test("ends neither who keeps it nor who reads it, and both say so once and go on with others", async () => {
    await using host = new TestHost();
    const [cut, whole] = [
      host.client({ poolDir: host.poolDir, app: "cut" }),
      host.client({ poolDir: host.poolDir, app: "whole" }),
    ];
    cut.log.info("before");
    whole.log.info("before");
    const said: string[] = [];
    const say = (path: string, reason: string) => said.push(`${path}: ${reason}`);
    const keeper = new RingKeeper(host.poolDir, say);
    const following = follower(host, { onUnreadable: say });
    keeper.round();
    expect(
      following
        .next()
        .map(({ app }) => app)
        .sort(),
    ).toEqual(["cut", "whole"]);
    const [path] = ringsOf(host, "cut");
    truncateSync(path!, 4096);
    whole.log.info("after");
    for (let round = 0; round < 3; round++) keeper.round();
    const rows = [following.next(), following.next()].flat();
    expect(rows).toMatchObject([{ app: "whole", message: "after" }]);
    expect(said).toEqual([
      expect.stringContaining("was cut to 4096 of"),
      expect.stringContaining("was cut to 4096 of"),
    ]);
    keeper.close();
  });
});

describe("files of rings", () => {
  test("belong to the user alone, and are made by the first event", async () => {
    await using host = new TestHost();
    const mv = host.client({ poolDir: host.poolDir });
    mv.counter("requests_total").inc();
    expect(existsSync(join(host.poolDir, "shop"))).toBe(false);
    mv.log.info("first");
    const [path] = ringsOf(host);
    expect(statSync(path!).mode & 0o777).toBe(0o600);
  });

  test("of ended writers make room for new ones, the oldest first; those of living ones stay", async () => {
    await using host = new TestHost();
    const alive = host.client({ poolDir: host.poolDir });
    alive.log.info("alive");
    const [living] = ringsOf(host);
    const old = new Date(Date.now() - 3_600_000);
    utimesSync(living!, old, old);
    const ended = Array.from({ length: RINGS_PER_APP - 1 }, (_, i) => {
      const path = join(host.poolDir, "shop", `events.${String(i).padStart(16, "0")}`);
      writeFileSync(path, "");
      const at = new Date(Date.now() - 100_000 + i * 1000);
      utimesSync(path, at, at);
      return path;
    });
    host.client({ poolDir: host.poolDir, service: "other" }).log.info("new");
    expect(existsSync(living!)).toBe(true);
    expect(ended.filter((path) => !existsSync(path))).toEqual([ended[0]!]);
    expect(host.warnings).toEqual([]);
  });

  test("that cannot be made are told once, and the service goes on", async () => {
    await using host = new TestHost();
    writeFileSync(join(host.poolDir, "shop"), "no folder");
    const mv = host.client({ poolDir: host.poolDir });
    for (let i = 0; i < 40_000; i++) mv.log.error("lost", { i });
    mv.span("lost").run(() => mv.measure("lost").record(1));
    expect(host.warnings.map(({ code }) => code)).toEqual(["no-ring"]);
  });

  test("that are none are told once, and left alone", async () => {
    await using host = new TestHost();
    mkdirSync(join(host.poolDir, "shop"));
    writeFileSync(join(host.poolDir, "shop/events.0123456789abcdef"), new Uint8Array(5000));
    const told: string[] = [];
    const following = follower(host, { onUnreadable: (_path, reason) => told.push(reason) });
    for (let i = 0; i < 100; i++) following.next();
    expect(told).toEqual(["it is no ring of events"]);
  });
});

test("a span has the name that it was given last", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  mv.span("GET").begin().rename("GET /orders/:id").end();
  expect(follower(host).next()).toMatchObject([{ kind: "span", name: "GET /orders/:id" }]);
});
