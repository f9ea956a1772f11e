// A cluster's workers put together in its primary, also when one side is prom-client itself.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";

const OURS = join(ROOT, "src/prom-client/index.ts");
const THEIRS = require.resolve("prom-client");

const EXPECTED = `\
# HELP requests_total h
# TYPE requests_total counter
requests_total{a="x"} 3
requests_total{a="only 1"} 1
requests_total{a="only 2"} 1

# HELP sum h
# TYPE sum gauge
sum 9

# HELP min h
# TYPE min gauge
min 3

# HELP max h
# TYPE max gauge
max 6

# HELP average h
# TYPE average gauge
average 4.5

# HELP took h
# TYPE took histogram
took_bucket{le="1"} 1
took_bucket{le="2"} 2
took_bucket{le="+Inf"} 2
took_sum 3
took_count 2
`;

describe("a cluster's metrics", () => {
  test.each([
    ["ours, workers ours", OURS, OURS],
    ["prom-client, workers ours", THEIRS, OURS],
    ["ours, workers prom-client", OURS, THEIRS],
  ])("are those of all workers: primary %s", async (_name, primary, worker) => {
    await using host = new TestHost();
    const child = host.own(
      Bun.spawn(
        [process.execPath, join(ROOT, "tests/prom-client/cluster-program.ts"), primary, worker],
        {
          env: surroundings({ MICROVIEW_SOCKET: host.socketPath }),
          stdin: "ignore",
          stdout: "pipe",
          stderr: "inherit",
        },
      ),
    );
    const text = await new Response(child.stdout).text();
    // Which worker answers first decides the order of the two that each has alone.
    const sorted = (lines: string) => lines.split("\n").sort();
    expect(sorted(text)).toEqual(sorted(EXPECTED));
  });
});
