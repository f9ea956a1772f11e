// What recording an event costs a service: logs beside pino, measures beside a ring that C writes, spans beside two looks
// at the processor's counter and beside the OpenTelemetry SDK.
//
// Rings refuse when they are full, and a refusal costs less than an event: while it is measured, all that was recorded is
// called done with, by one store after every few events, as an agent does from its own process.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { context as contextApi } from "@opentelemetry/api";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { captureConsole } from "../src/client/events/console.ts";
import { MicroView } from "../src/client/index.ts";
import { SharedFile, ticker } from "../src/ffi/index.ts";
import {
  decodeRingHeader,
  RING_HEADER_BYTES,
  RING_SHIPPER,
  RING_STATE,
  RingReader,
} from "../src/layout/index.ts";
import {
  ContextManager,
  LoggerProvider as OurLoggerProvider,
  TracerProvider as OurTracerProvider,
} from "../src/opentelemetry/index.ts";
import { microview } from "../src/pino/index.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import { compileC } from "./lib/compile.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { atMost, faster, type Goal, type Row, row, within } from "./lib/report.ts";

/** Events until room is made; the largest have some 150 bytes, and spans may take half of a MiB. */
const AT_A_TIME = 1000;
const C = "C";
const PINO = "pino, /dev/null";
const PINO_NOTHING = "pino, nothing";
const RDTSC = "2 × FFI rdtsc";
const OTEL = "OpenTelemetry";

const LOOP = "the loop alone";

const CONSTANT = "the request was answered from the cache, as it should be ...";

/** As much of pino as is used. It is loaded by name, so that nothing but this bench needs it to be installed. */
interface Pino {
  (
    options?: object,
    destination?: { write(text: string): unknown },
  ): {
    info(properties: object, message: string): void;
  };
  destination(options: { dest: string; sync: boolean }): { write(text: string): unknown };
  transport(options: object): { write(text: string): unknown };
}
const PINO_PACKAGE: string = "pino";

const bench: Bench = {
  summary: "ns per log, measure and span; pino, OpenTelemetry, a ring in C",
  async run(context) {
    const { quick, scratch, progress } = context;
    const poolDir = scratch.folder("memory");
    await using mv = new MicroView({
      app: "bench",
      service: "event",
      poolDir,
      // There is none, and none is needed.
      socket: join(poolDir, "no-agent.sock"),
      events: { thinAbove: Number.POSITIVE_INFINITY },
      onWarning: () => {},
    });
    mv.log.info("made");
    const ring = ringIn(join(poolDir, "bench"));
    const rows: Row[] = [];
    const rounds = quick ? { count: 3, ms: 1 } : { count: 201, ms: 2 };
    for (const { name, ours, peers, goals } of await casesOf(mv, ring.makeRoom, context)) {
      progress(name);
      const { ours: own, ...others } = await alternate({ ...peers, ours }, rounds, quick);
      rows.push(row(name, "ns", own!, others, goals));
    }
    ring.check();
    return rows;
  },
};
export default bench;

interface Case {
  name: string;
  ours: Work;
  peers: Readonly<Record<string, Work>>;
  goals: readonly Goal[];
}

/** The only ring in a folder, as the shipper sees it. */
function ringIn(folder: string) {
  const [name] = readdirSync(folder).filter((each) => each.startsWith("events."));
  const file = SharedFile.open(join(folder, name!), true);
  const { bytes } = file.stat();
  const header = decodeRingHeader(file.head(RING_HEADER_BYTES), bytes);
  const mapping = file.map(0, bytes, true);
  const ints = new Int32Array(mapping.buffer);
  const head = (header.stateOffset + RING_STATE.head) / 4;
  const doubles = new Float64Array(mapping.buffer);
  const position = (header.shipperOffset + RING_SHIPPER.position) / 4;
  const total = (header.shipperOffset + RING_SHIPPER.total) / 8;
  return {
    makeRoom: () => {
      doubles[total]! += (ints[head]! - doubles[total]!) >>> 0;
      ints[position] = ints[head]!;
    },
    /** What was measured was recorded, and nothing refused. */
    check: () => {
      const reader = new RingReader(header, (at, length) => mapping.bytes(at, length).slice());
      const refused = Object.entries(reader.refusals).filter(([, count]) => count > 0);
      if (refused.length > 0) throw new Error(`the ring has refused ${JSON.stringify(refused)}`);
      if (ints[head] === 0) throw new Error("nothing was recorded");
    },
  };
}

async function casesOf(
  mv: MicroView,
  makeRoom: () => void,
  context: BenchContext,
): Promise<Case[]> {
  const { default: pino }: { default: Pino } = await import(PINO_PACKAGE);
  const pinoSync = pino({}, pino.destination({ dest: "/dev/null", sync: true }));
  const pinoNothing = pino({}, { write: () => true });
  const provider = new TracerProvider({
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: {
          export: (_spans: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
          shutdown: () => Promise.resolve(),
        },
      }),
    ],
  });
  const exporter = {
    export: (_records: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
    shutdown: () => Promise.resolve(),
    forceFlush: () => Promise.resolve(),
  };
  const logger = new LoggerProvider({
    processors: [new BatchLogRecordProcessor({ exporter })],
  }).getLogger("bench");
  const ourLogger = new OurLoggerProvider({ mv }).getLogger("bench");
  const quiet = { log() {} } as unknown as Console;
  captureConsole(mv.log, quiet);
  const tracer = provider.getTracer("bench");
  const ourTracer = new OurTracerProvider({ mv }).getTracer("bench");
  contextApi.setGlobalContextManager(new ContextManager());
  const pinoOurs = microview(pino, { mv })();
  const ticks = ticker();
  const c = await cRing(context);
  const latency = mv.measure("latency", "seconds");
  const query = mv.span("query");
  const { log } = mv;
  // Of 60 bytes, and none that comes again soon enough to be taken for a constant.
  const texts = Array.from({ length: 4096 }, (_, i) =>
    `request ${i} of ${crypto.randomUUID()} took a while, far too long`.slice(0, 60),
  );
  const mask = texts.length - 1;
  const loggers = Array.from({ length: 200 }, (_, i) => mv.logger(`part ${i}`));
  const seen = new Int32Array(2);
  const loop: Work = (times) => {
    for (let i = 0; i < times; i++) seen[i & 1] = i;
  };
  let turn = 0;
  const inSteps = (step: (times: number) => void): Work => {
    return (times) => {
      for (let left = times; left > 0; left -= AT_A_TIME) {
        step(Math.min(left, AT_A_TIME));
        makeRoom();
      }
    };
  };
  return [
    {
      name: "log of 60 bytes, two properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) {
          log.info(texts[turn++ & mask]!, { route: "/users/:id", status: i });
        }
      }),
      peers: {
        [PINO]: (times) => {
          for (let i = 0; i < times; i++) {
            pinoSync.info({ route: "/users/:id", status: i }, texts[turn++ & mask]!);
          }
        },
        [PINO_NOTHING]: (times) => {
          for (let i = 0; i < times; i++) {
            pinoNothing.info({ route: "/users/:id", status: i }, texts[turn++ & mask]!);
          }
        },
      },
      goals: [atMost(130), faster(PINO, 12), faster(PINO_NOTHING, 4)],
    },
    {
      name: "log of a constant, two properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) log.info(CONSTANT, { route: "/users/:id", status: i });
      }),
      peers: {},
      goals: [],
    },
    {
      name: "log of a constant, no properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) log.info(CONSTANT);
      }),
      peers: {},
      goals: [],
    },
    {
      name: "microview/pino, two properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) {
          pinoOurs.info({ route: "/users/:id", status: i }, texts[turn++ & mask]!);
        }
      }),
      peers: {
        [PINO]: (times) => {
          for (let i = 0; i < times; i++) {
            pinoSync.info({ route: "/users/:id", status: i }, texts[turn++ & mask]!);
          }
        },
      },
      goals: [faster(PINO, 2)],
    },
    {
      name: "OpenTelemetry's API, a log with two attributes",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) {
          const body = texts[turn++ & mask]!;
          ourLogger.emit({
            severityNumber: 9,
            body,
            attributes: { route: "/users/:id", status: i },
          });
        }
      }),
      peers: {
        [OTEL]: (times) => {
          for (let i = 0; i < times; i++) {
            const body = texts[turn++ & mask]!;
            logger.emit({
              severityNumber: 9,
              body,
              attributes: { route: "/users/:id", status: i },
            });
          }
        },
      },
      goals: [],
    },
    {
      name: "console.log that is captured, two properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) {
          quiet.log(texts[turn++ & mask]!, { route: "/users/:id", status: i });
        }
      }),
      peers: {},
      goals: [],
    },
    {
      name: "measure, no properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) latency.record(i);
      }),
      peers: { [C]: (times) => c.measure(times) },
      goals: [within(C, 1.5)],
    },
    {
      name: "measure, two properties",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) latency.record(i, { route: "/users/:id", status: i });
      }),
      peers: {},
      goals: [],
    },
    {
      name: "span, begin and end",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) query.begin().end();
      }),
      peers: {
        [RDTSC]: (times) => {
          for (let i = 0; i < times; i++) {
            ticks();
            ticks();
          }
        },
        [OTEL]: (times) => {
          for (let i = 0; i < times; i++) tracer.startSpan("query").end();
        },
      },
      goals: [within(RDTSC, 1.4), faster(OTEL, 20)],
    },
    {
      name: "OpenTelemetry's API, startSpan and end",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) ourTracer.startSpan("query").end();
      }),
      peers: {
        [OTEL]: (times) => {
          for (let i = 0; i < times; i++) tracer.startSpan("query").end();
        },
      },
      goals: [faster(OTEL, 5)],
    },
    {
      name: "OpenTelemetry's API, within an active span",
      ours: inSteps((times) => {
        ourTracer.startActiveSpan("request", (request) => {
          for (let i = 0; i < times; i++) ourTracer.startSpan("query").end();
          request.end();
        });
      }),
      peers: {
        [OTEL]: (times) => {
          tracer.startActiveSpan("request", (request) => {
            for (let i = 0; i < times; i++) tracer.startSpan("query").end();
            request.end();
          });
        },
      },
      goals: [faster(OTEL, 5)],
    },
    {
      name: "OpenTelemetry's API, startActiveSpan",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) ourTracer.startActiveSpan("query", end);
      }),
      peers: {
        [OTEL]: (times) => {
          for (let i = 0; i < times; i++) tracer.startActiveSpan("query", end);
        },
      },
      goals: [faster(OTEL, 5)],
    },
    {
      name: "OpenTelemetry's API, two attributes",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) {
          const span = ourTracer.startSpan("query", { attributes: { "http.route": "/users/:id" } });
          span.setAttribute("status", i).end();
        }
      }),
      peers: {
        [OTEL]: (times) => {
          for (let i = 0; i < times; i++) {
            const span = tracer.startSpan("query", { attributes: { "http.route": "/users/:id" } });
            span.setAttribute("status", i).end();
          }
        },
      },
      goals: [],
    },
    {
      name: "span, run(fn)",
      ours: inSteps((times) => {
        for (let i = 0; i < times; i++) query.run(() => i);
      }),
      peers: {},
      goals: [],
    },
    {
      name: "log that is switched off",
      ours: (times) => {
        for (let i = 0; i < times; i++) {
          log.debug(CONSTANT);
          seen[i & 1] = i;
        }
      },
      peers: { [LOOP]: loop },
      goals: [net(1)],
    },
    {
      name: "log that is switched off, 200 loggers",
      ours: (times) => {
        for (let i = 0; i < times; i++) {
          loggers[i % loggers.length]!.debug(CONSTANT);
          seen[i & 1] = i;
        }
      },
      peers: { [LOOP]: loop },
      goals: [net(6)],
    },
    {
      name: "log that is switched off, a template literal",
      ours: (times) => {
        for (let i = 0; i < times; i++) {
          log.debug(`request ${i} took ${i * 3} ms`);
          seen[i & 1] = i;
        }
      },
      peers: { [LOOP]: loop },
      goals: [],
    },
  ];
}

/** What is left when the loop around it is taken off. */
function net(limit: number): Goal {
  return {
    text: `ours − ${LOOP} ≤ ${limit}`,
    peer: LOOP,
    holds: (ours, ratios) => ours - ours * ratios[LOOP]! <= limit,
  };
}

function end(span: { end(): void }): void {
  span.end();
}

/** A ring of the same size, whose records have the same words, written by C with the same counter. */
async function cRing({ scratch }: BenchContext) {
  const peer = await compileC(scratch, SOURCE, {
    set_up: { args: ["ptr"], returns: "void" },
    measure: { args: ["u64"], returns: "void" },
  });
  const file = SharedFile.create(join(scratch.folder("memory"), "c-ring"), 0o600);
  file.truncate(RING_BYTES + 4096);
  file.allocate(0, RING_BYTES + 4096);
  peer.set_up(file.map(0, RING_BYTES + 4096, true).address as never);
  return { measure: (times: number) => peer.measure(times) };
}

const RING_BYTES = 1 << 20;
const SOURCE = `
#include <stdint.h>

#if defined(__x86_64__)
static inline uint64_t ticks(void) { return __builtin_ia32_rdtsc(); }
#else
static inline uint64_t ticks(void) { uint64_t t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); return t; }
#endif

static volatile uint64_t *head, *words;
static const uint64_t mask = ${RING_BYTES} / 8 - 1;
static uint64_t position, start;

void set_up(void *memory) {
  head = memory;
  words = (volatile uint64_t *)((char *)memory + 4096);
  start = ticks();
}

void measure(uint64_t times) {
  for (uint64_t i = 0; i < times; i++) {
    union { double value; uint64_t bits; } number, tick;
    tick.value = (double)(ticks() - start);
    number.value = (double)i;
    volatile uint64_t *record = words + (position & mask);
    record[1] = tick.bits;
    record[2] = 1;
    record[3] = number.bits;
    record[0] = 4 | (4 << 16) | (position << 32);
    position += 4;
    *head = position;
  }
}
`;
