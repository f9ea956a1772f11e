// A secret that is passed to every call that records something is nowhere in the file of the ring.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../../support/host.ts";
import { CARD, passEverywhere, redactHook, SECRET } from "../../support/planted.ts";
import { surroundings } from "../../support/surroundings.ts";
import { until } from "../../support/wait.ts";
import { eventsOf, ringPath, ringPaths } from "./recorded.ts";

function expectNone(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString("latin1");
  expect(text.includes(SECRET)).toBe(false);
  expect(text.includes(CARD)).toBe(false);
}

test("a secret of any call is nowhere in the ring, which has everything else", async () => {
  await using host = new TestHost();
  const events = { level: "trace", redactHook } as const;
  const mv = host.client({ poolDir: host.poolDir, events });
  passEverywhere(mv);
  expectNone(readFileSync(ringPath(host)));
  const recorded = eventsOf(host);
  expect(recorded.filter(({ kind }) => kind === "log")).toHaveLength(2 * 6 * 4 + 1);
  expect(recorded.filter(({ kind }) => kind === "begin")).toHaveLength(4);
  expect(recorded[0]).toMatchObject({
    message: "paid by [card]",
    properties: { password: "[redacted]", note: "card [card]" },
  });
});

test("it is nowhere in a ring that was made later either", async () => {
  await using host = new TestHost();
  const folder = join(host.poolDir, "shop");
  writeFileSync(folder, "no folder");
  const events = { level: "trace", redactHook } as const;
  passEverywhere(host.client({ poolDir: host.poolDir, events }));
  rmSync(folder);
  mkdirSync(folder);
  const [path] = await until("the ring is there", () => {
    return ringPaths(host).length > 0 && ringPaths(host);
  });
  expectNone(readFileSync(path!));
});

test("one in what ends the process is not recorded", async () => {
  await using host = new TestHost();
  const program = join(host.folder, "program.ts");
  writeFileSync(
    program,
    `void Promise.reject({ password: "${SECRET}" });
     throw Object.assign(new Error("boom"), { apiKey: "${SECRET}" });`,
  );
  const register = join(ROOT, "src/client/register.ts");
  const child = Bun.spawn([process.execPath, "--preload", register, program], {
    env: surroundings({
      MICROVIEW_POOL_DIR: host.poolDir,
      MICROVIEW_APP: "shop",
      MICROVIEW_SERVICE: "auth",
    }),
    stdio: ["ignore", "ignore", "ignore"],
  });
  expect(await host.own(child).exited).toBe(1);
  expect(eventsOf(host).length).toBeGreaterThan(0);
  expectNone(readFileSync(ringPath(host)));
});
