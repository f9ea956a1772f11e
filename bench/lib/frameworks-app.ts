// The same small app with each framework and each way to measure it, for the benchmark `frameworks`.
//
// The peers do with prom-client what its users' middlewares do: count by method, route and status, and time. Hono's is
// @hono/prometheus' own middleware (1.0), Elysia's the same with hooks: a start kept by request, the rest after the
// response. Both know no requests in flight and take a stream for answered when it begins; ours does both.

import { Elysia } from "elysia";
import { Hono, type MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import * as prom from "prom-client";
import type { MicroView } from "../../src/client/index.ts";
import { forElysia, forHono } from "../../src/frameworks/index.ts";

export type Framework = "elysia" | "hono";
export type Variant = "none" | "ours" | "spans" | "prom-client";

export type Handler = (request: Request) => Response | Promise<Response>;

const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LABEL_NAMES = ["method", "route", "status"];

const orders = Array.from({ length: 1000 }, (_, id) => ({
  id,
  items: Array.from({ length: 10 }, (_, item) => ({ sku: `sku-${item}`, price: item * 1.25 })),
}));

function order(id: string) {
  return orders[Number(id) % orders.length]!;
}

/** @param mv where ours counts */
export function makeElysia(variant: Variant, mv: MicroView | undefined) {
  const app = new Elysia();
  if (variant === "ours") app.use(forElysia({ mv: mv! }));
  if (variant === "spans") app.use(forElysia({ mv: mv!, spans: true }));
  if (variant === "prom-client") withProm(app);
  return app.get("/orders/:id", ({ params }) => order(params.id));
}

/** See {@link makeElysia}. An empty middleware tells what of the cost is Hono's own. */
export function makeHono(variant: Variant | "empty", mv: MicroView | undefined): Hono {
  const app = new Hono();
  if (variant === "empty") app.use(async (_c, next) => next());
  if (variant === "ours") app.use(forHono({ mv: mv! }));
  if (variant === "spans") app.use(forHono({ mv: mv!, spans: true }));
  if (variant === "prom-client") app.use(promMiddleware());
  return app.get("/orders/:id", (c) => c.json(order(c.req.param("id"))));
}

function promMetrics() {
  const registers = [new prom.Registry()];
  return {
    requests: new prom.Counter({
      name: "http_requests_total",
      help: "Requests.",
      labelNames: LABEL_NAMES,
      registers,
    }),
    duration: new prom.Histogram({
      name: "http_request_duration_seconds",
      help: "Durations.",
      labelNames: LABEL_NAMES,
      buckets: BOUNDS,
      registers,
    }),
  };
}

function withProm(app: Elysia): void {
  const { requests, duration } = promMetrics();
  const starts = new WeakMap<Request, number>();
  app.onRequest(({ request }) => {
    starts.set(request, performance.now());
  });
  app.onAfterResponse({ as: "global" }, ({ request, route, set }) => {
    const labels = { method: request.method, route, status: String(set.status ?? 200) };
    requests.inc(labels);
    duration.observe(labels, (performance.now() - starts.get(request)!) / 1000);
  });
}

function promMiddleware(): MiddlewareHandler {
  const { requests, duration } = promMetrics();
  return async (c, next) => {
    const stop = duration.startTimer();
    try {
      await next();
    } finally {
      const labels = { method: c.req.method, route: routePath(c), status: String(c.res.status) };
      stop(labels);
      requests.inc(labels);
    }
  };
}
