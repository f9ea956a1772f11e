// What a local user without rights may do: read metrics over loopback, and nothing that lasts or keeps others out.
// And what one with rights may do: no more than a fair share.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import type { Agent } from "../../src/agent/agent.ts";
import type { ApiError } from "../../src/rest/index.ts";
import { Authority } from "../support/certificates.ts";
import { TestHost } from "../support/host.ts";
import { ask, define } from "../support/pools.ts";
import { until } from "../support/wait.ts";

const WRITER = { service: "auth", pid: 1, threadId: 0 };
const OPS = { token: "ops-token-of-the-tests", name: "ops" };

/** Asks an agent over TCP. */
async function send(
  { port }: { port: number },
  method: string,
  path: string,
  body?: unknown,
  more: RequestInit & { tls?: object } = {},
) {
  const scheme = more.tls === undefined ? "http" : "https";
  const response = await fetch(`${scheme}://localhost:${port}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...more,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more.headers,
    },
  });
  const text = await response.text();
  const { code } = response.ok ? { code: "" } : (JSON.parse(text) as ApiError);
  return { status: response.status, text, code };
}

describe("over TCP without a token, where none is asked for,", () => {
  test("everything may be read and nothing changed, and refusals say what to do", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    mv.counter("requests_total").inc(3);
    await mv.ready;
    for (const path of ["/health", "/metrics", "/v1/apps", "/v1/apps/shop/metrics", "/v1/rdma"]) {
      expect((await send(agent, "GET", path)).status).toBe(200);
    }
    const changes: [method: string, path: string, body?: unknown][] = [
      ["POST", "/metrics", { microservice_id: "a", name: "b", type: false, value: 1 }],
      ["POST", "/v1/apps/mine/writers", WRITER],
      ["POST", "/v1/apps/shop/writers", WRITER],
      ["POST", "/v1/apps/shop/writers/1/series", { metrics: [ask(define.counter("a"))] }],
      ["DELETE", "/v1/apps/shop/writers/1/series", { turn: 1, metrics: [] }],
      ["DELETE", "/v1/apps/shop/writers/1"],
    ];
    for (const [method, path, body] of changes) {
      const answer = await send(agent, method, path, body);
      expect([path, answer.status, answer.code]).toEqual([path, 403, "needs-register-scope"]);
      expect(answer.text).toContain("--allow-register");
    }
    expect((await send(agent, "GET", "/v1/tokens")).code).toBe("needs-admin-scope");
    const apps = JSON.parse((await send(agent, "GET", "/v1/apps")).text) as { app: string }[];
    expect(apps.map(({ app }) => app)).toEqual(["microview", "shop"]);
  });

  test("a certificate opens the door and gives no more than that", async () => {
    await using host = new TestHost();
    using authority = new Authority();
    const client = authority.sign("client");
    const agent = await host.agent({
      tls: { ...authority.sign("server"), clientCa: authority.cert },
    });
    const tls = { ca: authority.cert, ...client };
    expect((await send(agent, "GET", "/v1/apps", undefined, { tls })).status).toBe(200);
    const attach = await send(agent, "POST", "/v1/apps/shop/writers", WRITER, { tls });
    expect(attach.code).toBe("needs-register-scope");
  });

  test("who may register nevertheless makes a few applications, and the socket all", async () => {
    await using host = new TestHost();
    const limits = { apps: 6, appsEach: 2 };
    const agent = await host.agent({ allowRegister: true, limits });
    const attach = (app: string) => send(agent, "POST", `/v1/apps/${app}/writers`, WRITER);
    expect([await attach("a"), await attach("b"), await attach("c"), await attach("a")]).toEqual([
      expect.objectContaining({ status: 200 }),
      expect.objectContaining({ status: 200 }),
      expect.objectContaining({ status: 507, code: "apps-each-full" }),
      expect.objectContaining({ status: 200 }),
    ]);
    for (const app of ["d", "e", "f"]) {
      const mv = host.client({ app });
      mv.counter("requests_total").inc(1);
      await until("it is attached", () => mv.attached);
    }
    await until("it is counted", () => {
      const labels = { code: "apps-each-full" };
      return host.view("microview").value("agent", "microview_agent_limit_reached_total", labels);
    });
  });

  test("a flag that would mean nothing beside tokens is refused", async () => {
    await using host = new TestHost();
    const file = `${host.folder}/tokens`;
    await Bun.write(file, `${OPS.token}\n`);
    const { AgentProcess } = await import("../support/host.ts");
    const agent = new AgentProcess(host, ["--allow-register", "--token-file", file]);
    expect(await agent.exited()).toBe(2);
  });
});

test("the agent's own application is written by nobody else, on the socket neither", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ tokens: [{ ...OPS, scopes: ["register"] }] });
  const headers = { authorization: `Bearer ${OPS.token}` };
  const answer = await send(agent, "POST", "/v1/apps/microview/writers", WRITER, { headers });
  expect([answer.status, answer.code]).toEqual([403, "reserved-app"]);
  const mv = host.client({ app: "microview", service: "agent" });
  mv.counter("microview_agent_requests_total").inc(1e6);
  await until("it is warned", () => host.warnings.some(({ code }) => code === "reserved-app"));
  expect(mv.attached).toBe(false);
});

describe("an application", () => {
  test("without writers and counts is removed after a minute", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ limits: { apps: 5 } });
    const left = host.client({ app: "left" });
    left.counter("requests_total").inc(7);
    await left.ready;
    await left.close();
    const lives = host.client({ app: "lives" });
    lives.gauge("depth").set(1);
    await lives.ready;
    // It comes, declares nothing, and goes.
    const empty = host.client({ app: "empty" });
    empty.counter("started_total");
    await until("it is attached", () => empty.attached);
    const { writer, secret } = await attachOnSocket(host, "squatted");
    await detachOnSocket(host, "squatted", writer, secret);
    agent.pools.get("squatted").scan(Date.now() + 60_000);

    const nowMs = Date.now();
    agent.scan(nowMs);
    agent.scan(nowMs + 59_000);
    expect(existsSync(`${host.poolDir}/squatted/pool`)).toBe(true);
    agent.scan(nowMs + 61_000);
    expect([...agent.pools].map(({ name }) => name).sort()).not.toContain("squatted");
    expect(existsSync(`${host.poolDir}/squatted/pool`)).toBe(false);
    for (const app of ["microview", "left", "lives"]) {
      expect(existsSync(`${host.poolDir}/${app}/pool`)).toBe(true);
    }
    await host.shows(7, "requests_total", { app: "left" });
    // There is room again, also for one of its name.
    const again = host.client({ app: "squatted" });
    again.counter("requests_total").inc(2);
    await again.ready;
    await host.shows(2, "requests_total", { app: "squatted" });
  });
});

async function attachOnSocket(host: TestHost, app: string) {
  const response = await fetch(`http://localhost/v1/apps/${app}/writers`, {
    unix: host.socketPath,
    method: "POST",
    body: JSON.stringify(WRITER),
    headers: { "content-type": "application/json" },
  });
  return (await response.json()) as { writer: number; secret: string };
}

async function detachOnSocket(host: TestHost, app: string, writer: number, secret: string) {
  const response = await fetch(`http://localhost/v1/apps/${app}/writers/${writer}`, {
    unix: host.socketPath,
    method: "DELETE",
    headers: { "microview-secret": secret },
  });
  expect(response.status).toBe(200);
}

/** Asks from an address of this host that is not 127.0.0.1. */
function from(address: string, agent: Agent, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: agent.port, host: "127.0.0.1", localAddress: address });
    let text = "";
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      text += bytes;
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
      if (status === undefined) return;
      socket.destroy();
      resolve(Number(status));
    });
    socket.write(
      `GET /v1/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
  });
}

describe("wrong tokens", () => {
  test("of all addresses of this host are counted together", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS], limits: { wrongPerS: 0.34 } });
    const statuses: number[] = [];
    for (let i = 1; i <= 60; i++) statuses.push(await from(`127.0.1.${i}`, agent, "guessed"));
    expect(statuses.slice(0, 2)).toEqual([401, 401]);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(40);
    expect(await from("127.9.9.9", agent, "guessed")).toBe(429);
  });
});

describe("a request by name", () => {
  test("is answered for names of this host, those that are given, and those of the certificate", async () => {
    await using host = new TestHost();
    using authority = new Authority();
    const identity = authority.selfSigned(
      "a",
      "DNS:db1.example,DNS:*.metrics.example,IP:127.0.0.1",
    );
    const agent = await host.agent({ tls: identity, allowHosts: ["Agents.Example."] });
    const tls = { rejectUnauthorized: false };
    const ask = (name: string) =>
      send(agent, "GET", "/v1/apps", undefined, { tls, headers: { host: name } });
    for (const name of [
      ...["localhost", "127.0.0.1:7070", "[::1]:1", "LOCALHOST.", "agents.example"],
      ...["db1.example:7070", "DB1.example.", "a.metrics.example"],
    ]) {
      expect([name, (await ask(name)).status]).toEqual([name, 200]);
    }
    for (const name of [
      ...["evil.example", "db1.example.evil.example", "metrics.example", "a.b.metrics.example"],
      ...["x-db1.example", "agents.example.evil.example", "localhost.evil.example"],
    ]) {
      expect([name, (await ask(name)).code]).toEqual([name, "foreign-host"]);
    }
    // A page of another site, though its browser asks by a name that is right.
    const origin = { host: "db1.example", origin: "https://evil.example" };
    const page = await send(agent, "GET", "/v1/apps", undefined, { tls, headers: origin });
    expect(page.code).toBe("foreign-origin");

    agent.renewTls(authority.selfSigned("b", "DNS:db2.example"));
    const renewed = until(
      "the new names are known",
      async () => (await ask("db2.example")).status === 200,
    );
    await renewed;
    expect((await ask("db1.example")).code).toBe("foreign-host");
  });

  test("is answered for any name when it has a token", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS] });
    const headers = { host: "any.example", authorization: `Bearer ${OPS.token}` };
    expect((await send(agent, "GET", "/v1/apps", undefined, { headers })).status).toBe(200);
  });

  test.each([false, true])(
    "is answered for names of few letters too, with TLS: %p",
    async (isTls) => {
      await using host = new TestHost();
      using authority = new Authority();
      const names = ["h", "db", "db1", "db12"];
      const tls = isTls ? { tls: authority.sign("server") } : {};
      const agent = await host.agent({ allowHosts: names, ...tls });
      for (const name of names) {
        const more = {
          headers: { host: name },
          ...(isTls ? { tls: { rejectUnauthorized: false } } : {}),
        };
        const answer = await send(agent, "GET", "/v1/apps", undefined, more);
        expect([name, answer.status]).toEqual([name, 200]);
      }
    },
  );
});
