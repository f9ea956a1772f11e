// The rules that a metric's definition keeps: names, texts, shapes, and when two of them contradict each other.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  checkAppName,
  checkDefinition,
  checkLabelValue,
  checkServiceName,
  DefinitionError,
  Directory,
  definitionConflict,
  initialValue,
  LIMITS,
  type MetricDefinition,
  RecordWriter,
  slotsPerSeries,
} from "../../../src/layout/index.ts";
import { define } from "../../support/pools.ts";

const counter = (some: Partial<MetricDefinition>): MetricDefinition => ({
  ...define.counter("requests_total"),
  ...some,
});

/** What a reader of the directory gets of a definition. */
function throughTheDirectory(definition: MetricDefinition): MetricDefinition | undefined {
  const directory = new Directory(0, 1);
  const records = new RecordWriter().service(1, "auth").metric(1, 1, definition);
  directory.append(records.bytes.bytes());
  return directory.metrics.get(1)?.definition;
}

/** A text of exactly so many bytes, of characters of one to four bytes each. */
function textOf(bytes: number): string {
  return ["😀".repeat(Math.floor(bytes / 4)), ["", "x", "é", "€"][bytes % 4]].join("");
}

describe("a metric's name", () => {
  test.each(["a", "_", ":", "requests_total", "job:latency:p99", "A9", "x".repeat(255)])(
    "may be %p",
    (name) => {
      expect(() => checkDefinition(counter({ name }))).not.toThrow();
    },
  );

  test.each(["", "9a", "a-b", "a.b", "a b", "é", "a\n", "a\0", "x".repeat(256), "日本"])(
    "may not be %p",
    (name) => {
      expect(() => checkDefinition(counter({ name }))).toThrow(DefinitionError);
    },
  );
});

describe("a name in OpenTelemetry's dialect", () => {
  const counterOf = (some: Partial<MetricDefinition>) =>
    counter({ dialect: "opentelemetry", ...some });

  test.each(["a", "http.server.request.duration", "a-b/c_d", "A9", "x".repeat(255)])(
    "may be %p, and is told of by the directory",
    (name) => {
      const definition = counterOf({ name });
      expect(throughTheDirectory(definition)).toEqual(definition);
    },
  );

  test.each(["", "9a", "_a", ":a", "a:b", "a b", "é", "a\n", "a\0", "x".repeat(256)])(
    "may not be %p",
    (name) => {
      expect(() => checkDefinition(counterOf({ name }))).toThrow(DefinitionError);
    },
  );

  test.each(["a", "http.request.method", "__x", "0", "日本", "le", "__proto__", "x".repeat(255)])(
    "may be %p of an attribute",
    (key) => {
      const definition = {
        ...define.histogram("h", [1], [key]),
        dialect: "opentelemetry",
      } as const;
      expect(throughTheDirectory(definition)).toEqual(definition);
    },
  );

  test.each([
    "",
    "a b",
    'a"',
    "a=b",
    "a,b",
    "{a}",
    "a\\",
    "a\n",
    "\u202e",
    "\ud800",
    "x".repeat(256),
  ])("may not be %p of an attribute", (key) => {
    expect(() => checkDefinition(counterOf({ labelNames: [key] }))).toThrow(DefinitionError);
  });

  test("has its attributes' keys in order, so that a set of them is one", () => {
    expect(() => checkDefinition(counterOf({ labelNames: ["B", "a", "b"] }))).not.toThrow();
    expect(() => checkDefinition(counterOf({ labelNames: ["b", "a"] }))).toThrow(/order/);
  });

  test("is of no other dialect", () => {
    expect(() => checkDefinition(counterOf({ dialect: "latin" as never }))).toThrow(/"latin"/);
  });

  test("may be declared with other labels, and in no other way otherwise", () => {
    const base = counterOf({ labelNames: ["a"] });
    expect(definitionConflict(base, counterOf({ labelNames: ["b", "c"] }))).toBeUndefined();
    expect(definitionConflict(base, counterOf({ unit: "s" }))).toStartWith("unit was ");
    expect(definitionConflict(base, counter({ labelNames: ["a"] }))).toStartWith("dialect was ");
  });
});

describe("a label's name", () => {
  test.each(["a", "_", "_a", "status_code", "A9", "x".repeat(255)])("may be %p", (label) => {
    expect(() => checkDefinition(counter({ labelNames: [label] }))).not.toThrow();
  });

  test.each(["", "9a", "a:b", "__name__", "__", "a-b", "é", "x".repeat(256)])(
    "may not be %p",
    (label) => {
      expect(() => checkDefinition(counter({ labelNames: [label] }))).toThrow(DefinitionError);
    },
  );

  test("may not stand twice", () => {
    expect(() => checkDefinition(counter({ labelNames: ["a", "b", "a"] }))).toThrow(/stands twice/);
  });

  test("may be le, but not a histogram's", () => {
    expect(() => checkDefinition(counter({ labelNames: ["le"] }))).not.toThrow();
    expect(() => checkDefinition(define.histogram("h", [1], ["le"]))).toThrow(/"le"/);
    const logLinear = { ...define.logLinear("h"), labelNames: ["le"] };
    expect(() => checkDefinition(logLinear)).toThrow(/"le"/);
  });

  test("has at most 31 companions", () => {
    const names = Array.from({ length: LIMITS.labelsPerMetric }, (_, i) => `l${i}`);
    expect(() => checkDefinition(counter({ labelNames: names }))).not.toThrow();
    expect(() => checkDefinition(counter({ labelNames: [...names, "more"] }))).toThrow(
      /33 labels, at most 32/,
    );
  });
});

describe("an application's name", () => {
  test.each(["shop", "a", "a.b", "a-b_c.d9", "9", "x".repeat(64)])("may be %p", (name) => {
    expect(() => checkAppName(name)).not.toThrow();
  });

  test.each(["", ".", "..", ".a", "a.", "a..b", "a/b", "../a", "-a", "a b", "é", "x".repeat(65)])(
    "may not be %p",
    (name) => {
      expect(() => checkAppName(name)).toThrow(DefinitionError);
    },
  );
});

describe("texts", () => {
  const fields: [string, number, (text: string) => void][] = [
    ["the help", LIMITS.helpBytes, (help) => checkDefinition(counter({ help }))],
    ["the unit", LIMITS.unitBytes, (unit) => checkDefinition(counter({ unit }))],
    ["a label value", LIMITS.labelValueBytes, (value) => checkLabelValue("m", value)],
    ["a service's name", LIMITS.serviceNameBytes, (name) => checkServiceName(name)],
  ];

  test.each(fields)("of %s have any UTF-8 up to %p bytes", (_, bytes, check) => {
    expect(Buffer.byteLength(textOf(bytes))).toBe(bytes);
    expect(() => check(textOf(bytes))).not.toThrow();
  });

  test.each(fields)("of %s that are one byte over %p are an error", (_, bytes, check) => {
    expect(() => check(textOf(bytes + 1))).toThrow(
      new RegExp(`has ${bytes + 1} bytes, at most ${bytes} are allowed`),
    );
  });

  test("come back from the directory as they were, never cut", () => {
    const text = (maxBytes: number) =>
      fc
        .string({ unit: "grapheme", maxLength: maxBytes / 4 })
        .filter((value) => Buffer.byteLength(value) <= maxBytes);
    fc.assert(
      fc.property(text(LIMITS.helpBytes), text(LIMITS.unitBytes), (help, unit) => {
        const definition = counter({ help, unit });
        expect(throughTheDirectory(definition)).toEqual(definition);
      }),
    );
    const full = counter({ help: textOf(LIMITS.helpBytes), unit: textOf(LIMITS.unitBytes) });
    expect(throughTheDirectory(full)).toEqual(full);
  });

  test("of a service's name are not empty", () => {
    expect(() => checkServiceName("")).toThrow(/empty/);
  });
});

describe("a definition", () => {
  const wrong: [string, MetricDefinition, RegExp][] = [
    ["an unknown kind", counter({ kind: "summary" as never }), /is none of counter/],
    ["an unknown combination", { ...define.gauge("g"), combine: "median" as never }, /is none of/],
    ["a counter that takes the maximum", counter({ combine: "max" }), /only a gauge/],
    ["a counter with bounds", counter({ bounds: [1] }), /a counter has no bounds/],
    [
      "a counter with an error",
      counter({ logLinear: { min: 1, max: 2, error: 0.1 } }),
      /belong to/,
    ],
    [
      "a histogram with 501 bounds",
      define.histogram(
        "h",
        Array.from({ length: 501 }, (_, i) => i),
      ),
      /got 501/,
    ],
    ["falling bounds", define.histogram("h", [2, 1]), /ascending, got 1 at place 1/],
    ["equal bounds", define.histogram("h", [1, 1]), /ascending/],
    ["an endless bound", define.histogram("h", [1, Number.POSITIVE_INFINITY]), /finite/],
    ["NaN among the bounds", define.histogram("h", [Number.NaN]), /finite/],
    ["min above max", define.logLinear("h", { min: 2, max: 1, error: 0.1 }), /h: .*min < max/],
    ["too fine a histogram", define.logLinear("h", { min: 1e-6, max: 1e3, error: 0.001 }), /slots/],
  ];

  test.each(wrong)("with %s is an error that says so", (_, definition, message) => {
    expect(() => checkDefinition(definition)).toThrow(DefinitionError);
    expect(() => checkDefinition(definition)).toThrow(message);
  });

  test("of a log-linear histogram states min, max and error, for the directory keeps them", () => {
    const { logLinear: _, ...without } = define.logLinear("h");
    expect(() => checkDefinition(without)).toThrow(/h: .*min, max and error/);
    const partly = { ...without, logLinear: { min: 1 } as never };
    expect(() => checkDefinition(partly)).toThrow(/h: .*min, max and error/);
  });

  const kinds: [string, number, MetricDefinition][] = [
    ["a counter", 1, define.counter("c")],
    ["a gauge", 1, define.gauge("g")],
    ["a gauge that takes the mean", 1, define.gauge("g", "mean")],
    ["a gauge that takes the last value, with its time", 2, define.gauge("g", "last")],
    ["a histogram of 3 bounds, with +Inf and its sum", 5, define.histogram("h", [1, 2, 3])],
    ["a histogram of 500 bounds", 502, define.histogram("h", [...Array(500).keys()])],
    ["a default log-linear histogram", 243, define.logLinear("h")],
  ];

  test.each(kinds)("of %s takes %p slots per series", (_, slots, definition) => {
    expect(slotsPerSeries(definition)).toBe(slots);
    expect(slots).toBeLessThanOrEqual(LIMITS.slotsPerSeries);
  });

  test.each(kinds)("of %s comes back from the directory as it was", (_, __, definition) => {
    checkDefinition(definition);
    expect(throughTheDirectory(definition)).toEqual(definition);
  });

  test("starts gauges that do not add up as absent, and everything else at zero", () => {
    expect(initialValue(define.counter("c"))).toBe(0);
    expect(initialValue(define.histogram("h", [1]))).toBe(0);
    expect(initialValue(define.gauge("g"))).toBe(0);
    for (const combine of ["mean", "min", "max", "last"] as const) {
      expect(initialValue(define.gauge("g", combine))).toBeNaN();
    }
  });
});

describe("two definitions of one name", () => {
  const base = counter({ unit: "s", help: "what it is", labelNames: ["a", "b"] });

  test("agree when they are the same, or differ in the help only", () => {
    expect(definitionConflict(base, base)).toBeUndefined();
    expect(definitionConflict(base, { ...base, help: "other words" })).toBeUndefined();
  });

  const histogram = define.histogram("h", [1, 2]);
  const fine = define.logLinear("h");
  const pairs: [string, MetricDefinition, MetricDefinition][] = [
    ["kind", base, { ...base, kind: "gauge" }],
    ["unit", base, { ...base, unit: "ms" }],
    ["labels", base, { ...base, labelNames: ["b", "a"] }],
    ["combine", define.gauge("g"), define.gauge("g", "max")],
    ["bounds", histogram, define.histogram("h", [1, 2, 3])],
    ["min", fine, define.logLinear("h", { min: 1e-5, max: 1e3, error: 0.0625 })],
    ["max", fine, define.logLinear("h", { min: 1e-6, max: 1e2, error: 0.0625 })],
    ["error", fine, define.logLinear("h", { min: 1e-6, max: 1e3, error: 0.1 })],
  ];
  test.each(pairs)("contradict each other in their %s, which the message names", (field, a, b) => {
    expect(definitionConflict(a, b)).toStartWith(`${field} was `);
  });
});
