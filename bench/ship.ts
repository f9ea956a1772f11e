// The way of events from services to a lake: four services record a corpus of 100,000 events a second each, one agent ships
// them. What the agent takes of a processor, whether all arrives, how many bytes an event has on the wire, and how soon it
// can be asked for by SQL, or is seen by `events tail`. All processes share this host's processors.
//
// OpenTelemetry stands beside: a service that sends its spans by OTLP itself, as its SDK does. It does so at a rate that it
// can hold; what a span costs there and here is compared.

import { join } from "node:path";
import { LakeClient } from "../src/explore/index.ts";
import type { LakeStatus } from "../src/lake/index.ts";
import { Lines } from "../tests/support/lines.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import type { EventServiceOptions, Recorded } from "./lib/event-service.ts";
import { cpuNsOf } from "./lib/process.ts";
import { atMost, type Row, row } from "./lib/report.ts";

const SERVICES = 4;
const EVENTS_PER_S = 100_000;
const OTEL = "OpenTelemetry";
const OTEL_SPANS_PER_S = 4_000;
const OWN_ROWS = "select count(*) as times from log_entries where target like 'microview.%'";
const ALWAYS = { from: undefined, to: undefined };
/** How long the lake may take for what is under way. */
const ARRIVAL_MS = 60_000;

/** By round. */
interface PerSpan {
  cpuNs: number[];
  bytes: number[];
}

type Kind = EventServiceOptions["kinds"][number];

const bench: Bench = {
  summary: "shipping 4 × 100,000 events/s: the agent's share of a core, losses, bytes, delay",
  async run(context) {
    const plan = context.quick
      ? { rounds: 1, seconds: 1, marks: 2 }
      : { rounds: 5, seconds: 6, marks: 10 };
    const peer = await openTelemetry(context, plan);
    return [
      ...(await shipped(context, plan, peer)),
      ...(await bytesByKind(context, plan.seconds / 2, peer)),
    ];
  },
};
export default bench;

interface Plan {
  rounds: number;
  seconds: number;
  marks: number;
}

/** A lake and an agent that ships to it. */
class Way {
  static async start(context: BenchContext): Promise<Way> {
    const { scratch } = context;
    const dir = join(scratch.folder("disk"), "lake");
    const { child, offer } = await scratch.start<{ url: string }>("lake-process.ts", { dir });
    const agent = await startAgent(scratch, {
      lake: offer.url,
      spool: join(scratch.folder("disk"), "spool"),
    });
    return new Way(context, agent, new LakeClient({ url: offer.url }), child.pid);
  }

  private constructor(
    readonly context: BenchContext,
    readonly agent: Awaited<ReturnType<typeof startAgent>>,
    readonly lake: LakeClient,
    readonly lakePid: number,
  ) {}

  async service(service: string, eventsPerS: number, kinds: readonly Kind[]): Promise<Service> {
    const { poolDir, socketPath } = this.agent;
    const options: EventServiceOptions = { service, poolDir, socketPath, eventsPerS, kinds };
    const { child } = await this.context.scratch.start("event-service.ts", options);
    return new Service(child);
  }

  /** Of blocks that the lake has. */
  async stored(): Promise<{ events: number; bytes: number }> {
    const { events, segments } = (await this.lake.status()) as LakeStatus;
    // What rings say of themselves was not recorded by a service.
    const [own] = await this.lake.rows(OWN_ROWS, ALWAYS);
    const rows = events.logs + events.measures + events.spans;
    return { events: rows - Number(own?.["times"] ?? 0), bytes: segments.bytes };
  }

  /** @returns what the lake has once nothing is missing, or when nothing more comes */
  async arrived(expected: number): Promise<{ events: number; bytes: number }> {
    const deadline = performance.now() + ARRIVAL_MS;
    for (;;) {
      const stored = await this.stored();
      if (stored.events >= expected || performance.now() > deadline) return stored;
      await Bun.sleep(100);
    }
  }
}

class Service {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: Lines;

  constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#child = child;
    this.#lines = new Lines(child.stdout);
  }

  async record(seconds: number): Promise<Recorded> {
    return (await this.#ask({ seconds })) as Recorded;
  }

  async mark(mark: string): Promise<void> {
    await this.#ask({ mark });
  }

  async #ask(what: unknown): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(what)}\n`);
    await this.#child.stdin.flush();
    return JSON.parse(await this.#lines.next());
  }
}

async function shipped(
  context: BenchContext,
  { rounds, seconds, marks }: Plan,
  peer: PerSpan,
): Promise<Row[]> {
  const { progress } = context;
  progress("starting a lake, an agent and four services");
  const way = await Way.start(context);
  const all: readonly Kind[] = ["spans", "measures", "logs"];
  const services = await Promise.all(
    Array.from({ length: SERVICES }, (_, i) => way.service(`service-${i}`, EVENTS_PER_S, all)),
  );
  const marker = await way.service("marker", 0, []);
  const together = (seconds: number) => Promise.all(services.map((each) => each.record(seconds)));
  await together(seconds / 2);
  const samples = {
    ...{ agent: [] as number[], perEvent: [] as number[], lake: [] as number[] },
    ...{ lost: [] as number[], rate: [] as number[], service: [] as number[] },
  };
  let expected = (await settled(way)).events;
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}`);
    const startMs = performance.now();
    const [agentNs, lakeNs] = [cpuNsOf(way.agent.pid), cpuNsOf(way.lakePid)];
    const recorded = await together(seconds);
    const events = sum(recorded, ({ spans, measures, logs }) => spans + measures + logs);
    expected += events;
    const passedNs = (performance.now() - startMs) * 1e6;
    const usedNs = cpuNsOf(way.agent.pid) - agentNs;
    samples.agent.push((usedNs / passedNs) * 100);
    samples.perEvent.push(usedNs / events);
    samples.lake.push(((cpuNsOf(way.lakePid) - lakeNs) / passedNs) * 100);
    samples.rate.push(
      sum(recorded, (each) => (each.spans + each.measures + each.logs) / each.seconds),
    );
    samples.service.push((sum(recorded, ({ cpuMs }) => cpuMs) * 1e6) / events);
    const { events: arrived } = await way.arrived(expected);
    samples.lost.push(expected - arrived);
    expected = arrived;
  }
  progress("how soon events are seen");
  const idle = await delays(way, marker, marks, "idle");
  const busy = together(Math.max(seconds, marks * 1.5));
  const loaded = await delays(way, marker, marks, "busy");
  await busy;
  return [
    row("events recorded and shipped", "events/s", samples.rate),
    row("agent, share of one core", "%", samples.agent, {}, [atMost(10)]),
    row("agent, CPU per event", "ns", samples.perEvent),
    row(
      "service and agent, CPU per event",
      "ns",
      samples.service.map((ns, i) => ns + samples.perEvent[i]!),
      {
        [OTEL]: peer.cpuNs,
      },
    ),
    row("events lost", "events", samples.lost, {}, [atMost(0)]),
    row("lake, share of one core", "%", samples.lake),
    row("event to SQL, idle", "ms", idle.sql, {}, [atMost(2000)]),
    row("event to SQL, under this load", "ms", loaded.sql, {}, [atMost(2000)]),
    row("event to `events tail`, idle", "ms", idle.tail, {}, [atMost(100)]),
    row("event to `events tail`, under this load", "ms", loaded.tail, {}, [atMost(100)]),
  ];
}

/** Waits until the lake has all that was recorded. */
async function settled(way: Way): Promise<{ events: number; bytes: number }> {
  let before = await way.stored();
  for (let same = 0; same < 4; ) {
    await Bun.sleep(500);
    const now = await way.stored();
    same = now.events === before.events ? same + 1 : 0;
    before = now;
  }
  return before;
}

/** What each kind has on the wire, recorded alone. */
async function bytesByKind(context: BenchContext, seconds: number, peer: PerSpan): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of ["spans", "measures", "logs"] as const) {
    context.progress(`${kind} alone`);
    const way = await Way.start(context);
    const service = await way.service(kind, EVENTS_PER_S, [kind]);
    const before = await settled(way);
    const recorded = await service.record(seconds);
    const after = await way.arrived(before.events + recorded[kind]);
    const bytes = after.bytes - before.bytes;
    if (kind === "logs") {
      const share = bytes / recorded.logTextBytes;
      rows.push(row("logs on the wire, share of their text", "", [share], {}, [atMost(0.3)]));
    } else {
      const [limit, peers] = kind === "spans" ? [7, { [OTEL]: peer.bytes }] : [5, {}];
      rows.push(
        row(`${kind} on the wire, each`, "B", [bytes / recorded[kind]], peers, [atMost(limit)]),
      );
    }
  }
  return rows;
}

async function delays(way: Way, marker: Service, marks: number, name: string) {
  const { poolDir } = way.agent;
  const cli = new URL("../src/cli.ts", import.meta.url).pathname;
  const tail = Bun.spawn(
    [
      process.execPath,
      cli,
      "events",
      "tail",
      "--json",
      "--grep",
      `^mark ${name}`,
      "--pool-dir",
      poolDir,
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  try {
    const lines = new Lines(tail.stdout);
    const sql: number[] = [];
    const tailed: number[] = [];
    // The first shows that the tail follows.
    await marker.mark(`mark ${name} first`);
    await lines.next();
    for (let i = 0; i < marks; i++) {
      const mark = `mark ${name} ${i}`;
      await Bun.sleep(137);
      const startMs = performance.now();
      await marker.mark(mark);
      const seen = lines.next().then(() => tailed.push(performance.now() - startMs));
      const query = `select count(*) as times from log_entries where message = '${mark}'`;
      for (;;) {
        const [found] = await way.lake.rows(query, ALWAYS);
        if (Number(found?.["times"]) > 0) break;
        await Bun.sleep(20);
      }
      sql.push(performance.now() - startMs);
      await seen;
    }
    return { sql, tail: tailed };
  } finally {
    tail.kill("SIGTERM");
    await tail.exited;
  }
}

/** What a span costs a service that sends its spans itself, and has on the wire. */
async function openTelemetry(
  { scratch, progress }: BenchContext,
  { rounds, seconds }: Plan,
): Promise<PerSpan> {
  progress("OpenTelemetry's SDK");
  let bytes = 0;
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, development: false },
    async fetch(request) {
      bytes += (await request.arrayBuffer()).byteLength;
      return Response.json({});
    },
  });
  try {
    const { child } = await scratch.start("otel-span-service.ts", {
      url: `http://127.0.0.1:${server.port}/v1/traces`,
      spansPerS: OTEL_SPANS_PER_S,
    });
    const service = new Service(child);
    await service.record(seconds / 2);
    const cpuNs: number[] = [];
    const perSpan: number[] = [];
    for (let round = 0; round < rounds; round++) {
      bytes = 0;
      const { spans, cpuMs } = await service.record(seconds);
      cpuNs.push((cpuMs * 1e6) / spans);
      perSpan.push(bytes / spans);
    }
    await scratch.stop(child);
    return { cpuNs, bytes: perSpan };
  } finally {
    await server.stop(true);
  }
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
