// Tokens and certificates that change while an agent runs: what is new holds at once, what is gone ends what it opened.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect as connectTls } from "node:tls";
import { AgentClient } from "../../src/collector/agent-client.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";
import type { TokenEntry } from "../../src/guard/tokens.ts";
import { TlsError } from "../../src/http/index.ts";
import { PAGE_BYTES, STATUS } from "../../src/layout/index.ts";
import { call as callAgent } from "../support/calls.ts";
import { Authority } from "../support/certificates.ts";
import { collect } from "../support/collecting.ts";
import { TestHost } from "../support/host.ts";
import { MOCK_GID, MockVerbs } from "../support/mock-verbs.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { WireClient } from "../support/wire-client.ts";

setDefaultTimeout(patience(60_000));

/** Enough to open connections with a token before it expires. */
const OPENING_MS = patience(3_000);

const OPS: TokenEntry = { token: "ops-token-of-the-tests", name: "ops" };
const TEAM: TokenEntry = { token: "team-token-of-the-tests", name: "team", apps: ["shop"] };

async function status(port: number, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${port}/health`, { headers });
  await response.text();
  return response.status;
}

/** A connection to the data port that a token has opened. */
async function greeted(host: TestHost, port: number, { token }: TokenEntry): Promise<WireClient> {
  const client = new WireClient(port);
  host.onEnd(() => client[Symbol.dispose]());
  expect(await client.hello(token)).toBe(STATUS.ok);
  return client;
}

/** Whether a connection answers still, once all that was on its way has come. */
async function lives(client: WireClient): Promise<boolean> {
  try {
    await client.list();
    return true;
  } catch {
    return false;
  }
}

describe("other tokens", () => {
  test("hold at once, on REST and the data port, and those that are gone do not", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS] });
    expect([await status(agent.port, OPS.token), await status(agent.port, TEAM.token)]).toEqual([
      200, 401,
    ]);
    agent.renewTokens([TEAM]);
    expect([await status(agent.port, OPS.token), await status(agent.port, TEAM.token)]).toEqual([
      401, 200,
    ]);
    using client = new WireClient(agent.dataPort);
    expect(await client.hello(OPS.token)).toBe(STATUS.denied);
    await greeted(host, agent.dataPort, TEAM);
    expect(host.log).toContainEqual(
      expect.objectContaining({
        message: "the tokens were read again",
        added: ["team"],
        gone: ["ops"],
      }),
    );
  });

  test.each([
    ["gone", undefined],
    ["for other applications", { ...TEAM, apps: ["bank"] }],
    ["for other things", { ...TEAM, scopes: ["register"] }],
    ["over", { ...TEAM, expiresAtMs: 1 }],
    ["named otherwise", { ...TEAM, name: "others" }],
  ] as [string, TokenEntry | undefined][])(
    "end the connections of one that is %s by now, and no other",
    async (_, changed) => {
      await using host = new TestHost();
      const agent = await host.agent({ tokens: [OPS, TEAM] });
      const [ops, team] = [
        await greeted(host, agent.dataPort, OPS),
        await greeted(host, agent.dataPort, TEAM),
      ];
      // Who has said nothing yet has nothing that could end.
      using silent = new WireClient(agent.dataPort);
      agent.renewTokens([{ ...OPS }, ...(changed === undefined ? [] : [changed])]);
      await team.end();
      expect(await lives(ops)).toBe(true);
      expect(await silent.hello(OPS.token)).toBe(STATUS.ok);
    },
  );

  test("end no connection of a token that only ends later than it did", async () => {
    await using host = new TestHost();
    const soon = { ...TEAM, expiresAtMs: Date.now() + 3600e3 };
    const agent = await host.agent({ tokens: [soon] });
    const team = await greeted(host, agent.dataPort, TEAM);
    agent.renewTokens([OPS, { ...TEAM, expiresAtMs: Date.now() + 7200e3 }]);
    await greeted(host, agent.dataPort, OPS);
    expect(await lives(team)).toBe(true);
  });

  test("are not taken by an agent that asks for none", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    expect(() => agent.renewTokens([OPS])).toThrow(/without tokens/);
  });
});

describe("a token that expires", () => {
  test("is warned of before, and ends what it has opened", async () => {
    await using host = new TestHost();
    const expiresAtMs = Date.now() + OPENING_MS;
    const agent = await host.agent({ tokens: [OPS, { ...TEAM, expiresAtMs }] });
    const said = (message: string) => host.log.filter((line) => line.message === message);
    expect(said("a token expires soon")).toEqual([
      expect.objectContaining({ token: "team", expires: new Date(expiresAtMs).toISOString() }),
    ]);
    const [ops, team] = [
      await greeted(host, agent.dataPort, OPS),
      await greeted(host, agent.dataPort, TEAM),
    ];
    await team.end();
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
    expect(await lives(ops)).toBe(true);
    expect(await status(agent.port, TEAM.token)).toBe(401);
    expect(said("a token has expired")).toHaveLength(1);
  });

  test("takes its RDMA session and queue pairs along", async () => {
    using mock = new MockVerbs();
    await using host = new TestHost();
    const expiresAtMs = Date.now() + OPENING_MS;
    const tokens = [OPS, { ...TEAM, expiresAtMs }];
    const agent = await host.agent({ ...mock.agent(), tokens });
    const mv = host.client();
    mv.counter("c_total").inc();
    await mv.ready;
    const pairsOf = async ({ token }: TokenEntry) => {
      const target = { host: "127.0.0.1", port: agent.port };
      const client = new AgentClient(target, { token });
      const session = await VerbsSession.open(client);
      let over = false;
      session.onLost = () => {
        over = true;
      };
      host.onEnd(() => session.close());
      const { pools } = await callAgent(client, "GET /v1/rdma", {});
      const pool = pools.find(({ app }) => app === "shop")!;
      await callAgent(
        client,
        "POST /v1/rdma/queue-pairs",
        {},
        {
          ...{ session: session.id, app: "shop", poolId: pool.poolId, number: 17, psn: 1 },
          ...{ linkLayer: "Ethernet", gid: MOCK_GID, lid: 0, mtu: 4096, reads: 1 },
        },
      );
      return () => over;
    };
    const [opsOver, teamOver] = [await pairsOf(OPS), await pairsOf(TEAM)];
    expect(mock.live.queuePairs).toBe(2);
    await until("the session is over", teamOver);
    expect(mock.live.queuePairs).toBe(1);
    expect(opsOver()).toBe(false);
  });
});

test("a collector goes on with its new token, though its old one is gone meanwhile", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ tokens: [OPS] });
  const mv = host.client();
  const counter = mv.counter("c_total");
  counter.inc(1);
  let { token } = OPS;
  const { latest, events } = collect(host, {
    targets: [{ host: "127.0.0.1", port: agent.port }],
    transport: "tcp",
    credentials: () => ({ token }),
  });
  const source = `127.0.0.1:${agent.port} shop auth c_total{}`;
  await until("it is read", () => latest.get(source) === 1);
  agent.renewTokens([TEAM]);
  counter.inc(1);
  await until("it is refused", () =>
    events.find(({ message }) => message.includes("does not know the token")),
  );
  expect(events.filter(({ fatal }) => fatal)).toEqual([]);
  token = TEAM.token;
  await until("it is read again", () => latest.get(source) === 2);
});

test("a collector with a wrong token is told so, and then that it has to wait, which ends", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ tokens: [OPS], limits: { wrongPerS: 0.5 } });
  const mv = host.client();
  mv.counter("c_total").inc(1);
  await mv.ready;
  let { token } = TEAM;
  const { latest, events } = collect(host, {
    targets: [{ host: "127.0.0.1", port: agent.port }],
    transport: "tcp",
    credentials: () => ({ token }),
  });
  const told = (text: string) => events.find(({ message }) => message.includes(text));
  const refused = await until("it is refused", () => told("does not know the token"));
  expect(refused).toMatchObject({ kind: "away", fatal: true });
  const waits = await until("it has to wait, for others guess as well", async () => {
    await status(agent.port, "guessed");
    return told("asks to wait: this address has sent too many");
  });
  expect(waits).toMatchObject({ fatal: false });
  ({ token } = OPS);
  const source = `127.0.0.1:${agent.port} shop auth c_total{}`;
  await until("it is read", () => latest.get(source) === 1);
});

/** Name in the certificate that is shown on a port. */
async function shown(port: number, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { port, host: "127.0.0.1", ca, servername: "localhost" };
  const socket = connectTls(options, () => resolve(String(socket.getPeerCertificate().subject.CN)));
  socket.on("error", reject);
  return promise.finally(() => socket.destroy());
}

describe("another certificate", () => {
  test("is shown to those who connect, while those who are connected go on", async () => {
    using authority = new Authority();
    await using host = new TestHost();
    const ca = authority.cert;
    const agent = await host.agent({ tls: authority.sign("first"), tokens: [OPS] });
    const { port, dataPort } = agent;
    host.client().counter("c_total").inc(3);
    let now = 0;
    const { collector } = collect(host, {
      targets: [{ host: "localhost", port }],
      ...{ tls: { ca }, token: OPS.token, transport: "tcp" },
      onSnapshot: () => now++,
    });
    await until("it is read", () => now > 0);
    expect([await shown(port, ca), await shown(dataPort, ca)]).toEqual(["first", "first"]);
    agent.renewTls(authority.sign("second"));
    expect([agent.port, agent.dataPort]).toEqual([port, dataPort]);
    expect([await shown(port, ca), await shown(dataPort, ca)]).toEqual(["second", "second"]);
    agent.renewTls(authority.sign("third"));
    expect([await shown(port, ca), await shown(dataPort, ca)]).toEqual(["third", "third"]);
    const before = now;
    await until("it is read on", () => now > before + 3);
    expect(collector.statistics[0]!.gaps).toBe(0);
  });

  test("that is the same replaces nothing", async () => {
    using authority = new Authority();
    await using host = new TestHost();
    const first = authority.sign("first");
    const agent = await host.agent({ tls: first, tokens: [OPS] });
    agent.renewTls({ ...first });
    expect(host.log.some(({ message }) => message === "the certificate was read again")).toBe(
      false,
    );
    expect(await shown(agent.port, authority.cert)).toBe("first");
  });

  test("that cannot be used is refused, and the one before is shown on", async () => {
    using authority = new Authority();
    await using host = new TestHost();
    const first = authority.sign("first");
    const agent = await host.agent({ tls: first, tokens: [OPS] });
    const second = authority.sign("second");
    const wrong: [object, string][] = [
      [{ ...second, key: first.key }, "--tls-key: it is not the key of the certificate"],
      [{ ...second, cert: second.key }, "--tls-cert: there is no certificate in it (PEM)"],
      [{ ...second, key: second.cert }, "--tls-key: it is no private key that can be read"],
      [{ ...second, clientCa: "nothing" }, "--tls-client-ca: there is no certificate in it"],
      [{ ...second, cert: second.cert.replaceAll("M", "N") }, "--tls-cert: "],
    ];
    for (const [tls, message] of wrong) {
      const take = () => agent.renewTls(tls as typeof second);
      expect(take).toThrow(TlsError);
      expect(take).toThrow(message);
    }
    expect(await shown(agent.port, authority.cert)).toBe("first");
    expect(await shown(agent.dataPort, authority.cert)).toBe("first");
  });

  test("is warned of before it ends, once, and after it has ended", async () => {
    using authority = new Authority();
    await using host = new TestHost();
    const agent = await host.agent({ tls: authority.sign("first"), tokens: [OPS] });
    const said = () =>
      host.log.filter(({ level }) => level === "warn").map(({ message }) => message);
    const end = Date.UTC(2049, 11, 31);
    const day = 24 * 3600e3;
    for (const ahead of [30, 8, 6, 1]) agent.scan(end - ahead * day);
    expect(said()).toEqual(["the certificate ends soon"]);
    for (const since of [0, 1]) agent.scan(end + since * day);
    expect(said()).toEqual(["the certificate ends soon", "the certificate has expired"]);
  });

  test("whose time is over is warned of", async () => {
    using authority = new Authority();
    await using host = new TestHost();
    await host.agent({ tls: authority.sign("late", "ended"), tokens: [OPS] });
    expect(host.log).toContainEqual(
      expect.objectContaining({
        message: "the certificate has expired",
        ends: "2021-01-01T00:00:00.000Z",
      }),
    );
  });
});

test("a page is read with a token for reading alone", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ tokens: [{ ...TEAM, scopes: ["read"] }] });
  const mv = host.client();
  mv.counter("c_total").inc();
  await mv.ready;
  const client = await greeted(host, agent.dataPort, TEAM);
  const { id } = await client.pool("shop");
  expect((await client.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.ok);
});
