// The benchmark of reads by RDMA. It is run only where there is a device; to run it in a machine:
// make test-vm ARGS=tests/bench/verbs.test.ts

import { describe, expect, test } from "bun:test";
import { typicalNs } from "../../bench/lib/perftest.ts";
import type { Report } from "../../bench/lib/report.ts";
import { ROOT } from "../../scripts/root.ts";
import { listRdmaPorts } from "../../src/ffi/index.ts";
import { patience } from "../support/speed.ts";

const TIMEOUT_MS = patience(120_000);

describe("what ib_read_lat prints", () => {
  test("is read by the title of its column", () => {
    const output = [
      "---------------------------------------------------------------------------------------",
      " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]",
      " 4096    200          70.25          1056.68      86.38    \t       93.09       ",
      "---------------------------------------------------------------------------------------",
    ].join("\n");
    expect(typicalNs(output)).toBeCloseTo(86_380);
  });

  test("is shown when it cannot be read", () => {
    expect(() => typicalNs(" Couldn't connect to 127.0.0.1:18515")).toThrow("Couldn't connect");
  });
});

describe("the benchmark verbs", () => {
  test.skipIf(listRdmaPorts().length === 0)(
    "counts three READs and one completion per snapshot, and no time of a stopped agent",
    async () => {
      const child = Bun.spawn([process.execPath, "bench/run.ts", "verbs", "--quick", "--json"], {
        cwd: ROOT,
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      const { bench, rows } = JSON.parse(await new Response(child.stdout).text()) as Report;
      expect(bench).toBe("verbs");
      const figures = (unit: string) =>
        rows.filter((row) => row.unit.startsWith(unit)).map(({ ours }) => ours);
      expect(figures("READs")).toEqual([3, 3]);
      expect(figures("completions")).toEqual([1, 1]);
      const stopped = rows.find((row) => row.case.includes("SIGSTOP"));
      expect(stopped?.ours).toBe(0);
      expect(rows.filter((row) => row.case.startsWith("READ of"))).toHaveLength(2);
    },
    TIMEOUT_MS,
  );
});
