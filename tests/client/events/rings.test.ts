// The ring of a thread where there is no room for one, when its process forks, and when it has been closed.

import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { RINGS_PER_APP } from "../../../src/layout/index.ts";
import { ROOT, TestHost } from "../../support/host.ts";
import { canMount } from "../../support/permissions.ts";
import { readerOf } from "../../support/rings.ts";
import { surroundings } from "../../support/surroundings.ts";
import { until } from "../../support/wait.ts";
import { eventsOf, messagesOf, ringPath } from "./recorded.ts";

const canUnshare =
  canMount && Bun.spawnSync(["unshare", "--mount", "true"], { stderr: "ignore" }).success;
if (!canUnshare) console.warn("only root can mount: a test is skipped");

describe("a ring that cannot be made", () => {
  test("is made when it can be, and has what was recorded meanwhile, spans that are open among it", async () => {
    await using host = new TestHost();
    const folder = join(host.poolDir, "shop");
    writeFileSync(folder, "no folder");
    const mv = host.client({ poolDir: host.poolDir });
    const [latency, query] = [mv.measure("latency", "seconds"), mv.span("query")];
    for (let i = 0; i < 3; i++) mv.log.error("before", { i });
    latency.record(1);
    const span = query.begin();
    expect(host.warnings).toMatchObject([
      { code: "no-ring", message: expect.stringContaining("are kept in private memory") },
    ]);
    rmSync(folder);
    mkdirSync(folder);
    await until("the ring is there", () => messagesOf(host).length === 3);
    span.end();
    mv.log.error("before", { i: 3 });
    latency.record(2);
    const { spanId } = span.context;
    expect(eventsOf(host)).toMatchObject([
      ...[0, 1, 2].map((i) => ({ message: "before", properties: { i } })),
      { kind: "measure", name: "latency", value: 1 },
      { kind: "begin", name: "query", spanId },
      { kind: "end", spanId },
      { message: "before", properties: { i: 3 } },
      { kind: "measure", name: "latency", value: 2 },
    ]);
    expect(host.warnings).toHaveLength(1);
  });

  test("says how much did not fit meanwhile", async () => {
    await using host = new TestHost();
    const folder = join(host.poolDir, "shop");
    writeFileSync(folder, "no folder");
    const mv = host.client({ poolDir: host.poolDir });
    const query = mv.span("query");
    for (let i = 0; i < 30_000; i++) query.begin();
    rmSync(folder);
    mkdirSync(folder);
    const begun = await until("the ring is there", () => eventsOf(host).length || undefined);
    const { refusals } = readerOf(new Uint8Array(readFileSync(ringPath(host))));
    expect(refusals.spans).toBe(30_000 - begun);
  });

  test.skipIf(!canUnshare)("does so in a shared memory that is too small", async () => {
    const folder = mkdtempSync("/tmp/microview-small-");
    try {
      const program = join(ROOT, "tests/client/events/fixtures/small-memory.ts");
      const child = Bun.spawn(["unshare", "--mount", process.execPath, program, folder], {
        env: surroundings(),
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      const { warnings, before, after } = (await child.stdout.json()) as Record<string, string[]>;
      expect(warnings).toEqual([
        expect.stringMatching(
          /^no-ring events of shop\/three are kept in private memory.*[Nn]o space/,
        ),
      ]);
      expect(before!.sort()).toEqual(["from 0", "from 1"]);
      expect(after!.sort()).toEqual(["and later", "from 1", "from 2"]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

test("a child that was forked without another program records nothing: what it stores is its own", async () => {
  await using host = new TestHost();
  const library = join(host.folder, "forking.so");
  const source = join(ROOT, "tests/client/fixtures/forking.c");
  const compiler = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", library, source]);
  expect(compiler.stderr.toString()).toBe("");
  const { poolDir } = host;
  const parent = host.run("tests/client/events/fixtures/forking.ts", { poolDir, library });
  expect(await parent.exited).toBe(0);
  expect(eventsOf(host)).toMatchObject([{ message: "before" }, { message: "after" }]);
  expect(readerOf(new Uint8Array(readFileSync(ringPath(host)))).refusals.spans).toBe(0);
});

test("what is recorded after the client was closed is seen by nobody, and hurts nobody", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  const [log, latency, query] = [mv.log, mv.measure("latency"), mv.span("query")];
  const span = query.begin();
  await mv.close();
  for (let i = 0; i < 20_000; i++) log.error("late", { i });
  latency.record(1);
  span.end();
  query.run(() => {});
  expect(eventsOf(host).map(({ kind }) => kind)).toEqual(["begin"]);
});

test("a program that fails again and again, and quickly, leaves its last words each time, the oldest go", async () => {
  await using host = new TestHost();
  const { poolDir } = host;
  const child = host.run("tests/client/events/fixtures/thinned.ts", { poolDir });
  await child.exited;
  const ended = ringPath(host);
  const names = Array.from({ length: RINGS_PER_APP - 1 }, (_, i) => {
    const path = join(poolDir, "shop", `events.${String(i).padStart(16, "0")}`);
    copyFileSync(ended, path);
    const made = new Date(Date.now() - 2000 + i);
    utimesSync(path, made, made);
    return path;
  });
  host.client({ poolDir }).log.error("last words");
  expect(host.warnings).toEqual([]);
  expect(messagesOf(host)).toContain("last words");
  expect(names.filter((path) => !existsSync(path))).toEqual([names[0]!]);
});

test("one that is being made by another thread is none that has ended", async () => {
  await using host = new TestHost();
  const folder = join(host.poolDir, "shop");
  mkdirSync(folder);
  for (let i = 0; i < RINGS_PER_APP; i++) {
    writeFileSync(join(folder, `events.${String(i).padStart(16, "0")}`), "");
  }
  host.client({ poolDir: host.poolDir }).log.error("where?");
  expect(host.warnings).toMatchObject([{ code: "no-ring" }]);
  expect(readdirSync(folder)).toHaveLength(RINGS_PER_APP);
});
