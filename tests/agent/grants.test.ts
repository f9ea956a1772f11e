// What a token with apps= sees of an agent: its applications, and nothing that tells of another one.

import { describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Agent } from "../../src/agent/agent.ts";
import { PAGE_BYTES, STATUS } from "../../src/layout/index.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { ask, define } from "../support/pools.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { until } from "../support/wait.ts";
import { WireClient } from "../support/wire-client.ts";

const OPS = "ops-token-of-the-tests";
const TEAM = "team-token-of-the-tests";
const NOBODYS = "token-that-nobody-was-given";

/** What the team's token may not tell anything of. */
const SECRET = /bank|vault|microview_agent/;

/** An agent with applications `shop`, `shop-eu`, `bank` and its own; the team's token is for shops. */
async function serving(
  host: TestHost,
  options: Parameters<TestHost["agent"]>[0] = {},
): Promise<Agent> {
  const agent = await host.agent({
    tokens: [
      { token: OPS, name: "ops" },
      { token: TEAM, name: "team", apps: ["shop", "shop-*"] },
    ],
    ...options,
  });
  for (const app of ["shop", "shop-eu", "bank"]) {
    const mv = host.client({ app, service: `${app}-service` });
    mv.counter("requests_total").inc(42);
    await mv.ready;
  }
  return agent;
}

interface Answer {
  status: number;
  text: string;
}

/** Calls an agent over TCP with a token. */
function calls(agent: Agent, token?: string, more: Record<string, string> = {}) {
  return async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`http://127.0.0.1:${agent.port}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...more,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  };
}

/** Sends a request as it stands, with a path that no client would leave as it is. */
async function raw(agent: Agent, head: string): Promise<string> {
  const socket = connect(agent.port, "127.0.0.1");
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes;
  });
  socket.on("error", () => {});
  socket.write(`${head}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  await until("it is answered", () => socket.closed || text.includes("\r\n\r\n"));
  socket.destroy();
  return text;
}

const WRITER = { service: "intruder", pid: 1, threadId: 0 };
const SERIES = { metrics: [ask(define.counter("intruded_total"))] };

/** A queue pair for an application's pool, as a collector asks for it. */
function pairOf(app: string) {
  return {
    session: "none",
    app,
    poolId: 1,
    number: 1,
    psn: 1,
    linkLayer: "Ethernet",
    gid: "",
    lid: 0,
    mtu: 1024,
    reads: 1,
  };
}

/** A body that is right, for each call that takes one. */
const BODIES: Readonly<Record<string, unknown>> = {
  "POST /v1/apps/{app}/writers": WRITER,
  "PUT /v1/apps/{app}/writers/{writer}/lock": { poolId: 1 },
  "POST /v1/apps/{app}/writers/{writer}/series": SERIES,
  "DELETE /v1/apps/{app}/writers/{writer}/series": {
    turn: 0,
    metrics: [{ name: "intruded_total", labelNames: [], series: [[]] }],
  },
};

/** Every call that names an application, as the agent itself lists them. */
async function callsOfApps(agent: Agent): Promise<{ method: string; path: string }[]> {
  const { text } = await calls(agent, OPS)("GET", "/openapi/json");
  const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, unknown>> };
  return Object.entries(paths)
    .filter(([path]) => path.includes("{app}"))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
    );
}

describe("a token for some applications", () => {
  test("sees them in every list, and no trace of others", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const call = calls(agent, TEAM);
    const health = JSON.parse((await call("GET", "/health")).text);
    expect(health.pools.map(({ app }: { app: string }) => app)).toEqual(["shop", "shop-eu"]);
    const apps = JSON.parse((await call("GET", "/v1/apps")).text);
    expect(apps.map(({ app }: { app: string }) => app)).toEqual(["shop", "shop-eu"]);
    const { text } = await call("GET", "/metrics");
    expect([...parsePrometheus(text).get("requests_total")!.samples]).toEqual([
      ['requests_total{app="shop",service="shop-service"}', 42],
      ['requests_total{app="shop-eu",service="shop-eu-service"}', 42],
    ]);
    const json = await calls(agent, TEAM, { accept: "application/json" })("GET", "/metrics");
    expect(Object.keys(JSON.parse(json.text))).toEqual(["shop-service", "shop-eu-service"]);
    for (const path of ["/health", "/v1/apps", "/metrics", "/openapi/json", "/openapi"]) {
      expect((await call("GET", path)).text).not.toMatch(SECRET);
    }
    // A token for everything sees everything.
    const all = JSON.parse((await calls(agent, OPS)("GET", "/v1/apps")).text);
    expect(all.map(({ app }: { app: string }) => app).sort()).toEqual([
      "bank",
      "microview",
      "shop",
      "shop-eu",
    ]);
  });

  test("uses its own applications by every call", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const call = calls(agent, TEAM);
    const attached = await call("POST", "/v1/apps/shop-new/writers", WRITER);
    expect(attached.status).toBe(200);
    const { writer, secret, ...place } = JSON.parse(attached.text);
    const letGo = host.hold(place);
    const path = `/v1/apps/shop-new/writers/${writer}`;
    const own = calls(agent, TEAM, { "microview-secret": secret });
    expect((await own("POST", `${path}/series`, SERIES)).status).toBe(200);
    for (const what of ["", "/services", "/writers", "/metrics"]) {
      const { status, text } = await call("GET", `/v1/apps/shop-new${what}`);
      expect(status).toBe(200);
      if (what !== "") expect(text).toContain("intrude");
    }
    letGo();
    expect((await own("DELETE", path)).status).toBe(200);
  });

  test("is answered for every other application as for one that does not exist", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const all = await callsOfApps(agent);
    expect(all.length).toBeGreaterThanOrEqual(7);
    for (const { method, path } of all) {
      const answers = ["bank", "microview", "none"].map(async (app) => {
        const body = BODIES[`${method} ${path}`];
        const at = path.replace("{app}", app).replace("{writer}", "1");
        const answer = await calls(agent, TEAM)(method, at, body);
        return { ...answer, text: answer.text.replaceAll(app, "APP") };
      });
      const [there, own, none] = await Promise.all(answers);
      expect(there).toEqual(none!);
      expect(own).toEqual(none!);
      const isAttach = method === "POST" && path.endsWith("/writers");
      const { code, hint } = JSON.parse(none!.text);
      expect([path, none!.status, code]).toEqual(
        isAttach ? [path, 403, "denied-app"] : [path, 404, "unknown-app"],
      );
      expect(hint).not.toBe("");
    }
  });

  test("asks for another one by RDMA as for one that does not exist", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const answers = ["bank", "none"].map(async (app) => {
      const answer = await calls(agent, TEAM)("POST", "/v1/rdma/queue-pairs", pairOf(app));
      return { ...answer, text: answer.text.replaceAll(app, "APP") };
    });
    const [there, none] = await Promise.all(answers);
    expect(there).toEqual(none!);
    expect([there!.status, JSON.parse(there!.text).code]).toEqual([404, "unknown-app"]);
    expect((await calls(agent, TEAM)("GET", "/v1/rdma")).text).not.toMatch(SECRET);
  });

  test("attaches to no other application, by the prototype's call neither, and makes none", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const legacy = { microservice_id: "pay", name: "a", type: false, value: 1 };
    const call = calls(agent, TEAM);
    for (const app of ["bank", "new", "shopping", "Shop", "legacy"]) {
      const { status, text } = await call("POST", `/v1/apps/${app}/writers`, WRITER);
      expect([status, JSON.parse(text).code]).toEqual([403, "denied-app"]);
      expect(text).toContain("the token team is not for application");
      expect(text).not.toContain(TEAM);
    }
    const { status, text } = await call("POST", "/metrics", legacy);
    expect([status, JSON.parse(text).code]).toEqual([403, "denied-app"]);
    for (const app of ["new", "shopping", "Shop", "legacy"]) {
      expect(existsSync(join(host.poolDir, app))).toBe(false);
    }
    expect(host.view("bank").writers("intruder")).toEqual([]);
    await until("they are counted", () => {
      return host.view("microview").value("agent", "microview_agent_denied_total") === 6;
    });
    expect(JSON.stringify(host.log)).not.toContain(TEAM);
    expect(
      host.log.some(({ token, path }) => token === "team" && path === "/v1/apps/bank/writers"),
    ).toBe(true);
  });

  test("for application legacy makes the prototype's call", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [{ token: TEAM, name: "team", apps: ["legacy"] }] });
    const body = { microservice_id: "pay", name: "a", type: false, value: 1 };
    expect((await calls(agent, TEAM)("POST", "/metrics", body)).status).toBe(200);
  });

  test("is no hindrance on the Unix socket, whose permissions are a right of their own", async () => {
    await using host = new TestHost();
    await serving(host);
    const response = await fetch("http://localhost/v1/apps", {
      unix: host.socketPath,
      headers: { authorization: `Bearer ${TEAM}` },
    });
    expect(((await response.json()) as unknown[]).length).toBe(4);
  });
});

describe("more than was granted", () => {
  test("is not had by anything that a request says of itself", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const headers: Record<string, string>[] = [
      { grant: "ops" },
      { "x-grant": "local" },
      { "x-microview-grant": '{"name":"local","all":true}' },
      { "x-forwarded-for": "127.0.0.1", forwarded: "for=127.0.0.1" },
      { "x-real-ip": "127.0.0.1", "x-forwarded-proto": "unix" },
      { cookie: `token=${OPS}` },
      { "proxy-authorization": `Bearer ${OPS}` },
      { "x-http-method-override": "GET", "x-original-url": "/v1/apps/bank" },
      { host: "localhost" },
    ];
    for (const more of headers) {
      const call = calls(agent, TEAM, more);
      expect((await call("GET", "/v1/apps")).text).not.toMatch(SECRET);
      expect((await call("GET", "/v1/apps/bank")).status).toBe(404);
    }
    for (const query of ["grant=local", "token=ops", "all=true", `access_token=${OPS}`]) {
      const call = calls(agent, TEAM);
      expect((await call("GET", `/v1/apps?${query}`)).text).not.toMatch(SECRET);
      expect((await call("GET", `/metrics?${query}`)).text).not.toMatch(SECRET);
    }
  });

  test("is not had by two tokens in one request, nor by a name in a token's place", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const wrong = [
      `Authorization: Bearer ${TEAM}, Bearer ${OPS}`,
      `Authorization: Bearer ${NOBODYS}\r\nAuthorization: Bearer ${OPS}`,
      "Authorization: Bearer ops",
      "Authorization: Bearer team",
      "Authorization: Bearer local",
      "Authorization: Bearer *",
      "X-Authorization: Bearer x",
    ];
    for (const header of wrong) {
      const answer = await raw(agent, `GET /v1/apps HTTP/1.1\r\n${header}`);
      expect(answer).toStartWith("HTTP/1.1 401");
    }
    const both = `Authorization: Bearer ${TEAM}\r\nAuthorization: Bearer ${OPS}`;
    expect(await raw(agent, `GET /v1/apps HTTP/1.1\r\n${both}`)).not.toContain('"bank"');
  });

  test("is not had by another spelling of a path", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const spellings = [
      "/v1/apps/shop/../bank",
      "/v1/apps/shop/..%2fbank",
      "/v1/apps/shop%2f..%2fbank/metrics",
      "/v1/apps/./bank/writers",
      "/v1/apps//bank",
      "/v1/apps/%62ank",
      "/v1/apps/%62%61%6e%6b/services",
      "/v1/apps/%2562ank",
      "/v1/apps/bank/",
      "/v1/apps/bank%00",
      "/v1/apps/bank%0a",
      "/v1/apps/shop%00/../bank",
      "/v1/apps/shop;bank",
      "/v1/apps/shop?app=bank",
      "/v1/apps/shop#/../bank",
      "http://127.0.0.1/v1/apps/bank",
    ];
    for (const path of spellings) {
      const answer = await raw(agent, `GET ${path} HTTP/1.1\r\nAuthorization: Bearer ${TEAM}`);
      expect(answer).not.toContain("bank-service");
      expect(answer).not.toContain(`${host.poolDir}/bank`);
    }
  });
});

describe("on the data port, a token for some applications", () => {
  test("is told their pools, and reads them", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    expect(await client.hello(TEAM)).toBe(STATUS.ok);
    expect((await client.list()).map(({ app }) => app)).toEqual(["shop", "shop-eu"]);
    const { id } = await client.pool("shop");
    expect((await client.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.ok);
  });

  test("reads of every other pool what it reads of none", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using ops = new WireClient(agent.dataPort);
    await ops.hello(OPS);
    const pools = await ops.list();
    expect(pools.length).toBe(4);
    using team = new WireClient(agent.dataPort);
    await team.hello(TEAM);
    for (const { id, app } of [...pools, { id: 77, app: "none" }]) {
      const allowed = app.startsWith("shop");
      for (const ranges of [[], [[0, PAGE_BYTES]], [[1e15, 8]]] as [number, number][][]) {
        const { status, body } = await team.read(id, ...ranges);
        if (allowed) expect(status).not.toBe(STATUS.noSuchPool);
        else expect([status, body.length]).toEqual([STATUS.noSuchPool, 0]);
        if (ranges[0]?.[0] === 0) {
          expect((await ops.read(id, ...ranges)).status).toBe(
            app === "none" ? STATUS.noSuchPool : STATUS.ok,
          );
        }
      }
    }
  });

  test("hears of a new application of its own, and nothing when another one comes or goes", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using team = new WireClient(agent.dataPort);
    using ops = new WireClient(agent.dataPort);
    await team.hello(TEAM);
    await ops.hello(OPS);
    const generations = async () => {
      const { id } = await team.pool("shop");
      const [seen, all] = [await team.read(id), await ops.read(id)];
      return [seen.poolsGeneration, all.poolsGeneration] as const;
    };
    const [seen, all] = await generations();
    await host.client({ app: "vault" }).ready;
    await until("who sees all is told", async () => (await generations())[1] > all);
    expect((await generations())[0]).toBe(seen);
    await host.client({ app: "shop-us" }).ready;
    await until("the team is told", async () => (await generations())[0] > seen);
    expect((await team.list()).map(({ app }) => app)).toEqual(["shop", "shop-eu", "shop-us"]);
  });

  test("is compared whole, and is no name", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    using client = new WireClient(agent.dataPort);
    for (const wrong of ["", "team", TEAM.slice(1), `${TEAM}\0`, NOBODYS]) {
      using refused = new WireClient(agent.dataPort);
      expect(await refused.hello(wrong)).toBe(STATUS.denied);
    }
    expect(await client.hello(TEAM)).toBe(STATUS.ok);
  });
});

describe("an agent that is given a token file", () => {
  test("grants by its lines, and names tokens by their names", async () => {
    await using host = new TestHost();
    const path = join(host.folder, "tokens");
    writeFileSync(path, `# for the tests\n${OPS} name=ops\n\n${TEAM} apps=shop\ntiny\n`);
    const agent = await host.agentProcess("--token-file", path);
    await host.client().ready;
    for (const [token, apps] of [
      [OPS, ["microview", "shop"]],
      [TEAM, ["shop"]],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${agent.port}/v1/apps`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const listed = (await response.json()) as { app: string }[];
      expect(listed.map(({ app }) => app).sort()).toEqual([...apps]);
    }
    const short = agent.log.filter(({ level }) => level === "warn");
    expect(short.map(({ token }) => token)).toEqual(["token-3"]);
    expect(await agent.end("SIGTERM")).toBe(0);
    const said = JSON.stringify(agent.log) + agent.text;
    for (const token of [OPS, TEAM, "tiny"]) expect(said).not.toContain(token);
  });

  test("does not start with one that it cannot use, and says which line", async () => {
    await using host = new TestHost();
    const path = join(host.folder, "tokens");
    writeFileSync(path, `${OPS}\n${TEAM} app=shop\n`);
    const agent = new AgentProcess(host, ["--token-file", path]);
    expect(await agent.exited()).toBe(2);
    expect(agent.text).toContain(`--token-file: ${path}, line 2: `);
    for (const token of [OPS, TEAM]) expect(agent.text).not.toContain(token);
    expect(existsSync(host.socketPath)).toBe(false);
  });
});
