// Metrics of services in shared memory, in a lake: an agent or a collector pushes them there by OTLP, as to anybody.

import { expect, setDefaultTimeout, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { type Lake, lakeOf } from "../support/lakes.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

async function rowsOf(lake: Lake, sql: string): Promise<unknown[][]> {
  const body = JSON.stringify({ sql });
  const answer = await fetch(`${lake.url}/v1/query`, { method: "POST", body });
  const lines = (await answer.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return lines.filter((line) => Array.isArray(line));
}

test("an agent that pushes to a lake by OTLP fills the table of metrics", async () => {
  await using host = new TestHost();
  const { lake } = await lakeOf(host);
  const agent = await host.agentProcess("--otlp", lake.url, "--otlp-interval", "50ms");
  const mv = host.client();
  mv.counter("requests_total", { labels: ["code"] })
    .labels({ code: "200" })
    .inc(3);
  mv.gauge("open").set(-2);
  await mv.ready;
  // The newest values: a push may have come between the registration of a series and its first value.
  const sql = `
    select name, kind, arg_max(value, time_ns), labels['code'], service from metrics
    where app = 'shop' and name in ('requests_total', 'open') group by all order by name`;
  const newest = [
    ["open", "gauge", -2, null, "auth"],
    ["requests_total", "counter", 3, "200", "auth"],
  ];
  await until("both are there", async () => Bun.deepEquals(await rowsOf(lake, sql), newest));
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(await rowsOf(lake, sql)).toEqual(newest);
  const doubled = `
    select count(*) from (select 1 from metrics group by process_id, time_ns, name, labels having count(*) > 1)`;
  expect(await rowsOf(lake, doubled)).toEqual([[0]]);
});
