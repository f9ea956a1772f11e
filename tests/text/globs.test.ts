import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { globs } from "../../src/text/index.ts";
import { patienceNow } from "../support/speed.ts";

describe("globs", () => {
  test.each([
    ["http_*", "http_requests_total", true],
    ["http_*", "https_requests_total", false],
    ["*", "shop/auth", true],
    ["*/auth", "shop/eu/auth", true],
    ["h?t", "hat", true],
    ["h?t", "haat", false],
    ["{http,grpc}_total", "grpc_total", true],
    ["{http,grpc}_total", "tcp_total", false],
    ["[a-c]x", "bx", true],
    ["[!a-c]x", "bx", false],
    ["a.b", "axb", false],
    ["a-b_c:d", "a-b_c:d", true],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["日本*", "日本語", true],
  ])("%p fits %p: %p", (pattern, name, fits) => {
    expect(globs([pattern])(name)).toBe(fits);
  });

  test("fit when any of them does, and always when there are none", () => {
    expect(globs(["a", "b"])("b")).toBe(true);
    expect(globs(["a", "b"])("c")).toBe(false);
    expect(globs([])("anything")).toBe(true);
  });

  test("that are none are names", () => {
    for (const odd of ["{a", "a}", "[a", "[z-a]", "a\\", "(", "a|b"]) {
      expect(globs([odd])(odd)).toBe(true);
    }
  });

  test("without special characters fit exactly themselves", () => {
    const plain = fc.string({ unit: "binary" }).map((text) => text.replace(/[*?[\]{},\\]/g, ""));
    fc.assert(fc.property(plain, plain, (a, b) => globs([a])(b) === (a === b)));
  });

  test("say what the regular expressions say that they stand for", () => {
    const piece = fc.constantFrom(
      "*",
      "?",
      "{",
      "}",
      ",",
      "[",
      "]",
      "!",
      "^",
      "-",
      "\\",
      "a",
      "b",
      "é",
    );
    const glob = fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join(""));
    const name = fc.array(fc.constantFrom("a", "b", "é", ",", "{", "]", "-", "\\", "\n"), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(glob, name, (pattern, characters) => {
        const text = characters.join("");
        expect([pattern, text, globs([pattern])(text)]).toEqual([
          pattern,
          text,
          expressionOf(pattern).test(text),
        ]);
      }),
      { numRuns: 20_000 },
    );
  });

  test.each([
    ["stars", "*a".repeat(120)],
    ["alternatives", "{a,a}".repeat(50)],
    ["groups in groups", `${"{a,".repeat(60)}a${"}".repeat(60)}`.repeat(2)],
    ["alternatives of stars", "{*a,*}".repeat(40)],
  ])("of many %s say no in no time, whatever the name", (_, pattern) => {
    const name = "a".repeat(255);
    const start = performance.now();
    // As a regular expression each would take longer than anybody waits.
    expect(globs([`${pattern}b`])(name)).toBe(false);
    expect(globs([`${pattern}*`])(name)).toBe(true);
    expect(performance.now() - start).toBeLessThan(patienceNow(5_000));
  });
});

/** What a glob stands for. */
function expressionOf(glob: string): RegExp {
  const characters = [...glob];
  let source = "";
  let depth = 0;
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    const end = character === "[" ? characters.indexOf("]", i + 2) : -1;
    if (character === "*") source += ".*";
    else if (character === "?") source += ".";
    else if (character === "{" && characters.includes("}", i)) {
      source += "(?:";
      depth++;
    } else if (character === "}" && depth > 0) {
      source += ")";
      depth--;
    } else if (character === "," && depth > 0) source += "|";
    else if (end > 0) {
      source += classOf(characters.slice(i + 1, end));
      i = end;
    } else if (character === "\\" && i + 1 < characters.length) source += literal(characters[++i]!);
    else source += literal(character);
  }
  try {
    return new RegExp(`^${source}$`, "su");
  } catch {
    // What is no glob, such as an open brace or a range backwards, is a name.
    return new RegExp(`^${characters.map(literal).join("")}$`, "su");
  }
}

function classOf(characters: readonly string[]): string {
  const [first = "", ...rest] = characters;
  const negated = first === "!" || first === "^";
  const members = negated ? rest : characters;
  return `[${negated ? "^" : ""}${members.map((each) => (each === "-" ? each : literal(each))).join("")}]`;
}

function literal(character: string): string {
  return character.replace(/[$()*+.?[\\\]^{|}/]/, "\\$&");
}
