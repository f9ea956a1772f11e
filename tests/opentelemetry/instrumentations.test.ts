// Which of OpenTelemetry's instrumentations work on this Bun, each in a program of its own. docs/opentelemetry.md lists
// them: when a line of this table changes, that one does too.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { Recorded } from "../support/recorded.ts";
import { surroundings } from "../support/surroundings.ts";

/** Names of spans and their kinds; some of what they record besides. */
const EXPECTED: readonly (readonly [name: string, spans: readonly string[]])[] = [
  ["http", ["client GET", "server GET"]],
  // Bun's fetch tells nothing to the channels of undici: that is what microview/fetch is for.
  ["undici", []],
  ["express", ["server GET", "internal request handler"]],
  ["koa", ["server GET", "internal middleware - answers"]],
  ["graphql", ["internal graphql.parse", "internal graphql.validate", "internal graphql.execute"]],
  ["fs", ["internal fs readFile"]],
  ["net", ["internal tcp.connect"]],
  ["dns", ["client dns.lookup"]],
  ["pg", ["client pg.connect"]],
  ["pino", ["internal request"]],
];

test.each(EXPECTED)("the instrumentation of %s records what it should", async (name, spans) => {
  await using host = new TestHost();
  const child = host.own(
    Bun.spawn([process.execPath, join(ROOT, "tests/opentelemetry/instrumented.ts"), name], {
      cwd: ROOT,
      env: surroundings({ MICROVIEW_POOL_DIR: host.poolDir, MICROVIEW_SOCKET: host.socketPath }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  const { exitCode, stderr } = await outcomeOf(child);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const recorded = new Recorded(host);
  if (spans.length === 0) {
    // Without any event there is no ring.
    expect(recorded.of("begin")).toEqual([]);
    return;
  }
  const begun = recorded.of("begin");
  const found = begun.map(({ spanKind, name: of }) => `${spanKind} ${of}`);
  expect(found).toEqual(expect.arrayContaining([...spans]));
  const ended = new Set(recorded.of("end").map(({ spanId }) => spanId));
  expect(begun.filter(({ spanId }) => !ended.has(spanId))).toEqual([]);
});
