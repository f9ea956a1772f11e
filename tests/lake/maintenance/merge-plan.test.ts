// Which files are merged: rows are written again a few times, whatever comes.

import { expect, test } from "bun:test";
import type { LiveFile } from "../../../src/lake/catalogue/index.ts";
import { planJoins, planMerges } from "../../../src/lake/maintenance/merge-plan.ts";
import { DAY_NS, newPartition } from "../fixtures.ts";

const SECOND_NS = 1_000_000_000n;
const NOON_NS = DAY_NS + 43_200n * SECOND_NS;

function file(id: string, second: number, rows: number, other: Partial<LiveFile> = {}): LiveFile {
  return {
    ...newPartition(id, "log_entries", DAY_NS + BigInt(second) * SECOND_NS, { rows }),
    ...{ schemaId: 1, insertNs: NOON_NS },
    ...other,
  };
}

function files(count: number, rows: number, other: Partial<LiveFile> = {}): LiveFile[] {
  return Array.from({ length: count }, (_, i) => file(`${rows}-${i}`, i, rows, other));
}

const sizes = (groups: readonly LiveFile[][]) => groups.map((group) => group.length);

test("fewer than sixteen files of a size wait", () => {
  expect(planMerges([...files(15, 100), ...files(15, 10_000)], NOON_NS)).toEqual([]);
});

test("sixteen files of a size become one, the neighbours in time", () => {
  const [group, ...others] = planMerges(
    [...files(16, 100).reverse(), ...files(3, 100_000)],
    NOON_NS,
  );
  expect(others).toEqual([]);
  expect(group!.map(({ partitionId }) => partitionId)).toEqual(
    Array.from({ length: 16 }, (_, i) => `100-${i}`),
  );
});

test("files of different days, and of different columns, stay apart", () => {
  const days = [...files(8, 100), ...files(8, 100, { day: "2026-12-02" })];
  const columns = [...files(8, 100), ...files(8, 100, { schemaId: 2 })];
  expect([planMerges(days, NOON_NS), planMerges(columns, NOON_NS)]).toEqual([[], []]);
});

test("a file that is large enough is not merged, and none becomes much larger", () => {
  expect(planMerges(files(40, 1_000_000), NOON_NS)).toEqual([]);
  const groups = planMerges(files(40, 45_000), NOON_NS);
  expect(sizes(groups)).toEqual([22, 18]);
});

test("when a day is over and nothing has come for a while, all of it is merged", () => {
  const mixed = [file("a", 1, 10), file("b", 2, 90_000), file("c", 3, 1_000)];
  const late = NOON_NS + 86_400n * SECOND_NS;
  expect(planMerges(mixed, NOON_NS)).toEqual([]);
  expect(sizes(planMerges(mixed, late))).toEqual([3]);
  const justCame = [...mixed, file("d", 4, 10, { insertNs: late })];
  expect(planMerges(justCame, late)).toEqual([]);
});

test("a row is written again as often as there are steps of sizes", () => {
  let live: LiveFile[] = [];
  let written = 0;
  const seconds = 5_000;
  for (let second = 0; second < seconds; second++) {
    live.push(file(`s${second}`, second, 100));
    for (
      let groups = planMerges(live, NOON_NS);
      groups.length > 0;
      groups = planMerges(live, NOON_NS)
    ) {
      for (const group of groups) {
        const rows = group.reduce((sum, each) => sum + each.rows, 0);
        written += rows;
        live = live.filter((each) => !group.includes(each));
        live.push({ ...group[0]!, partitionId: `m${written}`, rows });
      }
    }
  }
  expect(live.reduce((sum, { rows }) => sum + rows, 0)).toBe(100 * seconds);
  expect(live.length).toBeLessThan(70);
  expect(written / (100 * seconds)).toBeLessThan(5);
});

test("beginnings of spans are joined with ends that are not earlier, once they are old or many", () => {
  const open = file("open", 100, 10);
  const closes = [file("before", 1, 10), file("after", 200, 10, { day: "2026-12-02" })];
  expect(planJoins([open], closes, NOON_NS)).toEqual([]);
  const later = NOON_NS + 61n * SECOND_NS;
  expect(planJoins([open], closes, later)).toEqual([{ opens: [open], closes: [closes[1]!] }]);
  expect(planJoins([open], [closes[0]!], later)).toEqual([]);
  expect(planJoins(files(8, 1), files(1, 1), NOON_NS)).toHaveLength(1);
});
