// A service whose spans the OpenTelemetry SDK sends by OTLP, for benchmarks: the peer of what the agent does outside of
// services. A line {"seconds"} from its parent makes it record for so long.

import { ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, type Span, TracerProvider } from "@opentelemetry/sdk-trace";
import { childOptions, offer, serveParent } from "./child.ts";
import {
  CORPUS_EVENTS,
  CORPUS_SPANS,
  CorpusRandom,
  type CorpusScribe,
  recordRequest,
} from "./event-corpus.ts";
import type { Recorded } from "./event-service.ts";

const TICK_MS = 5;

const { url, spansPerS } = childOptions<{ url: string; spansPerS: number }>();
const exporter = new OTLPTraceExporter({ url });
const provider = new TracerProvider({
  spanProcessors: [
    // As large as to lose nothing at this rate.
    new BatchSpanProcessor({
      exporter,
      maxQueueSize: 262_144,
      maxExportBatchSize: 4096,
      scheduledDelayMillis: 200,
    }),
  ],
});
const tracer = provider.getTracer("bench");
const open: Span[] = [];
let spans = 0;
const scribe: CorpusScribe = {
  begin(span) {
    const parent = open.at(-1);
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent);
    open.push(tracer.startSpan(CORPUS_SPANS[span]!.name, undefined, context) as Span);
    spans++;
  },
  end(isError) {
    const span = open.pop()!;
    if (isError) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  },
  measure() {},
  log() {},
};
const random = new CorpusRandom();

offer({});
await serveParent(async (message) => {
  const { seconds } = message as { seconds: number };
  offer(await record(seconds));
});
process.exit(0);

async function record(seconds: number): Promise<Recorded> {
  spans = 0;
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const perS = spansPerS / CORPUS_EVENTS.spans;
  const total = Math.round(perS * seconds);
  for (let done = 0; done < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * perS));
    for (; done < due; done++) recordRequest(scribe, random);
    if (done < total) await Bun.sleep(TICK_MS);
  }
  await provider.forceFlush();
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = (user + system) / 1000;
  return {
    ...{ spans, measures: 0, logs: 0, logTextBytes: 0, cpuMs },
    seconds: (performance.now() - startMs) / 1000,
  };
}
