// What a read by RDMA is made of and what it costs: READs, completions and bytes per snapshot, scrapes/s beside tcp,
// the agent's CPU, and single READs beside perftest's ib_read_lat.
//
// On a host without an RDMA port it runs in the machine of tests/vm, whose device and processors are emulated: the
// counts and the ratios mean something there, the times do not.
//
// Reader, agent and the kernel's work of an emulated device share one processor, ours and the peer's alike: waking the
// other one takes longer than a READ, and its time jumps by a factor of fifty with who else uses the host.

import { cpus } from "node:os";
import { MicroView } from "../src/client/index.ts";
import { type ByteRange, TcpTransport } from "../src/collector/index.ts";
import type { PollMode } from "../src/collector/worker-protocol.ts";
import {
  allocateBuffer,
  chooseRdmaPort,
  listRdmaPorts,
  loadVerbs,
  NoRdmaPortError,
  type RdmaChoice,
  SystemError,
} from "../src/ffi/index.ts";
import {
  decodeHeader,
  HEADER_BYTES_USED,
  PAGE_HEADER_BYTES,
  pageOffset,
  SLOTS_PER_PAGE,
} from "../src/layout/index.ts";
import { pinProcess, pinThisThread, unpinThisThread } from "./lib/affinity.ts";
import { type AgentProcess, startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { writeDensePool } from "./lib/dense-pool.ts";
import { isInMachine, runInMachine } from "./lib/in-machine.ts";
import { alternate } from "./lib/measure.ts";
import { hasPerftest, readLatencyNs } from "./lib/perftest.ts";
import { cpuNsOf } from "./lib/process.ts";
import { Connection, PoolScraper } from "./lib/reader.ts";
import { atMost, type Row, rateRow, row, within } from "./lib/report.ts";
import { median } from "./lib/samples.ts";
import { KernelWork } from "./lib/soft-roce.ts";
import { connectVerbs, type VerbsConnection } from "./lib/verbs.ts";

interface Shape {
  services: number;
  metrics: number;
  /** Scrapes/s with exporter that µView publishes, Figure 5b: a BlueField-2. */
  published: number;
}

const SHAPES: readonly Shape[] = [
  { services: 8, metrics: 16, published: 126.9 },
  { services: 8, metrics: 64, published: 43.8 },
  { services: 8, metrics: 128, published: 22.9 },
  { services: 8, metrics: 256, published: 11.7 },
  { services: 16, metrics: 64, published: 23.2 },
  { services: 64, metrics: 64, published: 5.6 },
  { services: 128, metrics: 64, published: 2.7 },
  { services: 256, metrics: 64, published: 1.3 },
];
const QUICK_SHAPES: readonly Shape[] = SHAPES.filter(
  ({ services, metrics }) => services === 8 && metrics <= 64,
);
/** Before the first shape, so that it does not pay for the compiling of all. */
const WARM_UP_SCRAPES = { usual: 3_000, quick: 20 };
const PUBLISHED = "µView, published";
/** The agent's CPU is measured with the shape of so many services. */
const AGENT_SERVICES = { usual: 64, quick: 8 };

const SIZES = [
  { name: "64 B", bytes: 64, reads: 300 },
  { name: "1 KiB", bytes: 1 << 10, reads: 300 },
  { name: "4 KiB", bytes: 4 << 10, reads: 300 },
  { name: "64 KiB", bytes: 64 << 10, reads: 100 },
  { name: "1 MiB", bytes: 1 << 20, reads: 20 },
] as const;
const QUICK_SIZES = [SIZES[2]];
const DENSE_PAGES = 260;
const PERFTEST = "ib_read_lat";
const READ_LIMIT = 1.3;

/** Where everything runs; on the first one are interrupts. */
const PROCESSOR = cpus().length > 1 ? 1 : 0;

const bench: Bench = {
  summary: "READs, completions, bytes and scrapes/s by RDMA; tcp, and single READs by ib_read_lat",
  async run(context) {
    const choice = usablePort();
    if (typeof choice !== "string") return measure(context, choice);
    if (isInMachine()) throw new Error(`the machine has no RDMA to measure: ${choice}`);
    context.progress(`${choice}: running in the machine of tests/vm, with an emulated one`);
    return runInMachine("verbs", context);
  },
};
export default bench;

/** The port that agent and collector take, or why there is none. */
function usablePort(): RdmaChoice | string {
  try {
    const choice = chooseRdmaPort(listRdmaPorts(), undefined);
    loadVerbs();
    return choice;
  } catch (error) {
    if (error instanceof NoRdmaPortError || error instanceof SystemError) return error.message;
    throw error;
  }
}

async function measure(context: BenchContext, choice: RdmaChoice): Promise<Row[]> {
  const work = new KernelWork(choice.port.device);
  pinThisThread(PROCESSOR);
  work.moveTo(PROCESSOR);
  try {
    return [...(await measureShapes(context)), ...(await measureReads(context, choice))];
  } finally {
    work.restore();
    unpinThisThread();
  }
}

// ── Snapshots ───────────────────────────────────────────────────────────────

async function measureShapes(context: BenchContext): Promise<Row[]> {
  const { quick, scratch, progress } = context;
  const agent = await startAgent(scratch, { rdma: true });
  pinProcess(agent.pid, PROCESSOR);
  const rows: Row[] = [];
  const services = new Map<string, MicroView[]>();
  let isWarm = false;
  for (const shape of quick ? QUICK_SHAPES : SHAPES) {
    progress(shapeTitle(shape));
    // Shapes that differ only in services grow out of each other.
    const app = `metrics-${shape.metrics}`;
    const running = services.get(app) ?? [];
    services.set(app, running);
    await startServices(agent, app, shape, running);
    const readers = await openReaders(agent, app);
    if (!isWarm) await warmUp(readers, WARM_UP_SCRAPES[quick ? "quick" : "usual"]);
    isWarm = true;
    rows.push(...(await measureShape(context, shape, readers)));
    if (shape.metrics === 64 && shape.services === AGENT_SERVICES[quick ? "quick" : "usual"]) {
      rows.push(...(await measureAgent(context, agent, shape, readers)));
    }
    readers.close();
  }
  for (const running of services.values()) {
    await Promise.all(running.map((service) => service.close()));
  }
  await agent.stop();
  return rows;
}

async function warmUp({ verbs, tcp }: Readers, scrapes: number): Promise<void> {
  const AT_ONCE = 500;
  for (let i = 0; i < scrapes; i += AT_ONCE) {
    // Between, the event loop keeps the session alive.
    await breathe();
    for (let k = 0; k < Math.min(AT_ONCE, scrapes); k++) await verbs.scrapeByRest();
    for (let k = 0; k < Math.min(AT_ONCE, scrapes); k++) tcp.scrape();
  }
}

function shapeTitle({ services, metrics }: Shape): string {
  return `${services} services × ${metrics} metrics`;
}

async function startServices(
  agent: AgentProcess,
  app: string,
  { services, metrics }: Shape,
  running: MicroView[],
): Promise<void> {
  for (let service = running.length; service < services; service++) {
    const mv = new MicroView({
      app,
      service: `service_${service}`,
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    });
    for (let metric = 0; metric < metrics; metric++) {
      mv.counter(`metric_${metric}`).inc(metric + service / 1000);
    }
    running.push(mv);
  }
  await Promise.all(running.map((service) => service.ready));
}

interface Readers {
  verbs: PoolScraper;
  tcp: PoolScraper;
  connections: { verbs: Connection; tcp: Connection };
  close(): void;
}

async function openReaders(agent: AgentProcess, app: string): Promise<Readers> {
  const rdma = await connectVerbs(agent, "event");
  const verbs = new PoolScraper(rdma.connection, await rdma.connection.poolByRest(app));
  await verbs.scrapeByRest();
  const connection = new Connection(new TcpTransport("127.0.0.1", agent.dataPort, ""));
  const tcp = new PoolScraper(connection, app);
  return {
    verbs,
    tcp,
    connections: { verbs: rdma.connection, tcp: connection },
    close() {
      rdma.close();
      connection.close();
    },
  };
}

async function measureShape(
  { quick }: BenchContext,
  shape: Shape,
  { verbs, tcp, connections }: Readers,
): Promise<Row[]> {
  await verbs.scrapeByRest();
  checkValues(verbs, shape);
  tcp.scrape();
  checkValues(tcp, shape);
  const counted = {
    verbs: await countPerSnapshot(connections.verbs, verbs),
    tcp: await countPerSnapshot(connections.tcp, tcp),
  };
  const samples = await alternate(
    { verbs: repeat(verbs), tcp: repeat(tcp) },
    quick ? { count: 3, ms: 10 } : { count: 15, ms: 40 },
    quick,
    breathe,
  );
  const rates = {
    ...rateRow(`${shapeTitle(shape)}, verbs`, "scrapes/s", perSecond(samples.verbs), {
      tcp: perSecond(samples.tcp),
    }),
    elsewhere: { [PUBLISHED]: shape.published },
  };
  const count = (key: keyof typeof counted.verbs, unit: string) =>
    row(`${shapeTitle(shape)}, verbs`, unit, [counted.verbs[key]], { tcp: [counted.tcp[key]] });
  return [
    rates,
    count("requests", "READs (tcp: requests)/snapshot"),
    count("completions", "completions/snapshot"),
    count("bytes", "bytes/snapshot"),
  ];
}

/** What a transport counts for each of some snapshots; there were others before. */
async function countPerSnapshot({ transport }: Connection, scraper: PoolScraper) {
  const TIMES = 10;
  const before = { ...transport.counters };
  await repeat(scraper)(TIMES);
  const { requests, completions, bytes } = transport.counters;
  return {
    requests: (requests - before.requests) / TIMES,
    completions: (completions - before.completions) / TIMES,
    bytes: (bytes - before.bytes) / TIMES,
  };
}

/** The values that a reader has found are those that the services have stored. */
function checkValues(reader: PoolScraper, { services, metrics }: Shape): void {
  let expected = 0;
  for (let service = 0; service < services; service++) {
    for (let metric = 0; metric < metrics; metric++) expected += metric + service / 1000;
  }
  const found = reader.values.reduce((sum, value) => sum + value, 0);
  if (reader.values.length !== services * metrics || Math.abs(found - expected) > 1e-6 * expected) {
    throw new Error(`read ${reader.values.length} values with the sum ${found}, not ${expected}`);
  }
}

// ── The agent's CPU ─────────────────────────────────────────────────────────

/** What the agent's process uses of its processor by itself, and while it is read. */
async function measureAgent(
  { quick, progress }: BenchContext,
  agent: AgentProcess,
  shape: Shape,
  { verbs, tcp }: Readers,
): Promise<Row[]> {
  progress(`the agent's CPU, ${shapeTitle(shape)}`);
  const partMs = quick ? 200 : 500;
  const rounds = quick ? 3 : 15;
  const idle: number[] = [];
  const shares = { verbs: [] as number[], tcp: [] as number[] };
  const perScrapeNs = { verbs: [] as number[], tcp: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const alone = await cpuDuring(agent, () => Bun.sleep(partMs));
    idle.push(alone.share);
    for (const [name, scraper] of Object.entries({ verbs, tcp }) as [
      "verbs" | "tcp",
      PoolScraper,
    ][]) {
      let scrapes = 0;
      const busy = await cpuDuring(agent, async () => {
        const untilNs = Bun.nanoseconds() + partMs * 1e6;
        for (; Bun.nanoseconds() < untilNs; scrapes++) await repeat(scraper)(1);
      });
      shares[name].push(busy.share);
      perScrapeNs[name].push((busy.cpuNs - alone.share * busy.wallNs) / scrapes);
    }
  }
  const stopped = await scrapeStopped(agent, verbs, quick ? 20 : 200);
  const title = shapeTitle(shape);
  const percent = (parts: readonly number[]) => parts.map((part) => part * 100);
  const us = (all: readonly number[]) => all.map((ns) => ns / 1e3);
  const peers = { idle: percent(idle) };
  return [
    row(`${title}: the agent while read by verbs`, "% of a core", percent(shares.verbs), peers),
    row(`${title}: the agent while read by tcp`, "% of a core", percent(shares.tcp), peers),
    row(`${title}: the agent for a scrape by tcp, without idling`, "µs CPU", us(perScrapeNs.tcp)),
    row(
      `${title}: the agent for a scrape by verbs, while stopped (SIGSTOP)`,
      "µs CPU",
      us(stopped),
      {},
      [atMost(0)],
    ),
  ];
}

async function cpuDuring({ pid }: AgentProcess, work: () => Promise<void>) {
  const startNs = Bun.nanoseconds();
  const before = cpuNsOf(pid);
  await work();
  const cpuNs = cpuNsOf(pid) - before;
  const wallNs = Bun.nanoseconds() - startNs;
  return { cpuNs, wallNs, share: cpuNs / wallNs };
}

/** Scrapes of an agent that cannot do anything meanwhile. */
async function scrapeStopped({ pid }: AgentProcess, verbs: PoolScraper, scrapes: number) {
  process.kill(pid, "SIGSTOP");
  try {
    // Until each of its threads has noticed.
    await Bun.sleep(100);
    const before = cpuNsOf(pid);
    for (let i = 0; i < scrapes; i++) verbs.scrape();
    return [(cpuNsOf(pid) - before) / scrapes];
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

// ── Single READs ────────────────────────────────────────────────────────────

const WAITS = { event: "sleeping", spin: "spinning" } as const satisfies Partial<
  Record<PollMode, string>
>;
/** Rounds until everything that a READ passes is compiled for good. */
const WARM_UPS = { usual: 50, quick: 1 };

async function measureReads(
  { quick, scratch, progress }: BenchContext,
  { port, gid }: RdmaChoice,
): Promise<Row[]> {
  const beside = hasPerftest();
  if (!beside) progress(`${PERFTEST} is not there (Debian: perftest), so ours is alone`);
  const poolDir = scratch.folder("memory");
  writeDensePool(poolDir, "pages", DENSE_PAGES);
  const agent = await startAgent(scratch, { poolDir, rdma: true });
  const rounds = quick ? 1 : 5;
  const rows: Row[] = [];
  for (const wait of ["event", "spin"] as const) {
    const title = WAITS[wait];
    const rdma = await connectVerbs(agent, wait);
    const read = await pageReads(rdma);
    for (let i = 0; i < WARM_UPS[quick ? "quick" : "usual"]; i++) {
      await breathe();
      read(SIZES[0].bytes, SIZES[0].reads);
    }
    for (const { name, bytes, reads } of quick ? QUICK_SIZES : SIZES) {
      progress(`READs of ${name}, ${title}`);
      const ours: number[] = [];
      const theirs: number[] = [];
      const contestants = [
        async () => {
          await breathe();
          ours.push(read(bytes, reads));
        },
        async () => {
          if (!beside) return;
          const options = { device: port.device, gidIndex: gid?.index ?? 0, bytes, reads, wait };
          theirs.push(await readLatencyNs({ ...options, processor: PROCESSOR }));
        },
      ];
      for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < 2; turn++) await contestants[(round + turn) % 2]!();
      }
      const us = (all: readonly number[]) => all.map((ns) => ns / 1e3);
      const peers = beside ? { [PERFTEST]: us(theirs) } : {};
      const goals = beside ? [within(PERFTEST, READ_LIMIT)] : [];
      rows.push(row(`READ of ${name}, ${title}`, "µs", us(ours), peers, goals));
    }
    rdma.close();
  }
  await agent.stop();
  return rows;
}

/** Gives the event loop a turn, in which the session is kept alive: without, the agent takes it for dead. */
async function breathe(): Promise<void> {
  await Bun.sleep(1);
}

/** READs of a pool's pages, one at a time; what it returns gives the median time of some. */
async function pageReads({
  connection,
}: VerbsConnection): Promise<(bytes: number, reads: number) => number> {
  const { transport } = connection;
  const pool = await connection.poolByRest("pages");
  const largest = SIZES.at(-1)!.bytes;
  const memory = allocateBuffer(largest);
  const { key } = transport.pin!(memory.address, largest);
  let done = false;
  const finish = (failure: Error | undefined) => {
    if (failure !== undefined) throw failure;
    done = true;
  };
  const isDone = () => done;
  const start = (ranges: readonly ByteRange[], bytes: number) => {
    done = false;
    const into = { address: memory.address, bytes: memory.bytes(0, bytes), key };
    transport.read(pool, ranges, into, finish);
  };
  start([{ offset: 0, bytes: HEADER_BYTES_USED }], HEADER_BYTES_USED);
  await connection.driveByRest(isDone);
  const header = decodeHeader(memory.bytes(0, HEADER_BYTES_USED).slice(), pool.fileBytes);
  const offset = pageOffset(header, 0);
  // Asks for all regions that are needed.
  start([{ offset, bytes: largest }], largest);
  await connection.driveByRest(isDone);
  const slots = new Float64Array(memory.buffer, PAGE_HEADER_BYTES, SLOTS_PER_PAGE);
  if (slots.some((value, i) => value !== i + 1)) throw new Error("a page was read wrong");
  return (bytes, reads) => {
    const ranges = [{ offset, bytes }];
    const into = { address: memory.address, bytes: memory.bytes(0, bytes), key: key as number };
    const before = transport.counters.requests;
    const times: number[] = [];
    for (let i = 0; i < reads; i++) {
      const startNs = Bun.nanoseconds();
      done = false;
      transport.read(pool, ranges, into, finish);
      connection.drive(isDone);
      times.push(Bun.nanoseconds() - startNs);
    }
    const posted = transport.counters.requests - before;
    if (posted !== reads) throw new Error(`${posted} READs were posted for ${reads}`);
    return median(times);
  };
}

/** Scrapes, which wait for the event loop only when the agent has to be asked. */
function repeat(scraper: PoolScraper): (times: number) => Promise<void> {
  return async (times) => {
    for (let i = 0; i < times; i++) {
      const asking = scraper.scrapeByRest();
      if (asking !== undefined) await asking;
    }
  };
}

function perSecond(samples: readonly number[]): number[] {
  return samples.map((ns) => 1e9 / ns);
}
