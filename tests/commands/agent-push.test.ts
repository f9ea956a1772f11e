// `microview agent --otlp`: what a receiver gets of a host's services, while they live and when they go.

import { expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { poolPath } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
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

test("agent --otlp says which process a service's only one is, as soon as it has looked", async () => {
  await using host = new TestHost();
  await using receiver = new OtlpReceiver();
  const all = ["--otlp", receiver.url, ...FAST, "--process-metrics", "100ms"];
  await host.agentProcess(...all);
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  await until("it is said", () => {
    const last = receiver.metrics.findLast(({ name }) => name === "requests_total");
    return last?.resource["process.pid"] === String(process.pid);
  });
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
  expect(agent.log.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
    expect.stringContaining("kept and tried again: nothing listens there"),
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
    "OTEL_EXPORTER_OTLP_PROTOCOL names what is not spoken",
  ],
] as const)("agent %j with %j is refused, and says why", async (flags, environment, reason) => {
  await using host = new TestHost();
  const socket = ["--socket", join(host.folder, "agent.sock"), "--pool-dir", host.poolDir];
  const { exitCode, stderr } = await runCli(["agent", ...socket, ...flags], environment);
  expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(reason) });
});
