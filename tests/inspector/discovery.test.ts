import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { findPools } from "../../src/inspector/index.ts";
import { Scratch } from "../support/pools.ts";
import { addShop, PoolDirectory } from "./pools.ts";

const scratch = new Scratch();

describe("the search for pools", () => {
  test("finds one per application, in the order of their names", () => {
    const directory = new PoolDirectory(scratch);
    directory.add("zoo");
    directory.add("shop");
    expect(findPools(directory.path)).toEqual([
      { app: "shop", path: directory.file("shop"), kind: "pool" },
      { app: "zoo", path: directory.file("zoo"), kind: "pool" },
    ]);
  });

  test("tells what an agent has set aside, and leaves out what one has not finished", () => {
    const directory = new PoolDirectory(scratch);
    addShop(directory);
    const aside = `${directory.file("shop")}.damaged-2026-01-01`;
    renameSync(directory.file("shop"), aside);
    writeFileSync(`${directory.file("shop")}.new-123`, "");
    expect(findPools(directory.path)).toEqual([{ app: "shop", path: aside, kind: "set-aside" }]);
  });

  test("leaves out what cannot be an application's", () => {
    const directory = new PoolDirectory(scratch);
    mkdirSync(`${directory.path}/-odd name`);
    writeFileSync(`${directory.path}/-odd name/pool`, "");
    mkdirSync(`${directory.path}/empty`);
    writeFileSync(`${directory.path}/file`, "");
    symlinkSync("/etc", `${directory.path}/link`);
    expect(findPools(directory.path)).toEqual([]);
  });

  test("fails where there is no directory", () => {
    expect(() => findPools(scratch.path())).toThrow("ENOENT");
  });
});
