// What it costs a server to be measured: the plugins for Elysia and Hono beside none at all and beside prom-client's way.
//
// Twice: the handler alone, called with requests in one process, where tens of nanoseconds show; and over HTTP, where the
// processor time of the server per request is what counts. Ours counts into pages of a living agent.

import { MicroView } from "../src/client/index.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import {
  type Framework,
  type Handler,
  makeElysia,
  makeHono,
  type Variant,
} from "./lib/frameworks-app.ts";
import type { ServiceOptions, Used } from "./lib/frameworks-service.ts";
import type { LoadResult } from "./lib/impact.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { type Goal, type Row, row, show } from "./lib/report.ts";
import { median, type Samples } from "./lib/samples.ts";

const FRAMEWORKS = ["elysia", "hono"] as const;
const VARIANTS = ["none", "ours", "prom-client"] as const;
const NONE = "none";
const PROM = "prom-client";
/** Ours, with a span for each request. */
const SPANS = "ours with spans";
const CONTESTANTS = {
  elysia: { [NONE]: "none", ours: "ours", [SPANS]: "spans", [PROM]: "prom-client" },
  hono: {
    ...{ [NONE]: "none", ours: "ours", [SPANS]: "spans", [PROM]: "prom-client" },
    "empty middleware": "empty",
  },
} as const satisfies Record<Framework, Record<string, Variant | "empty">>;
/** What a request may cost more than without. Hono's own part of it is what an empty middleware costs. */
const MAX_ADDED_NS = { elysia: 1000, hono: 2000 };
const RATE_PER_S = 2000;
/** Requests of one turn of the event loop. */
const REQUESTS_PER_TURN = 16;

const bench: Bench = {
  summary: "a request to Elysia and Hono: without metrics, with our plugin, with prom-client",
  async run(context) {
    const agent = await startAgent(context.scratch);
    await using mv = new MicroView({
      app: "bench",
      service: "frameworks",
      socket: agent.socketPath,
      poolDir: agent.poolDir,
    });
    const rows: Row[] = [];
    for (const framework of FRAMEWORKS) rows.push(...(await handlers(context, framework, mv)));
    const { offer } = await context.scratch.start<{ port: number }>("load-generator.ts", {});
    for (const framework of FRAMEWORKS) {
      const { socketPath, poolDir } = agent;
      rows.push(await overHttp(context, offer.port, { framework, socketPath, poolDir }));
    }
    return rows;
  },
};
export default bench;

/** The handler alone. */
async function handlers(
  { quick, progress }: BenchContext,
  framework: Framework,
  mv: MicroView,
): Promise<Row[]> {
  progress(`${framework}: its handler alone`);
  const contestants: Record<string, Work> = {};
  for (const [name, variant] of Object.entries(CONTESTANTS[framework])) {
    contestants[name] = calls(handlerOf(framework, variant, mv));
  }
  // Makes the series, and has them in the pool before anything is measured.
  for (const work of Object.values(contestants)) await work(100);
  await mv.ready;
  const rounds = quick ? { count: 5, ms: 10 } : { count: 61, ms: 40 };
  const { ours, ...peers } = await alternate(contestants, rounds, quick);
  const none = peers[NONE]!;
  // Below a nanosecond a difference is noise, and none at all would be endless times better than another.
  const more = (samples: Samples) => samples.map((ns, i) => Math.max(1, ns - none[i]!));
  const others = Object.entries(peers).filter(([name]) => name !== NONE);
  const added = Object.fromEntries(others.map(([name, samples]) => [name, more(samples)]));
  const limit = MAX_ADDED_NS[framework];
  const goals: Goal[] = [
    { text: `≤ ${show(limit)}`, holds: (ns) => ns <= limit },
    { text: `less than ${PROM}`, holds: (ns) => ns < median(added[PROM]!) },
  ];
  return [
    row(`${framework}: a request, handler alone`, "ns", ours!, peers),
    row(`${framework}: added to a request, round by round`, "ns", more(ours!), added, goals),
  ];
}

function handlerOf(framework: Framework, variant: Variant | "empty", mv: MicroView): Handler {
  if (framework === "elysia") return makeElysia(variant as Variant, mv).compile().fetch;
  const app = makeHono(variant, mv);
  return (request) => app.fetch(request);
}

function calls(handler: Handler): Work {
  return async (times) => {
    for (let i = 0; i < times; i++) {
      const answer = handler(new Request("http://localhost/orders/7"));
      const response = answer instanceof Promise ? await answer : answer;
      if (response.status !== 200) throw new Error(`answered ${response.status}`);
      // What is put off until after the answer is part of its cost.
      if (i % REQUESTS_PER_TURN === 0) await new Promise(setImmediate);
    }
  };
}

/** Processor time of the server per request that came over HTTP. */
async function overHttp(
  { quick, scratch, progress }: BenchContext,
  generator: number,
  options: Omit<ServiceOptions, "variant">,
): Promise<Row> {
  const { framework } = options;
  const { rounds, seconds } = quick ? { rounds: 2, seconds: 0.3 } : { rounds: 11, seconds: 2 };
  const services: {
    variant: (typeof VARIANTS)[number];
    take(): Promise<number>;
    stop(): Promise<void>;
  }[] = [];
  for (const variant of VARIANTS) {
    const { child, offer } = await scratch.start<{ port: number; controlPort: number }>(
      "frameworks-service.ts",
      { ...options, variant },
    );
    const used = async () => (await json<Used>(offer.controlPort, "")).cpuUs;
    const take = async () => {
      const before = await used();
      const query = `port=${offer.port}&ratePerS=${RATE_PER_S}&seconds=${seconds}`;
      const { answered, failed } = await json<LoadResult>(generator, `run?${query}`);
      if (failed > 0) throw new Error(`${failed} requests failed`);
      return ((await used()) - before) / answered;
    };
    services.push({ variant, take, stop: () => scratch.stop(child) });
  }
  const us: Record<(typeof VARIANTS)[number], number[]> = { none: [], ours: [], "prom-client": [] };
  // The first round compiles what the load needs, on both sides.
  for (let round = -1; round < rounds; round++) {
    progress(`${framework} over HTTP: round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < services.length; turn++) {
      const service = services[(round + 1 + turn) % services.length]!;
      const taken = await service.take();
      if (round >= 0) us[service.variant].push(taken);
    }
  }
  for (const service of services) await service.stop();
  return row(
    `${framework}: processor time of a server per request, ${RATE_PER_S}/s`,
    "µs",
    us.ours,
    {
      [NONE]: us.none,
      [PROM]: us["prom-client"],
    },
  );
}

async function json<T>(port: number, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}/${path}`);
  if (!response.ok) throw new Error(`GET /${path} answers ${response.status}`);
  return (await response.json()) as T;
}
