import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { globs } from "../../src/layout/index.ts";

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
});
