// Collectors that look where nothing is: they say so once, with the places, look again, and say when they have found it.

import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { CollectorEvent, CollectorOptions } from "../../src/collector/index.ts";
import { collect } from "../support/collecting.ts";
import { CLI, ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

/** A name that no pool of this machine has. */
function ownApp(): string {
  return `app-${crypto.randomUUID().slice(0, 13)}`;
}

function only(app: string): Pick<CollectorOptions, "filter"> {
  return { filter: { apps: [app], services: [], metrics: [] } };
}

/** Messages of a kind. */
function said(events: readonly CollectorEvent[], kind: CollectorEvent["kind"]): string[] {
  return events.filter((event) => event.kind === kind).map(({ message }) => message);
}

async function counting(host: TestHost, app: string, value: number): Promise<void> {
  const mv = host.client({ app });
  mv.counter("requests_total").inc(value);
  await mv.ready;
}

async function eachChunk(stream: ReadableStream<Uint8Array>, take: (text: string) => void) {
  for await (const bytes of stream) take(new TextDecoder().decode(bytes));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await until("it listens", () => server.listening);
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("an agent that comes later, with pools elsewhere, is found", async () => {
  await using host = new TestHost();
  const app = ownApp();
  const { events, latest } = collect(host, only(app));
  await until("it has said where it looks", () => said(events, "empty").length > 0);
  expect(said(events, "agentless")).toEqual([
    `no agent answers at ${host.socketPath}: there is no such file; the pools in /dev/shm are read without one`,
  ]);
  expect(said(events, "empty")).toEqual([
    `there is no application that matches ${app} in /dev/shm, nor an agent at ${host.socketPath}; it is read when it comes`,
  ]);
  await host.agent();
  await counting(host, app, 3);
  await until("it is read", () => latest.get(`local ${app} auth requests_total{}`) === 3);
  expect(said(events, "away")).toEqual([
    `the agent at ${host.socketPath} keeps its pools in ${host.poolDir}`,
  ]);
  expect(said(events, "found")).toEqual([
    `${app} is read by mmap, from ${host.poolDir}, where the agent at ${host.socketPath} keeps its pools`,
  ]);
});

test("an agent that comes back with its pools elsewhere is followed", async () => {
  // Made first, so that it is removed last: an agent that runs puts its pools back.
  await using moved = new TestHost();
  await using host = new TestHost();
  const app = ownApp();
  const first = await host.agent();
  await counting(host, app, 3);
  const { events, latest } = collect(host, only(app));
  await until("it is read", () => latest.get(`local ${app} auth requests_total{}`) === 3);
  await first.stop();
  await host.agent({ poolDir: moved.poolDir });
  await counting(host, app, 4);
  await until(
    "the others are read",
    () => (latest.get(`local ${app} auth requests_total{}`) ?? 0) > 3,
  );
  expect(said(events, "away")).toEqual([
    `the agent at ${host.socketPath} keeps its pools in ${moved.poolDir}`,
  ]);
});

test("a port at which nothing listens is named, and an agent that comes there is found", async () => {
  await using host = new TestHost();
  const app = ownApp();
  const port = await freePort();
  const targets = [{ host: "127.0.0.1", port }];
  const { events, latest } = collect(host, { ...only(app), targets, transport: "tcp" });
  await until("it has said so", () => said(events, "away").length > 0);
  await host.agent({ port });
  await counting(host, app, 3);
  const name = `127.0.0.1:${port}`;
  await until("it is read", () => latest.get(`${name} ${app} auth requests_total{}`) === 3);
  expect(said(events, "away")).toEqual([
    expect.stringContaining(`no agent answers at ${name}: nobody listens there`),
  ]);
  expect(said(events, "found")).toEqual([`${app} is read by tcp, from the agent at ${name}`]);
});

test("a folder of pools that is not there yet is named, and read when it is", async () => {
  await using host = new TestHost();
  const app = ownApp();
  const poolDir = join(host.poolDir, "later");
  const { events, latest } = collect(host, { ...only(app), targets: [{ poolDir }] });
  await until("it has said so", () => said(events, "away").length > 0);
  mkdirSync(poolDir);
  await until("it says what is missing now", () => said(events, "empty").length > 0);
  await host.agent({ poolDir });
  await counting(host, app, 3);
  await until("it is read", () => latest.get(`local ${app} auth requests_total{}`) === 3);
  expect(said(events, "away")).toEqual([
    `there are no pools in ${poolDir}: there is no such folder`,
  ]);
  expect(said(events, "empty")).toEqual([
    `there is no application that matches ${app} in ${poolDir}; it is read when it comes`,
  ]);
  expect(said(events, "found")).toEqual([`${app} is read by mmap, from ${poolDir}`]);
});

test.each(["mmap", "tcp"] as const)(
  "by %s, an application that comes later is found",
  async (transport) => {
    await using host = new TestHost();
    await host.agent();
    const app = ownApp();
    const { events, latest } = collect(host, { ...only(app), transport });
    await until("it has said what is missing", () => said(events, "empty").length > 0);
    await counting(host, app, 3);
    await until("it is read", () => latest.get(`local ${app} auth requests_total{}`) === 3);
    expect(said(events, "empty")).toHaveLength(1);
    expect(said(events, "found")).toHaveLength(1);
    expect(said(events, "away")).toEqual([]);
  },
);

test("a program without onEvent gets events on stderr", async () => {
  await using host = new TestHost();
  const port = await freePort();
  const program = `
    import { Collector } from "./src/collector/index.ts";
    const targets = [{ host: "127.0.0.1", port: ${port} }];
    const collector = new Collector({ targets, intervalMs: 10, onSnapshot() {} });
    collector.start();
    setTimeout(() => collector.stop(), 1500);
  `;
  const child = host.own(
    Bun.spawn([process.execPath, "-e", program], { cwd: ROOT, stderr: "pipe", stdout: "ignore" }),
  );
  const text = await new Response(child.stderr).text();
  expect(text.split("\n")).toEqual([
    expect.stringContaining(
      `microview: 127.0.0.1:${port}: no agent answers at 127.0.0.1:${port}: nobody listens there`,
    ),
    "",
  ]);
});

test("`microview collect` says once where it looks, and records the agent that comes later", async () => {
  await using host = new TestHost();
  const app = ownApp();
  const child = host.own(
    Bun.spawn([process.execPath, CLI, "collect", "--interval", "20ms", "--app", app], {
      env: surroundings({ MICROVIEW_SOCKET: host.socketPath }),
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  let [out, errors] = ["", ""];
  const reading = [
    eachChunk(child.stdout, (text) => {
      out += text;
    }),
    eachChunk(child.stderr, (text) => {
      errors += text;
    }),
  ];
  await until("it has said where it looks", () => errors.includes("nor an agent at"));
  await host.agent();
  await counting(host, app, 3);
  await until("it is read", () => out.includes('"requests_total"'));
  child.kill("SIGINT");
  await Promise.all(reading);
  for (const text of [
    `no agent answers at ${host.socketPath}`,
    `in /dev/shm, nor an agent at ${host.socketPath}`,
    `keeps its pools in ${host.poolDir}`,
    `local: ${app} is read by mmap, from ${host.poolDir}`,
  ]) {
    expect([text, errors.split(text).length - 1]).toEqual([text, 1]);
  }
});

test("an agent that is named twice, by one name or by two, is an error that says so, and counted once", async () => {
  await using host = new TestHost();
  const app = ownApp();
  const agent = await host.agent();
  await counting(host, app, 3);
  const collecting = (...args: string[]) =>
    host.own(
      Bun.spawn([process.execPath, CLI, "collect", ...args, "--app", app, "--once"], {
        cwd: ROOT,
        env: surroundings(),
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      }),
    );
  const same = collecting(`localhost:${agent.port}`, `http://localhost:${agent.port}`);
  expect(await new Response(same.stderr).text()).toMatch(
    new RegExp(`the agent localhost:${agent.port} is named twice`),
  );
  expect(await same.exited).toBe(2);

  const other = collecting(`localhost:${agent.port}`, `127.0.0.1:${agent.port}`);
  expect(await new Response(other.stderr).text()).toMatch(
    /it is the agent that is read as (localhost|127\.0\.0\.1):\d+: name it once/,
  );
  expect(await other.exited).toBe(1);

  const target = { host: "localhost", port: agent.port };
  expect(() => collect(host, { targets: [target, { ...target }] })).toThrow(RangeError);
});
