// What `query`, `trace` and `export` ask is understood by a real lake, and what it answers by them.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTrace, perfettoFile, slowTraces } from "../../src/explore/index.ts";
import { treeOf } from "../../src/explore/trace/trace.ts";
import { TestHost } from "../support/host.ts";
import { decodePerfetto, shownOf, withoutPerfetto } from "../support/perfetto.ts";
import { filledLake } from "./fixtures/real-lake.ts";
import { BEGIN_NS, TRACE_ID } from "./fixtures/traces.ts";

describe("a real lake", () => {
  test("tells a trace, by the beginning of its id, with its logs", async () => {
    await using host = new TestHost();
    const client = await filledLake(host);
    const trace = await loadTrace(client, TRACE_ID.slice(0, 8), {});
    expect(trace).toMatchObject({
      traceId: TRACE_ID,
      isCut: false,
      spans: [
        { name: "buy", service: "gateway", parentId: "", kind: "server", beginNs: BEGIN_NS },
        { name: "ask auth", kind: "client", status: "ok" },
        { name: "check", service: "auth", status: "error", properties: { user: "7" } },
      ],
      logs: [{ level: "warn", message: "token refused", timeNs: BEGIN_NS + 6_000_000n }],
    });
    expect(treeOf(trace)).toHaveLength(1);
    expect(await slowTraces(client, {}, 5)).toEqual([
      {
        ...{ traceId: TRACE_ID, beginNs: BEGIN_NS, durationMs: 20, spans: 3, services: 2 },
        ...{ troubles: 1, service: "gateway", name: "buy" },
      },
    ]);
  });

  test("gives all that an export for Perfetto needs", async () => {
    await using host = new TestHost();
    const client = await filledLake(host);
    for (const traceId of [undefined, TRACE_ID]) {
      const counts = { spans: 0, logs: 0, measures: 0 };
      const options = { range: {}, traceId, rowsPerSlice: 2 };
      const pieces = await Array.fromAsync(perfettoFile(client, options, counts));
      expect(counts).toEqual({ spans: 3, logs: 1, measures: 0 });
      if (withoutPerfetto() !== undefined) continue;
      const path = join(host.folder, "file.pftrace");
      writeFileSync(path, Buffer.concat(pieces));
      const { packets } = await decodePerfetto(path);
      expect(shownOf(packets).map(({ name, track, depth }) => [name, track, depth])).toEqual([
        ["buy", "shop/gateway > async", 0],
        ["ask auth", "shop/gateway > async", 1],
        ["check", "shop/auth > async", 0],
        ["token refused", "shop/auth > main", undefined],
      ]);
    }
  });

  test("lists its tables, and says where an error in SQL is", async () => {
    await using host = new TestHost();
    const client = await filledLake(host);
    const tables = await client.tables();
    expect(tables.map(({ name }) => name)).toContain("spans");
    expect(tables.find(({ name }) => name === "log_entries")!.columns).toContainEqual({
      name: "message",
      type: "VARCHAR",
    });
    const failed = await client.rows("select nmae from spans", {}).catch((error) => error);
    expect(failed).toMatchObject({ name: "LakeError", position: 7 });
  });
});
