// What the blob store and the lake's folder promise: written once, whole or not there, and one lake per folder.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderBlobs, LakeFolder, LakeFolderError } from "../../src/lake/index.ts";

function folder() {
  const dir = mkdtempSync(join(tmpdir(), "microview-blobs-"));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

const bytes = (text: string) => new TextEncoder().encode(text);

describe("a folder of blobs", () => {
  test("keeps what was first stored under a key", async () => {
    using it = folder();
    const blobs = await FolderBlobs.open(it.dir);
    expect(await blobs.putNew("2026-12-01/abc", bytes("first"))).toBeTrue();
    expect(await blobs.putNew("2026-12-01/abc", bytes("second"))).toBeFalse();
    expect(await blobs.get("2026-12-01/abc")).toEqual(bytes("first"));
    expect(readdirSync(join(it.dir, ".unfinished"))).toEqual([]);
  });

  test("gives a part, and says which is not there", async () => {
    using it = folder();
    const blobs = await FolderBlobs.open(it.dir);
    await blobs.putNew("a", bytes("0123456789"));
    expect(await blobs.get("a", { offset: 3, bytes: 4 })).toEqual(bytes("3456"));
    await expect(blobs.get("a", { offset: 3, bytes: 8 })).rejects.toThrow("11 are needed");
    await expect(blobs.get("b")).rejects.toThrow("there is no blob b");
  });

  test("lists, and deletes also what is not there", async () => {
    using it = folder();
    const blobs = await FolderBlobs.open(it.dir);
    for (const key of ["2026-12-02/b", "2026-12-01/a"]) await blobs.putNew(key, bytes(key));
    const keys = async (prefix?: string) =>
      (await Array.fromAsync(blobs.list(prefix))).map(({ key, bytes }) => [key, bytes]);
    expect(await keys()).toEqual([
      ["2026-12-01/a", 12],
      ["2026-12-02/b", 12],
    ]);
    await blobs.delete("2026-12-01/a");
    await blobs.delete("2026-12-01/a");
    expect(await keys("2026-12-01/")).toEqual([]);
  });

  test("takes no key that leads out of it", async () => {
    using it = folder();
    const blobs = await FolderBlobs.open(it.dir);
    for (const key of [
      "",
      "../a",
      "/etc/passwd",
      "a/../b",
      "a//b",
      ".hidden",
      "a\0b",
      "A",
      "a/.",
    ]) {
      await expect(blobs.putNew(key, bytes("x"))).rejects.toThrow("no key of a blob");
      await expect(blobs.get(key)).rejects.toThrow("no key of a blob");
      await expect(blobs.delete(key)).rejects.toThrow("no key of a blob");
    }
  });

  test("removes what a killed process has not finished", async () => {
    using it = folder();
    mkdirSync(join(it.dir, ".unfinished"));
    writeFileSync(join(it.dir, ".unfinished/1"), "half");
    const blobs = await FolderBlobs.open(it.dir);
    expect(await Array.fromAsync(blobs.list())).toEqual([]);
    expect(readdirSync(join(it.dir, ".unfinished"))).toEqual([]);
  });
});

describe("the lake's folder", () => {
  test("is one lake's at a time, and the second is told whose", () => {
    using it = folder();
    const dir = join(it.dir, "lake");
    const first = LakeFolder.take(dir);
    expect(() => LakeFolder.take(dir)).toThrow(
      `another lake uses ${dir}: the process ${process.pid}`,
    );
    first.release();
    LakeFolder.take(dir).release();
    expect(existsSync(join(dir, "lock"))).toBeTrue();
  });

  test("has a path that the catalogue can have", () => {
    using it = folder();
    expect(() => LakeFolder.take(`${it.dir}/what?`)).toThrow(LakeFolderError);
    writeFileSync(join(it.dir, "file"), "");
    expect(() => LakeFolder.take(`${it.dir}/file`)).toThrow("cannot be used");
  });
});
