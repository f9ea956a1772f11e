// A service that records the corpus at a constant rate, for benchmarks. A line {"seconds"} from its parent makes it record
// for so long; it answers with what it has recorded. A line {"mark"} makes it log that text.

import type { Span } from "../../src/client/events/span.ts";
import { MicroView } from "../../src/client/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";
import {
  CORPUS_EVENTS,
  CORPUS_MEASURES,
  CORPUS_SPANS,
  CorpusRandom,
  type CorpusScribe,
  recordRequest,
  textOfLine,
} from "./event-corpus.ts";

export interface EventServiceOptions {
  service: string;
  poolDir: string;
  socketPath: string;
  eventsPerS: number;
  /** Of which kinds events are recorded; the others of the corpus are left out. */
  kinds: readonly ("spans" | "measures" | "logs")[];
}

/** What was recorded, and how much of a processor the service took. */
export interface Recorded {
  spans: number;
  measures: number;
  logs: number;
  /** Of the logs, as a file would have them. */
  logTextBytes: number;
  cpuMs: number;
  seconds: number;
}

/** Requests come in as many portions a second. */
const TICK_MS = 5;

const options = childOptions<EventServiceOptions>();
const { service, poolDir, socketPath, eventsPerS } = options;
const kinds = new Set(options.kinds);
const mv = new MicroView({
  ...{ app: "ship", service, poolDir, socket: socketPath },
  events: { level: "trace", thinAbove: Number.POSITIVE_INFINITY },
});
const spans = CORPUS_SPANS.map(({ name, target, kind }) => mv.span(name, { target, kind }));
const measures = CORPUS_MEASURES.map(({ name, unit, target }) =>
  mv.measure(name, unit, { target }),
);
const logs = new Map<string, ReturnType<typeof mv.logger>>();
const open: Span[] = [];
let counts = { spans: 0, measures: 0, logs: 0, logTextBytes: 0 };
/** What lines are as text costs more than to record them: the bytes of a sample stand for all. */
let sampled = { lines: 0, bytes: 0 };
const SAMPLE = 64;

const scribe: CorpusScribe = {
  begin(span) {
    if (!kinds.has("spans")) return;
    const parent = open.at(-1);
    open.push(spans[span]!.begin(parent === undefined ? undefined : { parent }));
    counts.spans++;
  },
  end(isError) {
    open.pop()?.end(isError ? "error" : "ok");
  },
  measure(measure, value) {
    if (!kinds.has("measures")) return;
    measures[measure]!.record(value);
    counts.measures++;
  },
  log(line) {
    if (!kinds.has("logs")) return;
    let log = logs.get(line.target);
    if (log === undefined) {
      log = mv.logger(line.target);
      logs.set(line.target, log);
    }
    log[line.level](line.message, line.properties);
    if (counts.logs++ % SAMPLE === 0) {
      sampled.lines++;
      sampled.bytes += Buffer.byteLength(textOfLine(line, Date.now()));
    }
  },
};
const random = new CorpusRandom(process.pid);
const eventsPerRequest = CORPUS_EVENTS.spans + CORPUS_EVENTS.measures + CORPUS_EVENTS.logs;

mv.log.info("ready");
offer({});
await serveParent(async (message) => {
  const { seconds, mark } = message as { seconds?: number; mark?: string };
  if (mark !== undefined) {
    mv.log.info(mark);
    return offer({});
  }
  offer(await record(seconds!));
});
await mv.close();
process.exit(0);

async function record(seconds: number): Promise<Recorded> {
  counts = { spans: 0, measures: 0, logs: 0, logTextBytes: 0 };
  sampled = { lines: 0, bytes: 0 };
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const total = Math.round((eventsPerS * seconds) / eventsPerRequest);
  for (let done = 0; done < total; ) {
    const passedS = (performance.now() - startMs) / 1000;
    const due = Math.min(total, Math.floor((passedS * eventsPerS) / eventsPerRequest));
    for (; done < due; done++) recordRequest(scribe, random);
    if (done < total) await Bun.sleep(TICK_MS);
  }
  const { user, system } = process.cpuUsage(cpu);
  const logTextBytes =
    sampled.lines === 0 ? 0 : Math.round((sampled.bytes / sampled.lines) * counts.logs);
  return {
    ...counts,
    logTextBytes,
    cpuMs: (user + system) / 1000,
    seconds: (performance.now() - startMs) / 1000,
  };
}
