// How often and how much: limits of requests, wrong tokens and connections, and the lines that refused calls leave.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect } from "node:net";
import type { TokenEntry } from "../../src/guard/tokens.ts";
import { STATUS } from "../../src/layout/index.ts";
import { Authority } from "../support/certificates.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { asNobody, nobodyUid } from "../support/permissions.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { WireClient } from "../support/wire-client.ts";

setDefaultTimeout(patience(60_000));

const OPS: TokenEntry = { token: "ops-token-of-the-tests", name: "ops" };
const TEAM: TokenEntry = { token: "team-token-of-the-tests", name: "team", apps: ["shop"] };

function asking(port: number, token?: string) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return async (path = "/v1/apps") => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    const text = await response.text();
    const code = response.ok ? "" : (JSON.parse(text).code as string);
    return { status: response.status, code, retryAfter: response.headers.get("retry-after") };
  };
}

describe("requests", () => {
  test("beyond what a token may make are answered 429, and those of others are not", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS, TEAM], limits: { requestsPerS: 0.5 } });
    const [ops, team] = [asking(agent.port, OPS.token), asking(agent.port, TEAM.token)];
    const answers = [await ops(), await ops(), await ops(), await ops()];
    const last = answers.at(-1)!;
    expect(last).toEqual({
      status: 429,
      code: "too-many-requests",
      retryAfter: expect.any(String),
    });
    expect(Number(last.retryAfter)).toBeWithin(1, 3);
    expect(answers[0]!.status).toBe(200);
    expect((await team()).status).toBe(200);
    const local = () => fetch("http://localhost/v1/apps", { unix: host.socketPath });
    for (let i = 0; i < 10; i++) expect((await local()).status).toBe(200);
    await until("it is counted", () => {
      const labels = { code: "too-many-requests" };
      return host.view("microview").value("agent", "microview_agent_limit_reached_total", labels);
    });
  });

  test("without a token are limited by address", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ limits: { requestsPerS: 0.5 } });
    const ask = asking(agent.port);
    const answers = [await ask(), await ask(), await ask(), await ask()];
    expect(answers.at(-1)!.code).toBe("too-many-requests");
  });
});

describe("wrong tokens", () => {
  test("make an address wait on REST, and a right one is no way to tell that it is right", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS], limits: { wrongPerS: 0.5 } });
    const wrong = asking(agent.port, "guessed");
    const first = await wrong();
    expect(first).toEqual({ status: 401, code: "denied", retryAfter: null });
    await until("it has to wait", async () => (await wrong()).status === 429);
    const right = await asking(agent.port, OPS.token)();
    expect(right).toMatchObject({ status: 429, code: "too-many-wrong-tokens" });
    expect(Number(right.retryAfter)).toBeWithin(1, 3);
    // Its time passes.
    const ops = asking(agent.port, OPS.token);
    await until("it is answered again", async () => (await ops()).status === 200);
  });

  test.each([false, true])(
    "make an address wait on the data port, with TLS: %p",
    async (isTls) => {
      await using host = new TestHost();
      using authority = new Authority();
      const tls = isTls ? { tls: authority.sign("server") } : {};
      const agent = await host.agent({ tokens: [OPS], limits: { wrongPerS: 0.5 }, ...tls });
      const greet = async (token: string) => {
        using client = isTls
          ? new WireClient(agent.dataPort, { ca: authority.cert })
          : new WireClient(agent.dataPort);
        try {
          return await client.hello(token);
        } catch {
          return "hung up";
        }
      };
      const statuses = new Set<unknown>();
      await until("it is let in no more", async () => {
        const status = await greet("guessed");
        statuses.add(status);
        return status !== STATUS.denied;
      });
      expect([...statuses][0]).toBe(STATUS.denied);
      expect([STATUS.tooManyWrong, "hung up"]).toContain((await greet(OPS.token)) as never);
      await until("it is let in again", async () => (await greet(OPS.token)) === STATUS.ok);
      expect(host.log).toContainEqual(
        expect.objectContaining({
          ...{ audit: "refused", transport: "data", code: "denied", peer: "127.0.0.1" },
        }),
      );
    },
    patience(30_000),
  );
});

describe("connections to the data port", () => {
  test("are as many as one token may have, and an address", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS, TEAM], limits: { connectionsEach: 3 } });
    const greeted = async (token: string) => {
      const client = new WireClient(agent.dataPort);
      host.onEnd(() => client[Symbol.dispose]());
      return { client, status: await client.hello(token) };
    };
    const [first] = [await greeted(OPS.token), await greeted(TEAM.token), await greeted(OPS.token)];
    expect((await greeted(TEAM.token)).status).toBe(STATUS.busy);
    first.client[Symbol.dispose]();
    await until("there is room", async () => (await greeted(TEAM.token)).status === STATUS.ok);
  });

  test.each([false, true])(
    "that say nothing are closed, with TLS: %p",
    async (isTls) => {
      await using host = new TestHost();
      using authority = new Authority();
      const tls = isTls ? { tls: authority.sign("server") } : {};
      const agent = await host.agent({ tokens: [OPS], ...tls });
      const socket = connect(agent.dataPort, "127.0.0.1");
      host.onEnd(() => socket.destroy());
      let closed = false;
      socket.on("close", () => {
        closed = true;
      });
      socket.on("error", () => {});
      socket.resume();
      await until("it is closed", () => closed, 25_000);
    },
    patience(30_000),
  );
});

test.each([
  ["of one address", { connectionsEach: 5 }],
  ["in all", { connections: 5 }],
])(
  "connections to REST that are more than may be %s are ended, and the others serve on",
  async (_, limits) => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS], limits });
    const ended = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const socket = connect(agent.port, "127.0.0.1");
      host.onEnd(() => socket.destroy());
      socket.on("error", () => {});
      socket.on("close", () => ended.add(i));
      socket.resume();
      await once(socket, "connect");
    }
    const refused = () => host.log.filter(({ code }) => code === "too-many-connections");
    await until("they are ended", () => ended.size >= 15);
    await until("each leaves a line", () => refused().length >= 15);
    expect(refused()[0]).toMatchObject({ audit: "refused", transport: "rest", peer: "127.0.0.1" });
    expect([ended.size, refused().length]).toEqual([15, 15]);
    // Who comes now may be one too many until the next look; the Unix socket is not touched.
    expect((await fetch("http://agent/v1/apps", { unix: host.socketPath })).status).toBe(200);
  },
);

test("connections to the socket that leave no file to open are ended too, of one user as many as must be", async () => {
  await using host = new TestHost();
  const agent = new AgentProcess(host, [], ["sh", "-c", 'ulimit -n 160; exec "$@"', "sh"]);
  await agent.serves();
  let ended = 0;
  for (let i = 0; i < 200; i++) {
    const socket = connect(host.socketPath);
    host.onEnd(() => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => ended++);
    socket.resume();
  }
  // A third of the files that are not reserved.
  await until("most are ended", () => ended >= 160);
  const mv = host.client();
  mv.counter("requests_total").inc();
  expect(await mv.ready).toEqual({ attached: true });
  expect(await agent.end("SIGTERM")).toBe(0);
});

// Another user than this one.
test.skipIf(!asNobody?.length)(
  "connections to the socket that are too many are ended of the user who has the most",
  async () => {
    await using host = new TestHost();
    chmodSync(host.folder, 0o755);
    await host.agent({ limits: { connections: 8 }, gid: nobodyUid });
    const ended: number[] = [];
    for (let i = 0; i < 3; i++) {
      const socket = connect(host.socketPath);
      host.onEnd(() => socket.destroy());
      socket.on("close", () => ended.push(i));
      socket.resume();
      await once(socket, "connect");
    }
    const flood = `
      let ended = 0;
      for (let i = 0; i < 20; i++) {
        const socket = require("node:net").connect(${JSON.stringify(host.socketPath)});
        socket.on("close", () => console.log(++ended));
        socket.resume();
      }`;
    const child = host.own(
      Bun.spawn([...asNobody!, process.execPath, "-e", flood], { stdout: "pipe" }),
    );
    const lines = new Lines(child.stdout);
    for (let line = ""; line !== "15"; line = await lines.next());
    const refused = host.log.filter(({ code }) => code === "too-many-connections");
    expect(refused).toHaveLength(15);
    expect(refused[0]).toMatchObject({
      audit: "refused",
      transport: "rest",
      peer: `user ${nobodyUid}`,
    });
    expect(ended).toEqual([]);
  },
);

test("connections to REST that leave no file to open are ended too, and the agent answers again", async () => {
  await using host = new TestHost();
  const each = ["--max-connections-each", "10"];
  const agent = new AgentProcess(host, each, ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh"]);
  await agent.serves();
  let ended = 0;
  for (let i = 0; i < 120; i++) {
    const socket = connect(agent.port, "127.0.0.1");
    host.onEnd(() => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => ended++);
    socket.resume();
  }
  await until("most are ended", () => ended >= 100);
  const answers = await fetch(`http://127.0.0.1:${agent.port}/healthz`);
  expect(await answers.text()).toBe("ok\n");
  expect(await agent.end("SIGTERM")).toBe(0);
});

test("silent connections do not keep others out of either port where few files may be open", async () => {
  await using host = new TestHost();
  const agent = new AgentProcess(host, [], ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]);
  await agent.serves();
  expect(agent.find("fewer connections than --max-connections are accepted")).toMatchObject({
    accepted: 8,
  });
  for (const port of [agent.dataPort, agent.port]) {
    for (let i = 0; i < 100; i++) {
      const socket = connect(port, "127.0.0.1");
      host.onEnd(() => socket.destroy());
      socket.on("error", () => {});
      socket.resume();
    }
  }
  await until("REST answers", async () => {
    const signal = AbortSignal.timeout(patience(1_000));
    const answer = await fetch(`http://127.0.0.1:${agent.port}/healthz`, { signal }).catch(
      () => {},
    );
    return answer?.status === 200;
  });
  await until("the data port answers", async () => {
    using client = new WireClient(agent.dataPort);
    const status = await Promise.race([client.hello(), Bun.sleep(patience(1_000))]);
    return status === STATUS.ok;
  });
  expect(await agent.end("SIGTERM")).toBe(0);
});

test(
  "connections to REST that say nothing, or a head or a body bit by bit, are closed",
  async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS] });
    const writers = "POST /v1/apps/shop/writers HTTP/1.1\r\nhost: localhost\r\n";
    const json = "content-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    const body = `${writers}authorization: Bearer ${OPS.token}\r\n${json}`;
    /** @param first said at once; what follows comes little by little */
    const isClosed = async (what: string, first: string, following: string) => {
      const socket = connect(agent.port, "127.0.0.1");
      let closed = false;
      socket.on("close", () => {
        closed = true;
      });
      socket.on("error", () => {});
      socket.resume();
      socket.write(first);
      let said = 0;
      const timer = setInterval(() => {
        if (following !== "" && !closed) socket.write(following[said++] ?? "a");
      }, 200);
      host.onEnd(() => {
        clearInterval(timer);
        socket.destroy();
      });
      await until(`${what} is closed`, () => closed, 80_000);
    };
    await Promise.all([
      isClosed("silence", "", ""),
      isClosed("a slow head", "", "GET /health HTTP/1.1\r\nhost: localhost\r\nx: "),
      isClosed("a slow body", body, "a"),
    ]);
  },
  patience(90_000),
);

describe("a call that is refused", () => {
  test("leaves one line that says who, from where, what and why", async () => {
    await using host = new TestHost();
    const agent = await host.agent({
      tokens: [OPS, TEAM, { ...OPS, token: `${OPS.token}-2`, name: "looks", scopes: ["read"] }],
    });
    const lines = () => host.log.filter(({ audit }) => audit === "refused");
    await asking(agent.port, "guessed")("/v1/apps?token=guessed");
    await asking(agent.port, `${OPS.token}-2`)("/v1/tokens");
    await fetch(`http://127.0.0.1:${agent.port}/v1/apps/bank/writers`, {
      method: "POST",
      headers: { authorization: `Bearer ${TEAM.token}`, "content-type": "application/json" },
      body: JSON.stringify({ service: "a", pid: 1, threadId: 0 }),
    });
    await asking(agent.port, "guessed")("/v1/rdma");
    const common = { level: "warn", message: "a call was refused", audit: "refused" };
    const peer = "127.0.0.1";
    expect(lines()).toEqual(
      [
        {
          ...common,
          transport: "rest",
          code: "denied",
          token: "nobody",
          method: "GET",
          path: "/v1/apps",
        },
        {
          ...common,
          transport: "rest",
          code: "needs-admin-scope",
          token: "looks",
          method: "GET",
          path: "/v1/tokens",
        },
        {
          ...common,
          transport: "rest",
          code: "denied-app",
          token: "team",
          method: "POST",
          path: "/v1/apps/bank/writers",
        },
        {
          ...common,
          transport: "rdma",
          code: "denied",
          token: "nobody",
          method: "GET",
          path: "/v1/rdma",
        },
      ].map((line) => expect.objectContaining({ ...line, peer })),
    );
    expect(JSON.stringify(lines())).not.toContain("guessed");
  });

  test("shows no token, though it stands in its path, and nothing that a terminal obeys", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [OPS] });
    for (const path of [
      `/v1/apps/${OPS.token}`,
      `/v1/apps/${OPS.token.replace("o", "%6f")}/x`,
      "/v1/%1b[31m%0aforged",
      "/‮evil/\u{9b}2J",
      `/${"a".repeat(5000)}`,
    ]) {
      await asking(agent.port, "guessed")(path);
    }
    const paths = host.log.flatMap(({ audit, path }) =>
      audit === "refused" ? [String(path)] : [],
    );
    expect(paths).toHaveLength(5);
    expect(paths[0]).toBe("/v1/apps/…");
    expect(paths[1]).toBe("/v1/apps/…/x");
    expect(paths.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(Math.max(...paths.map((path) => path.length))).toBeLessThan(300);
  });
});
