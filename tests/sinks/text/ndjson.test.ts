import { describe, expect, test } from "bun:test";
import type { Wants } from "../../../src/layout/index.ts";
import { NdjsonSink } from "../../../src/sinks/index.ts";
import { ask, define, Scratch, TestWriter } from "../../support/pools.ts";
import { HOSTILE, hostileCharacters, Output, Source } from "../snapshots.ts";

const scratch = new Scratch();

interface Line {
  metrics: ({ name: string } & Record<string, unknown>)[];
  [field: string]: unknown;
}

function parse(output: Output): Line[] {
  return output.lines.map((line) => JSON.parse(line) as Line);
}

function metric(line: Line | undefined, name: string): Record<string, unknown> | undefined {
  return line?.metrics.find((each) => each.name === name);
}

describe("a line of JSON", () => {
  test("states when and where it was read, and what went wrong", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    sink.write(source.snapshot(0));
    sink.write(source.snapshot(1, { missed: 3, latenessMs: 1.23456, gap: "the agent was away" }));
    expect(parse(output)).toEqual([
      {
        time: "2026-01-02T03:04:05.678912Z",
        source: "host:7070",
        app: "shop",
        sequence: 1,
        generation: source.app.pool.generation,
        readMs: 0.05,
        latenessMs: 0.1,
        missed: 0,
        metrics: [],
      },
      expect.objectContaining({
        time: "2026-01-02T03:04:06.678912Z",
        latenessMs: 1.2346,
        missed: 3,
        gap: "the agent was away",
      }),
    ]);
  });

  test("has a counter's value, and its rate from the second snapshot on", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    source.writer.put(define.counter("requests_total", ["path"]), ["/a"], 10);
    sink.write(source.snapshot(0));
    source.writer.store("requests_total", ["/a"], 15);
    sink.write(source.snapshot(2));
    const [first, second] = parse(output);
    expect(metric(first, "requests_total")).toEqual({
      service: "auth",
      name: "requests_total",
      kind: "counter",
      labels: { path: "/a" },
      value: 10,
    });
    expect(metric(second, "requests_total")).toMatchObject({ value: 15, rate: 2.5 });
  });

  test("has no rate when a counter went back", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    source.writer.put(define.counter("requests_total"), [], 10);
    sink.write(source.snapshot(0));
    source.writer.store("requests_total", [], 4);
    sink.write(source.snapshot(1));
    expect(metric(parse(output)[1], "requests_total")).not.toHaveProperty("rate");
  });

  test("has a histogram's count, sum and quantiles", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    // 90 observations up to 1, 10 between 1 and 2, none above.
    source.writer.put(
      { ...define.histogram("wait", [1, 2]), unit: "seconds" },
      [],
      90,
      10,
      0,
      70.5,
    );
    sink.write(source.snapshot(0));
    expect(metric(parse(output)[0], "wait")).toEqual({
      service: "auth",
      name: "wait",
      kind: "histogram",
      unit: "seconds",
      count: 100,
      sum: 70.5,
      p50: 0.555556,
      p90: 1,
      p99: 1.9,
    });
  });

  test("leaves out what nobody has set", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.gauge("hottest", "max"), [], Number.NaN);
    source.writer.put(define.counter("served_total"), [], 1);
    new NdjsonSink(output).write(source.snapshot());
    expect(parse(output)[0]?.metrics.map(({ name }) => name)).toEqual(["served_total"]);
  });

  test("writes infinite values as texts, which JSON has no number for", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.gauge("limit"), [], Number.POSITIVE_INFINITY);
    new NdjsonSink(output).write(source.snapshot());
    expect(metric(parse(output)[0], "limit")).toMatchObject({ value: "+Inf" });
  });

  test("leaves out metrics that are not wanted", () => {
    const output = new Output();
    const isWanted: Wants = (service, { definition }) =>
      service === "auth" && definition.name === "b_total";
    const source = new Source(scratch, "auth", isWanted);
    source.writer.put(define.counter("a_total"), [], 1);
    source.writer.put(define.counter("b_total"), [], 1);
    new NdjsonSink({ write: output.write }).write(source.snapshot());
    expect(parse(output)[0]?.metrics.map(({ name }) => name)).toEqual(["b_total"]);
  });

  test("shows each writer by itself when asked", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.counter("served_total"), [], 3);
    const other = new TestWriter(source.app, { service: "auth", pid: 43, threadId: 1 });
    other.put(define.counter("served_total"), [], 4);
    const sink = new NdjsonSink({ write: output.write, perWriter: true });
    sink.write(source.snapshot(0));
    other.store("served_total", [], 6);
    sink.write(source.snapshot(1));
    expect(parse(output)[1]?.metrics).toMatchObject([
      { name: "served_total", writer: 1, pid: 42, thread: 7, value: 3, rate: 0 },
      { name: "served_total", writer: 2, pid: 43, thread: 1, value: 6, rate: 2 },
    ]);
  });

  test("keeps the counts of a dead writer under the one that keeps them", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.counter("served_total"), [], 3);
    source.writer.die();
    source.app.scan(Date.now() + 60_000);
    const sink = new NdjsonSink({ write: output.write, perWriter: true });
    sink.write(source.snapshot());
    expect(parse(output)[0]?.metrics).toMatchObject([{ retained: true, value: 3 }]);
  });

  test("of hostile names sends no control to a terminal, and reads back exactly", () => {
    const output = new Output();
    const source = new Source(scratch, HOSTILE);
    source.writer.put({ ...define.counter("served_total", ["v"]), unit: HOSTILE }, [HOSTILE], 1);
    new NdjsonSink(output).write(source.snapshot(0, { source: HOSTILE, gap: HOSTILE }));
    expect(hostileCharacters(output.text)).toEqual([]);
    const [line] = parse(output);
    expect(line).toMatchObject({ source: HOSTILE, gap: HOSTILE });
    expect(line?.metrics[0]).toMatchObject({
      service: HOSTILE,
      unit: HOSTILE,
      labels: { v: HOSTILE },
    });
  });
});

describe("the rows behind the lines", () => {
  test("follow a directory that grows", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    source.writer.put(define.counter("a_total"), [], 1);
    sink.write(source.snapshot(0));
    source.writer.put(define.counter("b_total"), [], 5);
    source.writer.store("a_total", [], 3);
    sink.write(source.snapshot(1));
    expect(parse(output)[1]?.metrics).toMatchObject([
      { name: "a_total", value: 3, rate: 2 },
      { name: "b_total", value: 5 },
    ]);
  });

  test("keep their rates when the directory is rewritten with other numbers", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new NdjsonSink(output);
    // A metric that is gone before shifts the numbers of those after it.
    source.writer.put(define.counter("gone_total"), [], 1);
    source.writer.put(define.counter("stays_total", ["v"]), ["x"], 10);
    sink.write(source.snapshot(0));

    const other = new Source(scratch);
    other.writer.put(define.counter("stays_total", ["v"]), ["x"], 14);
    sink.write(other.snapshot(2));
    expect(parse(output)[1]?.metrics).toMatchObject([{ name: "stays_total", value: 14, rate: 2 }]);
  });

  test("are those that there were when it was taken, whatever has been registered since", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    const early = source.snapshot();
    source.writer.register(ask(define.counter("b_total")));
    new NdjsonSink(output).write(early);
    expect(parse(output)[0]?.metrics.map(({ name }) => name)).toEqual(["a_total"]);
  });

  test("of two pools are apart", () => {
    const output = new Output();
    const [one, two] = [new Source(scratch), new Source(scratch)];
    const sink = new NdjsonSink(output);
    one.writer.put(define.counter("a_total"), [], 1);
    two.writer.put(define.counter("a_total"), [], 100);
    for (const atS of [0, 1]) {
      sink.write(one.snapshot(atS));
      sink.write(two.snapshot(atS, { source: "other:7070" }));
    }
    expect(parse(output).map((line) => metric(line, "a_total")?.["rate"])).toEqual([
      undefined,
      undefined,
      0,
      0,
    ]);
  });
});
