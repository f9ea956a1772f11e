// A set of sinks: each gets everything, whatever becomes of the others.

import { expect, test } from "bun:test";
import { type Sink, type SinkEnd, Sinks } from "../../src/sinks/index.ts";

/** A sink of numbers that remembers what it was told, and ends when it is let. */
class Told implements Sink<number> {
  readonly told: string[] = [];
  readonly ending = Promise.withResolvers<SinkEnd>();
  isBehind = false;
  isIdle = true;

  write(frame: number): void {
    this.told.push(`write ${frame}`);
  }

  gone(source: string, app?: string): void {
    this.told.push(`gone ${source} ${app ?? "wholly"}`);
  }

  close(graceMs: number): Promise<SinkEnd> {
    this.told.push(`close ${graceMs}`);
    return this.ending.promise;
  }
}

class Failing extends Told {
  override write(frame: number): void {
    super.write(frame);
    throw new Error("cannot write");
  }

  override gone(source: string, app?: string): void {
    super.gone(source, app);
    throw new Error("cannot end");
  }

  override close(graceMs: number): Promise<SinkEnd> {
    void super.close(graceMs);
    throw new Error("cannot close");
  }
}

function setOf<Of extends Told>(...sinks: Of[]): Sinks<number> {
  const set = new Sinks<number>();
  for (const sink of sinks) set.add(sink);
  return set;
}

test("each of them gets all that the set gets", async () => {
  const [one, two] = [new Told(), new Told()];
  const set = setOf(one, two);
  set.write(1);
  set.gone("host:7070", "shop");
  set.gone("host:7070");
  one.ending.resolve({ summary: "one", undelivered: 1 });
  two.ending.resolve({ summary: "", undelivered: 2 });
  await set.close(50);
  const told = ["write 1", "gone host:7070 shop", "gone host:7070 wholly", "close 50"];
  expect([one.told, two.told]).toEqual([told, told]);
});

test("an error of one is thrown when the others have got everything", async () => {
  const [failing, other] = [new Failing(), new Told()];
  const set = setOf(failing, other);
  expect(() => set.write(1)).toThrow("cannot write");
  expect(() => set.gone("host:7070", "shop")).toThrow("cannot end");
  const closed = set.close(0);
  let isOver = false;
  closed.catch(() => {
    isOver = true;
  });
  await Bun.sleep(0);
  expect(isOver).toBe(false);
  other.ending.resolve({ summary: "", undelivered: 0 });
  await expect(closed).rejects.toThrow("cannot close");
  expect(other.told).toEqual(["write 1", "gone host:7070 shop", "close 0"]);
});

test("all are closed at once, so that none waits for another", async () => {
  const [slow, file] = [new Told(), new Told()];
  const set = setOf(slow, file);
  const closed = set.close(5000);
  expect([slow.told, file.told]).toEqual([["close 5000"], ["close 5000"]]);
  file.ending.resolve({ summary: "file: 3 snapshots", undelivered: 0 });
  slow.ending.resolve({ summary: "host: 7 samples", undelivered: 4 });
  expect(await closed).toEqual({
    ends: [
      { summary: "host: 7 samples", undelivered: 4 },
      { summary: "file: 3 snapshots", undelivered: 0 },
    ],
    summary: "host: 7 samples\nfile: 3 snapshots",
    undelivered: 4,
  });
});

test("each tells its own end, in its own words, when the set is closed", async () => {
  const [slow, failing] = [new Told(), new Failing()];
  const set = new Sinks<number>();
  const inner = setOf(slow);
  const ended = set.add(inner);
  const failed = set.add(failing);
  set.close(0).catch(() => {});
  slow.ending.resolve({ summary: "host: 7 samples", undelivered: 0 });
  expect((await ended.ended).ends).toEqual([{ summary: "host: 7 samples", undelivered: 0 }]);
  await expect(failed.ended).rejects.toThrow("cannot close");
  expect(slow.told).toEqual(["close 0"]);
});

test("the set is behind when one of them is, and idle when all are", () => {
  const [one, two] = [new Told(), new Told()];
  const set = setOf(one, two);
  expect([set.isBehind, set.isIdle]).toEqual([false, true]);
  two.isBehind = true;
  one.isIdle = false;
  expect([set.isBehind, set.isIdle]).toEqual([true, false]);
});

test("a set may be part of another", async () => {
  const sink = new Told();
  const ended: string[] = [];
  const set = new Sinks<number>();
  set.add(setOf(sink), async (end) => {
    ended.push((await end).summary);
    return end;
  });
  set.write(1);
  sink.ending.resolve({ summary: "host: 7 samples", undelivered: 0 });
  await set.close(0);
  expect(sink.told).toEqual(["write 1", "close 0"]);
  expect(ended).toEqual(["host: 7 samples"]);
});
