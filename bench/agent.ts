// What the agent costs a host: how fast it registers series, what memory they take beyond their slots, and what it
// does when nothing happens.
//
// Series are registered as a client does it: in batches of 5,000 over the Unix socket, one request at a time.

import { MicroView } from "../src/client/index.ts";
import { SharedFile } from "../src/ffi/index.ts";
import {
  decodeHeader,
  decodeState,
  HEADER_BYTES_USED,
  HEADER_LIVE_OFFSET,
  poolPath,
} from "../src/layout/index.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { cpuNsOf, memoryOf } from "./lib/process.ts";
import { atLeast, atMost, below, type Row, rateRow, row } from "./lib/report.ts";
import { counterRequest, RestWriter } from "./lib/writer.ts";

const APP = "bench";
const SERIES_PER_REQUEST = 5_000;
const SERIES_PER_METRIC = 10_000;
const IDLE_WRITERS = 10;
/** The engine gives memory of old garbage back, and stops compiling, some ten seconds after the last request. */
const SETTLE_MS = 15_000;

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
  // The first batches warm the agent up: what compiling takes is not the series' memory.
  const warmUp = 10_000;
  const total = quick ? 20_000 : 100_000;
  const runs = quick ? 1 : 2;
  for (let run = 1; run <= runs; run++) {
    progress(`registering ${total.toLocaleString("en-US")} series, ${run} of ${runs}`);
    const agent = await startAgent(scratch);
    const writer = await RestWriter.attach(agent, APP, "auth");
    await register(writer, 0, warmUp);
    const before = await usedBytes(agent, quick);
    rates.push(...(await register(writer, warmUp, total)));
    const after = await usedBytes(agent, quick);
    bytes.push((after - before) / (total - warmUp));
    rss.push(memoryOf(agent.pid).rss / (1 << 20));
    writer.close();
    await agent.stop();
  }
  const count = total.toLocaleString("en-US");
  const batch = SERIES_PER_REQUEST.toLocaleString("en-US");
  return [
    rateRow(`register, batches of ${batch}`, "series/s", rates, {}, [atLeast(50_000)]),
    row(`memory beyond slots, ${count} series`, "bytes/series", bytes, {}, [atMost(200)]),
    row(`resident set with ${count} series`, "MiB", rss),
  ];
}

/** @returns series per second, for each batch */
async function register(writer: RestWriter, from: number, to: number): Promise<number[]> {
  const rates: number[] = [];
  for (let first = from; first < to; first += SERIES_PER_REQUEST) {
    const name = `requests_${Math.floor(first / SERIES_PER_METRIC)}`;
    const request = counterRequest(name, first, SERIES_PER_REQUEST);
    const startNs = Bun.nanoseconds();
    await writer.register(request);
    rates.push((SERIES_PER_REQUEST * 1e9) / (Bun.nanoseconds() - startNs));
  }
  return rates;
}

/** Heap and directory, once the garbage of the last requests is gone, or stays. */
async function usedBytes(agent: AgentProcess, quick: boolean): Promise<number> {
  await Bun.sleep(quick ? 200 : SETTLE_MS);
  return memoryOf(agent.pid).anonymous + directoryBytes(agent);
}

/** From the pool itself: asking the agent would make garbage there. */
function directoryBytes(agent: AgentProcess): number {
  const file = SharedFile.open(poolPath(APP, agent.poolDir), false);
  const mapping = file.map(0, HEADER_BYTES_USED, false);
  const bytes = mapping.bytes(0, HEADER_BYTES_USED);
  const header = decodeHeader(bytes, file.stat().bytes);
  const { directoryBytes: length } = decodeState(bytes.subarray(HEADER_LIVE_OFFSET), header);
  mapping.unmap();
  file.close();
  return length;
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
  await Bun.sleep(quick ? 200 : SETTLE_MS);
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
