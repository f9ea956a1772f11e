// A collector over TCP that has nothing to ask for at the moment: it still sees what comes and what goes.

import { expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, renameSync, rmSync } from "node:fs";
import {
  Collector,
  type CollectorEvent,
  type CollectorOptions,
} from "../../src/collector/index.ts";
import { TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

/** Starts a collector of the application shop; tells its events and how many snapshots it took. */
function collect(host: TestHost, options: Partial<CollectorOptions> = {}) {
  const events: CollectorEvent["kind"][] = [];
  const told = { events, snapshots: 0 };
  const collector = new Collector({
    targets: [{ socketPath: host.socketPath }],
    transport: "tcp",
    intervalMs: 10,
    filter: { apps: ["shop"], services: [], metrics: [] },
    onSnapshot: () => told.snapshots++,
    onEvent: ({ kind }) => events.push(kind),
    ...options,
  });
  collector.start();
  host.onEnd(() => collector.stop());
  return told;
}

test("an application that comes after its collector is read", async () => {
  await using host = new TestHost();
  await host.agent();
  const told = collect(host);
  await until("it is connected", () => told.events.includes("connected"));
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  await until("it is read", () => told.snapshots > 0);
});

test("an agent that dies is noticed while none of its applications is wanted", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess();
  const told = collect(host);
  await until("it is connected", () => told.events.includes("connected"));
  await agent.end("SIGKILL");
  await until("it is away", () => told.events.includes("away"), 5_000);
});

test("an agent that dies is noticed between two deadlines", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess();
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  const told = collect(host, { intervalMs: 60_000 });
  await until("it has read once", () => told.snapshots === 1);
  await agent.end("SIGKILL");
  await until("it is away", () => told.events.includes("away"), 5_000);
  expect(told.snapshots).toBe(1);
});

test("an application that ended and is there again has a gap that says so, and missed no deadline meanwhile", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess();
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  await mv.close();
  await agent.end("SIGTERM");
  const said: { missed: number; gap: string | undefined }[] = [];
  const told = collect(host, {
    targets: [{ socketPath: host.socketPath, poolDir: host.poolDir }],
    transport: "mmap",
    onSnapshot: ({ missed, gap }) => said.push({ missed, gap }),
  });
  await until("it is read", () => said.length > 0);
  expect(said[0]).toEqual({ missed: 0, gap: undefined });
  const pool = `${host.poolDir}/shop/pool`;
  renameSync(pool, `${host.poolDir}/kept`);
  await until("it has ended", () => told.events.includes("gone"));
  const before = said.length;
  await Bun.sleep(300);
  expect(said).toHaveLength(before);
  copyFileSync(`${host.poolDir}/kept`, pool);
  await until("it is read again", () => said.length > before);
  expect(said[before]).toEqual({
    missed: 0,
    gap: "the application had ended: its pool is a new one",
  });
  await until("that is told", () => told.events.at(-1) === "found");
});

test("an application that ended while its agent was away is told of once, and has that gap when it comes again", async () => {
  await using host = new TestHost();
  const first = await host.agentProcess();
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  const gone: (string | undefined)[] = [];
  const connected: unknown[] = [];
  const said: { missed: number; gap: string | undefined }[] = [];
  collect(host, {
    onSnapshot: ({ missed, gap }) => said.push({ missed, gap }),
    onEvent: ({ kind, app, apps }) => {
      if (kind === "gone") gone.push(app);
      if (kind === "connected") connected.push(apps);
    },
  });
  await until("it is read", () => said.length > 0);
  await first.end("SIGKILL");
  await mv.close();
  rmSync(`${host.poolDir}/shop`, { recursive: true });
  for (const round of [2, 3]) {
    const agent = await host.agentProcess();
    await until("it is connected", () => connected.length === round);
    if (round === 2) await agent.end("SIGKILL");
  }
  expect(gone).toEqual(["shop"]);
  const before = said.length;
  host.client().counter("requests_total").inc();
  await until("it is read again", () => said.length > before);
  expect(said[before]).toEqual({
    missed: 0,
    gap: "the application had ended: its pool is a new one",
  });
});
