// OpenTelemetry's SDK of Python feeds a lake by OTLP, as it comes from PyPI.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { TestHost } from "../support/host.ts";
import { keptIn, lakeOf } from "../support/lakes.ts";
import { outcomeOf } from "../support/outcome.ts";
import { pythonWith } from "../support/python.ts";

const VERSION = "1.45.2";
const python = pythonWith(`otlp-${VERSION}`, [
  `opentelemetry-sdk==${VERSION}`,
  `opentelemetry-exporter-otlp-proto-http==${VERSION}`,
]);

test.skipIf(python === undefined)(
  "OpenTelemetry's SDK of Python logs, traces and counts into a lake",
  async () => {
    await using host = new TestHost();
    const { lake } = await lakeOf(host);
    const child = host.own(
      Bun.spawn([python!, join(import.meta.dir, "fixtures/otlp.py"), lake.url], {
        ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
        env: { PATH: process.env["PATH"] },
      }),
    );
    const { exitCode, stdout, stderr } = await outcomeOf(child);
    expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("Failed to export")]);
    const { logs, spans, measures, processes } = await keptIn(lake.dir);
    expect(processes.map(({ app, service, host }) => [app, service, host])).toEqual([
      ["shop", "ledger", "py"],
    ]);
    const traceId = stdout.trim();
    expect(new Set(logs.map(({ message }) => message)).size).toBe(1_000);
    for (const { level, target, properties } of logs) {
      expect([level, target]).toEqual([2, "ledger.book"]);
      const { number, trace_id } = JSON.parse(properties as string);
      expect([typeof number, trace_id]).toEqual(["number", traceId]);
    }
    expect(spans).toHaveLength(1);
    expect(spans[0]).toMatchObject({ name: "book", target: "ledger", status: 1 });
    expect(JSON.parse(spans[0]!["properties"] as string)).toMatchObject({
      "otel.events": [{ name: "exception", attributes: { "exception.message": "no money" } }],
    });
    const entries = measures.filter(({ name }) => name === "entries");
    expect(entries.map(({ value, target }) => [value, target])).toEqual([[1_000, "counter"]]);
  },
);
