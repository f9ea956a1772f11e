// What being measured costs a service: a Bun/Elysia service under a constant request rate, without metrics, with ours
// while a collector reads it every millisecond, and with prom-client while it is scraped every second.
//
// Service, load generator, agent and reader are processes of their own. The variants take turns in rounds; only the one
// whose turn it is has load and a reader. Whether ours can be told from none is judged by the rounds' differences:
// their median with a bootstrap confidence interval.
//
// All share this host's processors, where a collector would often run on another host. A fourth turn, the service without
// metrics while the collector reads the pool of ours, tells what of a difference is the reader's share of them.

import { Collector } from "../src/collector/index.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import type { Load, LoadResult, ServiceOptions, Stall, Variant } from "./lib/impact.ts";
import { parseText } from "./lib/prom.ts";
import { type Goal, type Row, rateRow, row, show } from "./lib/report.ts";
import { CONFIDENCE, confidenceInterval, median, type Samples } from "./lib/samples.ts";

const NONE = "none";
const PROM = "prom-client";
const BESIDE = "none, reader beside";

/** A turn's name, the service that has the load, and who reads meanwhile. */
const CONTESTANTS = [
  { name: NONE, service: "none", reader: undefined },
  { name: "ours", service: "ours", reader: "collector" },
  { name: PROM, service: "prom-client", reader: "scraper" },
  { name: BESIDE, service: "none", reader: "collector" },
] as const satisfies readonly { name: string; service: Variant; reader: string | undefined }[];
type Contestant = (typeof CONTESTANTS)[number];
type Name = Contestant["name"];
const SERIES = [100, 50_000];
/** Well below what a service of this kind answers on half of two processors. */
const RATE_PER_S = 800;
const READ_INTERVAL_MS = 1;
const SCRAPE_INTERVAL_MS = 1000;
/** A difference below this share of none's value is not worth telling. */
const NEGLIGIBLE = 0.05;

/** What a turn of a variant showed. */
interface Turn extends LoadResult {
  stallMs: number;
  readsPerS: number;
}

const bench: Bench = {
  summary:
    "latency, throughput, event-loop stall of an Elysia service: no metrics, ours, prom-client",
  async run(context) {
    const agent = await startAgent(context.scratch);
    const { offer } = await context.scratch.start<{ port: number }>("load-generator.ts", {});
    const rows: Row[] = [];
    for (const series of SERIES) rows.push(...(await measure(context, agent, offer.port, series)));
    return rows;
  },
};
export default bench;

/** Rounds and seconds per turn; MICROVIEW_BENCH_TURN_S makes the turns of --quick shorter still, for tests. */
function plan(quick: boolean): { rounds: number; seconds: number } {
  if (!quick) return { rounds: 9, seconds: 2 };
  return { rounds: 2, seconds: Number(process.env["MICROVIEW_BENCH_TURN_S"] ?? 1) };
}

async function measure(
  { quick, scratch, progress }: BenchContext,
  agent: AgentProcess,
  generator: number,
  series: number,
): Promise<Row[]> {
  const title = `${series.toLocaleString("en-US")} series`;
  progress(`${title}: starting three services`);
  const services = new Map<Variant, { port: number; stop(): Promise<void> }>();
  const { rounds, seconds } = plan(quick);
  for (const variant of ["none", "ours", "prom-client"] as const) {
    const { socketPath, poolDir } = agent;
    const options: ServiceOptions = { variant, series, socketPath, poolDir };
    const { child, offer } = await scratch.start<{ port: number }>("impact-service.ts", options);
    services.set(variant, { port: offer.port, stop: () => scratch.stop(child) });
    // Compiles what the load needs, on both sides.
    await load(generator, { port: offer.port, ratePerS: RATE_PER_S, seconds: seconds / 2 });
  }
  const turns: Record<Name, Turn[]> = {
    [NONE]: [],
    ours: [],
    [PROM]: [],
    [BESIDE]: [],
  };
  for (let round = 0; round < rounds; round++) {
    progress(`${title}: round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < CONTESTANTS.length; turn++) {
      const contestant = CONTESTANTS[(round + turn) % CONTESTANTS.length]!;
      const { port } = services.get(contestant.service)!;
      turns[contestant.name].push(await takeTurn(agent, generator, contestant, port, seconds));
    }
  }
  for (const service of services.values()) await service.stop();
  return rowsOf(title, turns);
}

async function takeTurn(
  agent: AgentProcess,
  generator: number,
  contestant: Contestant,
  port: number,
  seconds: number,
): Promise<Turn> {
  const reader = await startReader(agent, contestant, port);
  try {
    await json<Stall>(port, "/stall");
    const readsBefore = reader.reads();
    const result = await load(generator, { port, ratePerS: RATE_PER_S, seconds });
    const reads = reader.reads() - readsBefore;
    const { maxMs } = await json<Stall>(port, "/stall");
    if (contestant.reader !== undefined && reads === 0) {
      throw new Error(`nothing read the service: ${contestant.name}`);
    }
    return { ...result, stallMs: maxMs, readsPerS: reads / result.seconds };
  } finally {
    await reader.stop();
  }
}

interface Reader {
  reads(): number;
  stop(): Promise<void>;
}

async function startReader(
  agent: AgentProcess,
  { reader }: Contestant,
  port: number,
): Promise<Reader> {
  if (reader === "collector") return startCollector(agent);
  if (reader === "scraper") return startScraper(port);
  return { reads: () => 0, stop: async () => {} };
}

/** Ours: all pages and the sums over writers, every millisecond. */
async function startCollector(agent: AgentProcess): Promise<Reader> {
  let reads = 0;
  const collector = new Collector({
    targets: [{ poolDir: agent.poolDir }],
    transport: "mmap",
    intervalMs: READ_INTERVAL_MS,
    filter: { apps: ["impact"], services: [], metrics: [] },
    onSnapshot: () => {
      reads++;
    },
  });
  collector.start();
  while (reads === 0) await Bun.sleep(1);
  return { reads: () => reads, stop: () => collector.stop() };
}

/** As Prometheus does it: the text every second, and its numbers by name. */
function startScraper(port: number): Reader {
  let reads = 0;
  let running: Promise<void> = Promise.resolve();
  const values = new Map<string, number>();
  const scrape = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    parseText(await response.text(), values);
    reads++;
  };
  const next = () => {
    running = running.then(scrape);
  };
  const first = setTimeout(next, 50);
  const timer = setInterval(next, SCRAPE_INTERVAL_MS);
  return {
    reads: () => reads,
    stop: async () => {
      clearTimeout(first);
      clearInterval(timer);
      await running;
    },
  };
}

function rowsOf(title: string, turns: Readonly<Record<Name, readonly Turn[]>>): Row[] {
  const of = (name: Name, value: (turn: Turn) => number): Samples => turns[name].map(value);
  const peers = (value: (turn: Turn) => number) => ({
    [NONE]: of(NONE, value),
    [PROM]: of(PROM, value),
    [BESIDE]: of(BESIDE, value),
  });
  const latency = (name: string, value: (turn: Turn) => number): Row =>
    row(`${title}: latency ${name}`, "µs", of("ours", value), peers(value));
  /** Ours against one of the turns without metrics. */
  const judged = (name: string, value: (turn: Turn) => number, baseline: Name): Row => {
    const ours = of("ours", value);
    const plain = of(baseline, value);
    return row(
      `${title}: latency ${name}, against ${baseline}`,
      "µs",
      ours,
      { [baseline]: plain },
      [indistinguishable(ours, plain, baseline)],
    );
  };
  const p50 = ({ p50Us }: Turn) => p50Us;
  const p99 = ({ p99Us }: Turn) => p99Us;
  const throughput = ({ answered, seconds }: Turn) => answered / seconds;
  return [
    rateRow(`${title}: throughput`, "answers/s", of("ours", throughput), peers(throughput)),
    latency("p50", p50),
    latency("p99", p99),
    latency("max", ({ maxUs }) => maxUs),
    judged("p50", p50, NONE),
    judged("p99", p99, NONE),
    judged("p50", p50, BESIDE),
    judged("p99", p99, BESIDE),
    row(
      `${title}: longest event-loop stall`,
      "ms",
      of("ours", ({ stallMs }) => stallMs),
      peers(({ stallMs }) => stallMs),
    ),
    rateRow(
      `${title}: reads`,
      "reads/s",
      of("ours", ({ readsPerS }) => readsPerS),
      {
        [PROM]: of(PROM, ({ readsPerS }) => readsPerS),
      },
    ),
  ];
}

/** Ours cannot be told from none, or differs by less than anyone would mind. */
function indistinguishable(ours: Samples, none: Samples, baseline: Name): Goal {
  const differences = ours.map((value, i) => value - none[i]!);
  const [low, high] = confidenceInterval(differences);
  const share = median(differences) / median(none);
  const [sure, percent] = [CONFIDENCE, share].map((each) => show(each * 100));
  return {
    text: `ours − ${baseline} in [${show(low)}, ${show(high)}] (${sure} %) holds 0, or median ${percent} % within ±${NEGLIGIBLE * 100} %`,
    holds: () => (low <= 0 && high >= 0) || Math.abs(share) < NEGLIGIBLE,
  };
}

function load(generator: number, { port, ratePerS, seconds }: Load): Promise<LoadResult> {
  return json(generator, `/run?port=${port}&ratePerS=${ratePerS}&seconds=${seconds}`);
}

async function json<T>(port: number, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  if (!response.ok) throw new Error(`GET ${path} answers ${response.status}`);
  return (await response.json()) as T;
}
