// The middleware for Hono: what it counts of real requests, and that it changes nothing of the answers.

import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { upgradeWebSocket, websocket } from "hono/bun";
import { HTTPException } from "hono/http-exception";
import { stream, streamSSE } from "hono/streaming";
import { microview, type ServerOptions } from "../../src/frameworks/hono.ts";
import { until } from "../support/wait.ts";
import { MeasuredHost, seen, serve } from "./measured.ts";

const REQUESTS = "http_server_requests_total";
const ERRORS = "http_server_request_errors_total";
const IN_FLIGHT = "http_server_requests_in_flight";
const DURATION = "http_server_request_duration_seconds";

/** A server with routes of all kinds; the gate holds answers back until it is opened. */
function shop(options: ServerOptions | undefined, gate: Promise<void> = Promise.resolve()): Hono {
  const app = new Hono();
  if (options !== undefined) app.use(microview(options));
  // Middlewares as others have them: one for everything, one for a part, one that may answer itself.
  app.use(async (c, next) => {
    await next();
    c.res.headers.set("x-powered-by", "tests");
  });
  app.use("/afterwards", async (c, next) => {
    await next();
    c.header("x-afterwards", "yes");
  });
  app.use("/guarded/*", async (c, next) => {
    if (c.req.header("authorization") === undefined) return c.text("who are you?", 401);
    return next();
  });
  const admin = new Hono().get("/users/:user", (c) => c.text(c.req.param("user")));
  admin.onError((_error, c) => c.text("admin is broken", 503));
  admin.get("/throws", () => {
    throw new Error("broken");
  });
  return app
    .get("/orders/:id", (c) => c.json({ id: c.req.param("id") }))
    .get("/text", (c) => c.text("text"))
    .get("/afterwards", (c) => c.text("text"))
    .get("/guarded/:thing", (c) => c.text(c.req.param("thing")))
    .get("/response", () => new Response("whole", { headers: { "x-a": "1" } }))
    .get("/cookies", (c) => {
      c.header("set-cookie", "a=1", { append: true });
      c.header("set-cookie", "b=2", { append: true });
      return c.text("set");
    })
    .get("/file", () => new Response(Bun.file(import.meta.path)))
    .get("/nothing", (c) => c.body(null, 204))
    .get("/teapot", () => {
      throw new HTTPException(418, { message: "short and stout" });
    })
    .get("/throws", () => {
      throw new Error("broken");
    })
    .get("/falls/:through", async (_c, next) => {
      await next();
    })
    .get("/falls/*", (c) => c.text("caught"))
    .get("/slow", async (c) => {
      await gate;
      return c.text("at last");
    })
    .get("/stream", (c) => {
      c.header("set-cookie", "a=1", { append: true });
      c.header("set-cookie", "b=2", { append: true });
      return stream(c, async (body) => {
        await body.write("first ");
        await gate;
        await body.write("second");
      });
    })
    .get("/events", (c) =>
      streamSSE(c, async (events) => {
        await events.writeSSE({ data: "one" });
        await gate;
        await events.writeSSE({ data: "two" });
      }),
    )
    .all("/any/*", (c) => c.text("any"))
    .route("/admin", admin);
}

class Shop extends MeasuredHost {
  readonly gate = Promise.withResolvers<void>();
  readonly app = shop(this.options, this.gate.promise);
  readonly origin = serve((request) => this.app.fetch(request));

  static override async start(): Promise<Shop> {
    const host = new Shop();
    await host.agent();
    return host;
  }

  async get(path: string, init?: RequestInit): Promise<string> {
    return (await fetch(this.origin + path, init)).text();
  }
}

describe("microview/hono", () => {
  test("counts requests by the pattern of their route, not by their path", async () => {
    await using host = await Shop.start();
    for (let id = 0; id < 5; id++) await host.get(`/orders/${id}`);
    await host.get("/any/thing", { method: "PUT" });
    await host.get("/admin/users/7");
    await host.get("/falls/on");
    await host.becomes(5, REQUESTS, { method: "GET", route: "/orders/:id", status: "2xx" });
    await host.becomes(1, REQUESTS, { method: "PUT", route: "/any/*", status: "2xx" });
    await host.becomes(1, REQUESTS, { method: "GET", route: "/admin/users/:user", status: "2xx" });
    await host.becomes(1, REQUESTS, { method: "GET", route: "/falls/*", status: "2xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual([
      "/admin/users/:user",
      "/any/*",
      "/falls/*",
      "/orders/:id",
    ]);
    await host.becomes(0, IN_FLIGHT, { method: "GET", route: "/falls/:through" });
  });

  test("counts what no route takes under one value, whatever is asked for", async () => {
    await using host = await Shop.start();
    for (let i = 0; i < 20; i++) await host.get(`/no/${i}`);
    await host.becomes(20, REQUESTS, { method: "GET", route: "(unmatched)", status: "4xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual(["(unmatched)"]);
  });

  test("counts what a mounted app or a middleware answers where no route does, by the pattern of its place", async () => {
    await using host = await MeasuredHost.start();
    const app = new Hono();
    app.use(microview(host.options));
    app.use("/static/*", async (c, next) => {
      if (c.req.path.endsWith("/a.css")) return c.text("a {}");
      return next();
    });
    const inner = new Hono().get("/hello", (c) => c.text("hello"));
    app.mount("/inner", inner.fetch);
    const deep = new Hono().mount("/other", () => new Response("other"));
    app.route(
      "/a",
      new Hono().route(
        "/b",
        deep.get("/:id", (c) => c.text("id")),
      ),
    );
    app.get("/found/*", (c) => c.text("found"));
    const url = serve(app.fetch);
    const paths = ["/inner/hello", "/static/a.css", "/a/b/other/x", "/a/b/1", "/found/x"];
    for (const path of paths) expect((await fetch(url + path)).status).toBe(200);
    const missing = ["/inner/none", "/static/none", "/none"];
    for (const path of missing) expect((await fetch(url + path)).status).toBe(404);
    const labels = { method: "GET", status: "4xx" };
    await host.becomes(3, REQUESTS, { ...labels, route: "(unmatched)" });
    await until("all are counted", () => host.labelValues(REQUESTS, "route").length === 6);
    expect(host.labelValues(REQUESTS, "route")).toEqual([
      "(unmatched)",
      "/a/b/:id",
      "/a/b/other/*",
      "/found/*",
      "/inner/*",
      "/static/*",
    ]);
    // In flight they were where nobody knew better.
    await host.becomes(0, IN_FLIGHT, { method: "GET", route: "(unmatched)" });
    await host.becomes(0, IN_FLIGHT, { method: "GET", route: "/inner/*" });
  });

  test("counts a mounted app by its path, also beside a page for everything else", async () => {
    await using host = await MeasuredHost.start();
    const app = new Hono();
    app.use(microview(host.options));
    app.mount("/api", () => new Response("no such thing", { status: 404 }));
    app.get("*", (c) => c.text("page"));
    const url = serve(app.fetch);
    await fetch(`${url}/api/x`);
    await fetch(`${url}/x`);
    await host.becomes(1, REQUESTS, { method: "GET", route: "/api/*", status: "4xx" });
    await host.becomes(1, REQUESTS, { method: "GET", route: "/*", status: "2xx" });
  });

  test("counts what a middleware answers under the route that it guards", async () => {
    await using host = await Shop.start();
    await host.get("/guarded/door");
    await host.becomes(1, REQUESTS, { method: "GET", route: "/guarded/:thing", status: "4xx" });
  });

  test("tells errors by their status, thrown ones too", async () => {
    await using host = await Shop.start();
    for (const path of ["/teapot", "/throws", "/admin/throws"]) await host.get(path);
    await host.becomes(1, REQUESTS, { method: "GET", route: "/teapot", status: "4xx" });
    await host.becomes(1, REQUESTS, { method: "GET", route: "/throws", status: "5xx" });
    await host.becomes(1, ERRORS, { method: "GET", route: "/throws", reason: "status" });
    await host.becomes(1, ERRORS, { method: "GET", route: "/admin/throws", reason: "status" });
    expect(host.labelValues(ERRORS, "route")).toEqual(["/admin/throws", "/throws"]);
    for (const route of ["/teapot", "/throws"]) {
      await host.becomes(0, IN_FLIGHT, { method: "GET", route });
    }
  });

  test("shows those in flight, and measures how long they take", async () => {
    await using host = await Shop.start();
    const labels = { method: "GET", route: "/slow" };
    const answers = [host.get("/slow"), host.get("/slow"), host.get("/slow")];
    await host.becomes(3, IN_FLIGHT, labels);
    await Bun.sleep(20);
    host.gate.resolve();
    await Promise.all(answers);
    await host.becomes(0, IN_FLIGHT, labels);
    await until("all are measured", () => host.count(DURATION, labels) === 3);
    // Timers may be a little early.
    expect(host.sum(DURATION, labels)).toBeGreaterThan(0.05);
  });

  test.each(["/stream", "/events"])("measures the stream of %s to its end", async (route) => {
    await using host = await Shop.start();
    const labels = { method: "GET", route };
    const response = await fetch(host.origin + route);
    await host.becomes(1, IN_FLIGHT, labels);
    expect(host.value(REQUESTS, { ...labels, status: "2xx" })).toBe(0);
    host.gate.resolve();
    await response.text();
    await host.becomes(1, REQUESTS, { ...labels, status: "2xx" });
    await host.becomes(0, IN_FLIGHT, labels);
    expect(host.count(DURATION, labels)).toBe(1);
  });

  test.each(["/stream", "/events"])(
    "counts %s as aborted when its client leaves",
    async (route) => {
      await using host = await Shop.start();
      const labels = { method: "GET", route };
      const abort = new AbortController();
      const response = await fetch(host.origin + route, { signal: abort.signal });
      await response.body!.getReader().read();
      abort.abort();
      await host.becomes(1, ERRORS, { ...labels, reason: "aborted" });
      await host.becomes(0, IN_FLIGHT, labels);
      host.gate.resolve();
    },
  );

  test("lets a request go whose client left before the answer", async () => {
    await using host = await Shop.start();
    const labels = { method: "GET", route: "/slow" };
    const abort = new AbortController();
    const answer = fetch(`${host.origin}/slow`, { signal: abort.signal }).catch(() => "left");
    await host.becomes(1, IN_FLIGHT, labels);
    abort.abort();
    expect(await answer).toBe("left");
    host.gate.resolve();
    await host.becomes(0, IN_FLIGHT, labels);
  });

  test("takes HEAD of a stream for answered at once", async () => {
    await using host = await Shop.start();
    await host.get("/stream", { method: "HEAD" });
    await host.becomes(0, IN_FLIGHT, { method: "HEAD", route: "/stream" });
    await host.becomes(1, REQUESTS, { method: "HEAD", route: "/stream", status: "2xx" });
    host.gate.resolve();
  });

  test("leaves WebSockets out", async () => {
    await using host = await MeasuredHost.start();
    const app = new Hono().use(microview(host.options));
    app.get(
      "/live",
      upgradeWebSocket(() => ({ onMessage: ({ data }, socket) => socket.send(String(data)) })),
    );
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch, websocket });
    host.onEnd(() => server.stop(true));
    const socket = new WebSocket(`${server.url.origin.replace("http", "ws")}/live`);
    const echo = new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(data);
    });
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    socket.send("hello");
    expect(await echo).toBe("hello");
    await fetch(`${server.url.origin}/no`);
    await host.becomes(1, REQUESTS, { method: "GET", route: "(unmatched)", status: "4xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual(["(unmatched)"]);
    await host.becomes(0, IN_FLIGHT, { method: "GET", route: "/live" });
    socket.close();
  });

  test("answers as without it", async () => {
    await using host = await MeasuredHost.start();
    const requests: [string, RequestInit?][] = [
      ["/orders/7"],
      ["/text"],
      ["/afterwards"],
      ["/guarded/a"],
      ["/guarded/a", { headers: { authorization: "me" } }],
      ["/response"],
      ["/cookies"],
      ["/file"],
      ["/nothing"],
      ["/teapot"],
      ["/throws"],
      ["/admin/throws"],
      ["/falls/x"],
      ["/slow"],
      ["/stream"],
      ["/events"],
      ["/no/where"],
      ["/text", { method: "DELETE" }],
      ["/text", { method: "HEAD" }],
      ["/any/thing", { method: "PATCH" }],
    ];
    const [plain, counted] = [shop(undefined), shop(host.options)].map(({ fetch }) => serve(fetch));
    for (const [path, init] of requests) {
      expect([path, await seen(counted + path, init)]).toEqual([
        path,
        await seen(plain + path, init),
      ]);
    }
  });
});
