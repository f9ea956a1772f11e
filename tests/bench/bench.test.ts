// Every benchmark runs and tells what it measured in the agreed form. How fast things were is not judged here.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { ROOT } from "../../scripts/root.ts";
import { outcomeOf } from "../support/outcome.ts";
import { patience } from "../support/speed.ts";

const NAMES = [
  "update",
  "event",
  "blocks",
  "query",
  "collect",
  "tcp",
  "impact",
  "event-impact",
  "agent",
  "strategies",
  "exposition",
  "frameworks",
  "prom-client",
  "opentelemetry",
  "remote-write",
  "otlp",
  "files",
];
const TIMEOUT_MS = patience(60_000);

async function bench(...args: string[]) {
  const child = Bun.spawn([process.execPath, "bench/run.ts", ...args], {
    cwd: ROOT,
    env: { ...process.env, MICROVIEW_BENCH_TURN_S: String(patience(0.3)) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return { ...(await outcomeOf(child)), pid: child.pid };
}

/** What a benchmark made and did not clear away. */
function leftovers(pid: number): string[] {
  const isOurs = (name: string) => name.startsWith(`microview-bench-${pid}-`);
  return [...readdirSync("/dev/shm"), ...readdirSync(tmpdir())].filter(isOurs);
}

function expectFinite(value: unknown): void {
  expect(value).toBeNumber();
  expect(Number.isFinite(value)).toBeTrue();
}

describe("a benchmark", () => {
  test.each(NAMES)(
    "%s prints one JSON object with its rows, and leaves nothing behind",
    async (name) => {
      const { exitCode, stdout, stderr, pid } = await bench(name, "--quick", "--json");
      expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({
        exitCode: 0,
        stderr: "",
      });
      const report = JSON.parse(stdout);
      expect(Object.keys(report)).toEqual(["bench", "machine", "rows"]);
      expect(report.bench).toBe(name);
      expect(Object.keys(report.machine)).toEqual(["cpu", "cores", "kernel", "bun", "date"]);
      expect(report.rows.length).toBeGreaterThan(0);
      for (const row of report.rows) {
        expect(row.case).toBeString();
        expect(row.unit).toBeString();
        expect(row.reach).toBeString();
        expect(row.ok).toBeBoolean();
        expectFinite(row.ours);
        expect(row.ours).toBeGreaterThanOrEqual(0);
        const { q1, q3, min, max } = row.spread;
        for (const value of [q1, q3, min, max]) expectFinite(value);
        expect([min, q1, row.ours, q3, max]).toEqual(
          [min, q1, row.ours, q3, max].sort((a, b) => a - b),
        );
        expect(Object.keys(row.ratios)).toEqual(Object.keys(row.peers));
        for (const value of Object.values(row.peers)) expectFinite(value);
        for (const value of Object.values(row.ratios)) expectFinite(value);
      }
      expect(leftovers(pid)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe("bun run bench", () => {
  test("lists every benchmark with a line on it", async () => {
    const { exitCode, stdout } = await bench();
    expect(exitCode).toBe(0);
    for (const name of [...NAMES, "verbs"])
      expect(stdout).toMatch(new RegExp(`^ {2}${name} +\\S+`, "m"));
  });

  test("refuses an unknown name and names the nearest", async () => {
    const { exitCode, stdout, stderr } = await bench("updat");
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain("did you mean update?");
  });

  test("refuses an unknown flag and names the nearest", async () => {
    const { exitCode, stderr } = await bench("update", "--jsn");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("did you mean --json?");
  });
});
