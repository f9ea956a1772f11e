// What the agent notes about calls may fail; the calls do not.

import { expect, test } from "bun:test";
import type { Agent } from "../../src/agent/agent.ts";
import { ErrorBoundary } from "../../src/agent/error-boundary.ts";
import { createLog } from "../../src/guard/index.ts";
import { TestHost } from "../support/host.ts";

/** What a few calls are answered, over TCP. */
async function answers(agent: Agent): Promise<number[]> {
  const base = `http://127.0.0.1:${agent.port}`;
  const asked = [
    fetch(`${base}/health`),
    fetch(`${base}/healthz`),
    fetch(`${base}/nowhere`),
    fetch(`${base}/v1/apps/shop/writers`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ service: "auth", pid: 1, threadId: 0 }),
    }),
  ];
  return Promise.all(asked.map(async (answer) => (await answer).status));
}

test("an agent that cannot count answers as it would, and says once that it does not count", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: 60_000, limits: { series: 3 } });
  const { add, set } = agent.metrics;
  const fail = () => {
    throw new Error("there is no counting");
  };
  Object.assign(agent.metrics, { add: fail, set: fail });
  expect(await answers(agent)).toEqual([200, 200, 404, 403]);
  const mv = host.client();
  const counters = Array.from({ length: 5 }, (_, i) => mv.counter(`c${i}_total`));
  for (const counter of counters) counter.inc();
  await mv.ready;
  expect(mv.attached).toBe(true);
  expect(host.view().value("auth", "c2_total")).toBe(1);
  expect(host.warnings.map(({ code }) => code)).toContain("series-full");
  const lines = (message: string) => host.log.filter((line) => line.message === message);
  expect(lines("what the agent does is not noted")).toMatchObject([
    { level: "error", what: "counts", reason: "there is no counting" },
  ]);
  agent.scan();
  expect(lines("a scan failed")).toMatchObject([{ reason: "there is no counting" }]);
  // Whoever was refused is told of as ever.
  expect(lines("a call was refused")).toMatchObject([{ code: "needs-register-scope" }]);
  expect(lines("a request failed")).toEqual([]);
  Object.assign(agent.metrics, { add, set });
  expect(await answers(agent)).toEqual([200, 200, 404, 403]);
  expect(lines("what the agent does is noted again")).toHaveLength(1);
});

test("a log that fails changes nothing either", () => {
  const boundary = new ErrorBoundary(
    createLog("debug", true, () => {
      throw new Error("the disk is full");
    }),
  );
  const noted: number[] = [];
  const note = boundary.safely("numbers", (number: number) => {
    noted.push(number);
    throw new Error("no");
  });
  note(1);
  note(2);
  expect(noted).toEqual([1, 2]);
});
