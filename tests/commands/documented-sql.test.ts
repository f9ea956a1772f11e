// The queries of docs/files.md, asked of a recording of the example that they name: each finds something.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { queryParquet } from "../support/parquet.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

test("the queries of docs/files.md find what the example counts", async () => {
  const page = readFileSync(join(ROOT, "docs/files.md"), "utf8");
  const [, block = ""] = /```sql\n([\s\S]*?)```/.exec(page) ?? [];
  const queries = block.split(/;\n/).filter((query) => query.trim() !== "");
  expect(queries).toHaveLength(5);

  await using host = new TestHost();
  await host.agentProcess("--process-metrics", "100ms");
  const service = host.own(
    Bun.spawn([process.execPath, "examples/service.ts"], {
      cwd: ROOT,
      env: surroundings({ PORT: "0", MICROVIEW_SOCKET: host.socketPath }),
      stdout: Bun.file(join(host.folder, "service")),
    }),
  );
  const url = await until("the service says where it is", () => {
    expect(service.exitCode).toBeNull();
    return /try (http:\S+?)login/.exec(readFileSync(join(host.folder, "service"), "utf8"))?.[1];
  });
  const asking = setInterval(() => {
    for (const user of ["alice", "mallory"]) void fetch(`${url}login/${user}`).catch(() => {});
  }, 10);
  host.onEnd(() => clearInterval(asking));
  const view = host.view("microview");
  await until("its process is sampled", () => {
    return view.value("auth", "microview_process_resident_bytes", { app: "shop" })! > 0;
  });
  const path = join(host.folder, "run.parquet");
  const flags = ["--socket", host.socketPath, "--interval", "20ms", "--count", "60"];
  const { exitCode, stderr } = await runCli(["collect", ...flags, "--out", path]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  for (const query of queries) {
    const rows = await queryParquet(path, query.replaceAll("'run.parquet'", "FILE"));
    // Deadlines are missed on a busy machine only.
    if (!query.includes("missed"))
      expect({ query, found: rows.length > 0 }).toEqual({ query, found: true });
    if (query.includes("outcome"))
      expect(rows.some(([, , logins]) => Number(logins) > 0)).toBe(true);
    if (query.includes("ASOF")) expect(rows.some(([, value]) => Number(value) > 1e6)).toBe(true);
  }
});
