// What recording events costs a service: an Elysia service with twenty log lines and twenty spans for each request, with
// ours, with pino (to a file, gathered) and the OpenTelemetry SDK (BatchSpanProcessor, OTLP), and without.
//
// Service, load generator, agent, lake and the receiver of OTLP are processes of their own and share this host's processors:
// what the agent ships and the lake makes of it is paid for by ours, as what the receiver reads is by the peer. The variants
// take turns; between turns what is under way comes to rest. Latency is at a constant rate that all can hold, throughput with
// a few connections that ask again as soon as they are answered. Such a flood may be more than a ring of 1 MiB has room for
// until the agent comes: what is refused then costs less than what is recorded, and is told.

import { join } from "node:path";
import { LakeClient } from "../src/explore/index.ts";
import type { LakeStatus } from "../src/lake/index.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import type { EventImpactOptions, EventVariant } from "./lib/event-impact-service.ts";
import type { LoadResult } from "./lib/impact.ts";
import { cpuNsOf } from "./lib/process.ts";
import { atMost, type Goal, type Row, rateRow, row, show } from "./lib/report.ts";
import { CONFIDENCE, confidenceInterval, type Samples } from "./lib/samples.ts";

const NONE = "none";
const PEER = "pino + OpenTelemetry";
const VARIANTS: readonly EventVariant[] = ["none", "ours", "otel"];
const RATE_PER_S = 600;
/** Of a request. */
const LOGS = 20;
const SPANS = 20;
/** What was recorded is sent, and made files of, within so long. */
const REST_MS = 2_000;
const ARRIVAL_MS = 60_000;
/** What has not come is lost when nothing has come for so long. A lake counts once a second. */
const QUIET_MS = 2_500;

/** What a turn of a variant showed. */
interface Turn {
  p50Us: number;
  p99Us: number;
  answersPerS: number;
  /** Of the service's process, for a request at the constant rate. */
  cpuUs: number;
  /** Of agent and lake together, or of the receiver. */
  besideUs: number;
  /** Shares of the events that did not arrive, at the constant rate and in the flood. */
  lost: number;
  floodLost: number;
}

const bench: Bench = {
  summary: "latency, throughput, CPU of a service with 20 logs and 20 spans a request; pino, OTel",
  async run(context) {
    const turnS = Number(process.env["MICROVIEW_BENCH_TURN_S"] ?? 1);
    const plan = context.quick ? { rounds: 1, seconds: turnS } : { rounds: 9, seconds: 2 };
    return rowsOf(await measure(context, plan));
  },
};
export default bench;

interface Service {
  port: number;
  pid: number;
  /** Processes that work for it. */
  beside: readonly number[];
}

type Turns = Readonly<Record<EventVariant, readonly Turn[]>>;

async function measure(
  { quick, scratch, progress }: BenchContext,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Turns> {
  progress("starting a lake, an agent, a receiver and three services");
  const dir = join(scratch.folder("disk"), "lake");
  const lake = await scratch.start<{ url: string }>("lake-process.ts", { dir });
  const spool = join(scratch.folder("disk"), "spool");
  const agent = await startAgent(scratch, { lake: lake.offer.url, spool });
  const sink = await scratch.start<{ port: number }>("otlp-sink.ts", {});
  const generator = await scratch.start<{ port: number }>("load-generator.ts", {});
  const services = {} as Record<EventVariant, Service>;
  const { socketPath, poolDir } = agent;
  const beside = { none: [], ours: [agent.pid, lake.child.pid], otel: [sink.child.pid] };
  const load = async (kind: "run" | "flood", variant: EventVariant, s: number) => {
    const { port } = services[variant];
    const query = `port=${port}&ratePerS=${RATE_PER_S}&seconds=${s}`;
    const result = await json<LoadResult>(generator.offer.port, `/${kind}?${query}`);
    if (result.failed > 0) throw new Error(`${result.failed} requests failed: ${variant}`);
    return result;
  };
  for (const variant of VARIANTS) {
    const options: EventImpactOptions = {
      ...{ variant, socketPath, poolDir },
      logFile: join(scratch.folder("disk"), "log.ndjson"),
      url: `http://127.0.0.1:${sink.offer.port}/v1/traces`,
    };
    const program = "event-impact-service.ts";
    const { child, offer } = await scratch.start<{ port: number }>(program, options);
    services[variant] = { port: offer.port, pid: child.pid, beside: beside[variant] };
    // Compiles what the load needs, on both sides.
    for (const kind of ["run", "flood"] as const) await load(kind, variant, seconds / 2);
  }
  const client = new LakeClient({ url: lake.offer.url });
  const arrivals = {
    none: new Arrivals(0, async () => 0),
    ours: new Arrivals(LOGS + SPANS, async () => {
      const { events } = (await client.status()) as LakeStatus;
      return events.logs + events.spans;
    }),
    otel: new Arrivals(SPANS, async () => {
      return (await json<{ spans: number }>(sink.offer.port, "/")).spans;
    }),
  };
  await Promise.all(Object.values(arrivals).map((each) => each.begin()));
  const turns: Record<EventVariant, Turn[]> = { none: [], ours: [], otel: [] };
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < VARIANTS.length; turn++) {
      const variant = VARIANTS[(round + turn) % VARIANTS.length]!;
      const { pid, beside } = services[variant];
      const arrived = arrivals[variant];
      const cpu = () => beside.reduce((sum, each) => sum + cpuNsOf(each), 0);
      await Bun.sleep(quick ? 0 : REST_MS);
      const [ownNs, besideNs] = [cpuNsOf(pid), cpu()];
      const steady = await load("run", variant, seconds);
      const cpuUs = (cpuNsOf(pid) - ownNs) / 1e3 / steady.answered;
      const lost = await arrived.lost(steady.answered);
      await Bun.sleep(quick ? 0 : REST_MS);
      const besideUs = (cpu() - besideNs) / 1e3 / steady.answered;
      const flood = await load("flood", variant, seconds);
      const floodLost = await arrived.lost(flood.answered);
      const answersPerS = flood.answered / flood.seconds;
      const { p50Us, p99Us } = steady;
      turns[variant].push({ p50Us, p99Us, answersPerS, cpuUs, besideUs, lost, floodLost });
    }
  }
  return turns;
}

/** Counts what arrives of what was recorded. */
class Arrivals {
  #before = 0;

  constructor(
    readonly perRequest: number,
    /** All that has come so far. */
    readonly count: () => Promise<number>,
  ) {}

  /** Waits until nothing more comes of before anything is counted. */
  async begin(): Promise<void> {
    this.#before = await this.#settled(Number.POSITIVE_INFINITY);
  }

  /** The share that has not come. */
  async lost(requests: number): Promise<number> {
    const expected = requests * this.perRequest;
    if (expected === 0) return 0;
    const all = await this.#settled(this.#before + expected);
    const come = all - this.#before;
    this.#before = all;
    return Math.max(0, 1 - come / expected);
  }

  async #settled(expected: number): Promise<number> {
    if (this.perRequest === 0) return 0;
    const deadlineMs = performance.now() + ARRIVAL_MS;
    let last = await this.count();
    for (let sinceMs = performance.now(); performance.now() < deadlineMs; ) {
      if (last >= expected || performance.now() - sinceMs > QUIET_MS) return last;
      await Bun.sleep(100);
      const now = await this.count();
      if (now !== last) sinceMs = performance.now();
      last = now;
    }
    return last;
  }
}

function rowsOf(turns: Turns): Row[] {
  const of = (variant: EventVariant, value: (turn: Turn) => number): Samples =>
    turns[variant].map(value);
  const peers = (value: (turn: Turn) => number) => ({
    [NONE]: of("none", value),
    [PEER]: of("otel", value),
  });
  const costs = (name: string, unit: string, value: (turn: Turn) => number): Row =>
    row(name, unit, of("ours", value), peers(value), [lessThanPeer(turns, value)]);
  const cpuUs = ({ cpuUs }: Turn) => cpuUs;
  const added = (variant: EventVariant) =>
    of(variant, cpuUs).map((us, i) => Math.max(0, us - turns.none[i]!.cpuUs));
  const shares = (variant: EventVariant, name: "lost" | "floodLost") =>
    of(variant, (turn) => turn[name] * 100);
  const answers = ({ answersPerS }: Turn) => answersPerS;
  return [
    rateRow("throughput, 16 connections", "answers/s", of("ours", answers), peers(answers), [
      lessThanPeer(turns, answers, true),
    ]),
    costs(`latency p50, ${RATE_PER_S}/s`, "µs", ({ p50Us }) => p50Us),
    costs(`latency p99, ${RATE_PER_S}/s`, "µs", ({ p99Us }) => p99Us),
    costs("processor time of the service, a request", "µs", cpuUs),
    // Ours may be nothing, to which there is no ratio.
    row("ours: added to that, round by round", "µs", added("ours")),
    row("peer: added to that, round by round", "µs", added("otel")),
    row(
      "agent and lake, or receiver, a request",
      "µs",
      of("ours", ({ besideUs }) => besideUs),
      { [PEER]: of("otel", ({ besideUs }) => besideUs) },
    ),
    row("ours: events that did not arrive", "%", shares("ours", "lost"), {}, [atMost(0)]),
    row("ours: events that did not arrive, flood", "%", shares("ours", "floodLost")),
    row("peer: spans that did not arrive", "%", shares("otel", "lost")),
    row("peer: spans that did not arrive, flood", "%", shares("otel", "floodLost")),
  ];
}

/** The peer's cost is greater than ours beyond doubt; what ours is more than none is told beside. */
function lessThanPeer(turns: Turns, value: (turn: Turn) => number, isRate = false): Goal {
  const between = (one: EventVariant, other: EventVariant) =>
    confidenceInterval(turns[one].map((turn, i) => value(turn) - value(turns[other][i]!)));
  const added = between("ours", "none");
  const saved = isRate ? between("ours", "otel") : between("otel", "ours");
  const text = ([low, high]: readonly [number, number]) => `[${show(low)}, ${show(high)}]`;
  const sure = show(CONFIDENCE * 100);
  const pair = isRate ? `ours − ${PEER}` : `${PEER} − ours`;
  return {
    text: `${pair} in ${text(saved)} (${sure} %) is above 0; ours − none in ${text(added)}`,
    holds: () => saved[0] > 0,
  };
}

async function json<T>(port: number, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  if (!response.ok) throw new Error(`GET ${path} answers ${response.status}`);
  return (await response.json()) as T;
}
