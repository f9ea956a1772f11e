import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { isNode, type SpanNode, type Trace, treeOf } from "../../src/explore/trace/trace.ts";
import { waterfallLines } from "../../src/explore/trace/waterfall.ts";
import { PLAIN } from "../../src/text/index.ts";
import { ROOT } from "../support/host.ts";
import { log, REQUEST, span, TRACE_ID } from "./fixtures/traces.ts";

const STYLED = {
  ...PLAIN,
  red: (text: string) => `<red>${text}</red>`,
  yellow: (text: string) => `<yellow>${text}</yellow>`,
};

function all(roots: readonly SpanNode[]): SpanNode[] {
  return roots.flatMap((node) => [node, ...all(node.below.filter(isNode))]);
}

describe("a waterfall", () => {
  test.each(["README.md", "docs/trace.md"])(
    "has a line per span with a bar at its time, logs in between, as %s shows",
    (page) => {
      const lines = waterfallLines(REQUEST, { style: PLAIN, columns: 100 });
      expect(readFileSync(join(ROOT, page), "utf8")).toContain(`\n${lines.join("\n")}\n`);
    },
  );

  test("has errors in red, and what was lost in yellow", () => {
    const lines = waterfallLines(REQUEST, { style: STYLED, columns: 100 });
    const find = (name: string) => lines.find((line) => line.includes(name))!;
    expect(find("POST /orders")).toContain("<red>error</red>");
    expect(find("reserve")).toMatch(/┄+.*<yellow> *lost<\/yellow>/);
    expect(find("no stock left")).toContain("<red>");
    expect(find("GET /check")).not.toContain("<");
  });

  test("never has a line that is wider than the terminal, nor a byte that is an order to it", () => {
    const text = fc.string({ unit: "binary", maxLength: 60 });
    const id = fc.constantFrom("a", "b", "c", "d", "e", "");
    const at = fc.nat(1000);
    const spans = fc.uniqueArray(
      fc
        .tuple(id, id, text, text, at, fc.option(at), text)
        .map(([own, parent, service, name, begin, more, status]) =>
          span(own, parent, service, name, [begin, more === null ? undefined : begin + more], {
            status,
          }),
        ),
      { selector: ({ spanId }) => spanId, minLength: 1 },
    );
    const logs = fc.array(
      fc.tuple(id, text, at, text, text, fc.object()).map((each) => log(...each)),
    );
    fc.assert(
      fc.property(spans, logs, fc.integer({ min: 50, max: 160 }), (spans, logs, columns) => {
        const trace = { traceId: TRACE_ID, spans, logs, isCut: false };
        const lines = waterfallLines(trace, { style: PLAIN, columns });
        for (const line of lines.slice(3)) {
          expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
        }
        for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(lines.length).toBeGreaterThanOrEqual(3 + spans.length);
      }),
    );
  });
});

describe("the tree of a trace", () => {
  const trace = (...spans: Trace["spans"]): Trace => ({
    traceId: "",
    spans,
    logs: [],
    isCut: false,
  });

  test("has spans below their parents and in the order of their beginnings", () => {
    const nodes = all(treeOf(REQUEST));
    expect(nodes.map(({ span, depth }) => [span.spanId, depth])).toEqual([
      ["a1", 0],
      ["a2", 1],
      ["b1", 2],
      ["a3", 1],
      ["c1", 2],
      ["c2", 3],
    ]);
  });

  test("takes for a root what has a parent that is not there", () => {
    const roots = treeOf(
      trace(span("b", "gone", "s", "b", [5, 6]), span("a", "", "s", "a", [1, 9])),
    );
    expect(roots.map(({ span }) => span.spanId)).toEqual(["a", "b"]);
  });

  test("has each span once, also of those that are each other's parents", () => {
    const circle = trace(
      span("a", "b", "s", "a", [1, 2]),
      span("b", "c", "s", "b", [2, 3]),
      span("c", "a", "s", "c", [3, 4]),
      span("d", "d", "s", "d", [4, 5]),
    );
    expect(all(treeOf(circle)).map(({ span, depth }) => [span.spanId, depth])).toEqual([
      ["a", 0],
      ["c", 1],
      ["b", 2],
      ["d", 0],
    ]);
  });

  test("may be deeper than a stack", () => {
    const chain = Array.from({ length: 20_000 }, (_, i) =>
      span(String(i), i === 0 ? "" : String(i - 1), "s", "n", [i, 30_000]),
    );
    let [node] = treeOf(trace(...chain));
    let depth = 0;
    for (; node !== undefined; node = node.below.find(isNode)) depth++;
    expect(depth).toBe(20_000);
  });
});
