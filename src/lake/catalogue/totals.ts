// How much there is, kept as a few numbers that change in the transactions that add and delete: counting millions of blocks
// for each look at a lake would hold up everything else.

import type { SQL } from "bun";
import type { Reader } from "./connection.ts";
import type { Raw } from "./rows.ts";

const NAMES = [
  "segments",
  "segmentBytes",
  "blocks",
  "logs",
  "measures",
  "metrics",
  "spans",
] as const;
export type Totals = Record<(typeof NAMES)[number], number>;

/** What a block counts for. A span is counted where it begins. */
export const COUNTED_COLUMNS = "logs, measures, metrics, spans, opens";

export async function addToTotals(tx: SQL, more: Partial<Totals>): Promise<void> {
  const rows = Object.entries(more).flatMap(([name, value]) =>
    value === 0 ? [] : [{ name, value }],
  );
  if (rows.length === 0) return;
  await tx`INSERT INTO totals ${tx(rows)}
    ON CONFLICT (name) DO UPDATE SET value = totals.value + excluded.value`;
}

/**
 * Takes deleted blocks off.
 * @param rows with {@link COUNTED_COLUMNS}, as `RETURNING` gives them
 * @returns how many there are
 */
export async function takeBlocksOff(tx: SQL, rows: readonly Raw[]): Promise<number> {
  const sum = (...columns: string[]) =>
    rows.reduce((all, row) => columns.reduce((part, each) => part + Number(row[each]), all), 0);
  await addToTotals(tx, {
    blocks: -rows.length,
    logs: -sum("logs"),
    measures: -sum("measures"),
    metrics: -sum("metrics"),
    spans: -sum("spans", "opens"),
  });
  return rows.length;
}

export async function readTotals(read: Reader): Promise<Totals> {
  const rows: Raw[] = await read`SELECT name, value FROM totals`;
  const values = new Map(rows.map(({ name, value }) => [name, Number(value)]));
  return Object.fromEntries(NAMES.map((name) => [name, values.get(name) ?? 0])) as Totals;
}
