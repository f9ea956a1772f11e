// Replays of OpenTelemetry instruments, whose points may have different sets of attributes.

import { expect, test } from "bun:test";
import { RecordedPool } from "../../../src/sinks/recording/recorded-pool.ts";
import { define } from "../../support/pools.ts";

test("a name with several sets of attributes keeps all of its series in a replay", () => {
  const pool = new RecordedPool("host:7070", "shop");
  const of = (labelNames: string[]) => ({
    ...define.counter("requests", labelNames),
    dialect: "opentelemetry" as const,
  });
  const series = [
    { definition: of(["route"]), labelValues: ["/"] },
    { definition: of(["method", "route"]), labelValues: ["GET", "/"] },
    { definition: of([]), labelValues: [] },
  ];
  const rest = { service: "auth", sinceMs: 0, writer: undefined };
  const places = series.map((each, i) => pool.add({ series: i + 1, ...rest, ...each }));
  for (const [i, { at }] of places.entries()) pool.slots[at] = i + 1;
  expect([...pool.gather()]).toEqual([1, 2, 3]);
  expect([...pool.directory.metrics.values()].filter(({ retired }) => retired)).toEqual([]);
});
