// What a scrape costs a collector: our pages by mmap and tcp, beside prom-client scraped over HTTP and parsed.
//
// A scrape of ours is what the collector does at a deadline: the snapshot of all pages between two equal generations,
// and the sums over writers, as one f64 per series. One of prom-client's is the HTTP request to another process and
// a number by name for each line. prom-client gets one process for all services of a shape, where a real collector asks
// each service by itself: that is in its favour.
//
// All processes are pinned to one processor, ours and the peer's alike. Left to the scheduler, waking the other virtual
// processor takes longer than the read, and the figures jump by a factor of five with where it puts whom.

import { dlopen } from "bun:ffi";
import { MicroView } from "../src/client/index.ts";
import { MmapTransport, TcpTransport } from "../src/collector/index.ts";
import { SLOTS_PER_PAGE } from "../src/layout/index.ts";
import { pinProcess, pinThisThread, unpinThisThread } from "./lib/affinity.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { writeDensePool } from "./lib/dense-pool.ts";
import { alternate, type Rounds } from "./lib/measure.ts";
import { PromServer } from "./lib/prom.ts";
import { Connection, PoolScraper } from "./lib/reader.ts";
import { atMost, faster, type Goal, type Row, rateRow, row } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";

interface Shape {
  services: number;
  metrics: number;
}

const SHAPES: readonly Shape[] = [
  ...[16, 64, 128, 256].map((metrics) => ({ services: 8, metrics })),
  ...[16, 64, 128, 256].map((services) => ({ services, metrics: 64 })),
];
const QUICK_SHAPES: readonly Shape[] = [
  { services: 8, metrics: 16 },
  { services: 16, metrics: 64 },
];
const DENSE_PAGES = 10_000;
const QUICK_DENSE_PAGES = 100;

/** Where everything runs. */
const PROCESSOR = 0;

const PROM = "prom-client";
/** From here on the reach against prom-client holds. */
const LARGE_METRICS = 5_000;
const GOALS = {
  mmap: [faster(PROM, 300)],
  tcp: [faster(PROM, 100)],
} as const satisfies Record<string, readonly Goal[]>;

const bench: Bench = {
  summary:
    "scrapes/s, ns and bytes per metric by mmap and tcp, up to 10,000 pages; prom-client over HTTP",
  async run(context) {
    const shapes = context.quick ? QUICK_SHAPES : SHAPES;
    const prom = await PromServer.start(context.scratch, { shapes });
    pinProcess(prom.pid, PROCESSOR);
    pinThisThread(PROCESSOR);
    try {
      const { rows, promPerMetric } = await measureShapes(context, shapes, prom);
      return [...rows, ...(await measureDense(context, promPerMetric))];
    } finally {
      unpinThisThread();
    }
  },
};
export default bench;

/** Services as they are: each a client of its own, attached to the agent. */
async function measureShapes(context: BenchContext, shapes: readonly Shape[], prom: PromServer) {
  const { quick, scratch, progress } = context;
  const agent = await startAgent(scratch);
  pinProcess(agent.pid, PROCESSOR);
  const rows: Row[] = [];
  let promPerMetric: Samples = [];
  let largest = { metrics: 0 };
  for (const [i, shape] of shapes.entries()) {
    const title = `${shape.services} services × ${shape.metrics} metrics`;
    progress(title);
    const app = `shape-${i}`;
    const services = await startServices(agent, app, shape);
    const readers = openReaders(agent, app);
    const { mmap, tcp } = readers;
    const metrics = shape.services * shape.metrics;
    checkValues(mmap, shape);
    checkValues(tcp, shape);
    const parsed = new Map<string, number>();
    const textBytes = await prom.scrape(i, parsed);
    if (parsed.size !== metrics)
      throw new Error(`${parsed.size} of ${metrics} metrics were parsed`);
    const samples = await alternate(
      {
        mmap: repeat(() => mmap.scrape()),
        tcp: repeat(() => tcp.scrape()),
        [PROM]: async (times: number) => {
          for (let each = 0; each < times; each++) await prom.scrape(i, parsed);
        },
      },
      roundsOf(quick),
      quick,
    );
    const promNs = samples[PROM]!;
    for (const transport of ["mmap", "tcp"] as const) {
      const ours = samples[transport]!;
      const name = `${title}, ${transport}`;
      rows.push(rateRow(name, "scrapes/s", perSecond(ours), { [PROM]: perSecond(promNs) }));
      rows.push(
        row(
          name,
          "ns/metric",
          perMetric(ours, metrics),
          { [PROM]: perMetric(promNs, metrics) },
          metrics >= LARGE_METRICS ? GOALS[transport] : [],
        ),
      );
    }
    const bytes = readers.wireBytes(() => tcp.scrape()) / metrics;
    rows.push(row(`${title}, tcp`, "bytes/metric", [bytes], { [PROM]: [textBytes / metrics] }));
    if (metrics > largest.metrics) {
      largest = { metrics };
      promPerMetric = perMetric(promNs, metrics);
    }
    readers.close();
    await Promise.all(services.map((service) => service.close()));
  }
  await agent.stop();
  return { rows, promPerMetric: { samples: promPerMetric, ...largest } };
}

/** Full pages, as many as a large host has. */
async function measureDense(
  context: BenchContext,
  prom: { samples: Samples; metrics: number },
): Promise<Row[]> {
  const { quick, scratch, progress } = context;
  const pages = quick ? QUICK_DENSE_PAGES : DENSE_PAGES;
  const metrics = pages * SLOTS_PER_PAGE;
  const poolDir = scratch.folder("memory");
  progress(`writing ${pages} pages with ${metrics} series`);
  writeDensePool(poolDir, "dense", pages);
  const agent = await startAgent(scratch, { poolDir, limits: { series: metrics } });
  pinProcess(agent.pid, PROCESSOR);
  const readers = openReaders(agent, "dense");
  const { mmap, tcp } = readers;
  for (const reader of [mmap, tcp]) {
    reader.scrape();
    reader.values.forEach((value, i) => {
      if (value !== i + 1) throw new Error(`series ${i + 1} has the value ${value}`);
    });
  }
  const count = `${pages.toLocaleString("en-US")} pages`;
  progress(`reading ${count}`);
  const samples = await alternate(
    {
      mmap: repeat(() => mmap.scrape()),
      snapshot: repeat(() => mmap.snapshot()),
      gather: repeat(() => mmap.gather()),
      tcp: repeat(() => tcp.scrape()),
    },
    roundsOf(quick),
    quick,
  );
  const wireBytes = readers.wireBytes(() => tcp.scrape());
  readers.close();
  await agent.stop();
  const peers = { [PROM]: prom.samples };
  const note = `(${PROM}: at ${prom.metrics.toLocaleString("en-US")} metrics)`;
  return [
    rateRow(`${count}, mmap`, "scrapes/s", perSecond(samples.mmap)),
    row(`${count}, mmap ${note}`, "ns/metric", perMetric(samples.mmap, metrics), peers, GOALS.mmap),
    row(`${count}, mmap: snapshot alone`, "ns/metric", perMetric(samples.snapshot, metrics)),
    row(`${count}, mmap: gather alone`, "ns/metric", perMetric(samples.gather, metrics)),
    row(
      `${count}, mmap: dense read, snapshot and gather`,
      "ns/metric",
      perMetric(samples.mmap, metrics),
      {},
      [atMost(1.5)],
    ),
    rateRow(`${count}, tcp`, "scrapes/s", perSecond(samples.tcp)),
    row(`${count}, tcp ${note}`, "ns/metric", perMetric(samples.tcp, metrics), peers, GOALS.tcp),
    row(`${count}, tcp`, "bytes/metric", [wireBytes / metrics], {}, [atMost(8.5)]),
  ];
}

async function startServices(agent: AgentProcess, app: string, shape: Shape): Promise<MicroView[]> {
  const services = Array.from({ length: shape.services }, (_, service) => {
    const mv = new MicroView({
      app,
      service: `service_${service}`,
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    });
    for (let metric = 0; metric < shape.metrics; metric++) {
      mv.counter(`metric_${metric}`).inc(metric + service / 1000);
    }
    return mv;
  });
  await Promise.all(services.map((service) => service.ready));
  return services;
}

function openReaders(agent: AgentProcess, app: string) {
  const local = new Connection(new MmapTransport(agent.poolDir));
  const remote = new Connection(new TcpTransport("127.0.0.1", agent.dataPort, ""));
  const bytes = socketBytes();
  const { fd } = remote.transport;
  return {
    mmap: new PoolScraper(local, app),
    tcp: new PoolScraper(remote, app),
    /** What passes over the connection in both directions meanwhile, by the kernel's count. */
    wireBytes(work: () => void): number {
      const before = bytes(fd);
      work();
      return bytes(fd) - before;
    },
    close(): void {
      local.close();
      remote.close();
    },
  };
}

/** The values that a reader has found are those that the services have stored. */
function checkValues(reader: PoolScraper, { services, metrics }: Shape): void {
  reader.scrape();
  let expected = 0;
  for (let service = 0; service < services; service++) {
    for (let metric = 0; metric < metrics; metric++) expected += metric + service / 1000;
  }
  const found = reader.values.reduce((sum, value) => sum + value, 0);
  if (reader.values.length !== services * metrics || Math.abs(found - expected) > 1e-6 * expected) {
    throw new Error(`read ${reader.values.length} values with the sum ${found}, not ${expected}`);
  }
}

/** How many bytes a TCP connection has received and sent: tcp_info of linux/tcp.h. */
function socketBytes(): (fd: number) => number {
  const IPPROTO_TCP = 6;
  const TCP_INFO = 11;
  const ACKED_OFFSET = 120;
  const RECEIVED_OFFSET = 128;
  const { symbols } = dlopen("libc.so.6", {
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  });
  const info = new Uint8Array(256);
  const view = new DataView(info.buffer);
  return (fd) => {
    const status = symbols.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, new Uint32Array([256]));
    if (status !== 0) throw new Error("the kernel does not tell the bytes of a connection");
    return Number(view.getBigUint64(ACKED_OFFSET, true) + view.getBigUint64(RECEIVED_OFFSET, true));
  };
}

function repeat(work: () => void): (times: number) => void {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}

function roundsOf(quick: boolean): Rounds {
  return quick ? { count: 2, ms: 1 } : { count: 31, ms: 10 };
}

function perMetric(samples: Samples, metrics: number): Samples {
  return samples.map((ns) => ns / metrics);
}

function perSecond(samples: Samples): Samples {
  return samples.map((ns) => 1e9 / ns);
}
