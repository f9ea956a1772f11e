// A secret that is passed to every call that records something is nowhere in the file of the ring.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MicroView } from "../../../src/client/index.ts";
import { LEVELS } from "../../../src/layout/index.ts";
import { ROOT, TestHost } from "../../support/host.ts";
import { surroundings } from "../../support/surroundings.ts";
import { until } from "../../support/wait.ts";
import { eventsOf, ringPath, ringPaths } from "./recorded.ts";

const SECRET = "correct-horse-battery";
const CARD = "4242 4242 4242 4242";

const properties = () => ({
  password: SECRET,
  "X-Api-Key": SECRET,
  note: `card ${CARD}`,
  request: { headers: new Headers({ authorization: SECRET, cookie: SECRET }) },
  list: [{ clientSecret: { nested: SECRET } }, new Map([["accessToken", SECRET]])],
  cause: Object.assign(new Error(`card ${CARD}`), { token: SECRET, [`set-cookie`]: [SECRET] }),
});

function passEverywhere(mv: MicroView): void {
  const error = () => Object.assign(new Error(`paid by ${CARD}`), { refreshToken: SECRET });
  for (const log of [mv.log, mv.logger("part")]) {
    for (const level of LEVELS) {
      // A message that comes again goes into the table of definitions.
      for (let i = 0; i < 3; i++) log[level](`paid by ${CARD}`, properties());
      log[level](error(), properties());
    }
  }
  mv.measure("latency", "ms").record(1, properties());
  const span = mv.span("query");
  span.begin({ properties: properties() }).set("password", SECRET).set("all", properties()).end();
  span.begin().end("error", properties());
  span.run(() => mv.log.info("within", properties()), { properties: properties() });
  void span.runAsync(async () => {}, { properties: properties() });
}

const redactHook = (_key: string, value: unknown) =>
  typeof value === "string" ? value.replaceAll(CARD, "[card]") : value;

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
