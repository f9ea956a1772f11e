// A recording that cannot be written on says how much was lost.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Recorder, type RecordingError } from "../../../src/sinks/recording/index.ts";
import { canMount, mountTmpfs } from "../../support/permissions.ts";
import { define, Scratch } from "../../support/pools.ts";
import { patience } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";
import { Source } from "../snapshots.ts";

setDefaultTimeout(patience(60_000));

const scratch = new Scratch();
const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));

/** Values that change all at once and in no pattern: they take room. */
function change(source: Source, at: number): void {
  for (let i = 0; i < 500; i++) {
    source.writer.put(define.counter("c_total", ["path"]), [`/${i}`], Math.sin(at * 500 + i));
  }
}

test.skipIf(!canMount)("all snapshots of a file without room are recorded or lost", async () => {
  const disk = mountTmpfs("size=100k")!;
  try {
    const path = join(disk.path, "run.parquet");
    const errors: RecordingError[] = [];
    const recorder = await Recorder.open({
      ...{ path, replace: false, blockMs: 60_000, blockRows: 2_000 },
      onFailure: (error) => errors.push(error),
    });
    const source = new Source(scratch);
    let given = 0;
    await until("it fails", () => {
      change(source, given);
      recorder.write(source.snapshot(given++));
      return errors.length > 0;
    });
    for (let i = 0; i < 5; i++) recorder.write(source.snapshot(given++));
    expect([recorder.isBehind, recorder.isIdle]).toEqual([false, true]);
    const end = await recorder.close();
    expect(errors).toHaveLength(1);
    expect(end.lost).toBeGreaterThan(5);
    expect(end.snapshots + end.lost + end.dropped).toBe(given);
    expect(end.undelivered).toBe(end.lost + end.dropped);
    expect(end.summary).toContain(`${end.lost} snapshots lost, the file could not be written on`);
  } finally {
    disk.unmount();
  }
});

test("a recording that falls behind tells at its end how much it has left out", async () => {
  const path = join(folder, "behind.parquet");
  const recorder = await Recorder.open({
    ...{ path, replace: false, blockMs: 60_000, blockRows: 1, waitingRows: 1 },
    onFailure(error) {
      throw error;
    },
  });
  const source = new Source(scratch);
  for (let i = 0; i < 20; i++) {
    change(source, i);
    recorder.write(source.snapshot(i));
  }
  const end = await recorder.close();
  expect(end.dropped).toBeGreaterThan(0);
  expect(end).toMatchObject({ lost: 0, undelivered: end.dropped, snapshots: 20 - end.dropped });
});
