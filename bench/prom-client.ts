// What changing one import saves: the same program over prom-client and over microview/prom-client, whose metrics are
// on the pages of a living agent.

import * as theirs from "prom-client";
import * as ours from "../src/prom-client/index.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench } from "./lib/bench.ts";
import { loop } from "./lib/loop.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { faster, type Goal, type Row, row } from "./lib/report.ts";
import { seededRandom } from "./lib/samples.ts";

const PROM = "prom-client";
const VALUES = 4096;
/** Label values that calls go through. */
const ROUTES = 100;
const EXPOSED_SERIES = [1_000, 10_000];

/** What both offer, as far as the programs need it. */
type Client = Pick<typeof ours, "Counter" | "Gauge" | "Histogram" | "Summary" | "Registry">;

interface Case {
  name: string;
  /** Sets the program up. @returns what is measured */
  program(client: Client): Work;
  goals: readonly Goal[];
}

const bench: Bench = {
  summary:
    "the same program over prom-client and over microview/prom-client: ns per call, metrics()",
  async run({ quick, scratch, progress }) {
    const { socketPath: socket, poolDir } = await startAgent(scratch);
    ours.configure({ app: "bench", service: "prom-client", socket, poolDir });
    const prepared = CASES.map(({ name, program, goals }) => ({
      name,
      goals,
      ours: program(ours),
      peer: program(theirs as unknown as Client),
    }));
    await ours.microview()!.ready;
    if (!ours.microview()!.attached) throw new Error("the agent gave no pages");
    progress("warming up");
    for (let step = 0; step < (quick ? 40 : 2000); step++) {
      // As in a service that uses it all; what takes long has its own warm-up.
      for (const { name, ours, peer } of prepared) {
        if (name.startsWith("register")) continue;
        void ours(50);
        void peer(50);
      }
    }
    const rows: Row[] = [];
    for (const { name, goals, ours, peer } of prepared) {
      progress(name);
      const isLong = name.startsWith("register");
      const rounds = quick
        ? { count: 3, ms: 1 }
        : { count: isLong ? 31 : 201, ms: isLong ? 20 : 2 };
      const samples = await alternate({ ours, peer }, rounds, quick);
      rows.push(row(name, "ns", samples.ours, { [PROM]: samples.peer }, goals));
    }
    await ours.microview()!.close();
    return rows;
  },
};
export default bench;

const LABEL_NAMES = ["method", "route"];

const routes = Array.from({ length: ROUTES }, (_, i) => ({
  method: "GET",
  route: `/users/:id/${i}`,
}));

/** Durations in seconds, most between 3 and 150 ms. */
const random = seededRandom(1);
const values = Float64Array.from({ length: VALUES }, () => 0.02 * Math.exp(4 * random() - 2));

let made = 0;

/** A new name, in a registry of its own. */
function options({ Registry }: Client, labelNames: string[] = []) {
  return { name: `metric_${made++}`, help: "Measured.", labelNames, registers: [new Registry()] };
}

const CASES: readonly Case[] = [
  {
    name: "counter.inc()",
    program: (client) => loop("subject.inc()", [new client.Counter(options(client))], values),
    goals: [faster(PROM, 5)],
  },
  {
    name: `counter.inc({ method, route }), ${ROUTES} series`,
    program(client) {
      const counter = new client.Counter(options(client, LABEL_NAMES));
      const calls = routes.map((labels) => ({ counter, ...labels }));
      // A new object in each call, as it is written in services.
      const call = "subject.counter.inc({ method: subject.method, route: subject.route })";
      return loop(call, calls, values);
    },
    goals: [faster(PROM, 5)],
  },
  {
    name: `counter.inc({ method, route, status: number }), ${ROUTES} series`,
    program(client) {
      const counter = new client.Counter(options(client, [...LABEL_NAMES, "status"]));
      const calls = routes.map((labels) => ({ counter, ...labels, status: 200 }));
      const call =
        "subject.counter.inc({ method: subject.method, route: subject.route, status: subject.status })";
      return loop(call, calls, values);
    },
    goals: [faster(PROM, 3)],
  },
  {
    name: `counter.labels(…) kept, child.inc(), ${ROUTES} series`,
    program(client) {
      const counter = new client.Counter(options(client, LABEL_NAMES));
      return loop(
        "subject.inc()",
        routes.map((labels) => counter.labels(labels)),
        values,
      );
    },
    goals: [faster(PROM, 20)],
  },
  {
    name: `counter.labels(method, route).inc(), ${ROUTES} series`,
    program(client) {
      const counter = new client.Counter(options(client, LABEL_NAMES));
      const calls = routes.map((labels) => ({ counter, ...labels }));
      return loop("subject.counter.labels(subject.method, subject.route).inc()", calls, values);
    },
    goals: [faster(PROM, 2)],
  },
  {
    name: "gauge.set(value)",
    program: (client) => loop("subject.set(value)", [new client.Gauge(options(client))], values),
    goals: [faster(PROM, 5)],
  },
  {
    name: "histogram.observe(value), default buckets",
    program: (client) =>
      loop("subject.observe(value)", [new client.Histogram(options(client))], values),
    goals: [faster(PROM, 15)],
  },
  {
    name: `histogram.observe({ method, route }, value), ${ROUTES} series`,
    program(client) {
      const histogram = new client.Histogram(options(client, LABEL_NAMES));
      const calls = routes.map((labels) => ({ histogram, ...labels }));
      const call =
        "subject.histogram.observe({ method: subject.method, route: subject.route }, value)";
      return loop(call, calls, values);
    },
    goals: [faster(PROM, 5)],
  },
  {
    name: "summary.observe(value)",
    program: (client) =>
      loop("subject.observe(value)", [new client.Summary(options(client))], values),
    goals: [faster(PROM, 2)],
  },
  ...EXPOSED_SERIES.map(
    (series): Case => ({
      name: `register.metrics(), ${series.toLocaleString("en-US")} series`,
      program: (client) => exposition(client, series),
      goals: [faster(PROM, 1)],
    }),
  ),
];

/** A registry as a service has it: two fifths counters, two fifths gauges, the rest the lines of histograms. */
function exposition(client: Client, series: number): Work {
  const registry = new client.Registry();
  const more = { help: "Measured.", labelNames: LABEL_NAMES, registers: [registry] };
  const counter = new client.Counter({ name: `requests_${series}_total`, ...more });
  const gauge = new client.Gauge({ name: `depth_${series}`, ...more });
  const histogram = new client.Histogram({ name: `took_${series}_seconds`, ...more });
  const LINES_OF_A_HISTOGRAM = 14;
  for (let i = 0; i < series * 0.4; i++) {
    counter.inc({ method: "GET", route: `/users/:id/${i}` }, i);
    gauge.set({ method: "GET", route: `/users/:id/${i}` }, i / 3);
  }
  for (let i = 0; i < (series * 0.2) / LINES_OF_A_HISTOGRAM; i++) {
    histogram.observe({ method: "GET", route: `/users/:id/${i}` }, i / 100);
  }
  return async (times) => {
    for (let i = 0; i < times; i++) await registry.metrics();
  };
}
