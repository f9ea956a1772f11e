import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { symlinkSync, truncateSync } from "node:fs";
import { PoolFile, reportPool } from "../../src/inspector/index.ts";
import {
  directoryWord,
  HEADER,
  PAGE_BYTES,
  PoolFormatError,
  RecordWriter,
} from "../../src/layout/index.ts";
import { define, Scratch, TestWriter } from "../support/pools.ts";
import { addShop, PoolDirectory } from "./pools.ts";

const scratch = new Scratch();
const ALL = { service: () => true, metric: () => true };

function shop() {
  const directory = new PoolDirectory(scratch);
  const { app, writer } = addShop(directory);
  const file = PoolFile.open(directory.file("shop"));
  return { directory, app, writer, file, u32: new Uint32Array(app.pool.mapping.buffer) };
}

describe("a pool's file", () => {
  test("gives its structure and the sums of its values", () => {
    const { file } = shop();
    const reading = file.read();
    expect(reading.consistency).toBe("settled");
    const [auth, cart] = reportPool(file, reading, ALL).services;
    expect(auth).toMatchObject({
      name: "auth",
      writers: [{ id: 1, life: "alive", pid: 42, threadId: 7, series: 5 }],
      metrics: [
        { name: "hottest", series: [{ absent: true }] },
        { name: "memory_bytes", unit: "bytes", series: [{ value: 1536 }] },
        {
          name: "requests_total",
          labelNames: ["path"],
          series: [
            { labelValues: ["/a"], value: 7 },
            { labelValues: ["/b"], value: 5 },
          ],
        },
        { name: "wait_seconds", series: [{ count: 100, sum: 0.07, p90: 0.001 }] },
      ],
    });
    expect(cart).toMatchObject({ name: "cart", metrics: [{ name: "items_total" }] });
  });

  test("shows what was stored since, and what was registered since", () => {
    const { file, app, writer } = shop();
    file.read();
    writer.store("requests_total", ["/a"], 70);
    new TestWriter(app, { service: "mail" }).put(define.counter("sent_total"), [], 1);
    const { services } = reportPool(file, file.read(), ALL);
    expect(services.map(({ name }) => name)).toEqual(["auth", "cart", "mail"]);
    expect(services[0]?.metrics[2]?.series[0]).toMatchObject({ value: 70 });
  });

  test("counts a writer that let go of its lock as dead, and keeps its counts after its fold", () => {
    const { file, app, writer } = shop();
    writer.die();
    const lives = () =>
      reportPool(file, file.read(), ALL).services[0]?.writers.map(({ life }) => life);
    expect(lives()).toEqual(["dead"]);
    app.scan(Date.now() + 60_000);
    expect(lives()).toEqual(["retained"]);
    expect(reportPool(file, file.read(), ALL).services[0]?.metrics[2]?.series[0]).toMatchObject({
      value: 7,
    });
  });

  test("knows a writer without a lock", () => {
    const { file, app } = shop();
    app.attach({ service: "old", pid: 0, threadId: 0 }, { unlocked: true });
    const old = reportPool(file, file.read(), ALL).services.find(({ name }) => name === "old");
    expect(old?.writers).toMatchObject([{ life: "unlocked" }]);
  });

  test("knows whether an agent keeps it", () => {
    const { file, app } = shop();
    expect(file.agentAlive).toBe(true);
    app.pool.close();
    expect(file.agentAlive).toBe(false);
    expect(reportPool(file, file.read(), ALL).agent).toEqual({ alive: false, pid: process.pid });
  });

  test("knows when its path leads to another file", () => {
    const { file, directory } = shop();
    expect(file.isCurrent).toBe(true);
    spawnSync("rm", [directory.file("shop")]);
    expect(file.isCurrent).toBe(false);
  });

  test("whose agent died in a change says so, and is read all the same", () => {
    const { file, app, u32 } = shop();
    u32[HEADER.generation / 4]!++;
    app.pool.close();
    const reading = file.read();
    expect(reading.consistency).toBe("interrupted");
    expect(reportPool(file, reading, ALL).services).toHaveLength(2);
  });

  test("whose agent lives and goes on changing says so", () => {
    const { file, u32 } = shop();
    u32[HEADER.generation / 4]!++;
    expect(file.read().consistency).toBe("changing");
  });

  test("follows a directory that was rewritten", () => {
    const { file, app } = shop();
    file.read();
    const { header, mapping } = app.pool;
    const records = new RecordWriter().service(1, "new");
    mapping
      .bytes(header.directoryOffset + header.directoryCapacity, records.bytes.length)
      .set(records.bytes.bytes());
    new BigUint64Array(mapping.buffer)[HEADER.directoryWord / 8] = directoryWord(
      1,
      records.bytes.length,
    );
    expect(reportPool(file, file.read(), ALL)).toMatchObject({
      directory: { epoch: 1 },
      services: [{ name: "new" }],
    });
  });

  test("maps nothing for writing", () => {
    const { directory } = shop();
    // A store through the mapping would end the process: another one tries.
    const program = `
      import { PoolFile } from ${JSON.stringify(`${import.meta.dir}/../../src/inspector/index.ts`)};
      const file = PoolFile.open(${JSON.stringify(directory.file("shop"))});
      file.read();
      console.log("read");
      file.mapping.bytes()[4096] = 1;
      console.log("written");`;
    const { stdout } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
    expect(stdout).toBe("read\n");
  });
});

describe("a damaged pool", () => {
  test("is read around its damage, which is told with its place in the file", () => {
    const { directory, app } = shop();
    const { header, mapping } = app.pool;
    // A byte of the last record, which binds the cart's counter.
    const place = header.directoryOffset + app.directory.length - 4;
    mapping.bytes()[place]! ^= 0xff;
    const file = PoolFile.open(directory.file("shop"));
    const report = reportPool(file, file.read(), ALL);
    expect(report.damageCount).toBe(1);
    expect(report.damage).toEqual([
      {
        offset: header.directoryOffset + app.directory.length - 32,
        reason: expect.stringContaining("checksum"),
      },
    ]);
    expect(report.services[0]?.metrics).toHaveLength(4);
  });

  test("that binds pages which were never handed out is not read there", () => {
    const { directory, app, u32 } = shop();
    u32[HEADER.pagesHighWater / 4] = 1;
    const file = PoolFile.open(directory.file("shop"));
    const reading = file.read();
    expect(reading.damage).toEqual([
      {
        offset: app.pool.header.pagesOffset + PAGE_BYTES,
        reason: "page 1 is bound, but no page from 1 on was handed out",
      },
    ]);
    // The cart's page is not looked at.
    const cart = reportPool(file, reading, ALL).services[1];
    expect(cart?.metrics[0]?.series).toMatchObject([{ value: 0 }]);
  });

  test("that was cut off under us is an error, not the end of the process", () => {
    const { directory, file } = shop();
    truncateSync(directory.file("shop"), 8192);
    expect(() => file.read()).toThrow("the file was cut to 8192 of");
  });

  test.each([
    ["an empty file", new Uint8Array()],
    ["a short file", new Uint8Array(100)],
    ["a file of zeroes", new Uint8Array(1 << 20)],
    ["a file of another program", new TextEncoder().encode("#!/bin/sh\n".repeat(1000))],
  ])("that is %s is refused", (_, bytes) => {
    expect(() => PoolFile.open(scratch.image(bytes))).toThrow(PoolFormatError);
  });

  test("that is a link or a pipe is refused without waiting", () => {
    const { directory } = shop();
    const link = scratch.path();
    symlinkSync(directory.file("shop"), link);
    expect(() => PoolFile.open(link)).toThrow("symbolic link");
    const pipe = scratch.path();
    spawnSync("mkfifo", [pipe]);
    expect(() => PoolFile.open(pipe)).toThrow("a FIFO, and no plain file");
  });

  test("with any one byte of its structure changed is read or refused, never more", () => {
    const { app } = shop();
    const used = app.pool.header.directoryOffset + app.directory.length;
    const image = app.pool.mapping.bytes().slice();
    for (let place = 0; place < used; place += place < 320 ? 1 : 7) {
      // What lies between the header and the directory means nothing.
      if (place >= 320 && place < app.pool.header.directoryOffset) continue;
      const changed = image.slice();
      changed[place]! ^= 1 << (place % 8);
      let file: PoolFile | undefined;
      try {
        file = PoolFile.open(scratch.image(changed));
        // An odd generation costs a wait: one such case is enough.
        if (place !== HEADER.generation) reportPool(file, file.read(), ALL);
      } catch (error) {
        expect((error as Error).name).toMatch(/^(PoolFormatError|DamageError)$/);
      } finally {
        file?.close();
      }
    }
  });
});
