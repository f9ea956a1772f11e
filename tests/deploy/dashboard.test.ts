// What the dashboard shows of a host whose agent is scraped and whose collector is, too: each value once.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CLI, ROOT, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { ScrapingPrometheus } from "../support/metrics-readers.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

const dashboard = JSON.parse(readFileSync(join(ROOT, "deploy/grafana/microview.json"), "utf8"));
const panels: Panel[] = dashboard.panels;
const variables: { name: string; definition: string; includeAll?: boolean }[] =
  dashboard.templating.list;

/** As Grafana does it, with one job chosen and everything of the other variables. */
function filled(query: string, job: string): string {
  return query
    .replaceAll("$job", job)
    .replaceAll(/\$(app|service|instance)\b/g, ".*")
    .replaceAll("$__rate_interval", "1m")
    .replaceAll("$__range", "1h");
}

test("each panel of agents and services asks for the job that is chosen, and never for all", () => {
  const targets = panels.flatMap(({ targets: own = [] }) => own.map(({ expr }) => expr));
  const selectors = targets.flatMap((expr) => expr.match(/\b[a-z_]+\{[^}]*\}/g) ?? []);
  const others = selectors.filter((each) => !each.startsWith("microview_collect_"));
  expect(others.length).toBeGreaterThan(25);
  expect(others.filter((each) => !each.includes('job=~"$job"'))).toEqual([]);
  const job = variables.find(({ name }) => name === "job")!;
  expect(job.includeAll).toBe(false);
  for (const { name, definition } of variables) {
    if (["app", "service", "instance"].includes(name)) expect(definition).toContain('job=~"$job"');
  }
});

describe.skipIf(Bun.which("prometheus") === null)("with an agent and its collector scraped", () => {
  test("nothing is shown twice, and services without HTTP can be chosen", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const [web, batch] = [host.client({ service: "web" }), host.client({ service: "batch" })];
    web.gauge("http_server_requests_in_flight").set(3);
    batch.counter("jobs_total").inc();
    await Promise.all([web.ready, batch.ready]);
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          CLI,
          "collect",
          "--interval",
          "50ms",
          "--socket",
          host.socketPath,
          "--listen",
          "0",
        ],
        {
          env: surroundings(),
          stdin: "ignore",
          stdout: "ignore",
          stderr: "pipe",
        },
      ),
    );
    const { port } = new URL((await new Lines(child.stderr).next()).replace("scraped at ", ""));
    const more = ["honor_labels: true"];
    await using prometheus = new ScrapingPrometheus({
      "microview-agent": { port: agent.port, more },
      "microview-collect": { port: Number(port), more },
    });
    await prometheus.start();
    await until("both are scraped", async () => {
      const found = await prometheus.query("http_server_requests_in_flight");
      return new Set(found.map(({ metric }) => metric["job"])).size === 2;
    });

    const numbers = async (title: string, job: string) => {
      const { targets = [] } = panels.find((panel) => panel.title === title)!;
      const found = await prometheus.query(filled(targets[0]!.expr, job));
      return found.map(({ value }) => Number(value![1]));
    };
    for (const job of ["microview-agent", "microview-collect"]) {
      expect(await numbers("In flight", job)).toEqual([3]);
      expect(await numbers("Agents up", job)).toEqual([1]);
      // The agent's own application, and the services'.
      expect(await numbers("Applications", job)).toEqual([2]);
    }
    // Both at once is what the variable keeps from being chosen by default.
    expect(await numbers("In flight", ".*")).toEqual([6]);

    const valuesOf = async (name: string): Promise<string[]> => {
      const { definition } = variables.find((each) => each.name === name)!;
      const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(
        filled(definition, "microview-agent"),
      )!;
      const query = new URLSearchParams({ "match[]": selector! });
      const answer = await fetch(`${prometheus.url}/api/v1/label/${label}/values?${query}`);
      return ((await answer.json()) as { data: string[] }).data;
    };
    expect(await valuesOf("job")).toEqual(["microview-agent", "microview-collect"]);
    expect(await valuesOf("service")).toEqual(["agent", "batch", "web"]);
    expect(await valuesOf("app")).toContain("shop");
  });
});
