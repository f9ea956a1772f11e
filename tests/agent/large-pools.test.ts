// Pools as large as may be work, and what is larger is refused in words: a pool is mapped whole.

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Pool } from "../../src/agent/pool/pool.ts";
import { MmapTransport } from "../../src/collector/mmap-transport.ts";
import { encodeHeader, PoolFormatError, poolGeometry, poolPath } from "../../src/layout/index.ts";
import { runCli } from "../commands/run-cli.ts";
import { collect } from "../support/collecting.ts";
import { TestHost } from "../support/host.ts";
import { headerOf } from "../support/pools.ts";
import { until } from "../support/wait.ts";

const MOST_PAGES = 1_000_000;

test("services attach to a pool of the most pages that --max-pages takes, and it is read", async () => {
  await using host = new TestHost();
  await host.agent({ limits: { pages: MOST_PAGES } });
  const mv = host.client();
  mv.counter("c_total").inc(3);
  await mv.ready;
  const { latest } = collect(host, { transport: "mmap" });
  await until("it is read", () => latest.get("local shop auth c_total{}") === 3);
  const read = await runCli(["inspect", "--pool-dir", host.poolDir, "--app", "shop"]);
  expect(read).toMatchObject({ exitCode: 0, stderr: "" });
});

test("--max-pages beyond is a wrong flag, and says how many there may be", async () => {
  const { exitCode, stderr } = await runCli(["agent", "--max-pages", String(MOST_PAGES + 1)]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("from 1 to 1000000");
});

test("a pool beyond 4 GiB is refused in words, and looking at it leaves no mapping behind", async () => {
  await using host = new TestHost();
  const path = poolPath("shop", host.poolDir);
  mkdirSync(dirname(path));
  const geometry = poolGeometry({ pageCapacity: 1 << 20 });
  writeFileSync(path, encodeHeader(headerOf(geometry)));
  truncateSync(path, geometry.fileBytes);
  expect(() => Pool.adopt(path)).toThrow(PoolFormatError);
  const reasons: string[] = [];
  for (let i = 0; i < 3; i++) {
    const transport = new MmapTransport(host.poolDir, (_, reason) => reasons.push(reason));
    transport.list((pools) => expect(pools).toEqual([]));
    transport.close();
  }
  expect(reasons).toEqual(new Array(3).fill(expect.stringContaining("at most 4294967296")));
  expect(readFileSync("/proc/self/maps", "utf8")).not.toContain(path);
});
