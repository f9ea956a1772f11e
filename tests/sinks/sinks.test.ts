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
  const set = new Sinks<number>(() => {}, "number");
  for (const [i, sink] of sinks.entries()) set.add(`sink ${i}`, sink);
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

test("an error of one is told once, with its name, and the others get everything", async () => {
  const [failing, other] = [new Failing(), new Told()];
  const told: string[] = [];
  const set = new Sinks<number>((text) => told.push(text));
  set.add("--out", failing);
  set.add("--otlp", other);
  for (let i = 1; i <= 3; i++) set.write(i);
  set.gone("host:7070", "shop");
  expect(told).toEqual([
    "--out has failed, and goes on with what comes next: cannot write",
    "--out has failed, and goes on with what comes next: cannot end",
  ]);
  const all = ["write 1", "write 2", "write 3", "gone host:7070 shop"];
  expect([failing.told, other.told]).toEqual([all, all]);
});

test("an error at the end waits for the others, whose ends are kept", async () => {
  const [failing, other] = [new Failing(), new Told()];
  const set = setOf(failing, other);
  set.write(1);
  const closed = set.close(0);
  other.ending.resolve({ summary: "host: 7 samples", undelivered: 4 });
  const summary = "sink 0 could not be ended in order: cannot close";
  expect(await closed).toEqual({
    ends: [
      { summary, undelivered: 1, error: new Error("cannot close") },
      { summary: "host: 7 samples", undelivered: 4 },
    ],
    summary: `${summary}\nhost: 7 samples`,
    undelivered: 5,
    error: new Error("cannot close"),
  });
});

test("frames that a sink threw an error at are part of what it has not delivered", async () => {
  class Moody extends Told {
    override write(frame: number): void {
      if (frame % 2 === 0) throw new Error("it is even");
    }
  }
  const [one, two] = [new Moody(), new Moody()];
  const set = setOf(one, two);
  for (let i = 1; i <= 5; i++) set.write(i);
  one.ending.resolve({ summary: "host: 7 samples", undelivered: 4 });
  two.ending.resolve({ summary: "", undelivered: 0 });
  const lost = "2 numbers lost by an error: it is even";
  expect((await set.close(0)).ends).toEqual([
    { summary: `host: 7 samples; ${lost}`, undelivered: 6 },
    { summary: `sink 1; ${lost}`, undelivered: 2 },
  ]);
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
  const set = new Sinks<number>(() => {}, "number");
  const inner = setOf(slow);
  const ended = set.add("slow", inner);
  const failed = set.add("failing", failing);
  void set.close(0);
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
  const set = new Sinks<number>(() => {}, "number");
  set.add("inner", setOf(sink), async (end) => {
    ended.push((await end).summary);
    return end;
  });
  set.write(1);
  sink.ending.resolve({ summary: "host: 7 samples", undelivered: 0 });
  expect((await set.close(0)).ends).toEqual([{ summary: "host: 7 samples", undelivered: 0 }]);
  expect(sink.told).toEqual(["write 1", "close 0"]);
  expect(ended).toEqual(["host: 7 samples"]);
});
