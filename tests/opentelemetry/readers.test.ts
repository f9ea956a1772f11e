// Everything that reads a pool copes with several metrics of one name in one service.

import { expect, test } from "bun:test";
import type { DirectoryMetric } from "../../src/layout/index.ts";
import { NdjsonSink } from "../../src/sinks/index.ts";
import { runCli } from "../commands/run-cli.ts";
import { Output, Source } from "../sinks/snapshots.ts";
import { TestHost } from "../support/host.ts";
import { ask, define, Scratch } from "../support/pools.ts";
import { decodeWriteRequest } from "../support/remote-write.ts";
import { providerOn } from "./provider.ts";

const scratch = new Scratch();

/** A service whose counter was given three sets of attributes. */
async function served(host: TestHost): Promise<void> {
  await host.agent();
  const provider = providerOn(host);
  const counter = provider.getMeter("").createCounter("jobs.done", { unit: "{job}" });
  counter.add(1);
  counter.add(2, { "queue.name": "a" });
  counter.add(3, { host: "a" });
  await provider.ready;
}

test("collect shows each in every format", async () => {
  await using host = new TestHost();
  await served(host);
  const show = async (format: string) => {
    const flags = ["--once", "--app", "shop", "--socket", host.socketPath, "--format", format];
    const { stdout, stderr, exitCode } = await runCli(["collect", ...flags]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    return stdout;
  };
  const { metrics } = JSON.parse(await show("ndjson"));
  expect(metrics).toMatchObject([
    { name: "jobs.done", unit: "{job}", value: 1 },
    { name: "jobs.done", labels: { "queue.name": "a" }, value: 2 },
    { name: "jobs.done", labels: { host: "a" }, value: 3 },
  ]);
  expect((await show("prometheus")).split("\n")).toEqual([
    "# HELP jobs_done_total ",
    "# TYPE jobs_done_total counter",
    'jobs_done_total{app="shop",service="auth"} 1',
    'jobs_done_total{queue_name="a",app="shop",service="auth"} 2',
    'jobs_done_total{host="a",app="shop",service="auth"} 3',
    "",
  ]);
  const csv = (await show("csv")).trim().split("\n").slice(1);
  expect(csv.map((line) => line.split(",auth,")[1])).toEqual([
    "jobs.done,,counter,{job},1,,,,,,,",
    'jobs.done,"queue.name=""a""",counter,{job},2,,,,,,,',
    'jobs.done,"host=""a""",counter,{job},3,,,,,,,',
  ]);
  const table = await show("table");
  for (const row of ["jobs.done ", 'jobs.done{host="a"}', 'jobs.done{queue.name="a"}']) {
    expect(table).toContain(row);
  }
});

test("collect pushes each by remote write, under Prometheus's names", async () => {
  await using host = new TestHost();
  await served(host);
  const bodies: Uint8Array[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      bodies.push(await request.bytes());
      return new Response(null, { status: 204 });
    },
  });
  host.onEnd(() => server.stop(true));
  const flags = ["--once", "--app", "shop", "--socket", host.socketPath];
  const url = `http://127.0.0.1:${server.port}/api/v1/write`;
  await runCli(["collect", ...flags, "--remote-write", url]);
  const series = bodies.flatMap((body) => decodeWriteRequest(body));
  const shown = series.map(({ labels, samples }) => {
    const own = labels.filter(({ name }) => !["app", "instance", "service"].includes(name));
    return [Object.fromEntries(own.map(({ name, value }) => [name, value])), samples[0]!.value];
  });
  const __name__ = "jobs_done_total";
  expect(shown).toEqual([
    [{ __name__ }, 1],
    [{ __name__, queue_name: "a" }, 2],
    [{ __name__, host: "a" }, 3],
  ]);
});

test("inspect lists each, as a tree, as JSON and raw", async () => {
  await using host = new TestHost();
  await served(host);
  const inspect = async (...flags: string[]) => {
    const { stdout, stderr } = await runCli([
      "inspect",
      "--pool-dir",
      host.poolDir,
      "--app",
      "shop",
      ...flags,
    ]);
    expect(stderr).toBe("");
    return stdout;
  };
  const tree = await inspect();
  for (const row of ["jobs.done ", 'jobs.done{host="a"}', 'jobs.done{queue.name="a"}']) {
    expect(tree).toContain(row);
  }
  const json = await inspect("--json");
  expect(json.match(/"jobs\.done"/g)).toHaveLength(3);
  expect(json).toContain('"queue.name": "a"');
});

test("rows of one name keep their own past when the directory is rewritten", () => {
  const output = new Output();
  const source = new Source(scratch);
  const open = (label: string) =>
    ({ ...define.counter("jobs.done", [label]), dialect: "opentelemetry" }) as const;
  source.writer.put(open("a"), ["x"], 10);
  source.writer.register(ask(open("b"), [["x"]]));
  const { pool, directory } = source.app;
  const [, { series }] = [...directory.metrics.values()] as [DirectoryMetric, DirectoryMetric];
  const place = directory.find(source.writer.record, series[0]!)!;
  pool.slots[pool.slotIndexOf(place.page, place.slot)] = 1000;
  const sink = new NdjsonSink(output);
  sink.write(source.snapshot(0));
  source.app.pool.compact();
  sink.write(source.snapshot(1));
  const { metrics } = JSON.parse(output.lines[1]!);
  expect(metrics).toMatchObject([
    { labels: { a: "x" }, value: 10, rate: 0 },
    { labels: { b: "x" }, value: 1000, rate: 0 },
  ]);
});
