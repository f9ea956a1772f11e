// Hostile clients of the data port beside honest ones: they take connections and are silent, ask without end, or do not
// take what they asked for. The honest get their answers while all that goes on, and the agent stays small.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { encodeHello, HELLO_REPLY_BYTES, OP, PAGE_BYTES, STATUS } from "../../src/layout/index.ts";
import { Authority } from "../support/certificates.ts";
import { type AgentProcess, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { request, WireClient } from "../support/wire-client.ts";

const MIB = 1 << 20;

interface Serving {
  agent: AgentProcess;
  open(): WireClient;
  /** Resident memory of the agent, in bytes. */
  rss(): number;
  counted(name: string): number;
}

/** An agent of its own process with one counter that stands at 42. */
async function serving(host: TestHost, limits: string[], isTls: boolean): Promise<Serving> {
  const flags = [...limits];
  let ca: string | undefined;
  if (isTls) {
    using authority = new Authority();
    const { cert, key } = authority.sign("agent");
    const paths = [join(host.folder, "cert.pem"), join(host.folder, "key.pem")] as const;
    await Bun.write(paths[0], cert);
    await Bun.write(paths[1], key);
    flags.push("--tls-cert", paths[0], "--tls-key", paths[1]);
    ca = authority.cert;
  }
  const agent = await host.agentProcess(...flags);
  const mv = host.client();
  mv.counter("requests_total").inc(42);
  await mv.ready;
  const view = host.view("microview");
  return {
    agent,
    open: () => {
      const client = new WireClient(agent.dataPort, ca === undefined ? undefined : { ca });
      host.onEnd(() => client[Symbol.dispose]());
      return client;
    },
    rss() {
      const status = readFileSync(`/proc/${agent.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
    },
    counted: (name) => view.value("agent", `microview_agent_data_${name}`) ?? 0,
  };
}

/** Comes as any collector would, and gets its answers. */
async function isServed({ open }: Serving, token = ""): Promise<void> {
  using client = open();
  expect(await client.hello(token)).toBe(STATUS.ok);
  const { id } = await client.pool("shop");
  expect((await client.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.ok);
}

/** Writes the same again and again for as long as the other side takes it. */
function flood(client: WireClient, bytes: Uint8Array): void {
  const more = () => {
    while (!client.closed && client.socket.write(bytes));
  };
  client.socket.on("drain", more);
  more();
}

describe.each([false, true])("with TLS: %p,", (isTls) => {
  test("connections that have greeted and are silent make room", async () => {
    await using host = new TestHost();
    const limits = ["--max-connections", "20", "--max-connections-each", "20"];
    const served = await serving(host, [...limits, "--max-idle", "200ms"], isTls);
    const silent = Array.from({ length: 20 }, () => served.open());
    for (const client of silent) expect(await client.hello()).toBe(STATUS.ok);
    for (let i = 0; i < 10; i++) {
      await until("a newcomer is served", async () => {
        await isServed(served);
        return true;
      });
      // Whoever has left makes room as well: the place is taken again, and the silent are fewer each time.
      const again = served.open();
      await until(
        "its place is taken",
        async () => (await again.hello()) === STATUS.ok || again.closed,
      );
    }
    await until("they are counted", () => served.counted("yielded_total") >= 1);
  });

  test("connections that never greet keep nobody out", async () => {
    await using host = new TestHost();
    const served = await serving(host, ["--max-connections-each", "40"], isTls);
    const silent = Array.from({ length: 300 }, () => served.open());
    const half = encodeHello("x".repeat(100)).subarray(0, 50);
    for (const [i, client] of silent.entries()) if (i % 2 === 0) client.send(half);
    for (let i = 0; i < 5; i++) await isServed(served);
    await until("those beyond the limit were closed", () => silent.some(({ closed }) => closed));
    expect(silent.filter(({ closed }) => !closed).length).toBeLessThan(150);
  });

  test("a client that asks without end gets no more than its turn, and the agent does not grow", async () => {
    await using host = new TestHost();
    const served = await serving(host, [], isTls);
    const honest = served.open();
    await honest.hello();
    const { id } = await honest.pool("shop");
    const lists = Buffer.concat(
      Array.from({ length: 4096 }, (_, tag) => request(OP.list, 0, [], tag)),
    );
    const reads = request(OP.read, id, new Array(4096).fill([0, PAGE_BYTES]), 1);
    const before = served.rss();
    const hostile = Array.from({ length: 20 }, () => served.open());
    for (const [i, client] of hostile.entries()) {
      await client.hello();
      // Every second one takes what it gets; the others take nothing.
      client.socket.removeAllListeners("data");
      if (i % 2 === 0) client.socket.resume();
      else client.socket.pause();
      flood(client, i % 4 < 2 ? lists : reads);
    }
    const sent = served.counted("reads_total");
    for (let i = 0; i < 20; i++) {
      expect((await honest.read(id, [0, PAGE_BYTES])).status).toBe(STATUS.ok);
    }
    await isServed(served);
    await until("the hostile ones are at it", () => served.counted("reads_total") > sent + 1000);
    for (let i = 0; i < 20; i++) await honest.list();
    // By TLS, what passes through is garbage for a moment.
    expect((served.rss() - before) / MIB).toBeLessThan(isTls ? 450 : 80);
    expect(honest.closed).toBe(false);
  });

  test("a client that does not read its answers holds nothing but its connection", async () => {
    await using host = new TestHost();
    const served = await serving(host, [], isTls);
    const honest = served.open();
    await honest.hello();
    const { id } = await honest.pool("shop");
    const before = served.rss();
    const slow = Array.from({ length: 40 }, () => served.open());
    for (const client of slow) {
      await client.hello();
      client.socket.pause();
      for (let tag = 1; tag <= 8; tag++) {
        client.send(request(OP.read, id, new Array(4096).fill([0, PAGE_BYTES]), tag));
      }
    }
    await until("they are being served", () => served.counted("reads_total") >= 41);
    for (let i = 0; i < 20; i++) await honest.read(id, [0, PAGE_BYTES]);
    await isServed(served);
    await until("what passed through is forgotten", () => (served.rss() - before) / MIB < 100);
    const [first] = slow;
    first!.socket.resume();
    for (let tag = 1; tag <= 8; tag++) {
      expect((await first!.answer()).body.length).toBe(4096 * PAGE_BYTES);
    }
  });

  test("the client with the most connections makes room for one with fewer, and not the other way round", async () => {
    await using host = new TestHost();
    const tokens = join(host.folder, "tokens");
    await Bun.write(tokens, "token-of-many name=many\ntoken-of-few name=few\n");
    const limits = ["--max-connections-each", "8", "--token-file", tokens];
    const served = await serving(host, limits, isTls);
    const many = Array.from({ length: 8 }, () => served.open());
    for (const client of many) expect(await client.hello("token-of-many")).toBe(STATUS.ok);
    // All from one address, and none of them is silent.
    const busy = many.map((client) => ({ client, answers: 0 }));
    for (const each of busy) {
      void (async () => {
        for (; !each.client.closed; each.answers++) await each.client.list();
      })().catch(() => {});
    }
    await until("they are served", () => busy.every(({ answers }) => answers > 2));
    using refused = served.open();
    expect(await refused.hello("token-of-many")).toBe(STATUS.busy);
    const few = Array.from({ length: 4 }, () => served.open());
    for (const client of few) expect(await client.hello("token-of-few")).toBe(STATUS.ok);
    await until("as many have left", () => many.filter(({ closed }) => closed).length === 4);
    using fifth = served.open();
    expect(await fifth.hello("token-of-few")).toBe(STATUS.busy);
    using ninth = served.open();
    expect(await ninth.hello("token-of-many")).toBe(STATUS.busy);
    for (const client of few) expect((await client.list()).length).toBeGreaterThan(0);
    await until("it is counted", () => served.counted("yielded_total") === 4);
  });
});

test("all addresses of this host count as one, also when a client connects from many of them", async () => {
  await using host = new TestHost();
  const served = await serving(host, ["--max-connections-each", "8"], false);
  const open = (last: number) => {
    const client = new WireClient(served.agent.dataPort, undefined, `127.0.0.${last}`);
    host.onEnd(() => client[Symbol.dispose]());
    return client;
  };
  const many = Array.from({ length: 8 }, (_, i) => open(i + 2));
  for (const client of many) expect(await client.hello()).toBe(STATUS.ok);
  expect(await open(20).hello()).toBe(STATUS.busy);
});

test("behind TLS the thread's own port answers nobody but the tunnel", async () => {
  await using host = new TestHost();
  const served = await serving(host, [], true);
  const { pid, dataPort, port } = served.agent;
  const inner = listeningPorts(pid).filter((each) => each !== dataPort && each !== port);
  expect(inner).toHaveLength(1);
  for (const said of [encodeHello("x".repeat(50)), new Uint8Array(100), Buffer.alloc(70_000, 1)]) {
    using client = new WireClient(inner[0]!);
    client.send(said);
    expect((await client.end()).length).toBeLessThan(HELLO_REPLY_BYTES);
  }
  await isServed(served);
});

/** Ports of IPv4 that a process listens on. */
function listeningPorts(pid: number): number[] {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return "";
      }
    }),
  );
  return readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === "0A" && sockets.has(`socket:[${inode}]`))
    .map(([, local]) => Number.parseInt(local!.split(":")[1]!, 16));
}
