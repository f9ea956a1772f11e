// The service of the benchmark `event-impact`: looks up an order and answers with it, and records twenty log lines and
// twenty spans for each request, with ours, with pino and the OpenTelemetry SDK, or not at all.

import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { Elysia } from "elysia";
import { MicroView } from "../../src/client/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";

export type EventVariant = "none" | "ours" | "otel";

export interface EventImpactOptions {
  variant: EventVariant;
  /** Of the agent, for ours. */
  socketPath: string;
  poolDir: string;
  /** Where pino writes to. */
  logFile: string;
  /** Where OpenTelemetry's spans are sent to. */
  url: string;
}

/** Does what a request has to do, once for each step, with a span around it and a line about it; and all in a span. */
type Record = (order: number, step: (i: number) => number) => number;

/** A step for each span but the request's own. */
const STEPS = 19;
/** As in bench/event.ts: pino is loaded by name, so that nothing else needs it to be installed. */
interface Pino {
  (
    options: object,
    destination: unknown,
  ): {
    info(properties: object, message: string): void;
  };
  destination(options: { dest: string; sync: boolean; minLength: number }): unknown;
}
const PINO_PACKAGE: string = "pino";

const options = childOptions<EventImpactOptions>();
const orders = Array.from({ length: 1000 }, (_, id) => ({
  id,
  customer: `customer-${id}`,
  items: Array.from({ length: STEPS }, (_, item) => ({ sku: `sku-${item}`, price: item * 1.25 })),
}));
const record = await instrument();

const app = new Elysia()
  .get("/orders/:id", ({ params }) => {
    const order = orders[Number(params.id) % orders.length]!;
    const total = record(order.id, (i) => order.items[i]!.price);
    return { ...order, total };
  })
  .listen({ hostname: "127.0.0.1", port: 0 });
offer({ port: app.server!.port });
await serveParent();
process.exit(0);

async function instrument(): Promise<Record> {
  switch (options.variant) {
    case "none":
      return (_order, step) => {
        let total = 0;
        for (let i = 0; i < STEPS; i++) total += step(i);
        return total;
      };
    case "ours":
      return withOurs();
    case "otel":
      return withOpenTelemetry();
  }
}

function withOurs(): Record {
  const { poolDir, socketPath } = options;
  const mv = new MicroView({
    ...{ app: "impact", service: "events", poolDir, socket: socketPath },
    // Each request says the same twenty things; none of them is left out.
    events: { thinAbove: Number.POSITIVE_INFINITY },
  });
  const log = mv.logger("orders");
  const request = mv.span("GET /orders/:id", { kind: "server", target: "http" });
  const steps = Array.from({ length: STEPS }, (_, i) => mv.span(`step ${i}`, { target: "orders" }));
  return (order, step) =>
    request.run(() => {
      let total = 0;
      for (let i = 0; i < STEPS; i++) {
        total += steps[i]!.run(() => {
          const price = step(i);
          log.info("an item was added to the order", { order, price });
          return price;
        });
      }
      log.info("the order was answered", { order, total });
      return total;
    });
}

/** The SDK's context manager costs more than to hand the context on, so it is handed on. */
async function withOpenTelemetry(): Promise<Record> {
  const { default: pino } = (await import(PINO_PACKAGE)) as { default: Pino };
  const { logFile, url } = options;
  // The fastest that pino has in its own thread: lines are gathered and written together.
  const log = pino(
    { name: "orders" },
    pino.destination({ dest: logFile, sync: false, minLength: 4096 }),
  );
  const provider = new TracerProvider({
    spanProcessors: [
      // As large as to lose nothing at this rate.
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url }),
        maxQueueSize: 262_144,
        maxExportBatchSize: 4096,
        scheduledDelayMillis: 200,
      }),
    ],
  });
  const tracer = provider.getTracer("orders");
  const kind = SpanKind.SERVER;
  return (order, step) => {
    const request = tracer.startSpan("GET /orders/:id", { kind }, ROOT_CONTEXT);
    const context = trace.setSpan(ROOT_CONTEXT, request);
    const { traceId } = request.spanContext();
    let total = 0;
    for (let i = 0; i < STEPS; i++) {
      const span = tracer.startSpan(`step ${i}`, undefined, context);
      const price = step(i);
      total += price;
      const { spanId } = span.spanContext();
      log.info({ order, price, traceId, spanId }, "an item was added to the order");
      span.end();
    }
    const { spanId } = request.spanContext();
    log.info({ order, total, traceId, spanId }, "the order was answered");
    request.end();
    return total;
  };
}
