// What the collecting thread keeps of a recording's pools.

import { expect, test } from "bun:test";
import { Changes } from "../../../src/sinks/recording/changes.ts";
import { define, Scratch } from "../../support/pools.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();

test("applications that have ended are known until the end of the block, and no longer", () => {
  const source = new Source(scratch);
  source.writer.put(define.counter("c_total"), [], 1);
  const changes = new Changes({}, () => {});
  const write = (app: string) => changes.add(source.snapshot(0, { app }), 0, undefined);
  for (let i = 0; i < 5; i++) {
    write(`job-${i}`);
    changes.gone("host:7070", `job-${i}`);
  }
  write("shop");
  changes.gone("nobody:7070", "shop");
  expect(changes.poolCount).toBe(6);
  const { pools, ended } = changes.finish();
  expect(pools.map(({ pool }) => pool)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(ended).toEqual({ pools: [0, 1, 2, 3, 4], series: [0, 1, 2, 3, 4] });
  expect(changes.poolCount).toBe(1);
  // Between two blocks.
  changes.gone("host:7070", "shop");
  expect(changes.poolCount).toBe(0);
  write("shop");
  const next = changes.finish();
  expect(next.pools).toEqual([{ pool: 6, source: "host:7070", app: "shop" }]);
  expect(next.ended).toEqual({ pools: [5], series: [5] });
  // Cells are used again, so that what is kept of them does not grow with what has ended.
  for (const { firstCell } of next.series) expect(firstCell).toBeLessThan(6);
});

test("an application that comes again within a block has other series, and those before have no value", () => {
  const source = new Source(scratch);
  source.writer.put(define.counter("c_total"), [], 1);
  const values: [cell: number, snapshot: number, value: number][] = [];
  const changes = new Changes({}, ({ count, cells, snapshots, values: those }) => {
    for (let i = 0; i < count; i++) values.push([cells[i]!, snapshots[i]!, those[i]!]);
  });
  changes.add(source.snapshot(0), 0, undefined);
  changes.gone("host:7070", "shop");
  changes.add(source.snapshot(1), 0, undefined);
  const { present, series, ended } = changes.finish();
  expect(ended).toEqual({ pools: [], series: [0] });
  expect(series.map((each) => each.series)).toEqual([0, 1]);
  expect(present).toEqual({ series: [0, 1], snapshots: [0, 1] });
  expect(values).toEqual([
    [0, 0, 1],
    [0, 1, Number.NaN],
    [1, 1, 1],
  ]);
});
