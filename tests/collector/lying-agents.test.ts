// What answers where an agent was expected may be anything: it takes neither memory without end nor the collector.

import { expect, test } from "bun:test";
import { AgentClient } from "../../src/collector/agent-client.ts";
import { discover, VERBS_DEFAULTS } from "../../src/collector/discovery.ts";
import { parseEndpoint, parsePools, parseQueuePair } from "../../src/collector/verbs-answers.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";

const MIB = 1 << 20;
const RDMA = { call: "GET /v1/rdma", values: {}, body: undefined } as const;
const OPTIONS = { transport: "tcp", verbs: VERBS_DEFAULTS } as const;

/** Answers each request by a body without an end. */
function endless(piece: string) {
  const bytes = new TextEncoder().encode(piece);
  const sent = { bytes: 0 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () =>
      new Response(
        new ReadableStream(
          {
            pull(controller) {
              sent.bytes += bytes.length;
              controller.enqueue(bytes);
            },
          },
          { highWaterMark: 0 },
        ),
      ),
  });
  return { target: { host: "127.0.0.1", port: server.port! }, sent, server };
}

test("an answer without an end is read up to what an agent would say", async () => {
  for (const piece of ["[".repeat(64 << 10), " ".repeat(64 << 10)]) {
    const { target, sent, server } = endless(piece);
    await expect(discover(target, OPTIONS)).rejects.toThrow("is not a microview agent");
    const call = new AgentClient(target, {}).ask(RDMA);
    await expect(call).rejects.toThrow("the agent refuses (200)");
    // Two answers, with what the sockets hold.
    expect(sent.bytes).toBeLessThan(64 * MIB);
    void server.stop(true);
  }
});

test("answers that are no objects are no agent's", async () => {
  for (const body of ["null", "7", '"healthy"', "[]", '{"status":"healthy"}', "[".repeat(1000)]) {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(body) });
    const target = { host: "127.0.0.1", port: server.port! };
    await expect(discover(target, OPTIONS)).rejects.toThrow(/is not a microview agent|version/);
    void server.stop(true);
  }
});

test("a greeting of RDMA that is no JSON is an error and ends nothing else", async () => {
  for (const greeting of ["no JSON", "null", "[".repeat(MIB), '{"session":7}']) {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, its) =>
        its.upgrade(request) ? undefined : new Response("", { status: 400 }),
      websocket: { open: (socket) => void socket.send(greeting), message: () => {} },
    });
    const agent = new AgentClient({ host: "127.0.0.1", port: server.port! }, {});
    await expect(VerbsSession.open(agent)).rejects.toThrow("its greeting makes no sense");
    void server.stop(true);
  }
});

test("words that a terminal would act upon, or that would look like a line of ours, are shown without that", async () => {
  const evil = `\u001b[31mred\u001b]0;title\u0007\nmicrovw: all is well\u202e${"x".repeat(5000)}`;
  for (const status of [403, 429, 500]) {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ code: evil, message: evil, hint: evil }, { status }),
    });
    const target = { host: "127.0.0.1", port: server.port! };
    const errors = await Promise.all([
      discover(target, OPTIONS).catch(String),
      new AgentClient(target, {}).ask(RDMA).catch(String),
    ]);
    for (const error of errors) {
      expect(error).toMatch(/refuses|asks to wait|is not a microview agent/);
      expect(error).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(String(error).length).toBeLessThan(1500);
    }
    void server.stop(true);
  }
});

test("a reason for having no RDMA is shown so too, and a list of pools may have anything in it", () => {
  const evil = `\u001b[31mred\nmicroview: all is well${"x".repeat(5000)}`;
  const { message } = parsePools({ endpoint: null, reason: evil, pools: [] }) as Error;
  expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(message.length).toBeLessThan(600);
  expect(String(parsePools({ endpoint: null, reason: [evil] }))).toContain("it gives no reason");
  expect(String(parsePools({ endpoint: {}, pools: [null] }))).toContain("cannot be read");
});

test("an end of RDMA, a queue pair or regions that no agent would have are not believed", () => {
  const endpoint = { linkLayer: "Ethernet", gid: "", gidType: "RoCE v2", managerPort: null };
  expect(parseEndpoint({ endpoint })).toEqual(endpoint as never);
  for (const wrong of [7, {}, { ...endpoint, gid: 5 }, { ...endpoint, managerPort: "x" }]) {
    expect(parseEndpoint({ endpoint: wrong })).toBe("the agent's answer about RDMA makes no sense");
  }
  const pair = { id: 1, number: 2, psn: 3, gid: "", lid: 0, mtu: 1024, reads: 16, regions: [] };
  expect(parseQueuePair({ ...pair, manager: { port: 9, ticket: "t" } }).manager?.port).toBe(9);
  const lies = [
    { mtu: 1000 },
    { reads: 0 },
    { gid: "g" },
    { regions: [null] },
    { regions: [{ offset: 0, bytes: 0, key: 1 }] },
    { manager: 7 },
    { manager: { port: 70_000, ticket: "t" } },
    { manager: { port: 9 } },
  ];
  for (const lie of [null, 7, ...lies.map((each) => ({ ...pair, ...each }))]) {
    expect(() => parseQueuePair(lie)).toThrow("makes no sense");
  }
});

test("what a collector says by itself is a line, whatever agents are called or say", async () => {
  const program = `
    const { Collector } = await import("../../src/collector/index.ts");
    const collector = new Collector({
      targets: [{ host: "127.0.0.1", port: Number(process.argv[1]) }],
      ...{ intervalMs: 10, transport: "verbs", onSnapshot() {} },
    });
    collector.start();
    await Bun.stdin.text();
    await collector.stop();
  `;
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.json({ message: "\\" }, { status: 429 }),
  });
  const child = Bun.spawn([process.execPath, "-e", program, `${server.port}`], {
    ...{ cwd: import.meta.dir, stdin: "pipe", stderr: "pipe" },
  });
  let said = "";
  for await (const piece of child.stderr) {
    said += new TextDecoder().decode(piece);
    if (said.includes("\n")) break;
  }
  child.stdin.end();
  await child.exited;
  expect(said).toContain("asks to wait: \\\\");
});
