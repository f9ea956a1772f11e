// The catalogue in SQLite: what every catalogue promises (catalogue-suite.ts), and what becomes of its file.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import {
  CatalogueBusyError,
  CatalogueDamagedError,
  CatalogueError,
  CatalogueFullError,
  CatalogueVersionError,
} from "../../src/lake/catalogue/index.ts";
import { prepareSchema, type SchemaStep, STEPS } from "../../src/lake/catalogue/schema.ts";
import { Catalogue } from "../../src/lake/index.ts";
import { catalogueSuite } from "./catalogue-suite.ts";
import { DAY_NS, newBlock, newPartition, newSegment } from "./fixtures.ts";

/** A catalogue of one test, whose clock stands still until it is moved. */
async function opened() {
  const dir = mkdtempSync(join(tmpdir(), "microview-catalogue-"));
  const path = join(dir, "catalogue.sqlite");
  const clock = { nowNs: DAY_NS };
  const open = () => Catalogue.open(path, () => clock.nowNs);
  const catalogue = await open();
  return {
    catalogue,
    clock,
    path,
    open,
    async [Symbol.asyncDispose]() {
      await catalogue.close();
      rmSync(dir, { recursive: true });
    },
  };
}

catalogueSuite(opened);

describe("the catalogue", () => {
  test("says that there is no room, and has nothing of what was to be written", async () => {
    await using it = await opened();
    await it.catalogue.write((tx) => tx.unsafe("PRAGMA max_page_count = 1"));
    const blocks = Array.from({ length: 5_000 }, (_, i) => newBlock(i));
    await expect(it.catalogue.addSegment(newSegment("s1", blocks))).rejects.toThrow(
      CatalogueFullError,
    );
    expect(await it.catalogue.hasSegment("s1")).toBeFalse();
    await it.catalogue.write((tx) => tx.unsafe("PRAGMA max_page_count = 1000000"));
    expect(await it.catalogue.addSegment(newSegment("s1", blocks))).toMatchObject({ isNew: true });
  });

  test("says that another process has locked it", async () => {
    await using it = await opened();
    const other = new SQL({ adapter: "sqlite", filename: it.path });
    await it.catalogue.write((tx) => tx.unsafe("PRAGMA busy_timeout = 0"));
    await other.unsafe("BEGIN IMMEDIATE");
    const segment = newSegment("s1", [newBlock(0)]);
    await expect(it.catalogue.addSegment(segment)).rejects.toThrow(CatalogueBusyError);
    await other.unsafe("ROLLBACK");
    await other.close();
    expect(await it.catalogue.addSegment(segment)).toMatchObject({ isNew: true });
  });

  test("says that a file is no catalogue, and that a file cannot be opened", async () => {
    await using it = await opened();
    const path = `${it.path}-other`;
    await Bun.write(path, "no database at all ".repeat(1_000));
    await expect(Catalogue.open(path)).rejects.toThrow(CatalogueDamagedError);
    await expect(Catalogue.open(`${path}/below`)).rejects.toThrow(CatalogueError);
  });

  test("gives no error of the driver, also where it only reads", async () => {
    await using it = await opened();
    const { read } = it.catalogue;
    await expect(read`SELECT x FROM nothing`).rejects.toThrow(CatalogueError);
    await expect(read.unsafe("SELECT x FROM nothing")).rejects.toThrow(CatalogueError);
  });

  test("of version 0 becomes one of the newest version, whose row is the only one", async () => {
    await using it = await opened();
    const version = await it.catalogue.read`SELECT version FROM schema_version`;
    const path = `${it.path}-old`;
    const sql = new SQL({ adapter: "sqlite", filename: path });
    await sql`CREATE TABLE schema_version (version BIGINT NOT NULL)`;
    await sql`INSERT INTO schema_version (version) VALUES (0)`;
    await sql.close();
    const catalogue = await Catalogue.open(path);
    expect(await catalogue.read`SELECT version FROM schema_version`).toEqual(version);
    expect(await catalogue.addSegment(newSegment("s1", [newBlock(0)]))).toMatchObject({
      isNew: true,
    });
    await catalogue.close();
  });

  test("of version 1 keeps its files, apart by the columns that they have", async () => {
    await using it = await opened();
    const path = `${it.path}-old`;
    const sql = new SQL({ adapter: "sqlite", filename: path });
    await sql.begin((tx) => prepareSchema(tx, STEPS.slice(0, 1)));
    for (const [id, hash] of Object.entries({ p1: "x", p2: "y", p3: "x" })) {
      await sql`INSERT INTO partitions VALUES (${id}, 'spans', ${id}, '2026-12-01', 1, 2, 3, 4, ${hash},
        '{"time_ns":{"min":"1"}}', 'live', 5, NULL)`;
    }
    await sql.close();
    const catalogue = await Catalogue.open(path);
    await catalogue.swapPartitions([], [newPartition("p4", "spans", DAY_NS)]);
    const live = await catalogue.livePartitions("spans");
    expect(live.map(({ schemaId }) => schemaId)).toEqual([1, 2, 1, 3]);
    expect(live[0]).toMatchObject({ partitionId: "p1", file: "p1", bounds: {} });
    await catalogue.close();
  });

  test("takes the steps that it has not taken, in their order, and all of them or none", async () => {
    await using it = await opened();
    const taken: string[] = [];
    const step =
      (name: string, isBroken = false): SchemaStep =>
      async (tx) => {
        await tx.unsafe(`CREATE TABLE ${name} (x BIGINT)`);
        taken.push(name);
        if (isBroken) throw new Error(`${name} is broken`);
      };
    const sql = new SQL({ adapter: "sqlite", filename: `${it.path}-steps` });
    const prepare = (...steps: SchemaStep[]) => sql.begin((tx) => prepareSchema(tx, steps));
    await prepare(step("a"));
    await expect(prepare(step("a"), step("b"), step("c", true))).rejects.toThrow("c is broken");
    expect(await sql`SELECT version FROM schema_version`).toEqual([{ version: 1 }]);
    await prepare(step("a"), step("b"), step("c"));
    expect(taken).toEqual(["a", "b", "c", "b", "c"]);
    expect(await sql`SELECT version FROM schema_version`).toEqual([{ version: 3 }]);
    await sql.close();
  });

  test("of a newer microview is refused, and not changed", async () => {
    await using it = await opened();
    const sql = new SQL({ adapter: "sqlite", filename: it.path });
    await sql`UPDATE schema_version SET version = 99`;
    await sql.close();
    await expect(it.open()).rejects.toThrow(CatalogueVersionError);
    await expect(it.open()).rejects.toThrow("the catalogue has schema version 99");
  });
});
