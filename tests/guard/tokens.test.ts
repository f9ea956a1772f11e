// Tokens and what they grant: each its own, nothing for any other, and every one of them is compared.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ANYONE, grantOf, LOCAL, NOBODY, withGrant } from "../../src/guard/grants.ts";
import { hashed, type TokenEntry, Tokens } from "../../src/guard/tokens.ts";

const ENTRIES: TokenEntry[] = [
  { token: "first-token-of-three", name: "ops" },
  { token: "second-token-of-three", name: "shop-team", apps: ["shop", "bank-*"] },
  { token: "third-token-of-three", name: "nothing", apps: [] },
];

describe("tokens", () => {
  const tokens = new Tokens(hashed(ENTRIES));

  test("grant what stands behind them", () => {
    const [ops, team, nothing] = ENTRIES.map(({ token }) => tokens.find(token)!);
    expect([ops!.name, ops!.all, ops!.allows("anything")]).toEqual(["ops", true, true]);
    expect([team!.name, team!.all]).toEqual(["shop-team", false]);
    const allowed = ["shop", "bank", "bank-eu", "shop2", "Shop", "", "bank-\n", "bank-../shop"];
    expect(allowed.filter((app) => team!.allows(app))).toEqual(["shop", "bank-eu"]);
    expect(nothing!.allows("shop")).toBe(false);
  });

  test("are found in an Authorization header of the scheme Bearer, and nowhere else", () => {
    const { token } = ENTRIES[0]!;
    expect(tokens.identify(`Bearer ${token}`)?.name).toBe("ops");
    for (const header of [null, "", "Bearer", "Bearer ", token, `Basic ${token}`]) {
      expect(tokens.identify(header)).toBeUndefined();
    }
    for (const wrong of [`${token} `, ` ${token}`, `${token}, Bearer ${token}`, `${token}\0`]) {
      expect(tokens.identify(`Bearer ${wrong}`)).toBeUndefined();
    }
  });

  test("are all compared, as hashes of one length, wherever the one that fits stands", () => {
    const compared: [number, number][] = [];
    const watched = new Tokens(hashed(ENTRIES), (a, b) => {
      compared.push([a.length, b.length]);
      return Buffer.compare(a, b) === 0;
    });
    const given = [...ENTRIES.map(({ token }) => token), "", "wrong", "x".repeat(4096)];
    for (const token of given) {
      compared.length = 0;
      watched.find(token);
      expect(compared).toEqual(ENTRIES.map(() => [32, 32]));
      compared.length = 0;
      watched.identify(`Basic ${token}`);
      expect(compared).toEqual(ENTRIES.map(() => [32, 32]));
    }
  });

  test("are not in what the agent keeps of them", () => {
    const kept = new TextDecoder("latin1").decode(
      Buffer.concat(hashed(ENTRIES).map(({ hash }) => hash)),
    );
    for (const { token } of ENTRIES) {
      expect(JSON.stringify(hashed(ENTRIES))).not.toContain(token);
      expect(kept).not.toContain(token);
    }
    // A thread gets them as a message.
    const [, there] = structuredClone(hashed(ENTRIES));
    expect(new Tokens([there!]).find(ENTRIES[1]!.token)?.allows("shop")).toBe(true);
  });

  test("of any number grant each its own, and nothing to what is none of them", () => {
    const texts = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(texts, fc.string(), (given, other) => {
        const all = new Tokens(hashed(given.map((token, i) => ({ token, name: `${i}` }))));
        given.forEach((token, i) => {
          expect(all.find(token)?.name).toBe(`${i}`);
          expect(all.find(new TextEncoder().encode(token))?.name).toBe(`${i}`);
        });
        if (!given.includes(other)) expect(all.find(other)).toBeUndefined();
      }),
    );
  });
});

describe("a grant", () => {
  test("belongs to one request and to no copy of it", () => {
    const request = withGrant(new Request("http://localhost/"), LOCAL);
    expect(grantOf(request)).toBe(LOCAL);
    expect(() => grantOf(new Request(request))).toThrow(/without a grant/);
    expect(() => grantOf(new Request("http://localhost/"))).toThrow(/without a grant/);
  });

  test("is everything on the socket and where no token is asked for, and nothing before a hello", () => {
    expect([LOCAL, ANYONE, NOBODY].map(({ name, all }) => [name, all])).toEqual([
      ["local", true],
      ["anyone", true],
      ["nobody", false],
    ]);
    expect([LOCAL, ANYONE, NOBODY].map(({ allows }) => allows("shop"))).toEqual([
      true,
      true,
      false,
    ]);
  });
});
