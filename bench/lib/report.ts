// What a benchmark reports: rows with our figure, those of its peers from the same run, and whether the reach holds.
// Printed as a table, or as one JSON object that later runs can be compared with.

import type { Machine } from "./machine.ts";
import { type Samples, Spread } from "./samples.ts";

/** One line of a report. All values are medians in `unit`. */
export interface Row {
  case: string;
  unit: string;
  ours: number;
  /** How ours scattered over the rounds. */
  spread: { q1: number; q3: number; min: number; max: number };
  /** The peers' values in the same unit, by name. */
  peers: Record<string, number>;
  /**
   * By peer, how many times better ours is: peer / ours of what is to be low, ours / peer of rates. Where the reach sets
   * an upper bound ("ours / C ≤ 1.6") it is that ratio.
   */
  ratios: Record<string, number>;
  /** What others published of other machines, by name: to see beside ours, and no ratio to be made of it. */
  elsewhere?: Record<string, number>;
  reach: string;
  ok: boolean;
}

export interface Report {
  bench: string;
  machine: Machine;
  rows: Row[];
}

/** What a row is to reach: a bound on our own value, or on its ratio to a peer's. */
export interface Goal {
  text: string;
  /** The peer it is about, and whether its ratio is ours over the peer's. */
  peer?: string;
  inverse?: boolean;
  holds(ours: number, ratios: Readonly<Record<string, number>>): boolean;
}

/** Ours takes at most a `times`-th of what the peer takes. */
export function faster(peer: string, times: number): Goal {
  return {
    text: `${peer} / ours ≥ ${times}`,
    peer,
    holds: (_ours, ratios) => ratios[peer]! >= times,
  };
}

/** Ours takes at most `times` what the peer takes. */
export function within(peer: string, times: number): Goal {
  return {
    text: `ours / ${peer} ≤ ${times}`,
    peer,
    inverse: true,
    holds: (_ours, ratios) => ratios[peer]! <= times,
  };
}

export function atMost(limit: number): Goal {
  return { text: `≤ ${show(limit)}`, holds: (ours) => ours <= limit };
}

export function below(limit: number): Goal {
  return { text: `< ${show(limit)}`, holds: (ours) => ours < limit };
}

export function atLeast(limit: number): Goal {
  return { text: `≥ ${show(limit)}`, holds: (ours) => ours >= limit };
}

/** A row of rates, of which more is better. */
export function rateRow(
  name: string,
  unit: string,
  ours: Samples,
  peers: Readonly<Record<string, Samples>> = {},
  goals: readonly Goal[] = [],
): Row {
  return row(name, unit, ours, peers, goals, true);
}

/** A row of what was measured. Peers without a goal get a ratio for information. */
export function row(
  name: string,
  unit: string,
  ours: Samples,
  peers: Readonly<Record<string, Samples>> = {},
  goals: readonly Goal[] = [],
  isRate = false,
): Row {
  const own = new Spread(ours);
  const values: Record<string, number> = {};
  const ratios: Record<string, number> = {};
  for (const [peer, samples] of Object.entries(peers)) {
    const value = new Spread(samples).median;
    const inverse = isRate || goals.some((goal) => goal.peer === peer && goal.inverse);
    values[peer] = value;
    ratios[peer] = inverse ? own.median / value : value / own.median;
  }
  return {
    case: name,
    unit,
    ours: own.median,
    spread: { q1: own.q1, q3: own.q3, min: own.min, max: own.max },
    peers: values,
    ratios,
    reach: goals.map(({ text }) => text).join(", "),
    ok: goals.every((goal) => goal.holds(own.median, ratios)),
  };
}

/** The report for people: peers beside ours, each with its ratio. */
export function table({ bench, machine, rows }: Report): string {
  const peers = [...new Set(rows.flatMap((each) => Object.keys(each.peers)))];
  const others = [...new Set(rows.flatMap((each) => Object.keys(each.elsewhere ?? {})))];
  const head = ["case", "unit", "ours", "(q1 – q3)", ...peers, ...others, "reach", "ok"];
  const lines = rows.map((each) => [
    each.case,
    each.unit,
    show(each.ours),
    `(${show(each.spread.q1)} – ${show(each.spread.q3)})`,
    ...peers.map((peer) => {
      const value = each.peers[peer];
      return value === undefined ? "" : `${show(value)} (${show(each.ratios[peer]!)}×)`;
    }),
    ...others.map((other) => {
      const value = each.elsewhere?.[other];
      return value === undefined ? "" : show(value);
    }),
    each.reach,
    each.reach === "" ? "" : each.ok ? "yes" : "NO",
  ]);
  const widths = head.map((title, i) =>
    Math.max(...[head, ...lines].map((line) => line[i]!.length), title.length),
  );
  const align = (line: string[]) =>
    line
      .map((cell, i) =>
        i >= 2 && i < head.length - 2 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
      )
      .join("  ")
      .trimEnd();
  const { cpu, cores, kernel, bun, date } = machine;
  return [
    `${bench} — ${cpu}, ${cores} cores, Linux ${kernel}, Bun ${bun}, ${date}`,
    "",
    align(head),
    align(widths.map((width) => "─".repeat(width))),
    ...lines.map(align),
  ].join("\n");
}

/** A number with as many digits as it deserves. */
export function show(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return String(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value === Math.round(value) ? String(value) : value.toFixed(size >= 0.1 ? 2 : 4);
}
