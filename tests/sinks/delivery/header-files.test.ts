// Files with what a receiver is told of who we are. They are read again at each request, by the thread that collects.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { basicFrom, bearerFrom, headersFrom } from "../../../src/sinks/delivery/index.ts";

const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));

test("a file that has become a FIFO is an error that names it, at once", () => {
  const path = join(folder, "secret");
  for (const make of [bearerFrom, basicFrom, headersFrom]) {
    writeFileSync(path, "user:password");
    const file = make(path, "--header-file");
    file.check();
    expect(Object.keys(file.read())).toHaveLength(1);
    rmSync(path);
    Bun.spawnSync(["mkfifo", path]);
    expect(() => file.read()).toThrow(`cannot read ${path}: it is no plain file`);
    rmSync(path);
  }
});
