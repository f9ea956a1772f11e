// What changing one import saves: the same program over @opentelemetry/sdk-metrics and over microview/opentelemetry,
// whose instruments are on the pages of a living agent.

import type { Attributes, Meter } from "@opentelemetry/api";
import * as sdk from "@opentelemetry/sdk-metrics";
import * as microview from "../src/opentelemetry/index.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench } from "./lib/bench.ts";
import { loop } from "./lib/loop.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { faster, type Goal, type Row, row } from "./lib/report.ts";
import { seededRandom } from "./lib/samples.ts";

const SDK = "OpenTelemetry";
const VALUES = 4096;
/** Sets of attributes that calls go through. */
const ROUTES = 100;
const OBSERVED = 1000;

/** The program's side of a provider. */
interface Contestant {
  meter: Meter;
  /** Asks the observable instruments, as an export or a round does. */
  collect(): Promise<unknown>;
}

interface Case {
  name: string;
  /** Sets the program up. @returns what is measured */
  program(contestant: Contestant): Work;
  goals: readonly Goal[];
}

const bench: Bench = {
  summary:
    "the same program over the OpenTelemetry SDK and over microview/opentelemetry: ns per call",
  async run({ quick, scratch, progress }) {
    const { socketPath: socket, poolDir } = await startAgent(scratch);
    const provider = new microview.MeterProvider({
      ...{ app: "bench", service: "opentelemetry", socket, poolDir },
      collectIntervalMs: 1e9,
      views: [exponential(microview)],
    });
    const reader = new IdleReader();
    const peerProvider = new sdk.MeterProvider({ readers: [reader], views: [exponential(sdk)] });
    const ours: Contestant = {
      meter: provider.getMeter("bench", "1.0.0"),
      collect: () => provider.forceFlush(),
    };
    const peer: Contestant = {
      meter: peerProvider.getMeter("bench", "1.0.0"),
      collect: () => reader.collect(),
    };
    const prepared = CASES.map(({ name, program, goals }) => ({
      ...{ name, goals },
      ...{ ours: program(ours), peer: program(peer) },
    }));
    await provider.ready;
    progress("warming up");
    for (let step = 0; step < (quick ? 40 : 2000); step++) {
      // As in a service that uses it all; what takes long has its own warm-up.
      for (const each of prepared) {
        if (each.name.includes("observed")) continue;
        void each.ours(50);
        void each.peer(50);
      }
    }
    const rows: Row[] = [];
    for (const { name, goals, ours: own, peer: other } of prepared) {
      progress(name);
      const isLong = name.includes("observed");
      const rounds = quick
        ? { count: 3, ms: 1 }
        : { count: isLong ? 31 : 201, ms: isLong ? 20 : 2 };
      const samples = await alternate({ ours: own, peer: other }, rounds, quick);
      rows.push(row(name, "ns", samples.ours, { [SDK]: samples.peer }, goals));
    }
    await provider.shutdown();
    await peerProvider.shutdown();
    return rows;
  },
};
export default bench;

/** Collects when it is asked, and exports nothing. */
class IdleReader extends sdk.MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** The same view of either. */
function exponential({ AggregationType }: typeof microview | typeof sdk) {
  const aggregation = { type: AggregationType.EXPONENTIAL_HISTOGRAM } as never;
  return { instrumentName: "exponential", aggregation };
}

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const advice = { explicitBucketBoundaries: BOUNDS };

/** Durations in seconds, most between 3 and 150 ms. */
const random = seededRandom(1);
const values = Float64Array.from({ length: VALUES }, () => 0.02 * Math.exp(4 * random() - 2));

const routes = Array.from({ length: ROUTES }, (_, i) => `/users/:id/${i}`);
const TWO = '{ "http.request.method": "GET", "http.route": subject.route }';
const FOUR =
  '{ "http.request.method": "GET", "http.route": subject.route, "http.response.status_code": 200, "url.scheme": "https" }';

/** A call with an object that is made for it, as it is written in services. */
function perRoute(call: string, instrument: object): Work {
  return loop(
    call,
    routes.map((route) => ({ instrument, route })),
    values,
  );
}

const CASES: readonly Case[] = [
  {
    name: "counter.add(1)",
    program: ({ meter }) => loop("subject.add(1)", [meter.createCounter("bare")], values),
    goals: [faster(SDK, 3)],
  },
  {
    name: `counter.add(1, { 2 attributes }), ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(`subject.instrument.add(1, ${TWO})`, meter.createCounter("two")),
    goals: [faster(SDK, 5)],
  },
  {
    name: `counter.add(1, { 4 attributes }), ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(`subject.instrument.add(1, ${FOUR})`, meter.createCounter("four")),
    goals: [faster(SDK, 5)],
  },
  {
    name: `counter.add(1, kept object of 2), ${ROUTES} series`,
    program({ meter }) {
      const instrument = meter.createCounter("kept");
      const calls = routes.map((route): { instrument: object; attributes: Attributes } => ({
        instrument,
        attributes: { "http.request.method": "GET", "http.route": route },
      }));
      return loop("subject.instrument.add(1, subject.attributes)", calls, values);
    },
    goals: [faster(SDK, 5)],
  },
  {
    name: `upDownCounter.add(1, { 2 attributes }), ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(`subject.instrument.add(1, ${TWO})`, meter.createUpDownCounter("active")),
    goals: [faster(SDK, 5)],
  },
  {
    name: `gauge.record(value, { 2 attributes }), ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(`subject.instrument.record(value, ${TWO})`, meter.createGauge("depth")),
    goals: [faster(SDK, 3)],
  },
  {
    name: `histogram.record(value, { 2 attributes }), 11 bounds, ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(
        `subject.instrument.record(value, ${TWO})`,
        meter.createHistogram("bounded", { unit: "s", advice }),
      ),
    goals: [faster(SDK, 5)],
  },
  {
    name: `histogram.record(value, { 4 attributes }), 11 bounds, ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(
        `subject.instrument.record(value, ${FOUR})`,
        meter.createHistogram("http.server.request.duration", { unit: "s", advice }),
      ),
    goals: [faster(SDK, 5)],
  },
  {
    name: `histogram.record(value, { 2 attributes }), exponential, ${ROUTES} series`,
    program: ({ meter }) =>
      perRoute(
        `subject.instrument.record(value, ${TWO})`,
        meter.createHistogram("exponential", { unit: "s" }),
      ),
    goals: [faster(SDK, 5)],
  },
  {
    name: `${OBSERVED} values observed, a round`,
    program({ meter, collect }) {
      const all = Array.from({ length: OBSERVED }, (_, i) => ({ cpu: String(i) }));
      meter.createObservableGauge("observed").addCallback((result) => {
        for (const attributes of all) result.observe(1, attributes);
      });
      return async (times) => {
        for (let i = 0; i < times; i++) await collect();
      };
    },
    goals: [faster(SDK, 1)],
  },
];
