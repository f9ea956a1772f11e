// Every way into the agent, and into a collector that is scraped, by every kind of caller: what each is answered stands
// in a table here. A route that is not in the table fails the test, and one that asks for no scope answers nobody.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Value } from "@sinclair/typebox/value";
import { Elysia } from "elysia";
import type { Agent } from "../../src/agent/agent.ts";
import type { AgentError } from "../../src/agent/errors.ts";
import { createRoutes, declaredBy, type RoutesContext } from "../../src/agent/serve/routes.ts";
import { SCOPES } from "../../src/calling/index.ts";
import { AgentClient } from "../../src/collector/agent-client.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";
import { ANYONE, type Grant, LOCAL, withGrant } from "../../src/guard/grants.ts";
import { type Need, needs } from "../../src/guard/scopes.ts";
import type { TokenEntry } from "../../src/guard/tokens.ts";
import { PAGE_BYTES, STATUS } from "../../src/layout/index.ts";
import { CALLS, type Call, type CallSchemas } from "../../src/rest/index.ts";
import { call as callAgent } from "../support/calls.ts";
import { CLI, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { MOCK_GID, MockVerbs } from "../support/mock-verbs.ts";
import { ask, define } from "../support/pools.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { WireClient } from "../support/wire-client.ts";

const TOKENS: TokenEntry[] = [
  { token: "token-for-everything", name: "right", scopes: SCOPES },
  { token: "token-that-has-expired", name: "late", scopes: SCOPES, expiresAtMs: 1_000 },
  { token: "token-of-another-team", name: "other", scopes: SCOPES, apps: ["other"] },
  ...SCOPES.map((missing) => ({
    token: `token-without-${missing}`,
    name: `not-${missing.replace(":", "-")}`,
    scopes: SCOPES.filter((scope) => scope !== missing),
  })),
];

const WRONG = "token-that-nobody-has";

/** A file with the same tokens. */
const FILE = TOKENS.map(({ token, name, scopes, apps, expiresAtMs }) =>
  [
    `${token} name=${name} scopes=${scopes}`,
    ...(apps === undefined ? [] : [`apps=${apps}`]),
    ...(expiresAtMs === undefined ? [] : ["expires=1970-01-01T00:00:01Z"]),
  ].join(" "),
).join("\n");

/** Status, and the code of an error. */
type Told = string;

interface Expected {
  need: Need;
  body?: unknown;
  /** What a token that may do it is answered. */
  right: Told;
  /** What one is that may do it, for another application. */
  otherApp: Told;
}

const WRITER = { service: "walker", pid: 1, threadId: 0 };
const SERIES = { metrics: [ask(define.counter("walked_total"))] };
const LEGACY = { microservice_id: "walker", name: "a", type: false, value: 1 };

/** In the order in which they are asked by the one whose token is right: what one makes another one takes away. */
const ROUTES: Readonly<Record<string, Expected>> = {
  "GET /openapi": { need: "known", right: "200", otherApp: "200" },
  "GET /openapi/json": { need: "known", right: "200", otherApp: "200" },
  "GET /openapi/assets/swagger-ui.css": { need: "known", right: "200", otherApp: "200" },
  "GET /openapi/assets/swagger-ui-bundle.js": { need: "known", right: "200", otherApp: "200" },
  "GET /openapi/assets/start.js": { need: "known", right: "200", otherApp: "200" },
  "GET /health": { need: "read", right: "200", otherApp: "200" },
  "GET /metrics": { need: "read", right: "200", otherApp: "200" },
  "POST /metrics": {
    need: "register",
    body: LEGACY,
    right: "200",
    otherApp: "403 denied-app",
  },
  "GET /v1/apps": { need: "read", right: "200", otherApp: "200" },
  "GET /v1/apps/:app": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "GET /v1/apps/:app/services": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "GET /v1/apps/:app/writers": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "GET /v1/apps/:app/processes": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "GET /v1/apps/:app/metrics": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "POST /v1/apps/:app/writers": {
    need: "register",
    body: WRITER,
    right: "200",
    otherApp: "403 denied-app",
  },
  // It has not taken the lock that it speaks of.
  "PUT /v1/apps/:app/writers/:writer/lock": {
    need: "register",
    body: { poolId: 1 },
    right: "409 pool-replaced",
    otherApp: "404 unknown-app",
  },
  "POST /v1/apps/:app/writers/:writer/series": {
    need: "register",
    body: SERIES,
    right: "200",
    otherApp: "404 unknown-app",
  },
  "DELETE /v1/apps/:app/writers/:writer/series": {
    need: "register",
    body: { turn: 1, metrics: [{ name: "walked_total", labelNames: [], series: [[]] }] },
    right: "200",
    otherApp: "404 unknown-app",
  },
  "DELETE /v1/apps/:app/writers/:writer": {
    need: "register",
    right: "200",
    otherApp: "404 unknown-app",
  },
  "GET /v1/rdma": { need: "read", right: "200", otherApp: "200" },
  "GET /v1/rdma/session": {
    need: "read",
    right: "426 not-a-websocket",
    otherApp: "426 not-a-websocket",
  },
  "GET /v1/rdma/queue-pairs": { need: "read", right: "200", otherApp: "200" },
  "POST /v1/rdma/queue-pairs": { need: "read", right: "200", otherApp: "404 unknown-app" },
  "POST /v1/rdma/queue-pairs/:id/regions": {
    need: "read",
    right: "200",
    otherApp: "404 unknown-queue-pair",
  },
  "DELETE /v1/rdma/queue-pairs/:id": {
    need: "read",
    right: "200",
    otherApp: "404 unknown-queue-pair",
  },
  "GET /v1/events/settings": { need: "admin", right: "200", otherApp: "200" },
  "POST /v1/events/settings": {
    need: "admin",
    body: { apps: ["shop"], services: [], level: "debug", forMs: 1000 },
    right: "200",
    otherApp: "403 denied-app",
  },
  "DELETE /v1/events/settings": {
    need: "admin",
    body: { apps: [], services: [] },
    right: "200",
    otherApp: "403 denied-app",
  },
  "GET /v1/tokens": { need: "admin", right: "200", otherApp: "200" },
};

let mock: MockVerbs;
beforeAll(() => {
  mock = new MockVerbs();
});
afterAll(() => mock[Symbol.dispose]());

/** An agent with an application `shop` that serves all that there is. */
async function serving(host: TestHost): Promise<Agent> {
  const agent = await host.agent({ tokens: TOKENS, ...mock.agent() });
  const mv = host.client();
  mv.counter("requests_total").inc(1);
  await mv.ready;
  return agent;
}

/** Calls a route by its pattern with a token. */
function caller(
  agent: Agent,
  values: Readonly<Record<string, string | number>>,
  own: Readonly<Record<string, string>> = {},
) {
  return async (route: string, token: string | undefined, body: unknown) => {
    const [method, pattern] = route.split(" ") as [string, string];
    const path = pattern.replaceAll(/:(\w+)/g, (_, name) => String(values[name]));
    const response = await fetch(`http://127.0.0.1:${agent.port}${path}`, {
      method,
      headers: {
        ...own,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { response, text: await response.text() };
  };
}

function told({ response, text }: { response: Response; text: string }): Told {
  if (response.ok) return String(response.status);
  const { code, message, hint } = JSON.parse(text);
  expect(message).not.toBe("");
  expect(hint).not.toBe("");
  for (const { token } of TOKENS) expect(text).not.toContain(token);
  return `${response.status} ${code}`;
}

/** Where an answer is not what its contract says: what is missing or different, and what is not stated. */
function faultsOf(call: Call, answer: unknown): string[] {
  const { response }: CallSchemas = CALLS[call];
  const faults = [...Value.Errors(response, answer)].map(
    ({ path, message }) => `${path} ${message}`,
  );
  const stated = Value.Clean(response, structuredClone(answer));
  return Bun.deepEquals(stated, answer) ? faults : [...faults, "more than is stated"];
}

describe("a route", () => {
  test("is in this table, with the scope that it asks for", () => {
    const { routes } = createRoutes({} as RoutesContext);
    const asked = Object.fromEntries(declaredBy(() => routes).needs);
    const expected = Object.entries(ROUTES).map(([route, { need }]) => [route, need] as const);
    expect(asked).toEqual(Object.fromEntries(expected));
  });

  test("that asks for no scope answers nobody", () => {
    const { routes } = new Elysia().get("/secret", () => "", { detail: { summary: "A secret" } });
    const declared = declaredBy(() => routes);
    for (const grant of [LOCAL, ANYONE, { ...LOCAL, scopes: new Set(SCOPES) } as Grant]) {
      const request = withGrant(new Request("http://localhost/secret"), grant);
      expect(() => declared.authorize({ request, route: "/secret" })).toThrow(
        /nobody may call this/,
      );
    }
    const open = new Elysia().get("/a", () => "", { detail: { summary: "A", ...needs("read") } });
    expect(declaredBy(() => open.routes).needs).toEqual(new Map([["GET /a", "read"]]));
  });

  test.each(Object.entries(ROUTES))("%s", async (route, { need, body, otherApp }) => {
    await using host = new TestHost();
    const agent = await serving(host);
    const rdma = { ...PAIR, session: "none", app: "shop", poolId: 1 };
    const given = route === "POST /v1/rdma/queue-pairs" ? rdma : body;
    const call = caller(agent, { app: "shop", writer: 1, id: 1 });
    const answer = async (token?: string) => told(await call(route, token, given));
    expect(await answer()).toBe("401 denied");
    expect(await answer(WRONG)).toBe("401 denied");
    expect(await answer("token-that-has-expired")).toBe("401 expired-token");
    expect(await answer("token-of-another-team")).toBe(otherApp);
    if (need !== "known") {
      expect(await answer(`token-without-${need}`)).toBe(`403 needs-${need}-scope`);
    }
    // What is not there is told only to those who may ask.
    const nowhere = await call("GET /nowhere", undefined, undefined);
    expect(told(nowhere)).toBe("401 denied");
    expect(told(await call("GET /nowhere", "token-for-everything", undefined))).toBe(
      "404 no-such-route",
    );
  });

  test("answers who may call it, each of them", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const client = new AgentClient(
      { host: "127.0.0.1", port: agent.port },
      { token: "token-for-everything" },
    );
    const session = await VerbsSession.open(client);
    const { pools } = await callAgent(client, "GET /v1/rdma", {});
    const { poolId } = pools.find(({ app }) => app === "shop")!;
    const rdma = { ...PAIR, session: session.id, app: "shop", poolId };
    const values: Record<string, string | number> = { app: "shop" };
    const own: Record<string, string> = {};
    const call = caller(agent, values, own);
    const answers: Record<string, Told> = {};
    let letGo = () => {};
    for (const [route, { body }] of Object.entries(ROUTES)) {
      const given = route === "POST /v1/rdma/queue-pairs" ? rdma : body;
      if (route === "DELETE /v1/apps/:app/writers/:writer") letGo();
      const answer = await call(route, "token-for-everything", given);
      answers[route] = told(answer);
      if (answer.response.ok && route in CALLS) {
        expect([route, faultsOf(route as Call, JSON.parse(answer.text))]).toEqual([route, []]);
      }
      if (route === "POST /v1/apps/:app/writers") {
        const { writer, secret, ...place } = JSON.parse(answer.text);
        letGo = host.hold(place);
        values["writer"] = writer;
        own["microview-secret"] = secret;
      }
      if (route === "POST /v1/rdma/queue-pairs") values["id"] = JSON.parse(answer.text).id;
    }
    session.close();
    const expected = Object.entries(ROUTES).map(([route, { right }]) => [route, right]);
    expect(answers).toEqual(Object.fromEntries(expected));
  });

  test("of administration is for who can read the file beside the socket, and for no other", async () => {
    await using host = new TestHost();
    await serving(host);
    const file = `${host.socketPath}.owner`;
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const answered = async (secret: string) =>
      (
        await fetch("http://localhost/v1/tokens", {
          unix: host.socketPath,
          headers: { authorization: `Bearer ${secret}` },
        })
      ).status;
    const secret = readFileSync(file, "utf8");
    expect(await answered(secret)).toBe(200);
    expect(await answered(`${secret.slice(1)}0`)).toBe(403);
    expect(await answered("")).toBe(403);
    // A service's token says nothing there.
    expect(await answered("token-for-everything")).toBe(403);
  });

  test("of administration is not for the socket, whose callers are services", async () => {
    await using host = new TestHost();
    await serving(host);
    const answers = ["/v1/tokens", "/health"].map((path) =>
      fetch(`http://localhost${path}`, { unix: host.socketPath }),
    );
    const [admin, health] = await Promise.all(answers);
    expect([admin!.status, ((await admin!.json()) as AgentError).code]).toEqual([
      403,
      "needs-admin-scope",
    ]);
    expect(health!.status).toBe(200);
  });

  test("that lists tokens tells names and rights, and nothing that can be sent", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const { text } = await caller(agent, {})("GET /v1/tokens", "token-without-read", undefined);
    const list = JSON.parse(text) as object[];
    expect(list.slice(0, 3)).toEqual([
      { name: "right", apps: null, scopes: SCOPES, expires: null },
      {
        name: "late",
        apps: null,
        scopes: SCOPES,
        expires: "1970-01-01T00:00:01.000Z",
      },
      { name: "other", apps: ["other"], scopes: SCOPES, expires: null },
    ]);
    for (const { token } of TOKENS) expect(text).not.toContain(token);
  });
});

const PAIR = {
  number: 17,
  psn: 1,
  linkLayer: "Ethernet",
  gid: MOCK_GID,
  lid: 0,
  mtu: 4096,
  reads: 1,
};

test("that it lives is told to everybody, and nothing else", async () => {
  await using host = new TestHost();
  const agent = await serving(host);
  const call = caller(agent, {});
  for (const token of [undefined, WRONG, "token-that-has-expired", "token-without-read"]) {
    const { response, text } = await call("GET /healthz", token, undefined);
    expect([response.status, text]).toEqual([200, "ok\n"]);
  }
  expect(told(await call("POST /healthz", undefined, {}))).toBe("401 denied");
  expect(told(await call("GET /healthz/", undefined, undefined))).toBe("401 denied");
  expect(host.log.filter(({ audit }) => audit !== undefined)).toHaveLength(2);
});

test("the session of RDMA opens for those who may read, and for nobody else", async () => {
  await using host = new TestHost();
  const agent = await serving(host);
  const open = async (token?: string) => {
    const target = { host: "127.0.0.1", port: agent.port };
    const session = await VerbsSession.open(
      new AgentClient(target, token === undefined ? {} : { token }),
    );
    session.close();
    return "open";
  };
  const refused = [undefined, WRONG, "token-that-has-expired", "token-without-read"];
  for (const token of refused) await expect(open(token)).rejects.toThrow(/no RDMA session/);
  expect(await open("token-for-everything")).toBe("open");
  // It has a session without a pool: what it may connect to is asked with each queue pair.
  expect(await open("token-of-another-team")).toBe("open");
});

test("the data port lists and reads for those who may read, and greets nobody else", async () => {
  await using host = new TestHost();
  const agent = await serving(host);
  const greeting = async (token?: string) => {
    using client = new WireClient(agent.dataPort);
    const status = await client.hello(token);
    if (status === STATUS.ok) return [status, (await client.list()).map(({ app }) => app)];
    await client.end();
    return [status];
  };
  expect(await greeting()).toEqual([STATUS.denied]);
  expect(await greeting(WRONG)).toEqual([STATUS.denied]);
  expect(await greeting("token-that-has-expired")).toEqual([STATUS.expired]);
  expect(await greeting("token-without-read")).toEqual([STATUS.unscoped]);
  expect(await greeting("token-of-another-team")).toEqual([STATUS.ok, []]);
  for (const token of ["token-for-everything", "token-without-register"]) {
    expect(await greeting(token)).toEqual([STATUS.ok, ["microview", "shop"]]);
  }
  using right = new WireClient(agent.dataPort);
  await right.hello("token-for-everything");
  const { id } = await right.pool("shop");
  expect((await right.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.ok);
  using other = new WireClient(agent.dataPort);
  await other.hello("token-of-another-team");
  expect((await other.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.noSuchPool);
});

test("collect --listen shows metrics to those who may read, and says to anybody that it lives", async () => {
  await using host = new TestHost();
  await serving(host);
  const file = join(host.folder, "tokens");
  writeFileSync(file, FILE);
  const flags = ["--socket", host.socketPath, "--interval", "10ms", "--listen", "0"];
  const child = host.own(
    Bun.spawn([process.execPath, CLI, "collect", ...flags, "--listen-token-file", file], {
      env: surroundings(),
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    }),
  );
  const lines = new Lines(child.stderr);
  let line = "";
  while (!line.startsWith("scraped at ")) line = await lines.next();
  const url = line.replace("scraped at ", "").replace("/metrics", "");
  const answer = async (path: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(url + path, { headers });
    const text = await response.text();
    return response.ok ? text : `${response.status} ${JSON.parse(text).code}`;
  };
  await until("it shows the service", async () =>
    (await answer("/metrics", "token-for-everything")).includes('app="shop"'),
  );
  expect(await answer("/metrics")).toBe("401 denied");
  expect(await answer("/metrics", WRONG)).toBe("401 denied");
  expect(await answer("/metrics", "token-that-has-expired")).toBe("401 expired-token");
  expect(await answer("/metrics", "token-without-read")).toBe("403 needs-read-scope");
  expect(await answer("/metrics", "token-without-register")).toContain('app="shop"');
  expect(await answer("/metrics", "token-of-another-team")).toBe("");
  for (const token of [undefined, WRONG, "token-without-read"]) {
    expect(await answer("/healthz", token)).toBe("ok\n");
    expect(await answer("/", token)).toBe("404 no-such-route");
  }
});
