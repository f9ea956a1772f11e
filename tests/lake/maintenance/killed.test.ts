// A lake is killed while it makes files, merges them, joins spans and drops what is old, again and again. Each row is there
// once. LAKE_KILLS makes it longer, LAKE_SEED repeats choices.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { FOREVER_NS } from "../../../src/lake/times.ts";
import { Random, seedOf } from "../../chaos/random.ts";
import { patience } from "../../support/speed.ts";
import { T0 } from "../views/blocks.ts";
import { MINUTE_NS, ROWS } from "./killed-blocks.ts";
import { SmallLake } from "./small-lake.ts";

const KILLS = Number(process.env["LAKE_KILLS"] ?? 10);
const SEED = seedOf("LAKE_SEED");

/** Runs a lake for some time after it is open. @returns blocks that it has said to have */
async function runAndKill(dir: string, random: Random): Promise<number[]> {
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "killed-lake.ts"),
      dir,
      String(random.between(0, 2 ** 31)),
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  const blocks: number[] = [];
  let rest = "";
  let isDue = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    blocks.push(...lines.filter((line) => line !== "open").map(Number));
    if (isDue) continue;
    isDue = true;
    // DuckDB is loaded by then, most of the time; a kill before it is one too.
    void Bun.sleep(random.between(300, 2_500)).then(() => child.kill("SIGKILL"));
  }
  await child.exited;
  return blocks;
}

test(
  `every row is there once, however often the lake is killed while it maintains (LAKE_SEED=${SEED})`,
  async () => {
    const dir = mkdtempSync("/tmp/microview-test-");
    const random = new Random(SEED);
    const stored = new Set<number>();
    for (let kill = 0; kill < KILLS || stored.size === 0; kill++) {
      for (const block of await runAndKill(dir, random)) stored.add(block);
    }
    const lake = await SmallLake.open({ dir });
    const retired = await lake.state.retiredBefore();
    // A block that arrived without being told of may be there too.
    const blocks = Math.max(...stored) + 1;
    const last =
      (await lake.catalogue.blocksIn({ fromNs: 0n, toNs: FOREVER_NS })).length > 0
        ? blocks + 1
        : blocks;
    const kept = [...stored].filter((index) => T0 + BigInt(index) * MINUTE_NS + 2n >= retired);
    expect(kept.length).toBeGreaterThan(0);
    for (const table of ["log_entries", "measures"]) {
      const value = table === "measures" ? "value" : "message";
      const rows = await lake.query(
        `SELECT ${value} AS v, count(*)::INTEGER AS n FROM ${table} GROUP BY ALL`,
      );
      expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
      const seen = new Set(rows.map(({ v }) => String(v)));
      const missing = kept.flatMap((index) =>
        Array.from({ length: ROWS }, (_, i) =>
          table === "measures" ? String(index * ROWS + i) : `${index}.${i}`,
        ).filter((each) => !seen.has(each)),
      );
      expect([table, missing]).toEqual([table, []]);
      expect(seen.size).toBeLessThanOrEqual(last * ROWS);
    }
    const spans = await lake.query(
      "SELECT span_id, count(*)::INTEGER AS n, any_value(status) AS status FROM spans GROUP BY ALL",
    );
    expect(spans.filter(({ n }) => n !== 1)).toEqual([]);
    const statuses = new Map(spans.map(({ span_id, status }) => [span_id, status]));
    const missing = kept.flatMap((index) => {
      const id = BigInt(index + 1);
      const hex = (value: bigint) => value.toString(16).padStart(16, "0");
      const wanted = index + 1 < blocks ? ["ok", "ok"] : ["ok", statuses.get(hex(id))];
      const given = [statuses.get(hex((1n << 32n) + id)), statuses.get(hex(id))];
      return Bun.deepEquals(given, wanted) ? [] : [{ index, given }];
    });
    expect(missing).toEqual([]);
    expect(await lake.state.blocksSetAside()).toEqual([]);
    await lake.close();
    rmSync(dir, { recursive: true });
  },
  patience(180_000 + 10_000 * KILLS),
);
