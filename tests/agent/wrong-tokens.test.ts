// What stands for an address where wrong tokens and connections are counted.

import { expect, test } from "bun:test";
import { join } from "node:path";

test("an address stands for itself where no file is left to ask which ones this host has", async () => {
  const fixture = join(import.meta.dir, "fixtures/without-files.ts");
  const command = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh", process.execPath, fixture];
  const child = Bun.spawn([...command, "192.0.2.7"], { stdout: "pipe", stderr: "pipe" });
  expect(await new Response(child.stdout).text()).toBe("192.0.2.7");
  expect(await child.exited).toBe(0);
});
