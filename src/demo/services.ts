// The demo's three services: small, real Elysia servers that use microview as any service would.

import { Elysia } from "elysia";
import { MicroView } from "../client/index.ts";
import { proxyOption } from "../http/index.ts";

/** What a service is told when it starts. */
export interface ServiceOptions {
  name: string;
  /** 0 takes a free one. */
  port: number;
  /** Socket of the demo's agent. */
  socket: string;
  /** Base URLs of the services it calls, in the order it expects them. */
  targets: readonly string[];
}

interface RunningService {
  port: number;
  stop(): Promise<void>;
}

/** Names of the services, each before those that call it. */
export const SERVICES = ["auth", "orders", "gateway"] as const;

/** Starts one of the services. @throws Error for a name that is none of {@link SERVICES} */
export function startService(options: ServiceOptions): RunningService {
  const mv = new MicroView({ app: "shop", service: options.name, socket: options.socket });
  const routes = routesOf(options, mv);
  const app = measured(mv).use(routes).listen({ hostname: "127.0.0.1", port: options.port });
  return {
    port: app.server!.port!,
    stop: async () => {
      await app.stop();
      await mv.close();
    },
  };
}

/** Requests, latency and load of an Elysia app, by route. Handles are made once; a request only stores. */
function measured(mv: MicroView) {
  const requests = mv.counter("http_requests_total", {
    help: "Requests by route and status.",
    labels: ["route", "status"],
  });
  const duration = mv.histogram("http_request_duration_seconds", {
    help: "Time to answer.",
    unit: "seconds",
    labels: ["route"],
  });
  const inFlight = mv.gauge("http_requests_in_flight", { help: "Requests being answered." });
  return new Elysia()
    .derive({ as: "global" }, () => {
      inFlight.inc();
      return { startedAt: performance.now() };
    })
    .onAfterResponse({ as: "global" }, ({ route, set, startedAt }) => {
      // A request that met no route has neither a pattern nor a start.
      if (startedAt === undefined) return;
      inFlight.dec();
      duration.labels(route).observe((performance.now() - startedAt) / 1000);
      requests.labels(route, Number(set.status ?? 200)).inc();
    });
}

function routesOf({ name, targets }: ServiceOptions, mv: MicroView) {
  switch (name) {
    case "auth":
      return auth(mv);
    case "orders":
      return orders(mv);
    case "gateway":
      return gateway(mv, targets);
    default:
      throw new Error(
        `the demo has no service ${JSON.stringify(name)}, only ${SERVICES.join(", ")}`,
      );
  }
}

/** Checks tokens; the work is a real hash. */
function auth(mv: MicroView) {
  const sessions = mv.gauge("auth_sessions", { help: "Sessions seen.", combine: "max" });
  const rejected = mv.counter("auth_rejected_total", { help: "Tokens that were refused." });
  const seen = new Set<string>();
  return new Elysia().get("/check/:token", ({ params: { token }, status }) => {
    const digest = new Bun.CryptoHasher("sha256").update(token).digest("hex");
    if (digest.startsWith("0")) {
      rejected.inc();
      return status(401, { ok: false });
    }
    seen.add(token);
    sessions.set(seen.size);
    return { ok: true, session: digest.slice(0, 8) };
  });
}

/** Keeps orders in memory; now and then one takes longer. */
function orders(mv: MicroView) {
  const value = mv.counter("orders_value_euros_total", {
    help: "Worth of all orders.",
    unit: "euros",
  });
  const items = mv.histogram("order_items", {
    help: "Items per order.",
    buckets: [1, 2, 3, 5, 8, 13],
  });
  let next = 1;
  return new Elysia().post("/orders/:count", async ({ params }) => {
    const count = Number(params.count);
    items.observe(count);
    value.inc(count * 9.99);
    if (next % 100 === 0) await Bun.sleep(20);
    return { order: next++, count };
  });
}

/** Takes the requests of the outside, asks auth, then orders. */
function gateway(mv: MicroView, [authUrl, ordersUrl]: readonly string[]) {
  const upstream = mv.histogram("upstream_duration_seconds", {
    help: "Time that other services took.",
    unit: "seconds",
    labels: ["service"],
  });
  const ask = async (service: string, url: string, method = "GET"): Promise<Response> => {
    const done = upstream.labels(service).startTimer();
    try {
      return await fetch(url, { method, ...proxyOption(url) });
    } finally {
      done();
    }
  };
  return new Elysia().post("/buy/:user/:count", async ({ params: { user, count }, status }) => {
    const session = await ask("auth", `${authUrl}/check/${encodeURIComponent(user)}`);
    if (!session.ok) return status(401, { ok: false });
    const order = await ask("orders", `${ordersUrl}/orders/${encodeURIComponent(count)}`, "POST");
    return order.json();
  });
}
