// What holds when SQL tries to get out of a query: the gate in front, and each wall behind it alone.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { landlockVersion } from "../../../src/ffi/index.ts";
import { QueryError } from "../../../src/lake/index.ts";
import { DOORS } from "./fixtures/doors.ts";
import { readAnswer, SECRET, SmallLake } from "./fixtures/small-lake.ts";

let lake: SmallLake;

beforeAll(async () => {
  lake = await SmallLake.make();
});
afterAll(() => lake.remove());

const STAYS = new AbortController().signal;

/** The doors with paths of this lake. */
async function doors(): Promise<string[]> {
  const { files } = await lake.tables.open(["log_entries"], {}, STAYS);
  return DOORS.map((door) =>
    door
      .replaceAll("FILE", files[0]!)
      .replaceAll("FOLDER", lake.folder)
      .replaceAll("ROOT", lake.root),
  );
}

/** Runs statements in a process like a query's, without the gate. */
async function behindTheGate(statements: readonly string[]): Promise<string[]> {
  const tables = await lake.tables.open(["log_entries", "processes"], {}, STAYS);
  const script = join(import.meta.dir, "fixtures", "behind-the-gate.ts");
  const program = Bun.spawn([process.execPath, script, lake.folder], {
    // PRAGMA enable_profiling writes there.
    ...{ cwd: "/", env: {}, stdout: "pipe", stderr: "ignore" },
    stdin: new Blob([JSON.stringify({ given: tables, statements })]),
  });
  return JSON.parse(await new Response(program.stdout).text()) as string[];
}

describe("through every door", () => {
  test("a query is refused with a reason, and nothing is written", async () => {
    const runner = lake.runner({ limits: { concurrent: 2, waiting: 1_000 }, warm: 2 });
    const before = lake.hash();
    // Some from end to end; gate.test.ts has all of them.
    const some = (await doors()).filter((_, i) => i % 12 === 1);
    await Promise.all(
      some.map(async (sql) => {
        const error = await runner.run({ sql }, STAYS).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect([sql, error instanceof QueryError && error.status]).toEqual([sql, 400]);
        expect(JSON.stringify((error as QueryError).body)).not.toContain(SECRET);
      }),
    );
    expect(lake.hash()).toBe(before);
    const { rows } = await readAnswer(
      await runner.run({ sql: "SELECT count(DISTINCT message) FROM log_entries" }, STAYS),
    );
    expect(rows).toEqual([[10_000]]);
  });

  test("nothing is written and no secret read behind the gate either", async () => {
    const before = lake.hash();
    // These wait, and do nothing else.
    const tried = (await doors()).filter((door) => !/sleep/.test(door));
    const said = await behindTheGate(tried);
    expect(said.length).toBe(tried.length);
    const told = said
      .map((text, i) => [tried[i], text])
      .filter(([, text]) => text!.includes(SECRET));
    expect(told).toEqual([]);
    expect(lake.hash()).toBe(before);
  });
});

describe.skipIf(landlockVersion() < 4)("the kernel", () => {
  test("lets a process of a query read the lake, and read, write and reach nothing else", async () => {
    const before = lake.hash();
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("here") });
    const script = join(import.meta.dir, "fixtures", "confined.ts");
    const program = Bun.spawn(
      [process.execPath, script, lake.folder, lake.root, String(server.port), String(process.pid)],
      { cwd: "/", env: {}, stdout: "pipe", stderr: "inherit" },
    );
    const done = JSON.parse(await new Response(program.stdout).text()) as string[];
    await server.stop(true);
    expect(done).toEqual(["read the lake"]);
    expect(lake.hash()).toBe(before);
  });
});
