import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  cutApart,
  cutText,
  fitLeft,
  fitRight,
  labelPairs,
  labelsText,
  printable,
  printableLines,
  safeJson,
  textWidth,
} from "../../src/text/printable.ts";
import { ACTED_UPON, HOSTILE } from "../sinks/snapshots.ts";

const anyText = fc.string({ unit: "binary" });

describe("printable", () => {
  test("leaves ordinary text of any language alone", () => {
    expect(printable("café 日本語 /a?b=c")).toBe("café 日本語 /a?b=c");
  });

  test("writes out what a terminal would act upon", () => {
    expect(printable("\u001b[2J")).toBe("\\x1b[2J");
    expect(printable("\u009b31m")).toBe("\\x9b31m");
    expect(printable("a\u202eb")).toBe("a\\u{202e}b");
    expect(printable("a\nb\tc\rd")).toBe("a\\nb\\tc\\rd");
    expect(printable("\u{e0041}")).toBe("\\u{e0041}");
  });

  test("never gives a control or format character, whatever it is given", () => {
    fc.assert(fc.property(anyText, (text) => !ACTED_UPON.test(printable(text))));
  });

  test("gives different texts for different texts", () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => (a === b) === (printable(a) === printable(b))),
    );
  });
});

describe("printableLines", () => {
  test("keeps line feeds and backslashes", () => {
    expect(printableLines('a "b\\n"\n\u001b')).toBe('a "b\\n"\n\\x1b');
  });

  test("can double the backslash for a reader that takes one off", () => {
    expect(printableLines("\u001b", "\\\\")).toBe("\\\\x1b");
  });
});

describe("JSON", () => {
  test("shows no control character and reads back as the same value", () => {
    fc.assert(
      fc.property(fc.dictionary(anyText, anyText), (value) => {
        const json = safeJson(value);
        expect(ACTED_UPON.test(json)).toBe(false);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test("keeps the line feeds of its own indentation", () => {
    expect(safeJson({ a: "\u009b" }, 2)).toBe('{\n  "a": "\\u009b"\n}');
  });
});

describe("labels", () => {
  test("are in quotes, with quotes inside escaped", () => {
    expect(labelsText(["path"], ['/"x"'])).toBe('{path="/\\"x\\""}');
    expect(labelPairs(["a", "b"], ["1", "2"])).toBe('a="1",b="2"');
    expect(labelsText([], [])).toBe("");
  });

  test("of hostile values cannot end their quotes", () => {
    expect(labelPairs(["v"], [HOSTILE])).toBe(
      'v="\\x1b[2J\\x9b31m\\u{202e}\\n\\r\\"q\\"\\\\\\u{2028},\\x7f"',
    );
  });
});

describe("columns", () => {
  test("are counted as terminals show them", () => {
    expect(textWidth("日本")).toBe(4);
    expect(textWidth("abc")).toBe(3);
  });

  test("are exactly as wide as asked, cut or filled", () => {
    expect(fitLeft("abc", 5)).toBe("abc  ");
    expect(fitRight("abc", 5)).toBe("  abc");
    expect(fitLeft("abcdef", 4)).toBe("abc…");
    expect(cutText("日本語", 4)).toBe("日…");
    expect(fitLeft("日本語", 4)).toBe("日… ");
    expect(cutText("abc", 0)).toBe("");
  });

  test("keep what tells texts apart whose ends would be cut", () => {
    const texts = ['jobs{route="/a",status="200"}', 'jobs{route="/a",status="401"}'];
    expect(cutApart(texts, 16)).toEqual(['jobs{route…200"}', 'jobs{route…401"}']);
    expect(cutApart(["short", ...texts], 99)).toEqual(["short", ...texts]);
    expect(cutApart([texts[0]!, "other"], 7)).toEqual(["jobs{r…", "other"]);
  });

  test("tell apart never wider than asked", () => {
    const texts = fc.array(
      fc.string({ unit: fc.constantFrom("a", "b", "日", "😀", "😁"), maxLength: 30 }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 12 }), (some, columns) => {
        for (const text of cutApart(some, columns)) {
          expect(Bun.stringWidth(text)).toBeLessThanOrEqual(columns);
        }
      }),
    );
  });

  test("hold for every printable text", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 20 }), (text, columns) => {
        expect(Bun.stringWidth(cutText(printable(text), columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});
