// What each allocation strategy costs: memory per series, and the read of a pool by mmap and tcp.
//
// Three situations, one for which each strategy was made: many replicas with few series (packed), a few services that
// grow in turns of which one is read (slab), and one service of ordinary size (page, the default, which is the peer).

import type { StrategyName } from "../src/agent/index.ts";
import { MmapTransport, TcpTransport } from "../src/collector/index.ts";
import { type Directory, PAGE_BYTES } from "../src/layout/index.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { Connection, PoolScraper } from "./lib/reader.ts";
import { type Row, row } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";
import { counterRequest, RestWriter } from "./lib/writer.ts";

const APP = "bench";
const STRATEGIES = ["page", "packed", "slab"] as const satisfies readonly StrategyName[];
const DEFAULT = "page";

interface Situation {
  name: string;
  writers: number;
  /** Whether the writers are replicas of one service, or services of their own. */
  replicas: boolean;
  /** Series per writer, registered by so many at a time, writer after writer. */
  series: number;
  step: number;
  /** Reads one service only. */
  readsOne: boolean;
}

const SITUATIONS: readonly Situation[] = [
  {
    name: "1 service × 500 series",
    writers: 1,
    replicas: true,
    series: 500,
    step: 500,
    readsOne: false,
  },
  {
    name: "200 replicas × 16 series",
    writers: 200,
    replicas: true,
    series: 16,
    step: 16,
    readsOne: false,
  },
  {
    name: "4 services × 10,000 series, grown in turns, one read",
    writers: 4,
    replicas: false,
    series: 10_000,
    step: 1000,
    readsOne: true,
  },
];

/** A pool made by one strategy, with readers. */
interface Candidate {
  strategy: StrategyName;
  agent: AgentProcess;
  writers: RestWriter[];
  mmap: PoolScraper;
  tcp: PoolScraper;
  close(): Promise<void>;
}

const bench: Bench = {
  summary: "bytes per series and µs per read of the allocation strategies page, packed, slab",
  async run(context) {
    const rows: Row[] = [];
    for (const situation of SITUATIONS) {
      context.progress(situation.name);
      rows.push(...(await measure(context, situation)));
    }
    return rows;
  },
};
export default bench;

async function measure(context: BenchContext, situation: Situation): Promise<Row[]> {
  const candidates: Candidate[] = [];
  for (const strategy of STRATEGIES) candidates.push(await prepare(context, strategy, situation));
  const works: Record<string, Work> = {};
  for (const { strategy, mmap, tcp } of candidates) {
    works[`mmap ${strategy}`] = repeat(() => mmap.scrape());
    works[`tcp ${strategy}`] = repeat(() => tcp.scrape());
  }
  const rounds = context.quick ? { count: 2, ms: 1 } : { count: 51, ms: 5 };
  const samples = await alternate(works, rounds, context.quick);
  const series = situation.writers * situation.series;
  const memory = new Map<string, Samples>(
    candidates.map(({ strategy, mmap }) => [strategy, [grantedBytes(mmap.directory) / series]]),
  );
  const rows: Row[] = [];
  const add = (what: string, unit: string, of: (strategy: StrategyName) => Samples) => {
    for (const strategy of STRATEGIES) {
      const peers = strategy === DEFAULT ? {} : { [DEFAULT]: of(DEFAULT) };
      rows.push(row(`${situation.name}: ${what}, ${strategy}`, unit, of(strategy), peers));
    }
  };
  const us = (name: string) => samples[name]!.map((ns) => ns / 1e3);
  add("memory", "bytes/series", (strategy) => memory.get(strategy)!);
  add("mmap", "µs/read", (strategy) => us(`mmap ${strategy}`));
  add("tcp", "µs/read", (strategy) => us(`tcp ${strategy}`));
  for (const candidate of candidates) await candidate.close();
  return rows;
}

async function prepare(
  { scratch }: BenchContext,
  strategy: StrategyName,
  { writers: count, replicas, series, step, readsOne }: Situation,
): Promise<Candidate> {
  const agent = await startAgent(scratch, { strategy });
  const writers: RestWriter[] = [];
  const serviceOf = (i: number) => (replicas ? "service" : `service-${i}`);
  for (let i = 0; i < count; i++) writers.push(await RestWriter.attach(agent, APP, serviceOf(i)));
  for (let first = 0; first < series; first += step) {
    for (const writer of writers) await writer.register(counterRequest("requests", first, step));
  }
  const local = new Connection(new MmapTransport(agent.poolDir));
  const remote = new Connection(new TcpTransport("127.0.0.1", agent.dataPort, ""));
  const wanted = (service: string) => !readsOne || service === serviceOf(0);
  const mmap = new PoolScraper(local, APP, wanted);
  const tcp = new PoolScraper(remote, APP, wanted);
  mmap.scrape();
  tcp.scrape();
  const close = async () => {
    local.close();
    remote.close();
    for (const writer of writers) writer.close();
    await agent.stop();
  };
  return { strategy, agent, writers, mmap, tcp, close };
}

/** Memory of all pages that are handed out. */
function grantedBytes(directory: Directory): number {
  const pages = new Set<number>();
  for (const writer of directory.writers.values()) {
    for (const grant of writer.grants) {
      for (let i = 0; i < grant.pages; i++) pages.add(grant.page + i);
    }
  }
  return pages.size * PAGE_BYTES;
}

function repeat(work: () => void): Work {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}
