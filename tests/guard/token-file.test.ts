// Files of tokens: what a line may say, and what is said of one that cannot be used. Never does a message hold a token.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { ANYONE, LOCAL, NOBODY } from "../../src/guard/grants.ts";
import { parseTokens, readToken } from "../../src/guard/token-file.ts";
import { SettingError } from "../../src/settings/index.ts";

const ONE = "correct-horse-battery-staple";
const TWO = "tr0ub4dor&3-and-then-some";

/** What is said of a file that cannot be used. */
function complaint(text: string): string {
  try {
    parseTokens(text, "tokens", "--token-file");
  } catch (error) {
    expect(error).toBeInstanceOf(SettingError);
    const { message, hint = "" } = error as SettingError;
    for (const secret of [ONE, TWO]) expect(message + hint).not.toContain(secret);
    return message;
  }
  return "no error";
}

/** What a collector takes from a file. */
function tokenOf(text: string): string | undefined {
  const folder = mkdtempSync("/tmp/microview-test-");
  const path = join(folder, "token");
  writeFileSync(path, text);
  try {
    return readToken(path, "--token-file");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("a token file", () => {
  test("with one bare token grants everything", () => {
    for (const text of [ONE, `${ONE}\n`, `  ${ONE}  \r\n`, `\uFEFF${ONE}\n`, `\n\n${ONE}\n\n`]) {
      expect(parseTokens(text, "tokens", "--token-file")).toEqual([
        { token: ONE, name: "token-1" },
      ]);
    }
  });

  test("has a token per line, with applications and a name", () => {
    const text = [
      "# who may read what",
      "",
      `${ONE} name=ops`,
      `\t${TWO}\tapps=shop,bank-* # the shop's own`,
      "#third apps=shop",
      "third-token name=both apps={shop,bank},microview",
      "fourth-token",
    ].join("\n");
    expect(parseTokens(text, "tokens", "--token-file")).toEqual([
      { token: ONE, name: "ops" },
      { token: TWO, name: "token-2", apps: ["shop", "bank-*"] },
      { token: "third-token", name: "both", apps: ["{shop,bank}", "microview"] },
      { token: "fourth-token", name: "token-4" },
    ]);
  });

  test("says for what and until when, in UTC unless it says otherwise", () => {
    const text = [
      `${ONE} scopes=admin,read expires=2027-01-31`,
      `${TWO} expires=2027-01-31T12:00:00+02:00 scopes=register`,
    ].join("\n");
    expect(parseTokens(text, "tokens", "--token-file")).toEqual([
      {
        token: ONE,
        name: "token-1",
        scopes: ["read", "admin"],
        expiresAtMs: Date.UTC(2027, 0, 31),
      },
      {
        token: TWO,
        name: "token-2",
        scopes: ["register"],
        expiresAtMs: Date.UTC(2027, 0, 31, 10),
      },
    ]);
  });

  test.each([
    ["", "tokens has no token"],
    ["# nothing yet\n\n", "tokens has no token"],
    [`${ONE} horse`, "line 1: what follows the token is not understood"],
    [`${ONE} app=shop`, "line 1: what follows the token is not understood"],
    [`${ONE} ${TWO}`, "line 1: what follows the token is not understood"],
    [`\n${ONE} apps = shop`, "line 2: what follows the token is not understood"],
    ["apps=shop name=ops", "line 1: the token is missing"],
    [`name=ops ${ONE}`, "line 1: the token is missing"],
    [`${ONE} apps=`, "line 1: apps= names no application"],
    [`${ONE} apps=,`, "line 1: apps= names no application"],
    [`${ONE} apps=shop;bank`, 'line 1: the application name "shop;bank" may have'],
    [`${ONE} apps=../bank`, 'line 1: the application name "../bank" may have'],
    [`${ONE} apps=shop apps=bank`, "line 1: apps= stands there twice"],
    [`${ONE} name=a name=b`, "line 1: name= stands there twice"],
    [`${ONE} name=`, "line 1: name= takes up to 64"],
    [`${ONE} name=a/b`, "line 1: name= takes up to 64"],
    ...[LOCAL, ANYONE, NOBODY].map(({ name }): [string, string] => [
      `#\n${ONE} name=${name}`,
      `line 2: ${name} is what those without a token are called`,
    ]),
    [`${ONE} scopes=`, "line 1: scopes= takes some of read, register, admin"],
    [`${ONE} scopes=write`, "line 1: scopes= takes some of read, register, admin"],
    [`${ONE} scopes=read,all`, "line 1: scopes= takes some of read, register, admin"],
    [`${ONE} scopes=read scopes=admin`, "line 1: scopes= stands there twice"],
    [`scopes=read`, "line 1: the token is missing"],
    [`${ONE} expires=`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=tomorrow`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=2027-02-31`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=2027-13-01`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=2027-01-31T12:00`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=2027-01-31T25:00Z`, "line 1: expires= takes a date or a time"],
    [`${ONE} expires=1801353600`, "line 1: expires= takes a date or a time"],
    [`${ONE}\n\n${ONE} apps=shop`, "line 3: its token is that of line 1"],
    [`${ONE} name=ops\n${TWO} name=ops`, "line 2: its name is that of line 1"],
    [`${ONE} name=token-2\n${TWO}`, "line 2: its name is that of line 1"],
    [`${ONE} name=${ONE}`, "line 1: its name is the token of line 1"],
    [`${ONE} name=short-one\nshort-one`, "line 1: its name is the token of line 2"],
    [`${ONE}\nblåbær-${TWO}`, "line 2: its token has characters that HTTP cannot carry"],
    [`${ONE}\0`, "line 1: its token has characters that HTTP cannot carry"],
  ])("that says %j is refused", (text, message) => {
    expect(complaint(text)).toContain(message);
    expect(complaint(text)).toStartWith("--token-file: tokens");
  });

  test("with a token longer than a hello carries, or a name longer than a line shows, is refused", () => {
    expect(complaint("x".repeat(4097))).toContain("line 1: its token is longer than 4096 bytes");
    expect(complaint(`${ONE} name=${"x".repeat(65)}`)).toContain("line 1: name= takes up to 64");
  });

  test("of any tokens, names and applications is read as it was written", () => {
    const word = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9+/=_-]{1,40}$/);
    const entry = fc.record(
      {
        token: word.map((text) => `t${text}`),
        name: fc.stringMatching(/^n[a-z0-9._-]{0,20}$/),
        apps: fc.array(fc.stringMatching(/^[a-z][a-z0-9-]{0,8}\*?$/), { minLength: 1 }),
      },
      { requiredKeys: ["token", "name"] },
    );
    const entries = fc.uniqueArray(entry, {
      minLength: 1,
      comparator: (a, b) => a.token === b.token || a.name === b.name,
    });
    fc.assert(
      fc.property(entries, (written) => {
        const lines = written.map(({ token, name, apps }) =>
          [token, `name=${name}`, ...(apps === undefined ? [] : [`apps=${apps}`])].join(" "),
        );
        expect(parseTokens(lines.join("\n"), "tokens", "--token-file")).toEqual(written);
      }),
    );
  });
});

describe("a collector", () => {
  test("takes the first token of a file, whatever the agent grants it", () => {
    expect(tokenOf(`${ONE}\n`)).toBe(ONE);
    expect(tokenOf(`# mine\n\n${ONE} apps=shop name=ops\n${TWO}\n`)).toBe(ONE);
    expect(readToken(undefined, "--token-file")).toBeUndefined();
  });

  test("is told when a file has none", () => {
    expect(() => tokenOf("# nothing\n")).toThrow(/has no token/);
    expect(() => tokenOf("\n")).toThrow(/is empty/);
  });
});
