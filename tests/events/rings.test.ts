// Files of rings that others change: whoever reads and keeps them goes on.

import { expect, test } from "bun:test";
import { readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { Random, seedOf } from "../chaos/random.ts";
import { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";

const SEED = seedOf("EVENTS_SEED");

test(`a ring whose file is cut and made longer again at any moment ends no process that reads and keeps it (EVENTS_SEED=${SEED})`, async () => {
  const random = new Random(SEED);
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  for (let i = 0; i < 5000; i++) mv.log.error("a line", { i });
  await mv.close();
  const [name] = readdirSync(join(host.poolDir, "shop")).filter((each) =>
    each.startsWith("events"),
  );
  const path = join(host.poolDir, "shop", name!);
  const { size } = statSync(path);
  const child = host.run("tests/events/fixtures/reader.ts", { poolDir: host.poolDir });
  expect(await new Lines(child.stdout).next()).toBe("begun");
  for (let i = 0; i < 30_000 && child.exitCode === null; i++) {
    truncateSync(path, random.between(0, size - 1));
    truncateSync(path, size);
    if (i % 100 === 0) await Bun.sleep(0);
  }
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});
