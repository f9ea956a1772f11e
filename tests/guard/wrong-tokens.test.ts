// What stands for an address where wrong tokens and connections are counted, and how many may come from there.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { networkOf, placeOf, WrongTokens } from "../../src/guard/wrong-tokens.ts";

test("an address stands for itself where no file is left to ask which ones this host has", async () => {
  const fixture = join(import.meta.dir, "fixtures/without-files.ts");
  const command = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh", process.execPath, fixture];
  const child = Bun.spawn([...command, "192.0.2.7"], { stdout: "pipe", stderr: "pipe" });
  expect(await new Response(child.stdout).text()).toBe("192.0.2.7");
  expect(await child.exited).toBe(0);
});

describe("wrong tokens", () => {
  test.each([
    ["127.0.0.1", "this host", "this host"],
    ["127.200.1.1", "this host", "this host"],
    ["::1", "this host", "this host"],
    ["::ffff:127.0.0.9", "this host", "this host"],
    ["203.0.113.7", "203.0.113.7", "203.0.113.0/24"],
    ["::ffff:203.0.113.7", "203.0.113.7", "203.0.113.0/24"],
    ["2001:db8:1:2::6", "2001:db8:1:2::/64", "2001:db8:1::/48"],
    ["2001:DB8:1:f::6", "2001:db8:1:f::/64", "2001:db8:1::/48"],
  ])("from %s are of %s, in %s", (address, place, network) => {
    expect([placeOf(address), networkOf(address)]).toEqual([place, network]);
  });

  test("of a network's many addresses come to an end too, and those of others are looked at", () => {
    const wrong = new WrongTokens(5);
    let looked = 0;
    for (let i = 0; i < 20_000; i++) {
      const address = `2001:db8:1:${i.toString(16)}::1`;
      if (!wrong.mayTry(address)) continue;
      looked++;
      wrong.note(address);
    }
    expect(looked).toBeLessThan(1000);
    expect(wrong.waitS("2001:db8:1:ffff::1")).toBeGreaterThan(0);
    expect(wrong.mayTry("2001:db8:2:1::1")).toBe(true);
    for (let i = 0; i < 30; i++) wrong.note("203.0.113.7");
    expect([wrong.mayTry("203.0.113.7"), wrong.mayTry("203.0.113.8")]).toEqual([false, true]);
  });
});
