// `microview agent --otlp`: what a receiver gets of a host's services, while they live and when they go.

import { expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { poolPath } from "../../src/layout/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

const FAST = ["--otlp-interval", "20ms"];

function points(receiver: OtlpReceiver, name: string, app = "shop") {
  return receiver.metrics
    .filter((each) => each.name === name && each.resource["service.namespace"] === app)
    .flatMap((each) => each.points);
}

test("agent --otlp pushes every application, its own too, and what is left at its end", async () => {
  await using host = new TestHost();
  await using receiver = new OtlpReceiver();
  const agent = await host.agentProcess("--otlp", receiver.url, ...FAST);
  const [shop, bank] = [host.client(), host.client({ app: "bank", service: "ledger" })];
  const requests = shop.counter("requests_total");
  requests.inc(3);
  bank.gauge("open").set(2);
  await Promise.all([shop.ready, bank.ready]);
  const last = (name: string, app?: string) => points(receiver, name, app).at(-1)?.asDouble;
  await until("both are pushed", () => {
    return last("requests_total") === 3 && last("open", "bank") === 2;
  });
  await until("what was pushed is told", () => {
    return (last("microview_agent_push_samples_total", "microview") ?? 0) > 0;
  });
  const one = receiver.metrics.find(({ name }) => name === "requests_total");
  expect(one?.resource).toMatchObject({
    "service.name": "auth",
    "service.namespace": "shop",
    "service.instance.id": hostname(),
    "host.name": hostname(),
  });
  requests.inc(4);
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(last("requests_total")).toBe(7);
  expect(agent.find("pushing has ended")?.["summary"]).toContain("by OTLP");
});

test("agent --otlp has one resource and one start for a sum, whatever processes and agents come and go", async () => {
  await using host = new TestHost();
  await using receiver = new OtlpReceiver();
  const all = ["--otlp", receiver.url, ...FAST, "--process-metrics", "100ms"];
  const code = `
    import { MicroView } from ${JSON.stringify(join(ROOT, "src/client/index.ts"))};
    const mv = new MicroView(${JSON.stringify({ app: "shop", service: "auth", socket: host.socketPath, poolDir: host.poolDir })});
    mv.counter("requests_total").inc(10);
    await mv.ready;
    setInterval(() => {}, 1000);`;
  const agents = [await host.agentProcess(...all)];
  for (let total = 10; total <= 40; total += 10) {
    const child = host.own(Bun.spawn([process.execPath, "-e", code], { stdin: "ignore" }));
    await until(`${total} are pushed`, () => {
      return points(receiver, "requests_total").at(-1)?.asDouble === total;
    });
    // It is sampled, and so known who it is, before it is killed.
    const from = receiver.metrics.length;
    await until("its process is known", () =>
      receiver.metrics
        .slice(from)
        .some(({ name, points }) => name === "microview_processes" && points[0]?.asDouble === 1),
    );
    child.kill("SIGKILL");
    await child.exited;
    if (total !== 20) continue;
    await agents[0]!.end("SIGKILL");
    agents.push(await host.agentProcess(...all));
  }
  const sums = receiver.metrics.filter(({ name }) => name === "requests_total");
  expect(new Set(sums.map(({ resource }) => JSON.stringify(resource))).size).toBe(1);
  expect(sums[0]!.resource).toEqual({
    "service.name": "auth",
    "service.namespace": "shop",
    "service.instance.id": hostname(),
    "host.name": hostname(),
  });
  const every = sums.flatMap((each) => each.points);
  expect(new Set(every.map(({ startTimeUnixNano }) => startTimeUnixNano)).size).toBe(1);
  const values = every.map(({ asDouble = 0 }) => asDouble);
  expect(values).toEqual(values.toSorted((a, b) => a - b));
  expect(every.filter(({ flags }) => flags === 1)).toEqual([]);
});

test("agent --otlp says that an application's series have ended when its pool has gone", async () => {
  await using host = new TestHost();
  await using receiver = new OtlpReceiver();
  await host.agentProcess("--otlp", receiver.url, ...FAST);
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  await until("it is pushed", () => points(receiver, "requests_total").length > 0);
  await mv.close();
  truncateSync(poolPath("shop", host.poolDir), 4096);
  await until("it has ended", () => points(receiver, "requests_total").at(-1)?.flags === 1);
});

test("an agent whose receiver is away goes on, counts what it drops, and ends in time", async () => {
  await using host = new TestHost();
  const agent = await host.agentProcess("--otlp", "http://127.0.0.1:1", ...FAST);
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  await until("it waits", async () => {
    const text = await (await fetch(`http://127.0.0.1:${agent.port}/metrics`)).text();
    return /microview_agent_push_waiting_samples\{[^}]*\} [1-9]/.test(text);
  });
  expect(await agent.end("SIGTERM")).toBe(0);
  const warned = agent.log.filter(({ level }) => level === "warn").map(({ message }) => message);
  expect(warned.filter((message) => message.startsWith("the receiver"))).toEqual([
    expect.stringContaining("kept and tried again: nobody listens there"),
  ]);
  expect(agent.find("pushing has ended")?.["summary"]).toMatch(/data points lost [1-9]/);
});

test.each([
  [["--otlp-format", "json"], {}, "--otlp-format needs --otlp"],
  [["--otlp", "http://x", "--otlp-client-cert", "/c"], {}, "are given together"],
  [["--otlp", "env"], {}, "the environment names no receiver"],
  [
    ["--otlp", "env"],
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://x", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    "OTEL_EXPORTER_OTLP_PROTOCOL asks for gRPC",
  ],
] as const)("agent %j with %j is refused, and says why", async (flags, environment, reason) => {
  await using host = new TestHost();
  const socket = ["--socket", join(host.folder, "agent.sock"), "--pool-dir", host.poolDir];
  const { exitCode, stderr } = await runCli(["agent", ...socket, ...flags], environment);
  expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(reason) });
});
