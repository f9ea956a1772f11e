// The plugin for Elysia: what it counts of real requests, and that it changes nothing of the answers.

import { describe, expect, test } from "bun:test";
import { Elysia, t } from "elysia";
import { microview, type ServerOptions } from "../../src/frameworks/elysia.ts";
import { until } from "../support/wait.ts";
import { MeasuredHost, seen, serve } from "./measured.ts";

const REQUESTS = "http_server_requests_total";
const ERRORS = "http_server_request_errors_total";
const IN_FLIGHT = "http_server_requests_in_flight";
const DURATION = "http_server_request_duration_seconds";

/** A server with routes of all kinds; the gate holds answers back until it is opened. */
function shop(options: ServerOptions | undefined, gate: Promise<void> = Promise.resolve()) {
  const app = new Elysia();
  if (options !== undefined) app.use(microview(options));
  return app
    .get("/orders/:id", ({ params }) => ({ id: params.id }))
    .get("/text", "text")
    .get("/nothing", ({ set }) => {
      set.status = 204;
    })
    .get("/response", () => new Response("whole", { headers: { "x-a": "1" } }))
    .get("/cookies", ({ cookie }) => {
      cookie["a"]!.value = "1";
      cookie["b"]!.value = "2";
      return "set";
    })
    .get("/file", () => Bun.file(import.meta.path))
    .get("/teapot", ({ status }) => status(418, "short and stout"))
    .get("/throws", () => {
      throw new Error("broken");
    })
    .get("/rejects", async () => {
      await gate;
      throw new Error("broken later");
    })
    .get("/slow", async () => {
      await gate;
      return "at last";
    })
    .get("/generator", async function* () {
      yield "a";
      await gate;
      yield "b";
    })
    .get("/stream", () => new Response(stream(gate), { status: 202, headers: { "x-a": "1" } }))
    .get("/breaks", () => new Response(stream(gate, new Error("broken midway"))))
    .post("/orders", ({ body }) => body, { body: t.Object({ count: t.Number() }) })
    .all("/any/*", "any");
}

function stream(gate: Promise<void>, error?: Error): ReadableStream {
  let chunk = 0;
  return new ReadableStream({
    async pull(controller) {
      if (chunk++ === 0) {
        controller.enqueue(new TextEncoder().encode("first "));
        return;
      }
      await gate;
      if (error !== undefined) throw error;
      controller.enqueue(new TextEncoder().encode("second"));
      controller.close();
    },
  });
}

class Shop extends MeasuredHost {
  readonly gate = Promise.withResolvers<void>();
  origin = "";

  static override async start(more: Partial<ServerOptions> = {}): Promise<Shop> {
    const host = new Shop();
    await host.agent();
    const options = { ...host.options, ...more } as ServerOptions;
    const app = shop(options, host.gate.promise).listen({ hostname: "127.0.0.1", port: 0 });
    host.onEnd(() => app.stop(true));
    host.origin = app.server!.url.origin;
    return host;
  }

  async get(path: string, init?: RequestInit): Promise<string> {
    return (await fetch(this.origin + path, init)).text();
  }
}

describe("microview/elysia", () => {
  test("counts requests by the pattern of their route, not by their path", async () => {
    await using host = await Shop.start();
    for (let id = 0; id < 5; id++) await host.get(`/orders/${id}`);
    await host.becomes(5, REQUESTS, { method: "GET", route: "/orders/:id", status: "2xx" });
    await host.get("/any/thing", { method: "PUT" });
    await host.becomes(1, REQUESTS, { method: "PUT", route: "/any/*", status: "2xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual(["/any/*", "/orders/:id"]);
  });

  test("counts what no route takes under one value, whatever is asked for", async () => {
    await using host = await Shop.start();
    for (let i = 0; i < 20; i++) await host.get(`/no/${i}`);
    await host.get("/text", { method: "DELETE" });
    await host.becomes(20, REQUESTS, { method: "GET", route: "(unmatched)", status: "4xx" });
    await host.becomes(1, REQUESTS, { method: "DELETE", route: "(unmatched)", status: "4xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual(["(unmatched)"]);
  });

  test("counts what mounted apps and nested groups answer by the pattern of their place", async () => {
    await using host = await MeasuredHost.start();
    const inner = new Elysia().get("/hello", () => "hello");
    const app = new Elysia()
      .use(microview(host.options))
      .mount("/inner", inner)
      .group("/a", (a) =>
        a.group("/b/:x", (b) => b.get("/:id", () => "id").mount("/other", () => new Response("o"))),
      )
      .use(new Elysia({ prefix: "/p" }).use(new Elysia({ prefix: "/q" }).get("/r/:z", () => "z")));
    const url = serve(app.fetch);
    const paths = ["/inner/hello", "/inner/none", "/a/b/1/2", "/a/b/1/other/x", "/p/q/r/1"];
    for (const path of paths) await fetch(url + path);
    await until("all are counted", () => host.labelValues(REQUESTS, "route").length === 4);
    expect(host.labelValues(REQUESTS, "route")).toEqual([
      "/a/b/:x/:id",
      "/a/b/:x/other/*",
      "/inner/*",
      "/p/q/r/:z",
    ]);
  });

  test("shares one value between methods that are rare", async () => {
    await using host = await MeasuredHost.start();
    const app = shop(host.options);
    for (const method of ["QUERY", "PROPFIND"]) {
      await app.handle(new Request("http://localhost/any/x", { method }));
    }
    await host.becomes(2, REQUESTS, { method: "(other)", route: "/any/*", status: "2xx" });
  });

  test("tells errors by their status, thrown ones too", async () => {
    await using host = await Shop.start();
    host.gate.resolve();
    await host.get("/teapot");
    await host.get("/throws");
    await host.get("/rejects");
    await host.get("/orders", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const at = (route: string, status: string, method = "GET") => ({ method, route, status });
    await host.becomes(1, REQUESTS, at("/teapot", "4xx"));
    await host.becomes(1, REQUESTS, at("/throws", "5xx"));
    await host.becomes(1, REQUESTS, at("/rejects", "5xx"));
    await host.becomes(1, REQUESTS, at("/orders", "4xx", "POST"));
    await host.becomes(1, ERRORS, { method: "GET", route: "/throws", reason: "status" });
    await host.becomes(1, ERRORS, { method: "GET", route: "/rejects", reason: "status" });
    expect(host.labelValues(ERRORS, "route")).toEqual(["/rejects", "/throws"]);
    for (const route of ["/teapot", "/throws", "/rejects"]) {
      await host.becomes(0, IN_FLIGHT, { method: "GET", route });
    }
  });

  test("tells codes where it is asked to", async () => {
    await using host = await Shop.start({ status: "code" });
    await host.get("/nothing");
    await host.get("/teapot");
    await host.becomes(1, REQUESTS, { method: "GET", route: "/nothing", status: "204" });
    await host.becomes(1, REQUESTS, { method: "GET", route: "/teapot", status: "418" });
  });

  test("shows those in flight, and measures how long they take", async () => {
    await using host = await Shop.start();
    const labels = { method: "GET", route: "/slow" };
    const answers = [host.get("/slow"), host.get("/slow"), host.get("/slow")];
    await host.becomes(3, IN_FLIGHT, labels);
    expect(host.count(DURATION, labels)).toBe(0);
    const start = performance.now();
    await Bun.sleep(20);
    host.gate.resolve();
    expect(await Promise.all(answers)).toEqual(["at last", "at last", "at last"]);
    await host.becomes(0, IN_FLIGHT, labels);
    await until("all are measured", () => host.count(DURATION, labels) === 3);
    // Timers may be a little early.
    expect(host.sum(DURATION, labels)).toBeGreaterThan(0.05);
    expect(host.sum(DURATION, labels)).toBeLessThan(
      (3 * (performance.now() - start + 5000)) / 1000,
    );
  });

  test.each(["/generator", "/stream"])("measures the stream of %s to its end", async (route) => {
    await using host = await Shop.start();
    const labels = { method: "GET", route };
    const response = await fetch(host.origin + route);
    await host.becomes(1, IN_FLIGHT, labels);
    expect(host.value(REQUESTS, { ...labels, status: "2xx" })).toBe(0);
    host.gate.resolve();
    expect(await response.text()).toBe(route === "/stream" ? "first second" : "ab");
    await host.becomes(1, REQUESTS, { ...labels, status: "2xx" });
    await host.becomes(0, IN_FLIGHT, labels);
    expect(host.count(DURATION, labels)).toBe(1);
    expect(host.labelValues(ERRORS, "route")).toEqual([]);
  });

  test("counts a stream that breaks as failed", async () => {
    await using host = await Shop.start();
    const labels = { method: "GET", route: "/breaks" };
    const answer = host.get("/breaks").catch(() => "broke off");
    await host.becomes(1, IN_FLIGHT, labels);
    host.gate.resolve();
    await answer;
    await host.becomes(1, ERRORS, { ...labels, reason: "stream" });
    await host.becomes(0, IN_FLIGHT, labels);
  });

  test.each(["/generator", "/stream"])(
    "counts %s as aborted when its client leaves",
    async (route) => {
      await using host = await Shop.start();
      const labels = { method: "GET", route };
      const abort = new AbortController();
      const response = await fetch(host.origin + route, { signal: abort.signal });
      await response.body!.getReader().read();
      await host.becomes(1, IN_FLIGHT, labels);
      abort.abort();
      await host.becomes(1, ERRORS, { ...labels, reason: "aborted" });
      await host.becomes(0, IN_FLIGHT, labels);
      expect(host.count(DURATION, labels)).toBe(1);
    },
  );

  test.each(["/slow", "/generator", "/stream"])(
    "lets %s go when its client left before the answer",
    async (route) => {
      await using host = await Shop.start();
      const labels = { method: "GET", route };
      const abort = new AbortController();
      const answer = fetch(host.origin + route, { signal: abort.signal })
        .then((response) => response.text())
        .catch(() => "left");
      await host.becomes(1, IN_FLIGHT, labels);
      abort.abort();
      expect(await answer).toBe("left");
      host.gate.resolve();
      await host.becomes(0, IN_FLIGHT, labels);
      expect(host.count(DURATION, labels)).toBe(1);
    },
  );

  test("takes HEAD of a stream for answered at once", async () => {
    await using host = await Shop.start();
    await host.get("/stream", { method: "HEAD" });
    const labels = { method: "HEAD", route: "/stream" };
    await host.becomes(1, REQUESTS, { ...labels, status: "2xx" });
    await host.becomes(0, IN_FLIGHT, labels);
  });

  test("leaves WebSockets out", async () => {
    await using host = await MeasuredHost.start();
    const app = new Elysia()
      .use(microview(host.options))
      .ws("/live", { message: (socket, message) => void socket.send(message) })
      .get("/plain", "plain")
      .listen({ hostname: "127.0.0.1", port: 0 });
    host.onEnd(() => app.stop(true));
    const { origin } = app.server!.url;
    const socket = new WebSocket(`${origin.replace("http", "ws")}/live`);
    const echo = new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(data);
    });
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    socket.send("hello");
    expect(await echo).toBe("hello");
    await fetch(`${origin}/plain`);
    await host.becomes(1, REQUESTS, { method: "GET", route: "/plain", status: "2xx" });
    expect(host.labelValues(REQUESTS, "route")).toEqual(["/plain"]);
    for (const route of host.labelValues(IN_FLIGHT, "route")) {
      await host.becomes(0, IN_FLIGHT, { method: "GET", route });
    }
    socket.close();
  });

  test("counts a request once where apps within apps are measured", async () => {
    await using host = await MeasuredHost.start();
    const inner = new Elysia({ prefix: "/inner" }).use(microview(host.options)).get("/a", "a");
    const app = new Elysia().use(microview(host.options)).use(inner);
    await app.handle(new Request("http://localhost/inner/a"));
    await host.becomes(1, REQUESTS, { method: "GET", route: "/inner/a", status: "2xx" });
    await host.becomes(0, IN_FLIGHT, { method: "GET", route: "/inner/a" });
  });

  test("counts in one process what comes at once to many routes", async () => {
    await using host = await Shop.start();
    host.gate.resolve();
    const paths = ["/text", "/orders/1", "/slow", "/no", "/throws", "/stream"];
    await Promise.all(Array.from({ length: 120 }, (_, i) => host.get(paths[i % paths.length]!)));
    const routes = ["/text", "/orders/:id", "/slow", "(unmatched)", "/throws", "/stream"];
    for (const route of routes) {
      const labels = { method: "GET", route };
      await until(`${route} is measured`, () => host.count(DURATION, labels) === 20);
      await host.becomes(0, IN_FLIGHT, labels);
    }
  });

  test("answers as without it", async () => {
    await using host = await MeasuredHost.start();
    const open = Promise.resolve();
    const requests: [string, RequestInit?][] = [
      ["/orders/7"],
      ["/text"],
      ["/nothing"],
      ["/response"],
      ["/cookies"],
      ["/file"],
      ["/teapot"],
      ["/throws"],
      ["/rejects"],
      ["/slow"],
      ["/generator"],
      ["/stream"],
      ["/no/where"],
      ["/text", { method: "DELETE" }],
      ["/orders/7", { method: "HEAD" }],
      ["/any/thing", { method: "PATCH" }],
      ["/orders", { method: "POST", body: '{"count":3}', headers: JSON_TYPE }],
      ["/orders", { method: "POST", body: '{"count":"x"}', headers: JSON_TYPE }],
      ["/orders", { method: "POST", body: "{", headers: JSON_TYPE }],
    ];
    const [plain, counted] = [shop(undefined, open), shop(host.options, open)].map((app) => {
      app.listen({ hostname: "127.0.0.1", port: 0 });
      host.onEnd(() => app.stop(true));
      return app.server!.url.origin;
    });
    for (const [path, init] of requests) {
      expect([path, await seen(counted + path, init)]).toEqual([
        path,
        await seen(plain + path, init),
      ]);
    }
  });

  test("serves, and closes, where there is no agent", async () => {
    const warnings: unknown[] = [];
    const app = new Elysia()
      .use(
        microview({
          app: "shop",
          service: "web",
          socket: "/nonexistent/agent.sock",
          onWarning: (warning) => warnings.push(warning),
        }),
      )
      .get("/", "here")
      .listen({ hostname: "127.0.0.1", port: 0 });
    expect(await (await fetch(app.server!.url)).text()).toBe("here");
    await app.stop(true);
    expect(warnings).toEqual([]);
  });

  test("lets go of its pages when the server stops", async () => {
    await using host = await MeasuredHost.start();
    const app = new Elysia()
      .use(microview({ app: "shop", service: "brief", socket: host.socketPath }))
      .get("/", "here")
      .listen({ hostname: "127.0.0.1", port: 0 });
    await fetch(app.server!.url);
    const view = host.view();
    await until("it writes", () => view.writers("brief").length === 1);
    await app.stop(true);
    await until("it is gone", () => view.writers("brief").length === 0);
  });
});

const JSON_TYPE = { "content-type": "application/json" };
