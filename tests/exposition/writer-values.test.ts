// Each writer's own values: attributed as the structure was when they were read, whatever the directory says by then.

import { expect, test } from "bun:test";
import { WriterValues } from "../../src/exposition/index.ts";
import { PrometheusSink } from "../../src/sinks/prometheus/index.ts";
import { Output, Source } from "../sinks/snapshots.ts";
import { textOf } from "../support/exposed.ts";
import { define, Scratch, scan, TestWriter } from "../support/pools.ts";
import { parsePrometheus } from "../support/prometheus.ts";

const scratch = new Scratch();

test("a directory that moves on gives no value to another series or writer", () => {
  const source = new Source(scratch);
  const other = new TestWriter(source.app, { service: "auth", pid: 43 });
  source.writer.put(define.counter("a_total", ["n"]), ["1"], 5);
  other.put(define.counter("a_total", ["n"]), ["1"], 7);
  other.put(define.histogram("h", [1]), [], 1, 2, 3);
  const { structure, slots } = source.snapshot();
  const writers = new WriterValues(structure);
  const text = () => {
    const values = writers.of(slots.data);
    return textOf([{ app: "shop", structure, values, parts: writers.parts }]);
  };
  const before = text();
  expect(Object.fromEntries(parsePrometheus(before).get("a_total")!.samples)).toEqual({
    'a_total{app="shop",n="1",pid="42",service="auth",writer="1"}': 5,
    'a_total{app="shop",n="1",pid="43",service="auth",writer="2"}': 7,
  });
  source.writer.put(define.counter("a_total", ["n"]), ["2"], 9);
  source.writer.put(define.gauge("g"), [], 9);
  expect(
    textOf([{ app: "shop", structure, values: writers.of(slots.data), parts: writers.parts }]),
  ).toBe(before);
  other.die();
  expect(scan(source.app)).toBe(1);
  // What was read is still of the writer that has died since.
  expect(text()).toContain('service="auth",writer="2",pid="43"} 7\n');
});

test("the sink of Prometheus text shows them where that is asked for", () => {
  const source = new Source(scratch);
  const other = new TestWriter(source.app, { service: "auth", pid: 43 });
  source.writer.put(define.counter("a_total"), [], 5);
  other.put(define.counter("a_total"), [], 7);
  const output = new Output();
  const sink = new PrometheusSink({ write: output.write, perWriter: true });
  sink.write(source.snapshot(0));
  other.die();
  scan(source.app);
  sink.write(source.snapshot(1));
  sink.close();
  const samples = output.pieces.map((piece) => [
    ...parsePrometheus(piece.trimStart()).get("a_total")!.samples.entries(),
  ]);
  expect(samples).toEqual([
    [
      ['a_total{app="shop",pid="42",service="auth",writer="1"}', 5],
      ['a_total{app="shop",pid="43",service="auth",writer="2"}', 7],
    ],
    [
      ['a_total{app="shop",pid="42",service="auth",writer="1"}', 5],
      ['a_total{app="shop",service="auth",writer="retained"}', 7],
    ],
  ]);
});
