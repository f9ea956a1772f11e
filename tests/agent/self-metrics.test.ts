// What the agent tells of applications that come and go.

import { expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** After so long an empty application is gone. */
const EMPTY_MS = 60_000;

test("nothing is told of an application that is gone, and names without end take no room without end", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ scanIntervalMs: 3_600_000 });
  const own = host.view("microview");
  const living = (app: string) =>
    own.value("agent", "microview_agent_writers", { app }) ?? Number.NaN;
  const series = () => own.value("agent", "microview_agent_series", { app: "microview" })!;
  agent.scan();
  agent.scan();
  const before = series();
  let most = 0;
  let nowMs = Date.now();
  for (let round = 0; round < 12; round++) {
    const names = Array.from({ length: 10 }, (_, i) => `job-${round}-${i}`);
    const clients = names.map((app) => host.client({ app }));
    for (const client of clients) client.gauge("g").set(1);
    await Promise.all(clients.map(({ ready }) => ready));
    agent.scan(nowMs);
    expect(names.map(living)).toEqual(names.map(() => 1));
    await Promise.all(clients.map((client) => client.close()));
    await until("all are gone", () => {
      nowMs += EMPTY_MS;
      agent.scan(nowMs);
      return [...agent.pools].length === 1;
    });
    expect(names.map(living)).toEqual(names.map(() => Number.NaN));
    agent.scan(nowMs);
    most = Math.max(most, series());
  }
  // Four of each application: of 120 there would be 480 more.
  expect(most - before).toBeLessThan(200);
  const again = host.client({ app: "job-11-0" });
  again.gauge("g").set(1);
  await again.ready;
  agent.scan(nowMs);
  agent.scan(nowMs);
  expect(living("job-11-0")).toBe(1);
});
