// A small service on Elysia: looks up an order and answers with it. Counts requests by route and observes durations,
// with ours, with prom-client, or not at all.

import { Elysia } from "elysia";
import * as prom from "prom-client";
import { MicroView } from "../../src/client/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";
import {
  LABEL_NAMES,
  labelsOf,
  SERIES_PER_METRIC,
  type ServiceOptions,
  type Stall,
} from "./impact.ts";

/** How often the event loop is looked at; it stood still for what passes beyond it. */
const TICK_MS = 2;
const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1];

const options = childOptions<ServiceOptions>();

/** Counts a request to one of the routes. */
type Count = (route: number, seconds: number) => void;

const record = await instrument();
const orders = Array.from({ length: 1000 }, (_, id) => ({
  id,
  customer: `customer-${id}`,
  items: Array.from({ length: 10 }, (_, item) => ({ sku: `sku-${item}`, price: item * 1.25 })),
}));

let lastTick = performance.now();
let stallMs = 0;
setInterval(() => {
  const now = performance.now();
  stallMs = Math.max(stallMs, now - lastTick - TICK_MS);
  lastTick = now;
}, TICK_MS);

const app = new Elysia()
  .get("/orders/:id", ({ params }) => {
    const start = performance.now();
    const id = Number(params.id);
    const order = orders[id % orders.length]!;
    const total = order.items.reduce((sum, { price }) => sum + price, 0);
    record(id % options.series, (performance.now() - start) / 1000);
    return { ...order, total };
  })
  .get("/metrics", async ({ set }) => {
    set.headers["content-type"] = prom.register.contentType;
    return prom.register.metrics();
  })
  .get("/stall", (): Stall => {
    const maxMs = stallMs;
    stallMs = 0;
    return { maxMs };
  })
  .listen({ hostname: "127.0.0.1", port: 0 });
offer({ port: app.server!.port });
await serveParent();
process.exit(0);

async function instrument(): Promise<Count> {
  switch (options.variant) {
    case "none":
      return () => {};
    case "ours":
      return withOurs();
    case "prom-client":
      return withProm();
  }
}

async function withOurs(): Promise<Count> {
  const mv = new MicroView({
    app: "impact",
    service: `series-${options.series}`,
    socket: options.socketPath,
    poolDir: options.poolDir,
  });
  const durations = mv.histogram("http_request_duration_seconds", { buckets: BOUNDS });
  const counters = Array.from({ length: options.series }, (_, i) =>
    mv.counter(metricName(i), { labels: LABEL_NAMES, help: "Requests." }).labels(labelsOf(i)),
  );
  await mv.ready;
  return (route, seconds) => {
    counters[route]!.inc();
    durations.observe(seconds);
  };
}

function withProm(): Count {
  const durations = new prom.Histogram({
    name: "http_request_duration_seconds",
    help: "Durations.",
    buckets: BOUNDS,
  });
  const metrics = new Map<string, prom.Counter>();
  const counters = Array.from({ length: options.series }, (_, i) => {
    const name = metricName(i);
    let counter = metrics.get(name);
    if (counter === undefined) {
      counter = new prom.Counter({ name, help: "Requests.", labelNames: [...LABEL_NAMES] });
      metrics.set(name, counter);
    }
    counter.inc(labelsOf(i), 0);
    return counter.labels(labelsOf(i));
  });
  return (route, seconds) => {
    counters[route]!.inc();
    durations.observe(seconds);
  };
}

function metricName(series: number): string {
  return `http_requests_by_route_${Math.floor(series / SERIES_PER_METRIC)}_total`;
}
