import { describe, expect, test } from "bun:test";
import type { Wants } from "../../../src/layout/index.ts";
import { PrometheusSink } from "../../../src/sinks/prometheus/index.ts";
import { define, Scratch } from "../../support/pools.ts";
import { HOSTILE, hostileCharacters, Output, Source } from "../snapshots.ts";

const scratch = new Scratch();

function twoPools(): [Source, Source] {
  const [one, two] = [new Source(scratch), new Source(scratch, "cart")];
  one.writer.put(define.counter("a_total"), [], 1);
  two.writer.put(define.counter("a_total"), [], 2);
  return [one, two];
}

describe("an exposition", () => {
  test("is one text per round, with each metric's head once", () => {
    const output = new Output();
    const [one, two] = twoPools();
    const sink = new PrometheusSink(output);
    sink.write(one.snapshot(0));
    sink.write(two.snapshot(0, { app: "lager" }));
    expect(output.text).toBe("");
    sink.write(one.snapshot(1));
    expect(output.text).toBe(
      [
        "# HELP a_total ",
        "# TYPE a_total counter",
        'a_total{app="shop",service="auth"} 1',
        'a_total{app="lager",service="cart"} 2',
        "",
      ].join("\n"),
    );
  });

  test("that was not complete comes at the end", () => {
    const output = new Output();
    const [one] = twoPools();
    const sink = new PrometheusSink(output);
    sink.write(one.snapshot(0));
    sink.close();
    expect(output.text).toContain("a_total{");
  });

  test("is set apart from the one before", () => {
    const output = new Output();
    const [one] = twoPools();
    const sink = new PrometheusSink(output);
    sink.write(one.snapshot(0));
    sink.write(one.snapshot(1));
    sink.close();
    expect(output.pieces.map((piece) => piece.startsWith("\n"))).toEqual([false, true]);
  });

  test("tells agents apart when asked", () => {
    const output = new Output();
    const [one] = twoPools();
    const sink = new PrometheusSink({ write: output.write, labelSource: true });
    sink.write(one.snapshot(0, { source: "a:7070" }));
    sink.close();
    expect(output.text).toContain('a_total{app="shop",service="auth",instance="a:7070"} 1');
  });

  test("has only metrics that are wanted", () => {
    const output = new Output();
    const isWanted: Wants = (_, { definition }) => definition.name === "b_total";
    const source = new Source(scratch, "auth", isWanted);
    source.writer.put(define.counter("a_total"), [], 1);
    source.writer.put(define.counter("b_total"), [], 1);
    const sink = new PrometheusSink({ write: output.write });
    sink.write(source.snapshot());
    sink.close();
    expect(output.text).not.toContain("a_total");
    expect(output.text).toContain("b_total{");
  });

  test("shows a metric that another pool declares as another kind without a type, and says so", () => {
    const output = new Output();
    const [one] = twoPools();
    const other = new Source(scratch);
    other.writer.put(define.gauge("a_total"), [], 7);
    const sink = new PrometheusSink(output);
    sink.write(one.snapshot(0));
    sink.write(other.snapshot(0, { app: "lager" }));
    sink.close();
    expect(output.text).toContain("# TYPE a_total untyped\n");
    expect(output.text).toContain(" 7\n");
    expect(output.text).toContain(
      "# microview: the gauge a_total is shown without its type: another metric needs the name a_total\n",
    );
  });

  test("remarks missed deadlines and gaps in comments", () => {
    const output = new Output();
    const [one] = twoPools();
    const sink = new PrometheusSink(output);
    sink.write(one.snapshot(0, { missed: 2, gap: `it was away\n${HOSTILE}` }));
    sink.close();
    const comments = output.lines.filter((line) => line.startsWith("# microview: "));
    expect(comments).toHaveLength(2);
    expect(comments[0]).toContain("missed 2 deadlines");
    expect(hostileCharacters(comments.join(""))).toEqual([]);
  });

  test("keeps labels as they are in a file, and writes controls out on a terminal", () => {
    const source = new Source(scratch);
    source.writer.put({ ...define.counter("a_total", ["v"]), help: HOSTILE }, [HOSTILE], 1);
    const expose = (terminal: boolean) => {
      const output = new Output();
      const sink = new PrometheusSink({ write: output.write, terminal });
      sink.write(source.snapshot());
      sink.close();
      return output.text;
    };
    expect(expose(false)).toContain("\u001b[2J");
    expect(hostileCharacters(expose(true))).toEqual([]);
    expect(expose(true)).toContain("\\\\x1b[2J");
  });
});
