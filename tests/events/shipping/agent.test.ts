// An agent with --lake: what services record arrives there, once, whoever dies meanwhile.

import { expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AgentOptions } from "../../../src/agent/agent.ts";
import { SharedFile } from "../../../src/ffi/index.ts";
import { type DecodedBlock, ringGeometry, UNKNOWN_IDENTITY } from "../../../src/layout/index.ts";
import { textAt } from "../../support/blocks.ts";
import { ROOT, TestHost } from "../../support/host.ts";
import { containerId, FakeKubernetes, recordedPod } from "../../support/kubernetes.ts";
import { asNobody, nobodyUid } from "../../support/permissions.ts";
import { surroundings } from "../../support/surroundings.ts";
import { until } from "../../support/wait.ts";
import { LakeStandIn } from "./stand-in.ts";

function shippingTo(lake: LakeStandIn, host: TestHost): NonNullable<AgentOptions["shipping"]> {
  return {
    lake: lake.url,
    spool: join(host.folder, "spool"),
    spoolBytes: 64 << 20,
    spoolAgeMs: 3_600_000,
    host: "here",
    isForAll: false,
    backoffMs: { first: 5, last: 50 },
  };
}

function counted(to: number): number[] {
  return Array.from({ length: to }, (_, n) => n);
}

test("logs, measures and spans arrive, with who has recorded them", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const mv = host.client({ poolDir: host.poolDir });
  mv.log.info("before any agent", { n: 0 });
  await host.agent({ shipping: shippingTo(lake, host) });
  mv.measure("latency", "seconds").record(0.25);
  const query = mv.span("query");
  query.run(() => mv.log.error("no answer", { n: 1 }));
  const open = query.begin();
  await until("all has arrived", () => lake.numbers().length === 2);
  expect(lake.logs()).toMatchObject([
    { app: "shop", service: "auth", pid: process.pid, level: "info", message: "before any agent" },
    { level: "error", message: "no answer", properties: { n: 1 } },
  ]);
  open.end();
  await until("the end of the span too", () =>
    [...lake.blocks.values()].some(({ closes }) => closes.rows === 1),
  );
  const blocks = [...lake.streams().values()][0]!;
  const rows = (table: "measures" | "spans" | "opens" | "closes") =>
    blocks.reduce((sum, block) => sum + block[table].rows, 0);
  expect([rows("measures"), rows("spans"), rows("opens"), rows("closes")]).toEqual([1, 1, 1, 1]);
  const { spans } = blocks.find((block) => block.spans.rows === 1)!;
  expect(textAt(spans.name, 0)).toBe("query");
  // Each block goes on where the one before has ended.
  for (const [i, { header }] of blocks.entries()) {
    expect(header.first).toBe(i === 0 ? 0 : blocks[i - 1]!.header.end);
  }
});

test("a ring whose writer has ended is drained, ended by a last block, and removed when the lake has it", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  let isAway = true;
  lake.fate = () => (isAway ? new Response("", { status: 503 }) : undefined);
  await host.agent({ shipping: shippingTo(lake, host) });
  const mv = host.client({ poolDir: host.poolDir });
  for (const n of counted(100)) mv.log.warn("a line", { n });
  await mv.close();
  const rings = () =>
    readdirSync(join(host.poolDir, "shop")).filter((name) => name.startsWith("events."));
  await until("the lake was asked", () => lake.requests > 3);
  expect(rings()).toHaveLength(1);
  isAway = false;
  await until("the ring is gone", () => rings().length === 0);
  expect(lake.numbers()).toEqual(counted(100));
  const [blocks] = lake.streams().values();
  expect(blocks!.map(({ header }) => header.isFinal)).toEqual([
    ...new Array(blocks!.length - 1).fill(false),
    true,
  ]);
});

test.skipIf(asNobody === undefined || process.getuid?.() !== 0)(
  "root's agent ships rings of all users and says whose they are; another one's own alone",
  async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const program = join(host.folder, "program.ts");
    await Bun.write(
      program,
      `import { MicroView } from ${JSON.stringify(join(ROOT, "src/client"))};
      const mv = new MicroView({ app: "bank", service: "ledger" });
      mv.log.info("by nobody", { n: 0 });`,
    );
    for (const folder of [host.folder, host.poolDir]) chmodSync(folder, 0o755);
    mkdirSync(join(host.poolDir, "bank"));
    chownSync(join(host.poolDir, "bank"), nobodyUid, nobodyUid);
    const service = Bun.spawn([...asNobody!, process.execPath, program], {
      env: surroundings({ MICROVIEW_POOL_DIR: host.poolDir }),
      stderr: "ignore",
    });
    expect(await service.exited).toBe(0);
    host.client({ poolDir: host.poolDir }).log.info("by root", { n: 1 });
    const own = shippingTo(lake, host);
    const first = await host.agent({ shipping: own });
    await until("root's has arrived", () => lake.numbers().length === 1);
    await first.stop();
    expect(lake.logs()).toMatchObject([{ app: "shop", user: "root" }]);
    await host.agent({ shipping: { ...own, isForAll: true } });
    await until("the other has arrived", () => lake.numbers().length === 2);
    expect(lake.logs().find(({ app }) => app === "bank")).toMatchObject({
      user: "nobody",
      message: "by nobody",
    });
  },
);

test("rows have the container and the pod of who has recorded, and the agent counts what it ships", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  await using server = new FakeKubernetes();
  const pod = recordedPod("auth-7d9f8c6b54-x2x7q");
  await host.agent({
    processIntervalMs: 1000,
    identityOf: () => ({
      ...UNKNOWN_IDENTITY,
      runtime: "containerd",
      containerId: containerId(pod, "auth"),
      podUid: pod.metadata.uid,
    }),
    kubernetes: { access: server.access, nodeName: "node-1" },
    shipping: shippingTo(lake, host),
  });
  const mv = host.client({ poolDir: host.poolDir });
  mv.log.info("a line", { n: 0 });
  await until("it has arrived", () => lake.numbers().length === 1);
  const [{ header }] = [...lake.blocks.values()] as [DecodedBlock];
  expect(header.process).toMatchObject({
    container: containerId(pod, "auth"),
    pod: pod.metadata.name,
    namespace: "shop",
  });
  await host.shows(1, "microview_agent_events_shipped_total", {
    app: "microview",
    service: "agent",
  });
});

test("a service that was not told the agent's pool directory learns it from the agent, and loses nothing of before", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const app = `learns-${process.pid}`;
  const inShm = () => readdirSync("/dev/shm").filter((name) => name.includes(`events.${app}.`));
  const mv = host.client({ app });
  for (const n of counted(10)) mv.log.info("before any agent", { n });
  const span = mv.span("query").begin();
  expect(inShm()).toHaveLength(1);
  await host.agent({ shipping: shippingTo(lake, host) });
  await until("what was recorded before has arrived", () => lake.numbers().length === 10);
  expect(inShm()).toEqual([]);
  span.end();
  for (const n of counted(10)) mv.log.info("after", { n: 10 + n });
  await until("what was recorded after, too", () => lake.numbers().length === 20);
  expect(lake.numbers()).toEqual(counted(20));
  expect(lake.streams().size).toBe(1);
  expect(host.warnings).toEqual([]);
  await mv.close();
});

test("a ring stays where it is while somebody ships it there", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const app = `stays-${process.pid}`;
  const inShm = () => readdirSync("/dev/shm").filter((name) => name.includes(`events.${app}.`));
  const mv = host.client({ app });
  mv.log.info("a line", { n: 0 });
  const [name] = inShm();
  const path = join("/dev/shm", name!);
  host.onEnd(() => rmSync(path, { force: true }));
  const shipped = SharedFile.open(path, true);
  host.onEnd(() => shipped.close());
  expect(shipped.lock(ringGeometry().shipperOffset, 8)).toBe(true);
  await host.agent({ shipping: shippingTo(lake, host) });
  await mv.ready;
  expect(mv.attached).toBe(true);
  expect(inShm()).toEqual([name!]);
});

test("an empty MICROVIEW_POOL_DIR is none", async () => {
  await using host = new TestHost();
  const before = process.env["MICROVIEW_POOL_DIR"];
  process.env["MICROVIEW_POOL_DIR"] = "";
  try {
    const mv = host.client();
    await host.agent();
    await mv.ready;
    expect(mv.attached).toBe(true);
  } finally {
    if (before === undefined) delete process.env["MICROVIEW_POOL_DIR"];
    else process.env["MICROVIEW_POOL_DIR"] = before;
  }
});

test("services of one program are processes of their own, and threads of one service are one", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  await host.agent({ shipping: shippingTo(lake, host) });
  const record = (service: string, n: number) =>
    host.client({ poolDir: host.poolDir, service }).log.info("a line", { n });
  record("auth", 0);
  record("cart", 1);
  // Another ring of the same service, as a Worker has one.
  record("auth", 2);
  await until("all has arrived", () => lake.numbers().length === 3);
  const headers = [...lake.streams().values()].map(([block]) => block!.header);
  const idsOf = (wanted: string) =>
    headers.flatMap(({ process: { service, processId } }) =>
      service === wanted ? [processId] : [],
    );
  expect(idsOf("auth")).toHaveLength(2);
  expect(new Set(idsOf("auth")).size).toBe(1);
  expect(idsOf("cart")).toHaveLength(1);
  expect(idsOf("auth")).not.toContain(idsOf("cart")[0]!);
});

test("an agent whose token the lake does not take says so in /health, and is fit to go on", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  let isDenied = true;
  lake.fate = () => (isDenied ? new Response("", { status: 401 }) : undefined);
  const agent = await host.agent({ shipping: shippingTo(lake, host) });
  const url = `http://127.0.0.1:${agent.port}`;
  const problems = async () => {
    const answer = (await (await fetch(`${url}/health`)).json()) as { problems: unknown[] };
    return answer.problems;
  };
  host.client({ poolDir: host.poolDir }).log.info("a line", { n: 0 });
  await until("it is shown", async () => (await problems()).length > 0);
  expect(await problems()).toMatchObject([
    {
      message: expect.stringContaining("lets this token bring nothing: 401"),
      hint: expect.stringContaining("--lake-token-file"),
    },
  ]);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  isDenied = false;
  await until("it is over", async () => (await problems()).length === 0);
  expect(lake.numbers()).toEqual([0]);
});
