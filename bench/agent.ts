// What the agent costs a host: how fast it registers series, what memory they take beyond their slots, and what it
// does when nothing happens.
//
// Series are registered as a client does it: in batches of 5,000 over the Unix socket, one request at a time.

import { AgentApi } from "../src/client/agent-api.ts";
import { Attachment } from "../src/client/attachment.ts";
import { MicroView } from "../src/client/index.ts";
import type { SeriesRequest } from "../src/layout/index.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { cpuNsOf, memoryOf } from "./lib/process.ts";
import { atLeast, atMost, below, type Row, rateRow, row } from "./lib/report.ts";

const APP = "bench";
const SERIES_PER_REQUEST = 5_000;
const SERIES_PER_METRIC = 10_000;
const IDLE_WRITERS = 10;

const bench: Bench = {
  summary: "registrations/s, bytes per series, RSS with 100,000 series, idle CPU",
  async run(context) {
    return [...(await measureRegistration(context)), await measureIdle(context)];
  },
};
export default bench;

async function measureRegistration({ quick, scratch, progress }: BenchContext): Promise<Row[]> {
  const rates: number[] = [];
  const bytes: number[] = [];
  const rss: number[] = [];
  const total = quick ? 10_000 : 100_000;
  const runs = quick ? 1 : 3;
  for (let run = 1; run <= runs; run++) {
    progress(`registering ${total.toLocaleString("en-US")} series, ${run} of ${runs}`);
    const agent = await startAgent(scratch);
    const before = await settledMemory(agent, quick);
    rates.push(...(await register(agent, total)));
    const after = await settledMemory(agent, quick);
    const directory = await directoryBytes(agent);
    bytes.push((after.anonymous - before.anonymous + directory) / total);
    rss.push(after.rss / (1 << 20));
    await agent.stop();
  }
  const count = total.toLocaleString("en-US");
  return [
    rateRow(
      `register, batches of ${SERIES_PER_REQUEST.toLocaleString("en-US")}`,
      "series/s",
      rates,
      {},
      [atLeast(50_000)],
    ),
    row(`memory beyond slots, ${count} series`, "bytes/series", bytes, {}, [atMost(200)]),
    row(`resident set with ${count} series`, "MiB", rss),
  ];
}

/** @returns series per second, for each batch */
async function register(agent: AgentProcess, total: number): Promise<number[]> {
  const api = new AgentApi(agent.socketPath, APP);
  const answer = await api.attach({ service: "auth", pid: process.pid, threadId: 0 });
  const attachment = Attachment.open(answer, APP, agent.poolDir);
  if (attachment === undefined) throw new Error("the agent gave the writer up");
  const rates: number[] = [];
  for (let first = 0; first < total; first += SERIES_PER_REQUEST) {
    const request = { metrics: [batch(first, SERIES_PER_REQUEST)] };
    const startNs = Bun.nanoseconds();
    const { results } = await api.register(attachment.writer, request);
    rates.push((SERIES_PER_REQUEST * 1e9) / (Bun.nanoseconds() - startNs));
    const placed = results[0]?.runs.reduce((sum, [, , count]) => sum + count, 0);
    if (placed !== SERIES_PER_REQUEST) throw new Error(`${placed} of ${SERIES_PER_REQUEST} placed`);
  }
  attachment.close();
  return rates;
}

function batch(first: number, count: number): SeriesRequest {
  return {
    name: `requests_${Math.floor(first / SERIES_PER_METRIC)}`,
    kind: "counter",
    unit: "",
    help: "Requests by route and method.",
    labelNames: ["route", "method"],
    combine: "sum",
    bounds: [],
    series: Array.from({ length: count }, (_, i) => [`/users/${first + i}`, "GET"]),
  };
}

/** Memory once the garbage of the last requests is gone, or stays. */
async function settledMemory(agent: AgentProcess, quick: boolean) {
  await Bun.sleep(quick ? 200 : 3000);
  return memoryOf(agent.pid);
}

async function directoryBytes(agent: AgentProcess): Promise<number> {
  const response = await fetch("http://localhost/metrics", { unix: agent.socketPath });
  const sample = new RegExp(`^microview_agent_directory_bytes\\{app="${APP}".*\\} (\\d+)`, "m");
  const value = sample.exec(await response.text())?.[1];
  if (value === undefined) throw new Error("the agent does not tell the size of its directory");
  return Number(value);
}

async function measureIdle({ quick, scratch, progress }: BenchContext): Promise<Row> {
  const agent = await startAgent(scratch);
  const writers = Array.from({ length: IDLE_WRITERS }, (_, i) => {
    const options = {
      app: APP,
      service: `service_${i}`,
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    };
    const mv = new MicroView(options);
    mv.counter("requests").inc();
    return mv;
  });
  await Promise.all(writers.map((writer) => writer.ready));
  // What starting has left to do, as compiling and collecting garbage, is not idling.
  await Bun.sleep(quick ? 200 : 3000);
  const shares: number[] = [];
  const parts = quick ? 2 : 6;
  const partMs = quick ? 250 : 2500;
  for (let part = 1; part <= parts; part++) {
    progress(`idling, ${part} of ${parts}`);
    const cpuNs = cpuNsOf(agent.pid);
    const startNs = Bun.nanoseconds();
    await Bun.sleep(partMs);
    shares.push((100 * (cpuNsOf(agent.pid) - cpuNs)) / (Bun.nanoseconds() - startNs));
  }
  await Promise.all(writers.map((writer) => writer.close()));
  await agent.stop();
  return row(`idle with ${IDLE_WRITERS} writers`, "% of a core", shares, {}, [below(0.2)]);
}
