// Which files are merged. Files of about the same size, so that a row is written again only a few times, as in a tree of
// sorted runs; once a day is over and quiet, what is left of it.

import type { LiveFile } from "../catalogue/index.ts";
import { earlierOf, isoDay } from "../times.ts";

const MERGE = {
  /** Files of one step of sizes that become one. */
  fanIn: 16,
  /** Rows up to which files are of the smallest step; each further step has `fanIn` times as many. */
  smallRows: 4_096,
  /** A file with more is not merged any more, and none is made with many more. */
  maxRows: 1_000_000,
  maxFiles: 256,
  /** A day that is over is merged when nothing has come for so long. */
  quietNs: 600_000_000_000n,
} as const;

/** @returns files of one view, groups of which each becomes one */
export function planMerges(files: readonly LiveFile[], nowNs: bigint): LiveFile[][] {
  const today = isoDay(nowNs);
  const groups: LiveFile[][] = [];
  // Files with other columns are left to themselves.
  const days = Map.groupBy(files, ({ day, schemaId }) => `${day} ${schemaId}`);
  for (const ofDay of days.values()) {
    const small = ofDay.filter(({ rows }) => rows < MERGE.maxRows);
    const isOver = ofDay[0]!.day < today;
    const isQuiet = ofDay.every(({ insertNs }) => insertNs < nowNs - MERGE.quietNs);
    if (isOver && isQuiet) groups.push(...runs(small, 2));
    else {
      for (const ofStep of Map.groupBy(small, ({ rows }) => stepOf(rows)).values()) {
        groups.push(...runs(ofStep, MERGE.fanIn));
      }
    }
  }
  return groups;
}

function stepOf(rows: number): number {
  let step = 0;
  for (let most: number = MERGE.smallRows; rows >= most; most *= MERGE.fanIn) step++;
  return step;
}

/** Neighbours in time, so that a merged file covers little of it. */
function runs(files: readonly LiveFile[], least: number): LiveFile[][] {
  const sorted = [...files].sort((a, b) => (a.minNs < b.minNs ? -1 : 1));
  const groups: LiveFile[][] = [];
  let group: LiveFile[] = [];
  let rows = 0;
  const close = () => {
    if (group.length >= least) groups.push(group);
    group = [];
    rows = 0;
  };
  for (const file of sorted) {
    if (group.length === MERGE.maxFiles || rows + file.rows > MERGE.maxRows) close();
    group.push(file);
    rows += file.rows;
  }
  close();
  return groups;
}

const JOIN = {
  /** Halves of spans are joined when there are so many files of them, or the files are so old. */
  files: 8,
  ageNs: 60_000_000_000n,
  maxRows: 1_000_000,
} as const;

export interface PlannedJoin {
  opens: LiveFile[];
  closes: LiveFile[];
}

/** @returns for each day with beginnings of spans, these and the ends that may belong to them */
export function planJoins(
  opens: readonly LiveFile[],
  closes: readonly LiveFile[],
  nowNs: bigint,
): PlannedJoin[] {
  const joins: PlannedJoin[] = [];
  for (const ofDay of Map.groupBy(opens, ({ day }) => day).values()) {
    const begun = upToRows(ofDay);
    const firstNs = begun.map(({ minNs }) => minNs).reduce(earlierOf);
    const ended = upToRows(closes.filter(({ maxNs }) => maxNs >= firstNs));
    if (ended.length === 0) continue;
    const all = [...begun, ...ended];
    const isOld = all.every(({ insertNs }) => insertNs < nowNs - JOIN.ageNs);
    if (isOld || all.length >= JOIN.files) joins.push({ opens: begun, closes: ended });
  }
  return joins;
}

function upToRows(files: readonly LiveFile[]): LiveFile[] {
  let rows = 0;
  const sorted = [...files].sort((a, b) => (a.minNs < b.minNs ? -1 : 1));
  return sorted.filter((file, i) => {
    rows += file.rows;
    return i < MERGE.maxFiles && (i === 0 || rows <= JOIN.maxRows);
  });
}
