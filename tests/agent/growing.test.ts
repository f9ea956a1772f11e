// Hosts are upgraded one after the other: an agent goes on with the pool of one version before or after, as with one that
// this version wrote once, and collectors read it, in every way. What the agent must know and does not, it leaves alone.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { HEADER, LAYOUT_VERSION, RecordWriter } from "../../src/layout/index.ts";
import { collect } from "../support/collecting.ts";
import {
  ANOTHER,
  addUnknown,
  fixture,
  type Growth,
  grown,
  HINT,
  HINT_AND_ANOTHER,
  leave,
} from "../support/grown.ts";
import { TestHost } from "../support/host.ts";
import { MockVerbs } from "../support/mock-verbs.ts";
import { totals } from "../support/pools.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

const OTHERS: [string, number, Growth][] = [
  ["of the version before", LAYOUT_VERSION - 1, {}],
  ["of this version", LAYOUT_VERSION, {}],
  [
    "of the version after",
    LAYOUT_VERSION,
    { version: LAYOUT_VERSION + 1, compatible: 4, records: [HINT, ANOTHER] },
  ],
];
const NEVER_MS = 1e9;

let mock: MockVerbs;
beforeAll(() => {
  mock = new MockVerbs();
});
afterAll(() => mock[Symbol.dispose]());

describe.each(OTHERS)("a pool %s", (_, written, growth) => {
  const { bytes, read } = fixture(written);
  const version = growth.version ?? written;

  test("is adopted and gone on with, in its own version, and no total changes", async () => {
    await using host = new TestHost();
    const path = leave(host, grown(bytes, growth));
    const agent = await host.agent({ scanIntervalMs: NEVER_MS });
    const application = agent.pools.get("shop");
    expect(totals(application.pool)).toEqual(read.totals);
    // Its writers hold no lock: they are dead, and are folded.
    agent.scan(Date.now() + 60_000);
    expect(application.writers()).toEqual([]);
    const mv = host.client();
    mv.counter("requests_total", { labels: ["route", "method"] })
      .labels("/login", "POST")
      .inc(5);
    await mv.ready;
    const login = 'auth/requests_total["/login","POST"]';
    const expected = { ...read.totals, [login]: [read.totals[login]![0]! + 5] };
    expect(totals(application.pool)).toEqual(expected);
    expect(readFileSync(path).readUInt32LE(HEADER.version)).toBe(version);
    // Written again, it has what this version knows.
    application.pool.compact();
    expect(totals(application.pool)).toEqual(expected);
    expect(application.directory.skipped.size).toBe(0);
    expect(application.directory.damage).toEqual([]);
  });

  test("is told of in the log when it is adopted", async () => {
    await using host = new TestHost();
    leave(host, grown(bytes, growth));
    await host.agent();
    const adopted = host.log.find(({ message }) => message === "pool adopted");
    const said = version === LAYOUT_VERSION ? undefined : version;
    expect([adopted?.["app"], adopted?.["layout"]]).toEqual(["shop", said]);
    const more = host.log.filter(
      ({ message }) => message === "a pool has more than this agent knows",
    );
    const left = growth.records === undefined ? [] : [HINT_AND_ANOTHER];
    expect(more.map(({ leftOut }) => String(leftOut).split(": ").at(-1))).toEqual(left);
  });

  test.each(["mmap", "tcp", "verbs"] as const)(
    "is read by %s, and what is left out is said once",
    async (transport) => {
      await using host = new TestHost();
      leave(host, grown(bytes, growth));
      const agent = await host.agent({ scanIntervalMs: NEVER_MS, ...mock.agent() });
      const ways = { mmap: { transport }, tcp: { transport }, verbs: mock.collector() } as const;
      const { events, latest, collector } = collect(host, ways[transport]);
      const values = (of: string) =>
        [...latest].filter(([key]) => key.includes(` shop ${of}`)).map(([, value]) => value);
      await until("it is read", () => latest.size > 0);
      // It reads on, also behind more records.
      const application = agent.pools.get("shop");
      application.attach({ service: "auth", pid: 1, threadId: 0 });
      const more = new RecordWriter();
      for (const type of growth.records ?? []) addUnknown(more.bytes, type);
      application.pool.commit(more);
      const before = collector.statistics[0]!.snapshots;
      await until("it reads on", () => collector.statistics[0]!.snapshots > before + 2);
      expect(values("auth requests_total{")).toEqual([12, 0.5]);
      expect(values("cart items_total{")).toEqual([2 ** 53]);
      const told = events.filter(({ kind }) => kind === "partial" || kind === "damaged");
      const expected: typeof told =
        growth.records === undefined ? [] : [expect.objectContaining({ kind: "partial" })];
      expect(told).toEqual(expected);
    },
  );
});

describe("a pool that one must know more to read", () => {
  const { bytes } = fixture(LAYOUT_VERSION);
  const cases: [string, Growth, string][] = [
    ["of two versions after", { version: LAYOUT_VERSION + 2 }, "has layout version"],
    [
      "of a feature that is unknown",
      { incompatible: 2 },
      "features that this microview does not know (0x2)",
    ],
  ];
  test.each(cases)("%s is left as it is, under its name, and said", async (_, growth, reason) => {
    await using host = new TestHost();
    const image = grown(bytes, growth);
    const path = leave(host, image);
    const agent = await host.agent();
    agent.scan();
    expect(Buffer.compare(readFileSync(path), image)).toBe(0);
    const [line] = host.log.filter(({ level }) => level === "error");
    expect(line).toMatchObject({ message: "a pool is not used", path });
    expect(line!["reason"]).toContain(reason);
    const mv = host.client();
    mv.counter("requests_total").inc();
    const warning = await until("the service is told", () => host.warnings[0]);
    expect(warning).toMatchObject({
      code: "pool-unknown",
      message: expect.stringContaining(reason),
    });
    expect(warning.hint).toStartWith("start an agent of a version that reads it");
    const found = await mv.ready;
    expect(JSON.parse(JSON.stringify(found))).toEqual({
      attached: false,
      reason: { code: warning.code, message: warning.message, hint: warning.hint },
    });
    const own = host.view("microview");
    expect(own.value("agent", "microview_agent_pools_left_alone_total")).toBe(1);
    expect(own.value("agent", "microview_agent_pools_set_aside_total") ?? 0).toBe(0);
    // Taken away, it is said once that the service is attached.
    rmSync(path);
    await until("it is attached", () => host.warnings.some(({ code }) => code === "attached"));
    await host.shows(1, "requests_total");
    expect(host.warnings.map(({ code }) => code)).toEqual(["pool-unknown", "attached"]);
  });
});
