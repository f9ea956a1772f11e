// What an update costs a service: our handles on the pages of a living agent, beside prom-client, the OpenTelemetry SDK,
// and what a C service would write.
//
// The C peer keeps to our rules, so that it does the same work: a counter is a struct with a pointer to its slot, an
// increment checks its amount and adds to the slot; a histogram takes its bucket from the double's upper bits or from
// its bounds, clamps it, and adds to bucket and sum. Its slots are volatile, because another process reads them: the
// compiler may not keep them in registers. Its functions are inlined, as the JIT inlines ours. It stores into a file in
// /dev/shm as we do, and runs in this process, called once per round.

import { ptr } from "bun:ffi";
import { join } from "node:path";
import { AggregationType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import * as prom from "prom-client";
import { type Counter, MicroView } from "../src/client/index.ts";
import { MmapTransport } from "../src/collector/index.ts";
import { SharedFile } from "../src/ffi/index.ts";
import { logLinearShape } from "../src/layout/index.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { compileC } from "./lib/compile.ts";
import { loop } from "./lib/loop.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { Connection, PoolScraper } from "./lib/reader.ts";
import { faster, type Goal, type Row, row, within } from "./lib/report.ts";
import { seededRandom } from "./lib/samples.ts";

const SERIES = 100;
const VALUES = 4096;
/** Eight buckets below +Inf, as prom-client takes them. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const LABEL_NAMES = ["method", "route"] as const;

const PROM = "prom-client";
const OTEL = "OpenTelemetry";
const C = "C";

/** One thing to do, as each of the contestants does it. */
interface Case {
  name: string;
  ours: Work;
  peers: Readonly<Record<string, Work>>;
  goals: readonly Goal[];
}

const bench: Bench = {
  summary:
    "ns per update: counter, gauge, histogram, labelled child; prom-client, OpenTelemetry, C",
  async run(context) {
    const { quick, scratch, progress } = context;
    const agent = await startAgent(scratch);
    await using mv = new MicroView({
      app: "bench",
      service: "update",
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    });
    const times = (count: number) => Array.from({ length: count }, (_, i) => i);
    const counters = times(SERIES).map((i) => mv.counter(`rotating_${i}`));
    const [alone, ...cases] = makeCases(mv, counters, await compilePeer(context));
    await mv.ready;
    if (!mv.attached) throw new Error("the agent gave no pages");
    const rows: Row[] = [];
    const rounds = quick ? { count: 3, ms: 1 } : { count: 201, ms: 2 };
    const measure = async ({ name, ours, peers, goals }: Case) => {
      progress(name);
      const { ours: own, ...others } = await alternate({ ...peers, ours }, rounds, quick);
      rows.push(row(name, "ns", own!, others, goals));
    };
    await measure(alone);
    progress("warming up");
    warmUp(cases, quick ? 40 : 2000);
    for (const each of cases) await measure(each);
    checkStored(agent, counters);
    return rows;
  },
};
export default bench;

/**
 * Everything in turns, as in a service that uses it all. It decides what prom-client's inc() costs: 9 to 15 ns where
 * it never saw labels in this process, 25 to 47 where it did; gauges and histograms make no difference to it. Ours stays
 * the same. Both are shown: the first row is measured before the warm-up, with nothing else in the process.
 */
function warmUp(cases: readonly Case[], steps: number): void {
  for (let step = 0; step < steps; step++) {
    for (const { ours, peers } of cases) {
      void ours(50);
      for (const peer of Object.values(peers)) void peer(50);
    }
  }
}

type CPeer = Awaited<ReturnType<typeof compilePeer>>;

/** What was measured did reach the pool. */
function checkStored(agent: AgentProcess, counters: readonly Counter[]): void {
  const connection = new Connection(new MmapTransport(agent.poolDir));
  const scraper = new PoolScraper(connection, "bench");
  scraper.scrape();
  for (const [i, counter] of counters.entries()) {
    const [metric] = [...scraper.directory.metrics.values()].filter(
      ({ definition }) => definition.name === `rotating_${i}`,
    );
    const stored = scraper.values[scraper.directory.valueIndexOf(metric!.series[0]!)];
    if (stored !== counter.value)
      throw new Error(`${counter.value} counted, ${stored} in the pool`);
  }
  connection.close();
}

/** The first is for a process that does nothing else, and comes before the others have run. */
function makeCases(mv: MicroView, counters: readonly Counter[], c: CPeer): [Case, ...Case[]] {
  const values = latencies();
  const promRegistry = new prom.Registry();
  const promOptions = (name: string) => ({ name, help: name, registers: [promRegistry] });
  const provider = new MeterProvider({
    readers: [new IdleReader()],
    views: [
      {
        instrumentName: "exponential",
        aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
      },
      {
        instrumentName: "bounded",
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: BOUNDS },
        },
      },
    ],
  });
  const meter = provider.getMeter("bench");
  const times = (count: number) => Array.from({ length: count }, (_, i) => i);

  const promCounters = times(SERIES).map((i) => new prom.Counter(promOptions(`rotating_${i}`)));
  const otelCounters = times(SERIES).map((i) => meter.createCounter(`rotating_${i}`));
  const labels = times(SERIES).map((i) => ({ method: "GET", route: `/users/:id/${i}` }));
  const labelled = mv.counter("labelled", { labels: LABEL_NAMES });
  const promLabelled = new prom.Counter({
    ...promOptions("labelled"),
    labelNames: [...LABEL_NAMES],
  });
  const otelLabelled = meter.createCounter("labelled");
  const logLinear = mv.histogram("log_linear", { unit: "seconds" });
  const bounded = mv.histogram("bounded", { unit: "seconds", buckets: BOUNDS });
  const promHistogram = new prom.Histogram({ ...promOptions("bounded"), buckets: BOUNDS });
  const promBounded = () => loop("subject.observe(value)", [promHistogram], values);

  const counterGoals = [faster(PROM, 15), within(C, 1.6)];
  const histogramGoals = [faster(PROM, 20), within(C, 1.5)];
  // Each call makes loops of its own, compiled for what the process has seen by then.
  const rotating = (regime: string): Case => ({
    name: `counter.inc(), rotating over ${SERIES} series, ${regime}`,
    ours: loop("subject.inc()", counters, values),
    peers: {
      [PROM]: loop("subject.inc()", promCounters, values),
      [OTEL]: loop("subject.add(1)", otelCounters, values),
      [C]: c.rotate,
    },
    goals: counterGoals,
  });
  return [
    rotating("nothing else in the process"),
    rotating("beside all the others"),
    {
      name: "counter.inc(), one hot counter",
      ours: loop("subject.inc()", [mv.counter("hot")], values),
      peers: {
        [PROM]: loop("subject.inc()", [new prom.Counter(promOptions("hot"))], values),
        [OTEL]: loop("subject.add(1)", [meter.createCounter("hot")], values),
        [C]: c.hot,
      },
      goals: counterGoals,
    },
    {
      name: `child.inc(), rotating over ${SERIES} held children of 2 labels`,
      ours: loop(
        "subject.inc()",
        labels.map((each) => labelled.labels(each)),
        values,
      ),
      peers: {
        [PROM]: loop(
          "subject.inc()",
          labels.map((each) => promLabelled.labels(each)),
          values,
        ),
        [OTEL]: loop(
          "subject.counter.add(1, subject.attributes)",
          labels.map((attributes) => ({ counter: otelLabelled, attributes })),
          values,
        ),
        [C]: c.rotate,
      },
      goals: [faster(PROM, 100)],
    },
    {
      name: "child.inc(), one hot held child of 2 labels",
      ours: loop("subject.inc()", [labelled.labels(labels[0]!)], values),
      peers: {
        [PROM]: loop("subject.inc()", [promLabelled.labels(labels[0]!)], values),
        [C]: c.hot,
      },
      goals: [faster(PROM, 100)],
    },
    {
      name: "gauge.set(value)",
      ours: loop("subject.set(value)", [mv.gauge("level")], values),
      peers: {
        [PROM]: loop("subject.set(value)", [new prom.Gauge(promOptions("level"))], values),
        [OTEL]: loop("subject.record(value)", [meter.createGauge("level")], values),
        [C]: c.set,
      },
      goals: [faster(PROM, 30)],
    },
    {
      name: "histogram.observe(value), log-linear, 6.25 %",
      ours: loop("subject.observe(value)", [logLinear], values),
      peers: {
        [PROM]: promBounded(),
        [OTEL]: loop("subject.record(value)", [meter.createHistogram("exponential")], values),
        [C]: c.logLinear,
      },
      goals: histogramGoals,
    },
    {
      name: `histogram.observe(value), ${BOUNDS.length} bounds`,
      ours: loop("subject.observe(value)", [bounded], values),
      peers: {
        [PROM]: promBounded(),
        [OTEL]: loop("subject.record(value)", [meter.createHistogram("bounded")], values),
        [C]: c.bounded,
      },
      goals: histogramGoals,
    },
  ];
}

/** Makes the SDK keep values; reads none. */
class IdleReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** Durations in seconds as a service has them: log-normal around 20 ms, most between 3 and 150. */
function latencies(): Float64Array {
  const random = seededRandom(1);
  return Float64Array.from({ length: VALUES }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return 0.02 * Math.exp(normal);
  });
}

async function compilePeer({ scratch }: BenchContext) {
  const { shift, base, buckets } = logLinearShape();
  const peer = await compileC(scratch, SOURCE, {
    set_up: { args: ["ptr", "ptr"], returns: "void" },
    rotate: { args: ["u64"], returns: "i32" },
    hot: { args: ["u64"], returns: "i32" },
    set: { args: ["u64"], returns: "i32" },
    log_linear: { args: ["u64", "i32", "i32", "i32"], returns: "i32" },
    bounded: { args: ["u64"], returns: "i32" },
  });
  const file = SharedFile.create(join(scratch.folder("memory"), "c-slots"), 0o600);
  file.truncate(1 << 16);
  file.allocate(0, 1 << 16);
  const { address } = file.map(0, 1 << 16, true);
  const values = latencies();
  peer.set_up(address as never, ptr(values));
  const checked = (status: number) => {
    if (status !== 0) throw new Error("the C peer refused a value");
  };
  return {
    /** Keeps the values alive that C reads. */
    values,
    rotate: (times: number) => checked(peer.rotate(times)),
    hot: (times: number) => checked(peer.hot(times)),
    set: (times: number) => checked(peer.set(times)),
    logLinear: (times: number) => checked(peer.log_linear(times, shift, base - 1, buckets + 1)),
    bounded: (times: number) => checked(peer.bounded(times)),
  };
}

const SOURCE = `
#include <math.h>
#include <stdint.h>
#include <string.h>

struct counter { volatile double *slot; };
struct gauge { volatile double *slot; };
struct log_linear { volatile double *slots; int32_t shift, base, top; };
struct bounded { volatile double *slots; const double *bounds; int32_t count; };

static inline int counter_inc(struct counter *c, double n) {
  if (!(n >= 0 && n <= 1.7976931348623157e308)) return -1;
  *c->slot += n;
  return 0;
}

static inline int gauge_set(struct gauge *g, double value) {
  if (value != value) return -1;
  *g->slot = value;
  return 0;
}

static inline int log_linear_observe(struct log_linear *h, double value) {
  if (value - value != 0) return -1;
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  int32_t bucket = ((int32_t)(bits >> 32) >> h->shift) - h->base;
  if (bucket < 0) bucket = 0;
  else if (bucket > h->top) bucket = h->top;
  h->slots[bucket] += 1;
  h->slots[h->top + 1] += value;
  return 0;
}

static inline int bounded_observe(struct bounded *h, double value) {
  if (value - value != 0) return -1;
  int32_t bucket = 0;
  while (bucket < h->count && h->bounds[bucket] < value) bucket++;
  h->slots[bucket] += 1;
  h->slots[h->count + 1] += value;
  return 0;
}

static volatile double *slots;
static const double *values;
static const double bounds[] = { ${BOUNDS.join(", ")} };
static struct counter counters[${SERIES}], *handles[${SERIES}];
static uint32_t turn;

void set_up(void *memory, const double *given) {
  slots = memory;
  values = given;
  for (int i = 0; i < ${SERIES}; i++) {
    counters[i].slot = slots + i;
    handles[i] = &counters[i];
  }
}

int rotate(uint64_t times) {
  int status = 0;
  for (uint64_t i = 0; i < times; i++) {
    struct counter *c = handles[turn];
    turn = turn == ${SERIES - 1} ? 0 : turn + 1;
    status |= counter_inc(c, 1);
  }
  return status;
}

int hot(uint64_t times) {
  struct counter *c = handles[0];
  int status = 0;
  for (uint64_t i = 0; i < times; i++) status |= counter_inc(c, 1);
  return status;
}

int set(uint64_t times) {
  struct gauge g = { slots + 200 };
  int status = 0;
  for (uint64_t i = 0; i < times; i++) status |= gauge_set(&g, values[i & ${VALUES - 1}]);
  return status;
}

int log_linear(uint64_t times, int32_t shift, int32_t base, int32_t top) {
  struct log_linear h = { slots + 512, shift, base, top };
  int status = 0;
  for (uint64_t i = 0; i < times; i++) status |= log_linear_observe(&h, values[i & ${VALUES - 1}]);
  return status;
}

int bounded(uint64_t times) {
  struct bounded h = { slots + 1024, bounds, ${BOUNDS.length} };
  int status = 0;
  for (uint64_t i = 0; i < times; i++) status |= bounded_observe(&h, values[i & ${VALUES - 1}]);
  return status;
}
`;
