// The agent's REST interface as clients meet it: every route, every refusal, and who is let in.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Agent } from "../../src/agent/agent.ts";
import { AgentRunningError } from "../../src/agent/index.ts";
import { ExposedError } from "../../src/guard/index.ts";
import { LAYOUT_VERSION } from "../../src/layout/index.ts";
import type {
  ApiError,
  AttachResponse,
  HealthResponse,
  RegisterResponse,
} from "../../src/rest/index.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { ask, define } from "../support/pools.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { until } from "../support/wait.ts";

const SECRET = "s3cr3t-value-that-must-not-come-back";
/** Lets those register who come over TCP without a token: what is asked here is not who may. */
const OPEN = { allowRegister: true };

const WRITER = { service: "auth", pid: 1, threadId: 0 };

/** Calls an agent over TCP. */
function calls(agent: Agent | AgentProcess, headers: Record<string, string> = {}) {
  const base = `http://127.0.0.1:${agent.port}`;
  const call = async (method: string, path: string, body?: unknown, more = {}) => {
    const response = await fetch(base + path, {
      method,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...more,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  };
  return {
    get: (path: string, more = {}) => call("GET", path, undefined, more),
    post: (path: string, body?: unknown, more = {}) => call("POST", path, body, more),
    delete: (path: string, more = {}, body?: unknown) => call("DELETE", path, body, more),
  };
}

/** An error as every caller may expect it: a code, a sentence, a hint, and nothing else. */
function expectError(
  answer: { status: number; text: string; json?: ApiError },
  status: number,
  code: string,
): void {
  expect([answer.status, answer.json?.code]).toEqual([status, code]);
  expect(Object.keys(answer.json!).sort()).toEqual(["code", "hint", "message"]);
  expect(answer.json!.message).not.toBe("");
  expect(answer.json!.hint).not.toBe("");
  expect(answer.text).not.toContain(SECRET);
  expect(answer.text).not.toMatch(/\bat .*\.ts|node_modules|src\//);
}

/** Attaches a writer and registers metrics of it, by REST alone. */
async function attach(rest: ReturnType<typeof calls>, app = "shop") {
  const { status, json } = await rest.post(`/v1/apps/${app}/writers`, WRITER);
  expect(status).toBe(200);
  const answer = json as AttachResponse;
  return { ...answer, own: { "microview-secret": answer.secret } };
}

describe("GET", () => {
  test("/health says who serves what, and where", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const rest = calls(agent);
    const { pool } = await attach(rest);
    const { status, json } = await rest.get("/health");
    expect(status).toBe(200);
    expect(json).toEqual({
      status: "healthy",
      problems: [],
      version: "0.0.0-test",
      layoutVersion: LAYOUT_VERSION,
      pid: process.pid,
      uid: process.geteuid?.(),
      uptimeS: expect.any(Number),
      bootId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      poolDir: host.poolDir,
      dataPort: agent.dataPort,
      pools: expect.arrayContaining([{ app: "shop", path: pool.path, poolId: pool.poolId }]),
    });
  });

  test("/v1/apps lists applications; one of them, its services, writers and metrics are told", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const rest = calls(agent);
    const { writer, own, ...place } = await attach(rest);
    host.hold(place);
    const metrics = [ask(define.counter("a_total", ["x"]), [["1"], ["2"]]), ask(define.gauge("b"))];
    await rest.post(`/v1/apps/shop/writers/${writer}/series`, { metrics }, own);
    const shop = {
      app: "shop",
      path: `${host.poolDir}/shop/pool`,
      shmName: null,
      generation: expect.any(Number),
      services: 1,
      writers: 1,
      series: 3,
      pagesUsed: 1,
      directoryBytes: expect.any(Number),
    };
    expect((await rest.get("/v1/apps")).json).toEqual([
      expect.objectContaining({ app: "microview" }),
      shop,
    ]);
    expect((await rest.get("/v1/apps/shop")).json).toEqual(shop);
    expect((await rest.get("/v1/apps/shop/services")).json).toEqual([
      { service: "auth", writers: 1, metrics: 2, series: 3 },
    ]);
    expect((await rest.get("/v1/apps/shop/writers")).json).toEqual([
      {
        writer,
        service: "auth",
        pid: 1,
        threadId: 0,
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        alive: true,
        pages: 1,
        series: 3,
      },
    ]);
    const listed = (await rest.get("/v1/apps/shop/metrics")).json;
    expect(listed).toEqual([
      { service: "auth", ...define.counter("a_total", ["x"]), series: 2, slotsPerSeries: 1 },
      { service: "auth", ...define.gauge("b"), series: 1, slotsPerSeries: 1 },
    ]);
    expect((await rest.get("/v1/apps/shop/metrics?service=auth")).json).toEqual(listed);
    expect((await rest.get("/v1/apps/shop/metrics?service=cart")).json).toEqual([]);
  });

  test("/metrics is Prometheus text that a strict reader takes, with every kind and any label", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const mv = host.client({ service: 'auth "x"\\' });
    const requests = mv.counter("requests_total", { help: "a \\ b\nc", labels: ["path"] });
    for (const path of ["/", "", 'a"b', "a\\b", "a\nb", "é{},="]) requests.labels(path).inc(2);
    mv.gauge("unset", { combine: "max" });
    mv.gauge("endless").set(Number.NEGATIVE_INFINITY);
    mv.gauge("tiny").set(5e-324);
    const sizes = mv.histogram("size_bytes", { buckets: [0.1, 1, 1e21] });
    for (const value of [0.05, 0.1, 5, 1e22]) sizes.observe(value);
    mv.histogram("latency_seconds", { labels: ["le_"] })
      .labels("x")
      .observe(0.25);
    await mv.ready;
    const { status, headers, text } = await calls(agent).get("/metrics");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const families = parsePrometheus(text);
    expect(families.get("requests_total")).toMatchObject({ type: "counter", help: "a \\\\ b\\nc" });
    expect(families.get("requests_total")!.samples.size).toBe(6);
    expect([...families.get("requests_total")!.samples.values()]).toEqual(new Array(6).fill(2));
    const home = 'app="shop",service="auth \\"x\\"\\\\"';
    expect(families.get("unset")!.samples.size).toBe(0);
    expect(families.get("endless")!.samples.get(`endless{${home}}`)).toBe(Number.NEGATIVE_INFINITY);
    expect(families.get("tiny")!.samples.get(`tiny{${home}}`)).toBe(5e-324);
    const size = families.get("size_bytes")!.samples;
    expect(size.get(`size_bytes_bucket{app="shop",le="0.1",service="auth \\"x\\"\\\\"}`)).toBe(2);
    expect(size.get(`size_bytes_bucket{app="shop",le="+Inf",service="auth \\"x\\"\\\\"}`)).toBe(4);
    expect(size.get(`size_bytes_count{${home}}`)).toBe(4);
    expect(families.get("latency_seconds")!.type).toBe("histogram");
    // The agent's own are there as well: it is a writer like any other.
    const own = families.get("microview_agent_writers_attached_total")!.samples;
    expect(own.get('microview_agent_writers_attached_total{app="microview",service="agent"}')).toBe(
      2,
    );
  });

  test("/metrics as JSON is what the prototype answered", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const rest = calls(agent);
    await rest.post("/metrics", { microservice_id: "pay", name: "a", type: false, value: 1 });
    await rest.post("/metrics", { microservice_id: "pay", name: "b", type: true, value: 1 });
    const { json } = await rest.get("/metrics", { accept: "application/json" });
    expect(json["pay"]).toEqual({
      page_offset: expect.any(Number),
      num_entries: 2,
      max_metrics: 504,
    });
    for (const entry of Object.values(json as Record<string, object>)) {
      expect(Object.keys(entry)).toEqual(["page_offset", "num_entries", "max_metrics"]);
    }
  });

  test("/openapi/json states every answer that is JSON, and how errors are told", async () => {
    await using host = new TestHost();
    const { json, text } = await calls(await host.agent()).get("/openapi/json");
    const document = json as unknown as {
      paths: Record<string, Record<string, { responses?: Record<string, { content: object }> }>>;
      components: { schemas: Record<string, { properties: object }> };
    };
    const silent: string[] = [];
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { responses }] of Object.entries(methods)) {
        const content = responses?.["200"]?.content;
        if (content === undefined) silent.push(`${method} ${path}`);
        else expect(Object.keys(content)).toEqual(["application/json"]);
      }
    }
    expect(silent.sort()).toEqual(["get /metrics", "get /v1/rdma/session"]);
    const { ApiError } = document.components.schemas;
    expect(Object.keys(ApiError!.properties)).toEqual(["code", "message", "hint"]);
    // What Elysia is told of a schema is not for readers.
    expect(text).not.toContain("noValidate");
  });

  test("/openapi/json states every body, and the secret where one is asked for", async () => {
    await using host = new TestHost();
    const { json } = await calls(await host.agent()).get("/openapi/json");
    interface Operation {
      parameters?: { name: string; in: string }[];
      requestBody?: { content: Record<string, { schema: { properties?: object } }> };
    }
    const paths = json.paths as Record<string, Record<string, Operation>>;
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { parameters = [], requestBody }] of Object.entries(methods)) {
        const isWriters = path.includes("{writer}");
        const secret = parameters.find(({ name }) => name === "microview-secret");
        expect([method, path, secret?.in]).toEqual([
          method,
          path,
          isWriters ? "header" : undefined,
        ]);
        if (requestBody === undefined) continue;
        expect(Object.keys(requestBody.content)).toEqual(["application/json"]);
        const { schema } = requestBody.content["application/json"]!;
        expect(Object.keys(schema.properties ?? {})).not.toEqual([]);
      }
    }
    const bodies = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(bodies.filter(({ requestBody }) => requestBody !== undefined).length).toBe(8);
  });

  test("/openapi/json names every route and no other", async () => {
    await using host = new TestHost();
    const { json } = await calls(await host.agent(OPEN)).get("/openapi/json");
    const routes = Object.entries(json.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(routes.sort()).toEqual([
      "delete /v1/apps/{app}/writers/{writer}",
      "delete /v1/apps/{app}/writers/{writer}/series",
      "delete /v1/events/settings",
      "delete /v1/rdma/queue-pairs/{id}",
      "get /health",
      "get /metrics",
      "get /v1/apps",
      "get /v1/apps/{app}",
      "get /v1/apps/{app}/metrics",
      "get /v1/apps/{app}/processes",
      "get /v1/apps/{app}/services",
      "get /v1/apps/{app}/writers",
      "get /v1/events/settings",
      "get /v1/rdma",
      "get /v1/rdma/queue-pairs",
      "get /v1/rdma/session",
      "get /v1/tokens",
      "post /metrics",
      "post /v1/apps/{app}/writers",
      "post /v1/apps/{app}/writers/{writer}/series",
      "post /v1/events/settings",
      "post /v1/rdma/queue-pairs",
      "post /v1/rdma/queue-pairs/{id}/regions",
      "put /v1/apps/{app}/writers/{writer}/lock",
    ]);
    for (const methods of Object.values(json.paths as Record<string, Record<string, object>>)) {
      for (const route of Object.values(methods)) expect(route).toHaveProperty("summary");
    }
  });

  test("/openapi is a page that needs nothing from elsewhere", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const page = await rest.get("/openapi");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
    expect(page.text).not.toMatch(/https?:|\/\/[a-z]/);
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(assets).toHaveLength(3);
    for (const asset of assets) {
      const { status, headers, text } = await rest.get(asset);
      expect([asset, status]).toEqual([asset, 200]);
      expect(headers.get("content-type")).toMatch(
        asset.endsWith(".css") ? "text/css" : "javascript",
      );
      expect(text.length).toBeGreaterThan(50);
    }
    expect((await rest.get("/openapi/assets/start.js")).text).toContain("/openapi/json");
  });
});

describe("a writer", () => {
  test("is told its pool, its lock and its page", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const { writer, pool, lock, extents } = await attach(rest);
    expect(writer).toBeGreaterThan(0);
    expect(pool).toEqual({
      path: `${host.poolDir}/shop/pool`,
      poolId: expect.any(Number),
      lineage: pool.poolId,
      replacements: 0,
      pagesOffset: expect.any(Number),
    });
    expect(extents).toEqual([{ page: 0, pages: 1, slot: 0, slots: 0 }]);
    expect(lock).toEqual({ offset: pool.pagesOffset + 64, bytes: 504 * 8 });
  });

  test("registers in batches; asking again gives the same places", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const { writer, own, ...place } = await attach(rest);
    host.hold(place);
    const metrics = [
      ask(define.counter("a_total", ["x"]), [["1"], ["2"]]),
      ask(define.histogram("h", [1, 2])),
      ask(define.logLinear("l")),
    ];
    const first = await rest.post(`/v1/apps/shop/writers/${writer}/series`, { metrics }, own);
    expect(first.json).toEqual({
      results: [{ runs: [[0, 0, 2]] }, { runs: [[0, 2, 1]] }, { runs: [[0, 6, 1]] }],
      extents: [{ page: 0, pages: 1, slot: 0, slots: 0 }],
      turn: 1,
    });
    const second = await rest.post(`/v1/apps/shop/writers/${writer}/series`, { metrics }, own);
    expect(second.json).toEqual({ ...(first.json as object), turn: 2 });
  });

  test("that has not heard an answer learns the pages of its series by asking again", async () => {
    for (const strategy of ["page", "slab", "packed"] as const) {
      await using host = new TestHost();
      const rest = calls(await host.agent({ ...OPEN, strategy }));
      const { writer, own, ...place } = await attach(rest);
      host.hold(place);
      const labels = Array.from({ length: 1200 }, (_, i) => [String(i)]);
      const metrics = [ask(define.counter("a_total", ["x"]), labels)];
      const path = `/v1/apps/shop/writers/${writer}/series`;
      const first = (await rest.post(path, { metrics }, own)).json as RegisterResponse;
      const again = (await rest.post(path, { metrics }, own)).json as RegisterResponse;
      expect(again).toEqual({ ...first, turn: 2 });
      for (const [page, slot] of again.results[0]!.runs) {
        const holds = (each: (typeof again.extents)[number]) =>
          page >= each.page &&
          page < each.page + each.pages &&
          (each.slots === 0 || (slot >= each.slot && slot < each.slot + each.slots));
        expect(again.extents.filter(holds)).toHaveLength(1);
      }
    }
  });

  test("is told of one metric's mistake beside the others' places", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent({ ...OPEN, limits: { seriesPerMetric: 1 } }));
    const { writer, own, ...place } = await attach(rest);
    host.hold(place);
    const metrics = [
      ask(define.counter("no dashes")),
      ask(define.counter("a_total", ["x"]), [["1"], ["2"]]),
      ask(define.gauge("a_total")),
      ask(define.counter("b_total", ["x"]), [["1", "2"]]),
      ask(define.counter("c_total")),
    ];
    const series = `/v1/apps/shop/writers/${writer}/series`;
    const { status, json } = await rest.post(series, { metrics }, own);
    expect(status).toBe(200);
    const { results } = json as RegisterResponse;
    expect(results.map(({ error }) => error?.code)).toEqual([
      "invalid-metric",
      "label-values-full",
      "metric-conflict",
      "invalid-metric",
      undefined,
    ]);
    expect(results.map(({ runs }) => runs.length)).toEqual([0, 1, 0, 0, 1]);
    for (const { error } of results) {
      if (error !== undefined) expect(Object.keys(error)).toEqual(["code", "message", "hint"]);
    }
  });

  test("detaches when it holds its lock no longer, once", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const rest = calls(agent);
    const first = await attach(rest);
    const path = `/v1/apps/shop/writers/${first.writer}`;
    expect((await rest.delete(path, first.own)).json).toEqual({ detached: first.writer });
    expectError(await rest.delete(path, first.own), 404, "unknown-writer");
    const { writer, own, ...place } = await attach(rest);
    host.hold(place);
    expectError(await rest.delete(`/v1/apps/shop/writers/${writer}`, own), 409, "writer-alive");
  });

  test("is changed by no caller without its secret", async () => {
    await using host = new TestHost();
    const agent = await host.agent({
      tokens: [{ token: SECRET, name: "ops", scopes: ["read", "register", "admin"] }],
    });
    const rest = calls(agent, { authorization: `Bearer ${SECRET}` });
    const mv = host.client();
    const requests = mv.counter("requests_total", { labels: ["path"] });
    requests.labels("/").inc(5);
    await mv.ready;
    const writer = host.view().writers()[0]!.id;
    const other = await attach(rest);
    const release = [{ name: "requests_total", labelNames: ["path"], series: [["/"]] }];
    const wrong = [
      {},
      other.own,
      { "microview-secret": "" },
      { "microview-secret": "x".repeat(22) },
    ];
    for (const headers of wrong) {
      const path = `/v1/apps/shop/writers/${writer}`;
      for (let turn = 0; turn < 4; turn++) {
        const answer = await rest.delete(`${path}/series`, headers, { turn, metrics: release });
        expectError(answer, 403, "wrong-secret");
      }
      const metrics = [ask(define.counter("intruded_total"))];
      expectError(await rest.post(`${path}/series`, { metrics }, headers), 403, "wrong-secret");
      expectError(await rest.delete(path, headers), 403, "wrong-secret");
    }
    await mv.ready;
    requests.labels("/").inc(1);
    await host.shows(6, "requests_total", { labels: { path: "/" } });
    // What everybody may see tells nothing of it.
    const secrets = [other.own["microview-secret"]];
    const seen = await Promise.all(
      ["/v1/apps/shop", "/v1/apps/shop/writers", "/health", "/metrics"].map((path) =>
        rest.get(path),
      ),
    );
    const text = seen.map(({ text }) => text).join("") + JSON.stringify(host.log);
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(host.log.filter(({ code }) => code === "wrong-secret").length).toBeGreaterThan(0);
  });

  test("goes on with its secret under the next agent, and when the directory was rewritten", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess("--allow-register");
    const { writer, own, ...place } = await attach(calls(first));
    host.hold(place);
    await first.end("SIGKILL");
    const second = await host.agentProcess("--allow-register");
    const rest = calls(second);
    const series = `/v1/apps/shop/writers/${writer}/series`;
    const metric = define.counter("a_total", ["x"]);
    const metrics = [ask(metric, [["1"], ["2"]])];
    const answer = await rest.post(series, { metrics }, own);
    expect(answer.status).toBe(200);
    const { turn } = answer.json as RegisterResponse;
    const gone = [{ name: metric.name, labelNames: metric.labelNames, series: [["1"]] }];
    expectError(await rest.delete(series, {}, { turn, metrics: gone }), 403, "wrong-secret");
    // A release writes the directory again.
    expect((await rest.delete(series, own, { turn, metrics: gone })).json).toEqual({ released: 1 });
    expect((await rest.post(series, { metrics }, own)).status).toBe(200);
    expectError(await rest.post(series, { metrics }), 403, "wrong-secret");
  });

  test("of the prototype, which has no secret, is detached by nobody: it may store at any time", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const request = { microservice_id: "pay", name: "a", type: false, value: 1 };
    const rest = calls(agent);
    await rest.post("/metrics", request);
    for (const headers of [{}, { "microview-secret": "" }]) {
      const answer = await rest.delete("/v1/apps/legacy/writers/1", headers);
      expectError(answer, 403, "wrong-secret");
    }
  });
});

describe("a request that is wrong", () => {
  test("is answered with a code, a sentence and a hint, and nothing of what it sent", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const { writer } = await attach(rest);
    const series = `/v1/apps/shop/writers/${writer}/series`;
    const counter = { ...define.counter("a_total"), series: [[]] };
    const wrong: [string, unknown][] = [
      ["/v1/apps/shop/writers", { ...WRITER, service: 5 }],
      ["/v1/apps/shop/writers", { ...WRITER, pid: SECRET }],
      ["/v1/apps/shop/writers", { ...WRITER, pid: -1 }],
      ["/v1/apps/shop/writers", { ...WRITER, pid: 1.5 }],
      ["/v1/apps/shop/writers", { ...WRITER, pid: 2 ** 32 }],
      ["/v1/apps/shop/writers", { ...WRITER, pid: "1" }],
      ["/v1/apps/shop/writers", { ...WRITER, [SECRET]: 1 }.service],
      ["/v1/apps/shop/writers", { service: SECRET }],
      ["/v1/apps/shop/writers", []],
      ["/v1/apps/shop/writers", "null"],
      [series, { metrics: SECRET }],
      [series, { metrics: [{ ...counter, kind: SECRET }] }],
      [series, { metrics: [{ ...counter, combine: SECRET }] }],
      [series, { metrics: [{ ...counter, dialect: SECRET }] }],
      [series, { metrics: [{ ...counter, bounds: [SECRET] }] }],
      [series, { metrics: [{ ...counter, series: [SECRET] }] }],
      [series, { metrics: [{ ...counter, series: [[5]] }] }],
      [series, { metrics: [{ ...counter, name: undefined }] }],
      [series, { metrics: [{ ...counter, logLinear: { min: 1 } }] }],
      ["/metrics", { microservice_id: "a", name: "b", type: SECRET, value: 1 }],
      ["/metrics", { microservice_id: "a", name: "b", type: true, value: SECRET }],
      ["/metrics", { name: SECRET }],
    ];
    for (const [path, body] of wrong) {
      const answer = await rest.post(path, body);
      if (answer.status === 400) expectError(answer, 400, "invalid-json");
      else expectError(answer, 422, "invalid-request");
    }
    for (const path of [
      "/v1/apps/shop/writers/0",
      "/v1/apps/shop/writers/x",
      `/v1/apps/shop/writers/${SECRET}`,
    ]) {
      expectError(await rest.delete(path), 422, "invalid-request");
    }
  });

  test("by a parameter that there is none of says so, instead of answering everything", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    await rest.post("/v1/apps/shop/writers", WRITER);
    expect((await rest.get("/v1/apps/shop/metrics?service=auth")).status).toBe(200);
    const misspelt = await rest.get("/v1/apps/shop/metrics?servce=auth");
    expectError(misspelt, 422, "invalid-request");
    expect(misspelt.json.message).toContain("servce");
  });

  test("that is no JSON, or no route, says so", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    for (const body of ["{", `{"a":${SECRET}}`, "\u0000"]) {
      expectError(await rest.post("/v1/apps/shop/writers", body), 400, "invalid-json");
    }
    expectError(await rest.get(`/${SECRET}`), 404, "no-such-route");
    expectError(await rest.get("/v1/apps/nobody"), 404, "unknown-app");
    expectError(await rest.get("/v1/apps/nobody/metrics"), 404, "unknown-app");
    expectError(await rest.delete("/v1/apps/nobody/writers/1"), 404, "unknown-app");
    await attach(rest);
    expectError(await rest.delete("/v1/apps/shop/writers/99"), 404, "unknown-writer");
    const unknown = await rest.post("/v1/apps/shop/writers/99/series", { metrics: [] });
    expectError(unknown, 404, "unknown-writer");
  });

  test("with a method that its path does not have is answered with the methods that it has", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const expected: [path: string, allowed: string][] = [
      ["/healthz", "GET, HEAD"],
      ["/health", "GET, HEAD"],
      ["/metrics", "GET, HEAD, POST"],
      ["/openapi/json", "GET, HEAD"],
      ["/v1/apps/shop/writers", "GET, HEAD, POST"],
      ["/v1/apps/shop/writers/1/series", "DELETE, POST"],
      ["/v1/apps/shop/writers/1", "DELETE"],
    ];
    for (const [path, allowed] of expected) {
      for (const method of ["OPTIONS", "PUT", "PATCH"]) {
        const answer = await fetch(`http://127.0.0.1:${agent.port}${path}`, { method });
        expect([answer.status, answer.headers.get("allow")]).toEqual([405, allowed]);
        expect(((await answer.json()) as ApiError).code).toBe("no-such-method");
      }
    }
    const nowhere = await fetch(`http://127.0.0.1:${agent.port}/nowhere`, { method: "OPTIONS" });
    expect([nowhere.status, nowhere.headers.get("allow")]).toEqual([404, null]);
  });

  test("that names no host, as health checks do, is answered, over TCP and on the socket", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const asked = async (
      text: string,
      where: { port: number; host: string } | { path: string },
    ) => {
      const socket = connect(where);
      let answer = "";
      socket.on("data", (bytes) => {
        answer += bytes;
      });
      socket.write(text);
      await until("it is answered", () => answer.includes("\r\n\r\n"));
      socket.destroy();
      return answer.slice(0, answer.indexOf("\r\n"));
    };
    const places = [{ port: agent.port, host: "127.0.0.1" }, { path: host.socketPath }];
    for (const where of places) {
      for (const path of ["/healthz", "/health", "/metrics", "/v1/apps"]) {
        expect(await asked(`GET ${path} HTTP/1.0\r\n\r\n`, where)).toBe("HTTP/1.1 200 OK");
        const empty = `GET ${path} HTTP/1.1\r\nHost:\r\n\r\n`;
        expect(await asked(empty, where)).toBe("HTTP/1.1 200 OK");
      }
      const wrong = "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n";
      expect(await asked(wrong, where)).toBe("HTTP/1.1 400 Bad Request");
    }
    expect(host.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("of names that could be paths makes no file", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    for (const app of ["..", "../../etc", ".", "a/b", "", " ", "a\0b", "x".repeat(65)]) {
      const { status } = await rest.post(`/v1/apps/${encodeURIComponent(app)}/writers`, WRITER);
      // "." leaves another path, which is there for GET.
      expect([404, 405, 422]).toContain(status);
    }
    expect(readdirSync(host.poolDir)).toEqual(["microview"]);
    expect(readdirSync(host.folder).sort()).toEqual([
      "agent.sock",
      "agent.sock.lock",
      "agent.sock.owner",
    ]);
  });

  test("with a body that is too long is refused without reading it, on TCP and on the socket", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ ...OPEN, limits: { bodyBytes: 4096 } });
    const rest = calls(agent);
    const long = { ...WRITER, service: SECRET.repeat(200) };
    expectError(await rest.post("/v1/apps/shop/writers", long), 413, "body-full");
    const onSocket = await fetch("http://localhost/v1/apps/shop/writers", {
      unix: host.socketPath,
      method: "POST",
      body: JSON.stringify(long),
      headers: { "content-type": "application/json" },
    });
    expect([onSocket.status, ((await onSocket.json()) as ApiError).code]).toEqual([
      413,
      "body-full",
    ]);
    // One that does not say its length: an endless stream ends at the limit.
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1024;
        controller.enqueue(new Uint8Array(1024).fill(32));
      },
    });
    const answer = await fetch(`http://127.0.0.1:${agent.port}/v1/apps/shop/writers`, {
      method: "POST",
      body: endless,
      headers: { "content-type": "application/json" },
    }).then(
      (response) => response.status,
      () => 413,
    );
    expect(answer).toBe(413);
    expect(sent).toBeLessThan(64 << 20);
    expect((await rest.post("/v1/apps/shop/writers", WRITER)).status).toBe(200);
    const counted = await until("it is counted", () =>
      host
        .view("microview")
        .value("agent", "microview_agent_limit_reached_total", { code: "body-full" }),
    );
    expect(counted).toBeGreaterThanOrEqual(3);
  });

  test("with a body in pieces is taken like any other", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const bytes = new TextEncoder().encode(JSON.stringify(WRITER));
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const response = await fetch(`http://127.0.0.1:${agent.port}/v1/apps/shop/writers`, {
      method: "POST",
      body: pieces,
      headers: { "content-type": "application/json" },
    });
    expect(response.status).toBe(200);
    expect(((await response.json()) as AttachResponse).writer).toBe(1);
  });
});

describe("over TCP", () => {
  test("a token is asked for; what is answered says whether there was one, and no more", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [{ token: SECRET, name: "ops" }] });
    const answers = await Promise.all(
      [
        {},
        { authorization: "" },
        { authorization: "Bearer" },
        { authorization: "Bearer wrong" },
        { authorization: `Bearer ${SECRET.slice(0, -1)}` },
        { authorization: `Bearer ${SECRET}x` },
        { authorization: `Basic ${btoa(SECRET)}` },
        { authorization: SECRET },
      ].map((headers) => calls(agent, headers as Record<string, string>).get("/v1/apps")),
    );
    for (const answer of answers) expectError(answer, 401, "denied");
    const texts = answers.map(({ text }) => text);
    expect(texts.slice(0, 2)).toEqual([texts[0]!, texts[0]!]);
    expect(texts[0]).toContain("none was sent");
    // Of what was sent it does not say how near it comes.
    expect(new Set(texts.slice(2))).toEqual(new Set([texts[2]!]));
    expect(texts[2]).toContain("does not know the token");
    for (const path of ["/health", "/metrics", "/openapi", "/nowhere"]) {
      expectError(await calls(agent).get(path), 401, "denied");
    }
    const rest = calls(agent, { authorization: `Bearer ${SECRET}` });
    expect((await rest.get("/v1/apps")).status).toBe(200);
    // The socket's permissions are enough for those on this host.
    const onSocket = await fetch("http://localhost/v1/apps", { unix: host.socketPath });
    expect(onSocket.status).toBe(200);
    expect(JSON.stringify(host.log)).not.toContain(SECRET);
    const denied = host.view("microview").value("agent", "microview_agent_denied_total");
    expect(denied).toBe(12);
  });

  test("an agent refuses to listen beyond loopback to anybody", async () => {
    await using host = new TestHost();
    for (const address of ["0.0.0.0", "::"]) {
      await expect(host.agent({ host: address })).rejects.toThrow(ExposedError);
    }
    // What is not this host's own is refused as that, whether it could be reached or not.
    for (const address of ["192.0.2.7", "host.invalid", "127.evil.invalid", ""]) {
      await expect(host.agent({ host: address })).rejects.toThrow(/--host|reachable/);
    }
    expect(existsSync(host.socketPath)).toBe(false);
    for (const options of [{ tokens: [{ token: "t", name: "ops" }] }, { insecure: true }]) {
      const agent = await host.agent({ host: "0.0.0.0", ...options });
      expect(agent.port).toBeGreaterThan(0);
      await agent.stop();
    }
    for (const address of ["127.0.0.1", "localhost", "127.1.2.3"]) {
      const agent = await host.agent({ host: address });
      expect(agent.dataPort).toBeGreaterThan(0);
      await agent.stop();
    }
  });

  test("the command line says how to listen beyond loopback, and exits with 1", async () => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, ["--host", "0.0.0.0"]);
    expect(await agent.exited()).toBe(1);
    expect(agent.text).toContain("0.0.0.0 is reachable from other hosts");
    expect(agent.text).toContain("--token-file");
  });

  test("a page of another site is refused, also behind a name that it has bound to this address", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const rest = calls(agent);
    const foreign = [
      { origin: "http://evil.example" },
      { origin: "https://evil.example:7070" },
      { origin: "null" },
      { origin: "http://127.0.0.1.evil.example" },
      { host: "evil.example" },
      { host: `evil.example:${agent.port}` },
      { host: `127.0.0.1.evil.example:${agent.port}` },
      { host: `localhost.evil.example:${agent.port}` },
      { host: "evil.example", origin: "http://evil.example" },
    ];
    for (const headers of foreign) {
      const code = "origin" in headers && !("host" in headers) ? "foreign-origin" : "foreign-host";
      expectError(await rest.get("/v1/apps", headers), 403, code);
      expectError(await rest.post("/v1/apps/shop/writers", WRITER, headers), 403, code);
    }
    const own = `127.0.0.1:${agent.port}`;
    for (const headers of [
      { host: own, origin: `http://${own}` },
      { host: "localhost" },
      { host: "[::1]:80" },
    ]) {
      expect((await rest.get("/v1/apps", headers)).status).toBe(200);
    }
  });

  test("half a request, and one that is none, harm nobody", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const sockets = [
      "GET / HTTP/1.1\r\nHost: x",
      "\0\0\0\0",
      "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    ].map((bytes) => {
      const socket = connect(agent.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(bytes);
      return socket;
    });
    expect((await calls(agent).get("/health")).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    expect((await calls(agent).get("/health")).status).toBe(200);
  });
});

describe("one socket", () => {
  test("has one agent: a second is told the pid of the first, which goes on", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess("--allow-register");
    await expect(host.agent(OPEN)).rejects.toThrow(AgentRunningError);
    const second = new AgentProcess(host, []);
    expect(await second.exited()).toBe(1);
    expect(second.text).toContain(
      `an agent with pid ${first.pid} serves ${host.socketPath} already`,
    );
    const health = await fetch("http://localhost/health", { unix: host.socketPath });
    expect(((await health.json()) as HealthResponse).pid).toBe(first.pid);
  });

  test("that a dead agent has left is taken over", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess("--allow-register");
    await first.end("SIGKILL");
    expect(existsSync(host.socketPath)).toBe(true);
    await host.agent(OPEN);
    const health = await fetch("http://localhost/health", { unix: host.socketPath });
    expect(((await health.json()) as HealthResponse).pid).toBe(process.pid);
    expect(statSync(host.socketPath).mode & 0o777).toBe(0o660);
  });

  test("that is no socket but somebody's file is not removed", async () => {
    await using host = new TestHost();
    writeFileSync(host.socketPath, "precious");
    await expect(host.agent(OPEN)).rejects.toThrow(/agent\.sock/);
    expect(await Bun.file(host.socketPath).text()).toBe("precious");
  });

  test("a port that is taken is an error that names it, and leaves nothing behind", async () => {
    await using host = new TestHost();
    const other = createServer().listen(0, "127.0.0.1");
    await until("it listens", () => other.listening);
    const { port } = other.address() as { port: number };
    await expect(host.agent({ port })).rejects.toThrow();
    await expect(host.agent({ dataPort: port })).rejects.toThrow(/in use/);
    other.close();
    const agent = await host.agent({ port });
    expect(agent.port).toBe(port);
  });
});

describe("the prototype's clients", () => {
  const python = Bun.which("python3");

  /** The original Python client as a process that does what it is told. */
  function pythonClient(host: TestHost, agent: Agent | AgentProcess) {
    const child = host.own(
      Bun.spawn(
        [python!, `${import.meta.dir}/fixtures/legacy_client.py`, `http://127.0.0.1:${agent.port}`],
        {
          stdin: "pipe",
          stdout: "pipe",
          stderr: "inherit",
          // The resource tracker complains of what its client rightly did not unlink.
          env: { ...process.env, PYTHONWARNINGS: "ignore" },
        },
      ),
    );
    const lines = new Lines(child.stdout);
    return {
      child,
      async tell(command: object): Promise<{ value: number; shm_name: string; addr: number }> {
        child.stdin.write(`${JSON.stringify(command)}\n`);
        child.stdin.flush();
        return JSON.parse(await lines.next());
      },
      async end(): Promise<void> {
        child.stdin.end();
        await child.exited;
      },
    };
  }

  test.skipIf(python === null)("store by name and address, and show in GET /metrics", async () => {
    await using host = new TestHost();
    const agent = await host.agent(OPEN);
    const client = pythonClient(host, agent);
    const created = await client.tell({ create: "auth-service", name: "requests", initial: 5 });
    expect(created.value).toBe(5);
    await client.tell({ create: "auth-service", name: "depth", gauge: true, initial: 1 });
    await client.tell({ name: "requests", set: 42 });
    await client.tell({ name: "depth", set: -2.5 });
    const families = parsePrometheus((await calls(agent).get("/metrics")).text);
    const home = '{app="legacy",service="auth-service"}';
    expect(families.get("requests")!.samples.get(`requests${home}`)).toBe(42);
    expect(families.get("depth")!.samples.get(`depth${home}`)).toBe(-2.5);
    expect(families.get("requests")!.type).toBe("counter");
    expect(families.get("depth")!.type).toBe("gauge");
  });

  test.skipIf(python === null)(
    "end without harm: pool and values stay, and the next client finds both",
    async () => {
      await using host = new TestHost();
      const agent = await host.agent(OPEN);
      const path = `${host.poolDir}/legacy/pool`;
      const first = pythonClient(host, agent);
      const { shm_name: name } = await first.tell({ create: "auth-service", name: "requests" });
      await first.tell({ name: "requests", set: 7 });
      const inode = statSync(path).ino;
      expect(statSync(`/dev/shm/${name}`).ino).toBe(inode);
      await first.end();
      await until("python has unlinked the name it opened", () => !existsSync(`/dev/shm/${name}`));
      expect(statSync(path).ino).toBe(inode);
      expect(host.view("legacy").value("auth-service", "requests")).toBe(7);
      const second = pythonClient(host, agent);
      expect(
        (await second.tell({ create: "auth-service", name: "requests", initial: 99 })).value,
      ).toBe(7);
      await second.tell({ name: "requests", set: 8 });
      expect(host.view("legacy").value("auth-service", "requests")).toBe(8);
    },
  );

  test.skipIf(python === null)(
    "never store where a living thread does, though it has the same service",
    async () => {
      await using host = new TestHost();
      const agent = await host.agent(OPEN);
      const mv = host.client({ app: "legacy", service: "auth-service" });
      const counter = mv.counter("requests");
      await mv.ready;
      counter.inc(3);
      const client = pythonClient(host, agent);
      await client.tell({ create: "auth-service", name: "requests" });
      await client.tell({ name: "requests", set: 100 });
      expect(counter.value).toBe(3);
      expect(host.view("legacy").value("auth-service", "requests")).toBe(103);
      await mv.close();
      await client.tell({ name: "requests", set: 101 });
      expect(host.view("legacy").value("auth-service", "requests")).toBe(104);
    },
  );

  test("of two agents with pools of their own have names of their own", async () => {
    await using one = new TestHost();
    await using two = new TestHost();
    const body = { microservice_id: "pay", name: "a", type: false, value: 1 };
    const names: string[] = [];
    for (const host of [one, two]) {
      const { json } = await calls(await host.agent(OPEN)).post("/metrics", body);
      names.push(json.shm_name);
      expect(statSync(`/dev/shm/${json.shm_name}`).ino).toBe(
        statSync(`${host.poolDir}/legacy/pool`).ino,
      );
    }
    expect(names[0]).not.toBe(names[1]!);
  });

  test("leave no link behind to a pool that is gone", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const orphan = "/dev/shm/microview-link.legacy.gone-for-long";
    writeFileSync(orphan, "");
    host.onEnd(() => rmSync(orphan, { force: true }));
    await rest.post("/metrics", { microservice_id: "a", name: "b", type: 1, value: 1 });
    expect(existsSync(orphan)).toBe(false);
  });

  test("are told why when the pool has no name that they could open", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ ...OPEN, poolDir: host.folder });
    const answer = await calls(agent).post("/metrics", {
      microservice_id: "a",
      name: "b",
      type: false,
      value: 1,
    });
    expectError(answer, 409, "no-shm-name");
  });

  test("are told what is wrong with their metric", async () => {
    await using host = new TestHost();
    const rest = calls(await host.agent(OPEN));
    const post = (name: string, type: unknown) =>
      rest.post("/metrics", { microservice_id: "a", name, type, value: 1 });
    const { json } = await post("good", 1);
    expectError(await post("no good", 1), 409, "invalid-metric");
    expectError(await post("good", 0), 409, "metric-conflict");
    expect((await post("good", true)).json).toEqual(json);
  });
});
