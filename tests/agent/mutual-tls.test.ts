// Mutual TLS: with --tls-client-ca the agent's ports, and those of a collector that is scraped, let nobody in without a
// certificate that one of these authorities has signed, whatever token he has.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { Agent } from "../../src/agent/agent.ts";
import { AgentClient, type ClientTls } from "../../src/collector/agent-client.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";
import { encodeHello, HELLO_REPLY_BYTES, STATUS } from "../../src/layout/index.ts";
import { Authority, type Pem } from "../support/certificates.ts";
import { collect } from "../support/collecting.ts";
import { CLI, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { MockVerbs } from "../support/mock-verbs.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

const TOKEN = "token-of-the-tests-of-tls";

let servers: Authority;
let clients: Authority;
let others: Authority;
let server: Pem;
/** What a client may come with, and what is to be said of each that is wrong. */
let wrong: Readonly<Record<string, Partial<Pem>>>;
let right: Pem;

beforeAll(() => {
  servers = new Authority("servers");
  clients = new Authority("clients");
  others = new Authority("others");
  server = servers.sign("server");
  right = clients.sign("right");
  wrong = {
    "of another authority": others.sign("other"),
    "of the servers' authority": servers.sign("server-as-client"),
    "whose time is over": clients.sign("late", "ended"),
    "that it has signed itself": others.selfSigned("self"),
    "that there is not": {},
  };
});
afterAll(() => {
  for (const each of [servers, clients, others]) each[Symbol.dispose]();
});

const KINDS = [
  "of another authority",
  "of the servers' authority",
  "whose time is over",
  "that it has signed itself",
  "that there is not",
];

function serving(host: TestHost, options: Parameters<TestHost["agent"]>[0] = {}): Promise<Agent> {
  const tls = { ...server, clientCa: clients.cert };
  return host.agent({ tls, tokens: [{ token: TOKEN, name: "ops" }], ...options });
}

function clientOf(agent: Agent, pem: Partial<Pem>): AgentClient {
  const target = { host: "localhost", port: agent.port };
  return new AgentClient(target, { token: TOKEN, tls: { ca: servers.cert, ...pem } });
}

/** What the data port answers to a hello: a status, or that it hangs up. */
async function greeting(port: number, pem: Partial<Pem>): Promise<number | "hung up"> {
  const { promise, resolve } = Promise.withResolvers<number | "hung up">();
  const options = { port, host: "127.0.0.1", servername: "localhost", ca: servers.cert, ...pem };
  const socket = connectTls(options, () => socket.write(encodeHello(TOKEN)));
  let got = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    got = Buffer.concat([got, bytes as Buffer]);
    if (got.length >= HELLO_REPLY_BYTES) resolve(got.readUInt32LE(0));
  });
  socket.on("error", () => resolve("hung up"));
  socket.on("close", () => resolve("hung up"));
  return promise.finally(() => socket.destroy());
}

describe("a certificate", () => {
  test("that the authority has signed lets in, and the token is asked for still", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    expect((await clientOf(agent, right).fetch("GET", "/health")).status).toBe(200);
    expect(await greeting(agent.dataPort, right)).toBe(STATUS.ok);
    const target = { host: "localhost", port: agent.port };
    const tls: ClientTls = { ca: servers.cert, ...right };
    const nameless = new AgentClient(target, { tls });
    expect((await nameless.fetch("GET", "/health")).status).toBe(401);
  });

  test.each(KINDS)("%s lets nobody in, on no port", async (kind) => {
    await using host = new TestHost();
    const agent = await serving(host);
    const pem = wrong[kind]!;
    await expect(clientOf(agent, pem).fetch("GET", "/health")).rejects.toThrow();
    await expect(VerbsSession.open(clientOf(agent, pem))).rejects.toThrow(/no RDMA session/);
    expect(await greeting(agent.dataPort, pem)).toBe("hung up");
    expect(await greeting(agent.dataPort, right)).toBe(STATUS.ok);
    const line = await until("it is told", () =>
      host.log.find(({ audit, transport }) => audit === "refused" && transport === "data"),
    );
    expect(line).toMatchObject({ token: "nobody", peer: "127.0.0.1", level: "warn" });
    expect(line["code"]).toStartWith("tls ");
  });

  test("is as good as a token where none is asked for: the agent may listen beyond loopback", async () => {
    await using host = new TestHost();
    const tls = { ...server, clientCa: clients.cert };
    const agent = await host.agent({ tls, host: "0.0.0.0" });
    expect((await clientOf(agent, right).fetch("GET", "/v1/apps")).status).toBe(200);
    await expect(clientOf(agent, {}).fetch("GET", "/v1/apps")).rejects.toThrow();
  });

  test("is asked for by an authority that has come since", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    agent.renewTls({ ...server, clientCa: others.cert });
    const other = wrong["of another authority"]!;
    expect((await clientOf(agent, other).fetch("GET", "/health")).status).toBe(200);
    expect(await greeting(agent.dataPort, other)).toBe(STATUS.ok);
    await expect(clientOf(agent, right).fetch("GET", "/health")).rejects.toThrow();
    expect(await greeting(agent.dataPort, right)).toBe("hung up");
  });
});

describe("a collector", () => {
  test("reads over TCP with its certificate, which it may exchange", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    host.client().counter("c_total").inc(6);
    const { latest } = collect(host, {
      targets: [{ host: "localhost", port: agent.port }],
      transport: "tcp",
      credentials: () => ({ token: TOKEN, tls: { ca: servers.cert, ...right } }),
    });
    const source = `localhost:${agent.port} shop auth c_total{}`;
    await until("it is read", () => latest.get(source) === 6);
  });

  test("reads by RDMA with its certificate", async () => {
    using mock = new MockVerbs();
    await using host = new TestHost();
    const agent = await serving(host, mock.agent());
    host.client().counter("c_total").inc(7);
    const { latest, events } = collect(host, {
      ...mock.collector(),
      targets: [{ host: "localhost", port: agent.port }],
      credentials: () => ({ token: TOKEN, tls: { ca: servers.cert, ...right } }),
    });
    const source = `localhost:${agent.port} shop auth c_total{}`;
    await until("it is read", () => latest.get(source) === 7);
    expect(events.find(({ kind }) => kind === "connected")?.message).toBe("read by verbs");
  });
});

test("from the command line: agent, collect, and collect --listen", async () => {
  await using host = new TestHost();
  const put = (name: string, text: string) => {
    const path = join(host.folder, name);
    writeFileSync(path, text);
    return path;
  };
  const [cert, key] = [put("server.pem", server.cert), put("server.key", server.key)];
  const [clientCert, clientKey] = [put("client.pem", right.cert), put("client.key", right.key)];
  const [clientCa, ca] = [put("clients.pem", clients.cert), put("servers.pem", servers.cert)];
  const token = put("token", TOKEN);
  const agent = await host.agentProcess(
    ...["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", clientCa, "--token-file", token],
  );
  const mv = host.client();
  mv.counter("c_total").inc(8);
  await mv.ready;
  const collecting = (...flags: string[]) =>
    host.own(
      Bun.spawn(
        [
          ...[process.execPath, CLI, "collect", `localhost:${agent.port}`, "--transport", "tcp"],
          ...["--token-file", token, "--ca", ca, ...flags],
        ],
        {
          env: surroundings(),
          stdin: "ignore",
          stdout: "pipe",
          stderr: "pipe",
        },
      ),
    );
  const shown = ["--client-cert", clientCert, "--client-key", clientKey];
  const once = collecting(...shown, "--once", "--format", "prometheus");
  const nothing = collecting("--once", "--format", "prometheus");
  expect(await new Response(once.stdout).text()).toContain('c_total{app="shop",service="auth"} 8');
  expect([await once.exited, await nothing.exited]).toEqual([0, 1]);
  const said = await new Response(nothing.stderr).text();
  expect(said).toContain("no agent answers");
  expect(said).toContain("--client-cert and --client-key");
  const half = collecting("--client-cert", clientCert, "--once");
  expect(await half.exited).toBe(2);
  const unlike = collecting("--client-cert", clientCert, "--client-key", key, "--once");
  expect(await new Response(unlike.stderr).text()).toContain("is not the key of the certificate");
  expect(await unlike.exited).toBe(2);

  const scraped = collecting(
    ...[...shown, "--listen", "0.0.0.0:0", "--listen-tls-cert", cert],
    ...["--listen-tls-key", key, "--listen-tls-client-ca", clientCa],
  );
  const [, url] = (await new Lines(scraped.stderr).next()).split("scraped at ");
  const at = url!.replace("0.0.0.0", "localhost");
  const scrape = (pem: Partial<Pem>) => fetch(at, { tls: { ca: servers.cert, ...pem } });
  await until("it is scraped", async () =>
    (await (await scrape(right)).text()).includes("c_total"),
  );
  for (const kind of KINDS) await expect(scrape(wrong[kind]!)).rejects.toThrow();
});
