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
  /** Where it records its events. */
  poolDir: string;
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
  const { name, socket, poolDir } = options;
  // Only the gateway is called from outside, where anybody may say anything.
  const events = { trustTraceparent: name !== "gateway" };
  const mv = new MicroView({ app: "shop", service: name, socket, poolDir, events });
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
  const request = mv.span("GET /check/:token", { kind: "server" });
  const hash = mv.span("hash");
  const seen = new Set<string>();
  return new Elysia().get("/check/:token", ({ params: { token }, headers, status }) =>
    request.run(
      () => {
        const digest = hash.run(() => new Bun.CryptoHasher("sha256").update(token).digest("hex"));
        if (digest.startsWith("0")) {
          rejected.inc();
          mv.log.warn("token refused", { user: token });
          return status(401, { ok: false });
        }
        seen.add(token);
        sessions.set(seen.size);
        mv.log.info("session found", { user: token, sessions: seen.size });
        return { ok: true, session: digest.slice(0, 8) };
      },
      { traceparent: headers["traceparent"] },
    ),
  );
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
  const worth = mv.measure("order_worth", "euros");
  const request = mv.span("POST /orders/:count", { kind: "server" });
  const stock = mv.span("wait for stock");
  let next = 1;
  return new Elysia().post("/orders/:count", ({ params, headers }) =>
    request.runAsync(
      async () => {
        const count = Number(params.count);
        const order = next++;
        items.observe(count);
        value.inc(count * 9.99);
        worth.record(count * 9.99, { order });
        if (order % 100 === 0) {
          mv.log.warn("stock is low", { order });
          await stock.runAsync(() => Bun.sleep(20));
        }
        mv.log.info("order placed", { order, count });
        return { order, count };
      },
      { traceparent: headers["traceparent"] },
    ),
  );
}

/** Takes the requests of the outside, asks auth, then orders. */
function gateway(mv: MicroView, [authUrl, ordersUrl]: readonly string[]) {
  const upstream = mv.histogram("upstream_duration_seconds", {
    help: "Time that other services took.",
    unit: "seconds",
    labels: ["service"],
  });
  const request = mv.span("POST /buy/:user/:count", { kind: "server" });
  const asking = {
    auth: mv.span("ask auth", { kind: "client" }),
    orders: mv.span("ask orders", { kind: "client" }),
  };
  const ask = (service: keyof typeof asking, url: string, method = "GET"): Promise<Response> =>
    asking[service].runAsync(async () => {
      const done = upstream.labels(service).startTimer();
      try {
        const headers = { traceparent: mv.currentSpan()!.traceparent };
        return await fetch(url, { method, headers, ...proxyOption(url) });
      } finally {
        done();
      }
    });
  return new Elysia().post("/buy/:user/:count", ({ params: { user, count }, status }) =>
    request.runAsync(async () => {
      const session = await ask("auth", `${authUrl}/check/${encodeURIComponent(user)}`);
      if (!session.ok) {
        mv.log.warn("turned away", { user });
        return status(401, { ok: false });
      }
      const path = `orders/${encodeURIComponent(count)}`;
      const order = await ask("orders", `${ordersUrl}/${path}`, "POST");
      mv.log.info("bought", { user, count: Number(count) });
      return order.json();
    }),
  );
}
