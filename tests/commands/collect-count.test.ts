// `collect --count`: as many snapshots as asked for, each an interval after the last, wherever they go.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { decodeWriteRequest } from "../support/remote-write.ts";
import { runCli } from "./run-cli.ts";

const INTERVAL_MS = 400;
/** A busy machine may be late with the first of two snapshots; one that comes at once is far below. */
const APART_MS_MIN = INTERVAL_MS / 2;

async function serving(host: TestHost): Promise<void> {
  await host.agent();
  const mv = host.client();
  mv.counter("requests_total").inc(3);
  await mv.ready;
}

function count(host: TestHost, ...flags: string[]) {
  return runCli([
    ...["collect", "--socket", host.socketPath, "--app", "shop", "--count", "2"],
    ...["--interval", `${INTERVAL_MS}ms`, ...flags],
  ]);
}

/** Times in ms: that there are two, and how far they are apart. */
function expectTwo(times: Iterable<number>): void {
  const [first, second, ...others] = [...new Set(times)].sort((a, b) => a - b);
  expect(others).toEqual([]);
  expect(second! - first!).toBeGreaterThanOrEqual(APART_MS_MIN);
}

test.each(["mmap", "tcp"])("two snapshots by %s are an interval apart", async (transport) => {
  await using host = new TestHost();
  await serving(host);
  const { exitCode, stdout } = await count(host, "--transport", transport);
  expect(exitCode).toBe(0);
  const lines = stdout.trim().split("\n");
  expect(lines).toHaveLength(2);
  expectTwo(lines.map((line) => Date.parse(JSON.parse(line).time)));
});

test("--otlp delivers both", async () => {
  await using host = new TestHost();
  await using receiver = new OtlpReceiver();
  await serving(host);
  const flags = ["--otlp", receiver.url, "--otlp-interval", `${INTERVAL_MS}ms`];
  expect((await count(host, ...flags)).exitCode).toBe(0);
  const points = receiver.metrics
    .filter(({ name }) => name === "requests_total")
    .flatMap((metric) => metric.points);
  expectTwo(points.map(({ timeUnixNano }) => Number(BigInt(timeUnixNano) / 1_000_000n)));
});

test("--remote-write delivers both", async () => {
  await using host = new TestHost();
  await serving(host);
  const times: number[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      for (const { samples } of decodeWriteRequest(await request.bytes())) {
        times.push(...samples.map(({ timestamp }) => Number(timestamp)));
      }
      return new Response(null, { status: 204 });
    },
  });
  host.onEnd(() => server.stop(true));
  const url = `http://127.0.0.1:${server.port}/`;
  const flags = ["--remote-write", url, "--remote-write-protocol", "1"];
  expect((await count(host, ...flags)).exitCode).toBe(0);
  expectTwo(times);
});

test("--out keeps both", async () => {
  await using host = new TestHost();
  await serving(host);
  const file = join(host.folder, "run.csv");
  expect((await count(host, "--out", file)).exitCode).toBe(0);
  const [head, ...rows] = readFileSync(file, "utf8").trim().split("\n");
  const column = head!.split(",").findIndex((name) => /time|taken/i.test(name));
  expectTwo(rows.map((row) => Date.parse(row.split(",")[column]!)));
});

test("the rate of the second snapshot is of the time between them", async () => {
  await using host = new TestHost();
  await host.agent();
  const mv = host.client();
  const requests = mv.counter("requests_total");
  await mv.ready;
  const timer = setInterval(() => requests.inc(), 2);
  host.onEnd(() => clearInterval(timer));
  const { stdout } = await count(host);
  const [, second] = stdout.trim().split("\n");
  const { metrics } = JSON.parse(second!) as { metrics: { name: string; rate?: number }[] };
  expect(metrics.find(({ name }) => name === "requests_total")?.rate).toBeGreaterThan(0);
});
