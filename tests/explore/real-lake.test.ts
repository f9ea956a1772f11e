// What `query`, `trace` and `export` ask is understood by a real lake, and what it answers by them.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { LakeClient, loadTrace, perfettoFile, slowTraces } from "../../src/explore/index.ts";
import { treeOf } from "../../src/explore/trace/trace.ts";
import { createLog } from "../../src/guard/index.ts";
import { startLake } from "../../src/lake/index.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { BEGIN_NS, TRACE_ID } from "./fixtures/traces.ts";

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

/** A request through two services, by OTLP. */
function resource(service: string) {
  return {
    attributes: [
      ...[text("service.namespace", "shop"), text("service.name", service)],
      ...[text("host.name", "host-1"), { key: "process.pid", value: { intValue: 4711 } }],
    ],
  };
}

function span(spanId: string, parentSpanId: string, name: string, kind: number, fromMs: number) {
  const startTimeUnixNano = String(BEGIN_NS + BigInt(fromMs) * 1_000_000n);
  const endTimeUnixNano = String(BEGIN_NS + 20_000_000n - BigInt(fromMs) * 1_000_000n);
  const times = { startTimeUnixNano, endTimeUnixNano };
  return { traceId: TRACE_ID, spanId, parentSpanId, name, kind, ...times };
}

const TRACES = {
  resourceSpans: [
    {
      resource: resource("gateway"),
      scopeSpans: [
        {
          spans: [
            span("00000000000000a1", "", "buy", 2, 0),
            span("00000000000000a2", "00000000000000a1", "ask auth", 3, 2),
          ],
        },
      ],
    },
    {
      resource: resource("auth"),
      scopeSpans: [
        {
          spans: [
            {
              ...span("00000000000000b1", "00000000000000a2", "check", 2, 5),
              status: { code: 2 },
              attributes: [text("user", "7")],
            },
          ],
        },
      ],
    },
  ],
};

const LOGS = {
  resourceLogs: [
    {
      resource: resource("auth"),
      scopeLogs: [
        {
          logRecords: [
            {
              timeUnixNano: String(BEGIN_NS + 6_000_000n),
              severityNumber: 13,
              body: { stringValue: "token refused" },
              ...{ traceId: TRACE_ID, spanId: "00000000000000b1" },
            },
          ],
        },
      ],
    },
  ],
};

async function filledLake(host: TestHost): Promise<LakeClient> {
  const lake = await startLake({
    ...{ dir: join(host.folder, "lake"), host: "127.0.0.1", port: 0, version: "0.0.0-test" },
    ...{ insecure: false, allowHosts: [], log: createLog("error", true, () => {}) },
  });
  host.onEnd(() => lake.stop());
  for (const [path, body] of Object.entries({ traces: TRACES, logs: LOGS })) {
    const response = await fetch(`${lake.url}/v1/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
  }
  const client = new LakeClient({ url: lake.url });
  await until("the log is in its table", async () => {
    const [row] = await client.rows("select count(*) as n from log_entries", {});
    return row?.["n"] === 1;
  });
  return client;
}

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
    for (const traceDigits of [undefined, TRACE_ID]) {
      const counts = { spans: 0, logs: 0, measures: 0 };
      let bytes = 0;
      const options = { range: {}, traceDigits, rowsPerSlice: 2 };
      for await (const piece of perfettoFile(client, options, counts)) bytes += piece.length;
      expect(counts).toEqual({ spans: 3, logs: 1, measures: 0 });
      expect(bytes).toBeGreaterThan(300);
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
