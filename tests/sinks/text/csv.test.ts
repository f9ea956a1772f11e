import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CsvSink } from "../../../src/sinks/index.ts";
import { define, Scratch } from "../../support/pools.ts";
import { HOSTILE, hostileCharacters, Output, Source } from "../snapshots.ts";

const scratch = new Scratch();

/** A reader after RFC 4180, written from its grammar. */
function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let at = 0;
  while (at < text.length) {
    const record: string[] = [];
    for (;;) {
      let field = "";
      if (text[at] === '"') {
        at++;
        for (;;) {
          if (text[at] === '"' && text[at + 1] === '"') {
            field += '"';
            at += 2;
          } else if (text[at] === '"') {
            at++;
            break;
          } else field += text[at++];
        }
      } else while (at < text.length && text[at] !== "," && text[at] !== "\n") field += text[at++];
      record.push(field);
      if (text[at] !== ",") break;
      at++;
    }
    if (text[at] !== "\n") throw new Error(`a record ends with ${JSON.stringify(text[at])}`);
    at++;
    records.push(record);
  }
  return records;
}

function records(output: Output): Record<string, string>[] {
  const [header = [], ...rows] = parseCsv(output.text);
  return rows.map((row) => {
    expect(row).toHaveLength(header.length);
    return Object.fromEntries(header.map((name, i) => [name, row[i]!]));
  });
}

describe("comma-separated values", () => {
  test("begin with one header", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new CsvSink(output);
    source.writer.put(define.counter("a_total"), [], 1);
    sink.write(source.snapshot(0));
    sink.write(source.snapshot(1));
    sink.close();
    expect(output.lines[0]).toBe(
      "time,source,app,sequence,lateness_ms,missed,gap,service,name,labels,kind,unit,value,rate,count,sum,p50,p90,p99,reset",
    );
    expect(output.lines).toHaveLength(3);
  });

  test("are a header alone when nothing was read", () => {
    const output = new Output();
    new CsvSink(output).close();
    expect(output.lines).toHaveLength(1);
  });

  test("have a line per series and snapshot", () => {
    const output = new Output();
    const source = new Source(scratch);
    const sink = new CsvSink(output);
    source.writer.put(define.counter("a_total", ["path", "code"]), ["/x", "200"], 4);
    source.writer.put({ ...define.histogram("wait", [1, 2]), unit: "seconds" }, [], 1, 1, 0, 2.5);
    sink.write(source.snapshot(0));
    source.writer.store("a_total", ["/x", "200"], 9);
    sink.write(source.snapshot(2, { missed: 1, gap: "away, again" }));
    const [, , counter, histogram] = records(output);
    expect(counter).toMatchObject({
      time: "2026-01-02T03:04:07.678912Z",
      source: "host:7070",
      app: "shop",
      missed: "1",
      gap: "away, again",
      service: "auth",
      name: "a_total",
      labels: 'path="/x",code="200"',
      kind: "counter",
      value: "9",
      rate: "2.5",
      count: "",
    });
    expect(histogram).toMatchObject({
      unit: "seconds",
      value: "",
      count: "2",
      sum: "2.5",
      p50: "1",
    });
  });

  test("have columns for writers when asked", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 4);
    new CsvSink({ write: output.write, perWriter: true }).write(source.snapshot());
    expect(records(output)[0]).toMatchObject({ writer: "1", pid: "42", thread: "7", value: "4" });
  });

  test("leave out what is absent", () => {
    const output = new Output();
    const source = new Source(scratch);
    source.writer.put(define.gauge("hottest", "max"), [], Number.NaN);
    new CsvSink(output).write(source.snapshot());
    expect(records(output)).toEqual([]);
  });

  test("of hostile names stay one line each and send no control to a terminal", () => {
    const output = new Output();
    const source = new Source(scratch, HOSTILE);
    source.writer.put({ ...define.counter("a_total", ["v"]), unit: HOSTILE }, [HOSTILE], 1);
    new CsvSink(output).write(source.snapshot(0, { source: HOSTILE, gap: HOSTILE }));
    expect(hostileCharacters(output.text)).toEqual([]);
    expect(output.lines).toHaveLength(2);
    expect(records(output)[0]).toMatchObject({ name: "a_total", value: "1" });
  });

  test("can be read back whatever the labels are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (value) => {
        const output = new Output();
        const source = new Source(scratch);
        // Half of a surrogate pair is no UTF-8 and never comes out of a pool.
        source.writer.put(define.counter("a_total", ["v"]), [value.toWellFormed()], 1);
        new CsvSink(output).write(source.snapshot());
        source.writer.die();
        expect(records(output)).toHaveLength(1);
        expect(records(output)[0]).toMatchObject({ kind: "counter", value: "1" });
      }),
      { numRuns: 30 },
    );
  });
});
