// What `microview export --perfetto` writes, read back by Perfetto's own schema.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Lanes } from "../../src/explore/perfetto/lanes.ts";
import { type PacketSpan, TracePackets } from "../../src/explore/perfetto/trace-packets.ts";
import { TestHost } from "../support/host.ts";
import { decodePerfetto, shownOf, withoutPerfetto } from "../support/perfetto.ts";
import { BEGIN_NS } from "./fixtures/traces.ts";

const reason = withoutPerfetto();
const why = reason === undefined ? "" : ` (skipped: ${reason})`;

const AUTH = { processId: "p1", app: "shop", service: "auth", host: "host-1", thread: 0 };

function span(rest: Partial<PacketSpan>): PacketSpan {
  return {
    ...AUTH,
    ...{ spanId: "1", parentId: "", traceId: "t", name: "request", kind: "internal" },
    ...{ status: "ok", isAsync: false, target: "", place: "", properties: null },
    ...{ beginNs: BEGIN_NS, endNs: BEGIN_NS + 100n, ...rest },
  };
}

async function readBack(packets: TracePackets) {
  await using host = new TestHost();
  const path = join(host.folder, "file.pftrace");
  writeFileSync(path, packets.take());
  const { unknown, packets: read } = await decodePerfetto(path);
  expect(unknown).toEqual([]);
  return { shown: shownOf(read), read };
}

describe.skipIf(reason !== undefined)(`Perfetto${why}`, () => {
  test("reads spans as slices on the tracks of their threads, with what is known of them", async () => {
    const packets = new TracePackets(() => 4711);
    packets.span(
      span({
        ...{ target: "http", place: "auth.ts:7", properties: { user: "7" } },
        ...{ kind: "server", parentId: "00000000000000ff" },
      }),
    );
    packets.span(
      span({
        spanId: "2",
        parentId: "1",
        name: "hash",
        beginNs: BEGIN_NS + 10n,
        endNs: BEGIN_NS + 20n,
      }),
    );
    packets.span(span({ spanId: "3", thread: 2, name: "work", endNs: undefined, status: "lost" }));
    const { shown, read } = await readBack(packets);
    expect(shown).toMatchObject([
      {
        ...{ kind: "slice", name: "request", track: "shop/auth > main", depth: 0 },
        ...{ beginNs: BEGIN_NS, endNs: BEGIN_NS + 100n, category: "span", flows: ["255"] },
        annotations: {
          ...{ trace_id: "t", span_id: "1", status: "ok", target: "http", place: "auth.ts:7" },
          user: "7",
        },
      },
      { name: "work", track: "shop/auth > thread 2", annotations: { status: "lost" } },
      { name: "hash", track: "shop/auth > main", depth: 1, endNs: BEGIN_NS + 20n },
    ]);
    expect(shown[1]!.endNs).toBeUndefined();
    expect(read.find((each) => each.track_descriptor?.process)?.track_descriptor?.process).toEqual({
      pid: 4711,
      process_name: "shop/auth",
      process_labels: ["host-1"],
    });
    expect(read[0]!.clock_snapshot!.clocks.map(({ timestamp }) => timestamp)).toEqual([
      String(BEGIN_NS),
      String(BEGIN_NS),
    ]);
  });

  test("reads logs as instants and measures as counters in their units", async () => {
    const packets = new TracePackets(() => undefined);
    const rest = { target: "", spanId: "1", properties: [{ key: "user", value: "7" }] };
    packets.log({ ...AUTH, ...rest, timeNs: BEGIN_NS, level: "warn", message: "slow 漢字 \ud800" });
    const latency = { ...AUTH, name: "latency", unit: "seconds" };
    packets.measure({ ...latency, timeNs: BEGIN_NS + 1n, value: 0.25 });
    packets.measure({ ...latency, timeNs: BEGIN_NS + 2n, value: -1e300 });
    const { shown, read } = await readBack(packets);
    expect(shown).toMatchObject([
      {
        ...{ kind: "instant", name: "slow 漢字 \ufffd", track: "shop/auth > main" },
        ...{ category: "log.warn", annotations: { level: "warn", user: "7" } },
      },
      { kind: "counter", track: "shop/auth > latency", value: 0.25 },
      { kind: "counter", track: "shop/auth > latency", value: -1e300 },
    ]);
    const counters = read.flatMap(({ track_descriptor: track }) => track?.counter ?? []);
    expect(counters).toEqual([{ unit_name: "seconds" }]);
  });

  test("keeps processes apart that share a number, and draws arrows between services", async () => {
    const packets = new TracePackets(() => 7);
    packets.span(span({ spanId: "00000000000000aa", kind: "client" }));
    packets.span(
      span({
        ...{ processId: "p2", service: "orders", spanId: "bb", parentId: "00000000000000aa" },
        ...{ kind: "server", beginNs: BEGIN_NS + 1n },
      }),
    );
    const { shown, read } = await readBack(packets);
    expect(shown.map(({ track, flows }) => [track, flows])).toEqual([
      ["shop/auth > main", ["170"]],
      ["shop/orders > main", ["170"]],
    ]);
    const pids = read.flatMap(({ track_descriptor: track }) => track?.process?.pid ?? []);
    expect(new Set(pids).size).toBe(2);
  });

  test("gives each span back with its begin and end, whatever overlaps", async () => {
    const at = fc.bigInt({ min: 0n, max: 60n });
    const some = fc.array(fc.tuple(at, at, fc.boolean(), fc.nat(12)), {
      minLength: 1,
      maxLength: 60,
    });
    for (const list of fc.sample(some, 15)) {
      const spans = list
        .map(([begin, length, isAsync], i) =>
          span({
            ...{ spanId: `s${i}`, name: `n${i}`, isAsync, parentId: `s${list[i]![3]}` },
            ...{ beginNs: BEGIN_NS + begin, endNs: BEGIN_NS + begin + length + 1n },
          }),
        )
        .sort((a, b) => Number(a.beginNs - b.beginNs));
      const packets = new TracePackets(() => 1);
      for (const each of spans) packets.span(each);
      const { shown } = await readBack(packets);
      const key = (each: { name: string; beginNs: bigint; endNs?: bigint | undefined }) =>
        `${each.name} ${each.beginNs} ${each.endNs}`;
      expect(shown.map(key).sort()).toEqual(spans.map(key).sort());
    }
  });
});

describe("lanes", () => {
  test("have spans below their parents where these enclose them", () => {
    const lanes = new Lanes(false);
    expect([
      lanes.place("a", "", 0n, 100n),
      lanes.place("b", "", 10n, 50n),
      lanes.place("a1", "a", 20n, 90n),
      lanes.place("b1", "b", 30n, 60n),
      lanes.place("c", "", 200n, 210n),
    ]).toEqual([0, 1, 0, 2, 0]);
  });

  test("of a thread are one while its spans nest, whatever their parents are", () => {
    const lanes = new Lanes(true);
    expect([
      lanes.place("a", "", 0n, 100n),
      lanes.place("b", "gone", 10n, 50n),
      lanes.place("c", "gone", 20n, 70n),
      lanes.place("d", "", 60n, undefined),
    ]).toEqual([0, 0, 1, 2]);
  });
});
