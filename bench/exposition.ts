// What a scrape by Prometheus costs a host: the text of all its services' series, beside prom-client with the same ones.
//
// "In memory" is what the agent does for a scrape: the sums over writers out of the mapped pool, and the text. "Over
// HTTP" is the whole way, GET /metrics of an agent in a process of its own, with the scraper's side; prom-client's
// process serves as its documentation shows. It gets one process for all services, where Prometheus would ask each
// service by itself: that is in its favour.
//
// All processes are pinned to one processor, the scraper too: rates are those of one core.

import { MicroView } from "../src/client/index.ts";
import { MmapTransport } from "../src/collector/index.ts";
import { Exposition } from "../src/exposition/index.ts";
import { pinProcess, pinThisThread, unpinThisThread } from "./lib/affinity.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { PromServer, parseText } from "./lib/prom.ts";
import { type PromShape, promRegistry } from "./lib/prom-registry.ts";
import { Connection, PoolScraper } from "./lib/reader.ts";
import { atLeast, faster, type Row, rateRow, row } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";

interface Shape extends PromShape {
  /** Scrapes per second to reach, on one core. */
  reach: number;
}

const SHAPES: readonly Shape[] = [
  { services: 8, metrics: 256, reach: 1000 },
  { services: 256, metrics: 64, reach: 100 },
];
const QUICK_SHAPES: readonly Shape[] = [{ services: 2, metrics: 16, reach: 1000 }];

const PROCESSOR = 0;
const PROM = "prom-client";
const OPENMETRICS = { accept: "application/openmetrics-text;version=1.0.0" };

const bench: Bench = {
  summary:
    "scrapes/s of Prometheus text, in memory and over HTTP; prom-client with the same series",
  async run(context) {
    const { quick, scratch } = context;
    const shapes = quick ? QUICK_SHAPES : SHAPES;
    const prom = await PromServer.start(scratch, { shapes });
    pinProcess(prom.pid, PROCESSOR);
    pinThisThread(PROCESSOR);
    const rows: Row[] = [];
    try {
      for (const i of shapes.keys()) rows.push(...(await measure(context, shapes, i, prom)));
    } finally {
      unpinThisThread();
    }
    return rows;
  },
};
export default bench;

async function measure(
  { quick, scratch, progress }: BenchContext,
  shapes: readonly Shape[],
  i: number,
  prom: PromServer,
): Promise<Row[]> {
  const shape = shapes[i]!;
  const title = `${shape.services} services × ${shape.metrics} metrics`;
  const series = shape.services * shape.metrics;
  progress(title);
  const agent = await startAgent(scratch);
  pinProcess(agent.pid, PROCESSOR);
  const services = await startServices(agent, shape);
  const connection = new Connection(new MmapTransport(agent.poolDir));
  const memory = new MemoryScraper(new PoolScraper(connection, "bench"));
  const registry = promRegistry(shape);
  const ours = `http://127.0.0.1:${agent.port}/metrics?app=bench`;
  const theirs = `http://127.0.0.1:${prom.port}/metrics/${i}`;
  const bytes = await check(ours, theirs, memory, series);

  const samples = await alternate(
    {
      memory: repeat(() => memory.scrape("text")),
      open: repeat(() => memory.scrape("openmetrics")),
      plain: repeat(() => memory.scrape("openmetrics", false)),
      promMemory: repeatAsync(() => registry.metrics()),
      http: repeatAsync(() => get(ours)),
      gzip: repeatAsync(() => get(ours, { ...OPENMETRICS, "accept-encoding": "gzip" })),
      promHttp: repeatAsync(() => get(theirs)),
    },
    quick ? { count: 2, ms: 1 } : { count: 21, ms: 40 },
    quick,
  );
  connection.close();
  await Promise.all(services.map((service) => service.close()));
  await agent.stop();

  const perSeries = (all: Samples) => all.map((ns) => ns / series);
  const enough = atLeast(shape.reach);
  const promMemory = { [PROM]: perSecond(samples.promMemory) };
  const promHttp = { [PROM]: perSecond(samples.promHttp) };
  const rate = (name: string, all: Samples, peer: Record<string, Samples>, goals = [enough]) =>
    rateRow(`${title}, ${name}`, "scrapes/s", perSecond(all), peer, goals);
  return [
    rate("in memory", samples.memory, promMemory),
    rate("in memory, OpenMetrics", samples.open, promMemory),
    rate("in memory, OpenMetrics without _created", samples.plain, promMemory),
    row(
      `${title}, in memory`,
      "ns/series",
      perSeries(samples.memory),
      { [PROM]: perSeries(samples.promMemory) },
      [faster(PROM, 5)],
    ),
    rate("over HTTP", samples.http, promHttp),
    rate("over HTTP, OpenMetrics with gzip", samples.gzip, promHttp, []),
    row(`${title}, text`, "bytes/series", [bytes.ours / series], {
      [PROM]: [bytes.theirs / series],
    }),
  ];
}

/** The agent's work for a scrape, without HTTP. */
class MemoryScraper {
  readonly #exposition = new Exposition();

  constructor(readonly pool: PoolScraper) {}

  /** @returns the text's bytes */
  scrape(format: "text" | "openmetrics", created = true): number {
    this.pool.scrape();
    const { structure, values } = this.pool;
    const pools = [{ app: "bench", structure, values }];
    const scrape = this.#exposition.scrape(pools, { format, created });
    let bytes = 0;
    for (let piece = scrape.next(); piece !== undefined; piece = scrape.next()) {
      bytes += piece.length;
    }
    return bytes;
  }
}

async function startServices(agent: AgentProcess, shape: Shape): Promise<MicroView[]> {
  const services = Array.from({ length: shape.services }, (_, service) => {
    const mv = new MicroView({
      app: "bench",
      service: `service_${service}`,
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    });
    for (let metric = 0; metric < shape.metrics; metric++) {
      const help = `metric ${metric}`;
      mv.counter(`metric_${metric}_total`, { help }).inc(metric + service / 1000);
    }
    return mv;
  });
  await Promise.all(services.map((service) => service.ready));
  return services;
}

/** Both tell the same values, and ours the same in memory as over HTTP. @returns how long the texts are */
async function check(ours: string, theirs: string, memory: MemoryScraper, series: number) {
  const [own, peer] = [await get(ours), await get(theirs)].map((bytes) =>
    new TextDecoder().decode(bytes),
  );
  const found = new Map<string, number>();
  const expected = new Map<string, number>();
  parseText(own!.replaceAll('app="bench",', ""), found);
  parseText(peer!, expected);
  if (found.size !== series || !Bun.deepEquals(found, expected)) {
    throw new Error(`${found.size} of ${series} series are told, or others than ${PROM} tells`);
  }
  const bytes = memory.scrape("text");
  if (bytes !== own!.length) throw new Error(`${bytes} bytes in memory, ${own!.length} over HTTP`);
  return { ours: own!.length, theirs: peer!.length };
}

async function get(url: string, headers: Record<string, string> = {}): Promise<ArrayBuffer> {
  const response = await fetch(url, {
    // Without a header of ours Bun asks for compression.
    headers: { "accept-encoding": "identity", ...headers },
    decompress: false,
  });
  const body = await response.arrayBuffer();
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return body;
}

function repeat(work: () => void): Work {
  return (times) => {
    for (let i = 0; i < times; i++) work();
  };
}

function repeatAsync(work: () => Promise<unknown>): Work {
  return async (times) => {
    for (let i = 0; i < times; i++) await work();
  };
}

function perSecond(samples: Samples): Samples {
  return samples.map((ns) => 1e9 / ns);
}
