// `bun --hot`: modules are evaluated again and again in the same thread.

import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

const SOURCE = readFileSync(join(ROOT, "tests/client/fixtures/reloaded.ts"), "utf8").replace(
  "../../../src/client/index.ts",
  join(ROOT, "src/client/index.ts"),
);

/** A service under `bun --hot`, and how it is loaded again. */
async function hot(host: TestHost) {
  const path = join(host.folder, "service.ts");
  writeFileSync(path, SOURCE);
  const child = host.own(
    Bun.spawn([process.execPath, "--hot", "--no-clear-screen", path], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, TEST_SOCKET: host.socketPath },
    }),
  );
  const lines = new Lines(child.stdout);
  expect(await lines.next()).toBe("loaded");
  let loads = 1;
  return {
    child,
    async reload(source = SOURCE) {
      writeFileSync(path, `${source}\n// ${++loads}\n`);
      expect(await lines.next()).toBe("loaded");
    },
  };
}

test("a service that is reloaded goes on as the same writers: gauges stay, counters count on", async () => {
  await using host = new TestHost();
  await host.agent();
  const { child, reload } = await hot(host);
  for (let i = 0; i < 3; i++) await reload();
  const view = host.view();
  expect(view.writers("auth")).toHaveLength(2);
  expect(view.value("auth", "depth")).toBe(5);
  expect(view.value("auth", "other_depth")).toBe(2);
  expect(view.value("auth", "loads_total")).toBe(4);
  expect(view.value("auth", "requests_total", { route: "/" })).toBe(4);
  expect(view.slots("auth", "latency_seconds")).toEqual([4, 0, 2]);
  child.kill("SIGKILL");
  await until("it is folded", () => view.writers("auth").length === 0);
  expect(view.value("auth", "loads_total")).toBe(4);
});

test("what is declared otherwise after a reload is as it was declared last", async () => {
  await using host = new TestHost();
  await host.agent();
  const { reload } = await hot(host);
  await reload(
    SOURCE.replace("buckets: [1]", "buckets: [1, 2]").replace(
      'labels: ["route"]',
      'labels: ["path"]',
    ),
  );
  const view = host.view();
  await until("it has the new buckets", () => view.slots("auth", "latency_seconds").length === 4);
  expect(view.slots("auth", "latency_seconds")).toEqual([1, 0, 0, 0.5]);
  await until("it has the new label", () => {
    return view.value("auth", "requests_total", { path: "/" }) === 1;
  });
  expect(view.value("auth", "depth")).toBe(5);
  expect(view.writers("auth")).toHaveLength(2);
});
