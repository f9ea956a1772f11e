// What a collector may not do by RDMA: write, read beyond what it was given, or read what is another's. Whoever tries
// loses its queue pair; the agent and everybody else go on.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { RdmaRegion } from "../../../src/rest/index.ts";
import { call } from "../../support/calls.ts";
import { collect } from "../../support/collecting.ts";
import type { AgentProcess } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { Intruder, type Link, OPCODE, STATUS } from "./support/intruder.ts";
import { MachineHost, overTcp, PATIENT, writeTokens } from "./support/rig.ts";

const COUNTED = "requests_total";
const REFUSED = "microview_agent_rdma_refused_total";
const MAX_PAIRS = 16;
const TOKENS = {
  reader: ["reader-0123456789abcdef", ""],
  shop: ["shop-0123456789abcdef", "apps=shop"],
  bank: ["bank-0123456789abcdef", "apps=bank"],
} as const;

let host: MachineHost;
let agent: AgentProcess;
/** Sees everything, and is not to be disturbed. */
let honest: ReturnType<typeof collect>;

beforeAll(async () => {
  host = new MachineHost();
  const tokenFile = writeTokens(host, TOKENS);
  agent = await host.start(["--token-file", tokenFile, "--max-queue-pairs", String(MAX_PAIRS)]);
  for (const [app, value] of [["shop", 7] as const, ["bank", 11] as const]) {
    host.client({ app, service: "till" }).counter(COUNTED).inc(value);
  }
  honest = collect(host, {
    ...{
      targets: [target()],
      token: TOKENS.reader[0],
      transport: "verbs",
      verbs: PATIENT,
      intervalMs: 100,
    },
    filter: { apps: ["shop", "bank"], services: [], metrics: [] },
  });
  await until("both are read", () => read("shop") === 7 && read("bank") === 11);
});

afterAll(() => host?.[Symbol.asyncDispose]());

const target = () => ({ host: "127.0.0.1", port: agent.port });
const read = (app: string) => honest.latest.get(`127.0.0.1:${agent.port} ${app} till ${COUNTED}{}`);

describe("a queue pair of shop", () => {
  type Attempt = (
    link: Link,
    header: RdmaRegion,
    pages: RdmaRegion,
    foreign: number,
  ) => Promise<number>;
  const attempts: Record<string, Attempt> = {
    "to write": (link, _, { offset, key }) => link.ask(OPCODE.write, offset, 8, key),
    "to swap a value": (link, _, { offset, key }) => link.ask(OPCODE.swap, offset, 8, key),
    "to add to a value": (link, _, { offset, key }) => link.ask(OPCODE.add, offset, 8, key),
    "to read before the header": (link, { key }) => link.read(-4096, 4096, key),
    "to read from before the header on": (link, { key }) => link.read(-8, 16, key),
    "to read behind the header": (link, { bytes, key }) => link.read(bytes, 8, key),
    "to read the journal": (link, _, { offset, key }) => link.read(offset - 4096, 64, key),
    "to read behind the last page": (link, _, pages) =>
      link.read(pages.offset + pages.bytes, 8, pages.key),
    "to read from the last page on": (link, _, pages) =>
      link.read(pages.offset + pages.bytes - 8, 16, pages.key),
    "to read the header by the key of the pages": (link, _, { key }) => link.read(0, 8, key),
    "to read by a key that nobody has": (link, _, { offset, key }) =>
      link.read(offset, 8, key ^ 0x5a),
    "to read by a key of bank": (link, _, { offset }, foreign) => link.read(offset, 8, foreign),
  };
  /** What became of READs that are allowed, and then of the attempts. */
  const before = new Map<string, number>();
  const outcomes = new Map<string, number>();
  let refused = 0;
  let left: readonly { app: string; token: string }[] = [];

  beforeAll(async () => {
    await using intruder = await Intruder.open(overTcp(agent, { token: TOKENS.shop[0] }));
    await using other = await Intruder.open(overTcp(agent, { token: TOKENS.bank[0] }));
    const foreign = (await other.connect("bank")).answer.regions.at(-1)!.key;
    const { snapshots } = honest.collector.statistics[0]!;
    for (const [what, attempt] of Object.entries(attempts)) {
      const link = await intruder.connect("shop");
      const { regions } = link.answer;
      const [header, pages] = [regions[0]!, regions.at(-1)!];
      before.set(what, await link.read(pages.offset, 4096, pages.key));
      outcomes.set(what, await attempt(link, header, pages, foreign));
    }
    const pairs = async () => {
      left = await call(host.rest, "GET /v1/rdma/queue-pairs", {});
      return left;
    };
    await until("those of the intruder are gone", async () =>
      (await pairs()).every(({ token }) => token !== "shop"),
    );
    await until(
      "the others are read on",
      () => honest.collector.statistics[0]!.snapshots > snapshots + 2,
    );
    refused = await host.metric(REFUSED);
  });

  for (const what of Object.keys(attempts)) {
    test(`is refused an attempt ${what}`, () => {
      expect(before.get(what)).toBe(STATUS.success);
      // A queue pair that may only be read takes no other request for one.
      expect(outcomes.get(what)).toBe(
        what.startsWith("to read") ? STATUS.remoteAccess : STATUS.invalidRequest,
      );
    });
  }

  test("is ended and counted for each of them, and no other is", () => {
    expect(refused).toBe(outcomes.size);
    expect(left.map(({ token, app }) => `${token} ${app}`).sort()).toEqual([
      "bank bank",
      "reader bank",
      "reader shop",
    ]);
    expect(honest.gaps).toEqual([]);
    expect(agent.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("answers no more when its session has ended", async () => {
    await using one = await Intruder.open(overTcp(agent, { token: TOKENS.shop[0] }));
    const link = await one.connect("shop");
    const { offset, key } = link.answer.regions.at(-1)!;
    expect(await link.read(offset, 8, key)).toBe(STATUS.success);
    const { queuePairs } = await host.rdma();
    one.session.close();
    await until("it is gone", async () => (await host.rdma()).queuePairs < queuePairs);
    expect(await link.read(offset, 8, key)).toBe(STATUS.unanswered);
  });
});

describe("a token for one application", () => {
  const rest = (name: keyof typeof TOKENS) => overTcp(agent, { token: TOKENS[name][0] });

  test("reads that application by RDMA, and nothing else", async () => {
    const one = collect(host, {
      targets: [target()],
      token: TOKENS.bank[0],
      transport: "verbs",
      verbs: PATIENT,
    });
    await until("it is read", () => one.collector.statistics[0]!.snapshots > 1);
    await one.collector.stop();
    expect([...one.latest]).toEqual([[`127.0.0.1:${agent.port} bank till ${COUNTED}{}`, 11]]);
  });

  test("is shown that application's pool alone, and its own queue pairs", async () => {
    await using one = await Intruder.open(rest("bank"));
    await one.connect("bank");
    const { pools } = await call(rest("bank"), "GET /v1/rdma", {});
    expect(pools.map(({ app }) => app)).toEqual(["bank"]);
    const pairs = await call(rest("bank"), "GET /v1/rdma/queue-pairs", {});
    expect(pairs.map(({ token }) => token)).toEqual(["bank"]);
  });

  test("gets no queue pair for another, which it cannot tell from one that does not exist", async () => {
    await using one = await Intruder.open(rest("bank"));
    const refusal = (app: string) =>
      one.connect(app).then(
        () => "none",
        ({ message }) => message.replaceAll(app, "APP"),
      );
    expect(await refusal("shop")).toContain("(404)");
    expect(await refusal("shop")).toBe(await refusal("nowhere"));
  });

  test("cannot use another's session or queue pair", async () => {
    await using own = await Intruder.open(rest("shop"));
    const { answer } = await own.connect("shop");
    for (const name of ["bank", "reader"] as const) {
      const there = rest(name);
      expect(call(there, "POST /v1/rdma/queue-pairs/:id/regions", answer)).rejects.toThrow("(404)");
      expect(call(there, "DELETE /v1/rdma/queue-pairs/:id", answer)).rejects.toThrow("(404)");
    }
  });

  test("has as many queue pairs as it may, and no other token fewer for it", async () => {
    await using one = await Intruder.open(rest("bank"));
    await Promise.all(Array.from({ length: MAX_PAIRS }, () => one.connect("bank")));
    expect(one.connect("bank")).rejects.toThrow("--max-queue-pairs");
    await using other = await Intruder.open(rest("shop"));
    await other.connect("shop");
  });
});
