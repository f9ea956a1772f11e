// A pool survives its agent: creation, adoption, and a crash at every single store of every kind of change.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { Pool, poolMemory, recover } from "../../src/agent/pool/pool.ts";
import type { Application } from "../../src/agent/registry/application.ts";
import type { StrategyName } from "../../src/agent/registry/strategies/index.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import {
  decodeHeader,
  directoryWord,
  encodeHeader,
  HEADER,
  HEADER_BYTES_USED,
  JOURNAL,
  LAYOUT_VERSION,
  PAGE,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PoolFormatError,
  poolGeometry,
  RecordWriter,
  slotIndex,
} from "../../src/layout/index.ts";
import {
  application,
  ask,
  define,
  doubleGrant,
  grantedPages,
  headerOf,
  overlap,
  placesByName,
  readImage,
  Scratch,
  SMALL,
  scan,
  TestWriter,
  totals,
} from "../support/pools.ts";

const scratch = new Scratch();
const requests = define.counter("requests_total", ["path"]);
const latency = define.histogram("latency_seconds", [0.1, 1], ["path"]);

/** A closed pool's file, changed by a test, and its bytes as they are then. */
function pathOf(change: (view: DataView) => void = () => {}): {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
} {
  const pool = scratch.pool();
  const writer = new TestWriter(application(pool));
  writer.put(requests, ["/"], 5);
  writer.die();
  pool.close();
  const bytes = new Uint8Array(readFileSync(pool.path));
  change(new DataView(bytes.buffer));
  writeFileSync(pool.path, bytes);
  return { path: pool.path, bytes };
}

describe("a file under a pool's name", () => {
  test("whose size is no multiple of eight is a pool when a whole one lies in it", () => {
    const { path, bytes } = pathOf();
    writeFileSync(path, Buffer.concat([bytes, Buffer.from("odd")]));
    const pool = Pool.adopt(path)!;
    expect(totals(pool)).toEqual({ 'auth/requests_total["/"]': [5] });
    pool.close();
  });

  test.each([0, 1, 5, 7, 319, 321, 4095, 4097])(
    "of %i bytes is refused, and left as it is",
    (size) => {
      const { path, bytes } = pathOf();
      writeFileSync(path, bytes.subarray(0, size));
      expect(() => Pool.adopt(path)).toThrow(PoolFormatError);
      expect(readFileSync(path)).toEqual(Buffer.from(bytes.subarray(0, size)));
    },
  );

  test("that grants pages which have no memory is refused before it takes any", () => {
    const pool = scratch.pool({ ...SMALL, pageCapacity: 100_000 });
    const app = application(pool, { limits: { pages: 100_000 } });
    app.attach({ service: "auth", pid: 1, threadId: 1 });
    pool.commit(new RecordWriter().grant({ writer: 1, page: 1, pages: 99_999, slot: 0, slots: 0 }));
    const { path } = pool;
    pool.close();
    const { blocks } = statSync(path);
    expect(() => Pool.adopt(path)).toThrow("grants 100000 pages");
    expect(statSync(path).blocks).toBe(blocks);
  });
});

describe("a new pool", () => {
  test("is a file that says all that a reader needs", () => {
    const pool = scratch.pool();
    const { header, state, directory } = readImage(new Uint8Array(readFileSync(pool.path)));
    expect(header).toEqual(pool.header);
    expect(header).toMatchObject({ ...poolGeometry(SMALL), app: "shop" });
    expect(state).toEqual({
      generation: 0,
      epoch: 0,
      directoryBytes: 0,
      pagesHighWater: 0,
      agentPid: process.pid,
      notices: 0,
    });
    expect(directory.damage).toEqual([]);
    pool.close();
  });

  test("does not take the place of one that is there, nor leave a draft", () => {
    const pool = scratch.pool();
    const before = readFileSync(pool.path);
    expect(() => Pool.create(pool.path, "shop", { mode: 0o600, sizes: SMALL })).toThrow(/EEXIST/);
    expect(readFileSync(pool.path)).toEqual(before);
    expect(existsSync(`${pool.path}.new-${process.pid}`)).toBe(false);
    pool.close();
  });

  test("has the permissions that were asked for, whatever the umask", () => {
    const before = process.umask(0o077);
    try {
      const pool = Pool.create(scratch.path(), "shop", { mode: 0o664, sizes: SMALL });
      expect(statSync(pool.path).mode & 0o777).toBe(0o664);
      pool.close();
    } finally {
      process.umask(before);
    }
  });

  test("takes memory for what is handed out only", () => {
    const pool = Pool.create(scratch.path(), "shop", { mode: 0o600 });
    expect(pool.header.fileBytes).toBeGreaterThan(256 << 20);
    expect(pool.file.stat().allocatedBytes).toBeLessThan(256 << 10);
    pool.close();
  });

  test("counts how often each page was handed out", () => {
    const pool = scratch.pool();
    let app = application(pool);
    const grantsOf = (page: number) =>
      new DataView(pool.mapping.buffer).getUint32(
        pool.header.pagesOffset + page * PAGE_BYTES + PAGE.grants,
        true,
      );
    for (let life = 1; life <= 3; life++) {
      const writer = new TestWriter(app);
      expect(writer.record.grants[0]!.page).toBe(0);
      expect(grantsOf(0)).toBe(life);
      writer.die();
      scan(app);
      app = application(pool);
    }
    pool.close();
  });
});

describe("adopting", () => {
  test("gives what the last agent had, and takes its place", () => {
    const pool = scratch.pool();
    const writer = new TestWriter(application(pool));
    writer.put(requests, ["/"], 5);
    const places = placesByName(pool.directory);
    pool.close();
    const adopted = Pool.adopt(pool.path)!;
    const again = application(adopted);
    expect(adopted.header).toEqual(pool.header);
    expect(placesByName(adopted.directory)).toEqual(places);
    expect(totals(adopted)).toEqual({ 'auth/requests_total["/"]': [5] });
    // The writer never noticed: it holds its lock, and is not folded.
    expect(again.scan()).toBe(0);
    writer.die();
    expect(again.scan()).toBe(1);
    adopted.close();
  });

  test("is refused while another agent holds the pool", () => {
    const pool = scratch.pool();
    expect(Pool.adopt(pool.path)).toBeUndefined();
    expect(Pool.adopt(pool.path)).toBeUndefined();
    pool.close();
    const adopted = Pool.adopt(pool.path)!;
    expect(adopted).toBeDefined();
    adopted.close();
  });

  test("a file that is not there is the system's error", () => {
    expect(() => Pool.adopt(scratch.path())).toThrow(/no such file/);
  });

  const refused: [string, (view: DataView) => void, RegExp][] = [
    [
      "another layout version",
      (view) => view.setUint32(HEADER.version, LAYOUT_VERSION + 2, true),
      new RegExp(`layout version ${LAYOUT_VERSION + 2}, this microview reads`),
    ],
    ["another magic", (view) => view.setUint8(0, 0x58), /not a pool/],
    ["another page size", (view) => view.setUint32(HEADER.pageBytes, 8192, true), /sizes are/],
    [
      "parts that do not fit together",
      (view) => view.setUint32(HEADER.pagesOffset, 12_288, true),
      /do not fit together/,
    ],
    [
      "more pages than its file has",
      (view) => {
        view.setUint32(HEADER.pageCapacity, SMALL.pageCapacity + 1, true);
        const { fileBytes } = poolGeometry({ ...SMALL, pageCapacity: SMALL.pageCapacity + 1 });
        view.setUint32(HEADER.fileBytes, fileBytes, true);
      },
      /its file has/,
    ],
    [
      "a directory longer than its room",
      (view) => view.setUint32(HEADER.directoryWord, SMALL.directoryCapacity / 8 + 1, true),
      /state is damaged/,
    ],
    [
      "more pages in use than it has",
      (view) => view.setUint32(HEADER.pagesHighWater, SMALL.pageCapacity + 1, true),
      /state is damaged/,
    ],
    [
      "a name that no application can have",
      (view) => view.setUint8(HEADER.app, 0x2f),
      /application name/,
    ],
  ];
  test.each(refused)(
    "a pool with %s is an error, and not a byte of it changes",
    (_, change, why) => {
      const { path, bytes } = pathOf(change);
      expect(() => Pool.adopt(path)).toThrow(PoolFormatError);
      expect(() => Pool.adopt(path)).toThrow(why);
      expect(new Uint8Array(readFileSync(path))).toEqual(bytes);
    },
  );

  test.each([0, 1, 100, HEADER_BYTES_USED, PAGE_BYTES, 100_000])(
    "a pool that was cut to %p bytes is an error",
    (length) => {
      const { path } = pathOf();
      truncateSync(path, length);
      expect(() => Pool.adopt(path)).toThrow(PoolFormatError);
      expect(readFileSync(path)).toHaveLength(length);
    },
  );

  test("tells the version of a pool that it does not know", () => {
    const { path } = pathOf((view) => view.setUint32(HEADER.version, 77, true));
    try {
      Pool.adopt(path);
      expect.unreachable();
    } catch (error) {
      expect((error as PoolFormatError).version).toBe(77);
    }
  });

  test.each(["pageCapacity", "directoryCapacity", "journalCapacity"] as const)(
    "a pool with a %s of zero is an error",
    (part) => {
      const geometry = poolGeometry({ ...SMALL, [part]: 0 });
      const header = headerOf(geometry);
      const bytes = new Uint8Array(geometry.fileBytes);
      bytes.set(encodeHeader(header));
      expect(() => decodeHeader(bytes, bytes.length)).toThrow(PoolFormatError);
      expect(() => Pool.adopt(scratch.image(bytes))).toThrow(PoolFormatError);
    },
  );

  test("makes way for a new pool when the old one is set aside, which keeps its bytes", () => {
    const { path, bytes } = pathOf((view) => view.setUint32(HEADER.version, 77, true));
    const aside = Pool.setAside(path);
    expect(existsSync(path)).toBe(false);
    expect(new Uint8Array(readFileSync(aside))).toEqual(bytes);
    const pool = Pool.create(path, "shop", { mode: 0o600, sizes: SMALL });
    pool.close();
  });
});

describe("a commit", () => {
  test("is one generation, odd while it goes on", () => {
    const pool = scratch.pool();
    const app = application(pool);
    const writer = new TestWriter(app);
    writer.put(requests, ["/"], 5);
    writer.die();
    const before = pool.generation;
    const seen: number[] = [];
    pool.onStore = () => seen.push(pool.generation);
    scan(app);
    expect(pool.generation).toBe(before + 2);
    expect(seen.at(-1)).toBe(before + 2);
    expect(new Set(seen)).toEqual(new Set([before, before + 1, before + 2]));
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    pool.close();
  });

  test("shows a reader that keeps to even generations exact totals at every moment", () => {
    const pool = scratch.pool();
    const app = application(pool);
    const writers = [new TestWriter(app), new TestWriter(app)];
    for (const writer of writers) {
      writer.put(requests, ["/"], 5);
      writer.put(latency, ["/"], 1, 2, 3, 4.5);
    }
    const expected = totals(pool);
    let read = 0;
    pool.onStore = () => {
      const image = readImage(pool.mapping.bytes());
      if (image.state.generation % 2 === 1) return;
      expect(totals(image)).toEqual(expected);
      read++;
    };
    for (const writer of writers) writer.die();
    scan(app);
    expect(read).toBeGreaterThan(4);
    pool.close();
  });
});

describe("a crash at every store", () => {
  /** Images of the whole file before the change, between its stores, and after it. */
  function imagesOf(pool: Pool, change: () => void): Uint8Array[] {
    const images: Uint8Array[] = [];
    const take = () => {
      images.push(pool.mapping.bytes().slice());
    };
    take();
    pool.onStore = take;
    change();
    pool.onStore = undefined;
    take();
    return images;
  }

  /** What has to hold of a pool that a new agent has taken over. */
  function expectSound(pool: Pool, app: Application, expected: Record<string, number[]>): void {
    expect(pool.directory.damage).toEqual([]);
    expect(pool.generation % 2).toBe(0);
    expect(totals(pool)).toEqual(expected);
    expect(app.pagesUsed).toBe(grantedPages(pool.directory));
    expect(doubleGrant(pool.directory)).toBeUndefined();
    expect(overlap(pool.directory)).toBeUndefined();
  }

  /** Takes over each image, where nobody holds a lock any more, and expects the same totals of all of them. */
  function expectEachSound(
    images: Uint8Array[],
    expected: Record<string, number[]>,
    strategy: StrategyName = "page",
  ): void {
    for (const image of images) {
      const path = scratch.image(image);
      const pool = Pool.adopt(path)!;
      const app = application(pool, { strategy });
      expectSound(pool, app, expected);
      app.scan();
      // All of them are dead, and their counts are the service's.
      expect(app.writers()).toEqual([]);
      expectSound(pool, app, expected);
      // The pool goes on.
      const next = new TestWriter(app);
      next.register(ask(requests, [["/"], ["/after"]]), ask(latency, [["/"]]));
      expectSound(pool, app, expected);
      next.die();
      scan(app);
      const recovered = pool.mapping.bytes().slice();
      pool.close();
      const again = Pool.adopt(path)!;
      const againApp = application(again, { strategy });
      expect(againApp.scan()).toBe(0);
      expectSound(again, againApp, expected);
      // A second recovery changes nothing, not a byte.
      expect(Buffer.compare(again.mapping.bytes(), recovered)).toBe(0);
      again.close();
      rmSync(path);
    }
  }

  /** A pool with retained counts, and two writers that count in several kinds of metric. */
  function start(strategy: StrategyName) {
    const pool = scratch.pool();
    const app = application(pool, { strategy });
    const dead = new TestWriter(app);
    dead.put(requests, ["/"], 100);
    dead.put(latency, ["/"], 7, 7, 7, 7.5);
    dead.die();
    scan(app);
    const writers = [new TestWriter(app), new TestWriter(app)];
    for (const [i, writer] of writers.entries()) {
      writer.put(requests, ["/"], 1 + i);
      writer.put(requests, [`/only-${i}`], 10 + i);
      writer.put(latency, ["/"], 1, 2, 3, 4.25);
      writer.put(define.gauge("in_flight"), [], 5);
    }
    return { pool, app, writers, expected: totals(pool) };
  }

  const strategies: StrategyName[] = ["page", "packed", "slab"];

  test.each(strategies)("of an attachment loses nothing: %s", (strategy) => {
    const { pool, app, expected } = start(strategy);
    const images = imagesOf(pool, () => {
      new TestWriter(app, { service: "cart" });
      new TestWriter(app);
    });
    expect(images.length).toBeGreaterThan(6);
    expectEachSound(images, expected, strategy);
    pool.close();
  });

  test.each(strategies)("of a registration loses nothing: %s", (strategy) => {
    const { pool, writers, expected } = start(strategy);
    const images = imagesOf(pool, () => {
      const many = Array.from({ length: 600 }, (_, i) => [`/many-${i}`]);
      writers[0]!.register(ask(requests, many), ask(define.logLinear("sizes_bytes")));
      writers[1]!.register(ask(requests, many.slice(0, 10)));
    });
    expect(images.length).toBeGreaterThan(12);
    expectEachSound(images, expected, strategy);
    pool.close();
  });

  test.each(strategies)(
    "of a fold of several writers loses and doubles nothing: %s",
    (strategy) => {
      const { pool, app, writers, expected } = start(strategy);
      const images = imagesOf(pool, () => {
        for (const writer of writers) writer.die();
        expect(scan(app)).toBe(2);
      });
      // Each journalled value is a store of its own.
      expect(images.length).toBeGreaterThan(20);
      expectEachSound(images, expected, strategy);
      pool.close();
    },
  );

  test("of a fold in several generations loses and doubles nothing", () => {
    const pool = scratch.pool();
    const app = application(pool, { strategy: "packed" });
    const writer = new TestWriter(app);
    for (let i = 0; i < 256; i += 4) {
      writer.register(
        ask(
          requests,
          Array.from({ length: 4 }, (_, j) => [`/${i + j}`]),
        ),
      );
    }
    for (let i = 0; i < 256; i++) writer.store("requests_total", [`/${i}`], i % 16 === 0 ? i : 0);
    const expected = totals(pool);
    const images = imagesOf(pool, () => {
      writer.die();
      expect(scan(app)).toBe(1);
    });
    expectEachSound(images, expected, "packed");
    pool.close();
  });

  test("of a rewriting of the directory loses nothing", () => {
    const { pool, writers, expected } = start("page");
    const images = imagesOf(pool, () => {
      expect(pool.compact()).toBe(true);
      // Into the other half, and back into the first.
      expect(pool.compact()).toBe(true);
    });
    expect(images.length).toBeGreaterThan(8);
    expectEachSound(images, expected);
    for (const writer of writers) writer.die();
    pool.close();
  });

  test.each(strategies)("of a release loses nothing of the others: %s", (strategy) => {
    const { pool, writers, expected } = start(strategy);
    const many = Array.from({ length: 40 }, (_, i) => [`/many-${i}`]);
    for (const writer of writers) writer.register(ask(requests, many), ask(latency, many));
    const images = imagesOf(pool, () => {
      const some = many.filter((_, i) => i % 3 === 0);
      const { labelNames } = requests;
      writers[0]!.release(
        { name: "requests_total", labelNames, series: some },
        { name: "latency_seconds", labelNames, series: some },
      );
      writers[0]!.register(ask(requests, [["/later"], ...some.slice(0, 5)]));
      writers[1]!.release({ name: "requests_total", labelNames, series: many });
    });
    expect(images.length).toBeGreaterThan(10);
    expectEachSound(images, expected, strategy);
    pool.close();
  });

  test("of a request that finds the directory full loses nothing", () => {
    const pool = scratch.pool({ ...SMALL, directoryCapacity: 4096 });
    const app = application(pool);
    const steady = new TestWriter(app);
    steady.put(requests, ["/"], 3);
    let images: Uint8Array[] = [];
    let expected = totals(pool);
    for (let life = 0; images.length === 0 && life < 1000; life++) {
      expected = totals(pool);
      const { epoch } = pool.directory;
      let writer: TestWriter | undefined;
      const taken = imagesOf(pool, () => {
        writer = new TestWriter(app);
        writer.register(ask(requests, [[`/${life % 3}`]]));
      });
      if (pool.directory.epoch !== epoch) images = taken;
      writer!.store("requests_total", [`/${life % 3}`], 1);
      writer!.die();
      scan(app);
    }
    // Those of the rewriting, and those of the change for which it was done.
    expect(images.length).toBeGreaterThan(8);
    expectEachSound(images, expected);
    steady.die();
    pool.close();
  });

  test("leaves the living alone, who hold their locks", () => {
    const { pool, app, writers, expected } = start("page");
    const images = imagesOf(pool, () => {
      writers[0]!.die();
      scan(app);
    });
    const { id, lockOffset, lockBytes } = writers[1]!.record;
    for (const image of images) {
      const path = scratch.image(image);
      const holder = SharedFile.open(path, true);
      holder.lock(lockOffset, lockBytes);
      const adopted = Pool.adopt(path)!;
      const again = application(adopted);
      again.scan();
      expect(again.writers().map((writer) => writer.id)).toEqual([id]);
      expectSound(adopted, again, expected);
      adopted.close();
      holder.close();
      rmSync(path);
    }
    pool.close();
  });
});

describe("recovery", () => {
  const geometry = poolGeometry({
    pageCapacity: 2,
    directoryCapacity: 4096,
    journalCapacity: 4096,
  });
  const header = headerOf(geometry);
  const firstSlot = slotIndex(geometry, 0, 0);

  /** Memory with a journal of one entry that says: slot 0 becomes 42, the directory 8 bytes long. */
  function journalled(forge: (memory: ReturnType<typeof poolMemory>) => void = () => {}) {
    const memory = poolMemory(new ArrayBuffer(geometry.fileBytes));
    const at = geometry.journalOffset;
    const first = (at + JOURNAL.headerBytes) / 8;
    memory.u64[first] = BigInt(firstSlot);
    memory.slots[first + 1] = 42;
    memory.u64[(at + JOURNAL.nextDirectoryWord) / 8] = directoryWord(0, 8);
    memory.u64[(at + JOURNAL.commit) / 8] = 2n;
    memory.u32[HEADER.generation / 4] = 7;
    seal(memory, 1);
    forge(memory);
    return memory;
  }

  function seal(memory: ReturnType<typeof poolMemory>, entries: number): void {
    const from = geometry.journalOffset + JOURNAL.headerBytes;
    const bytes = memory.bytes.subarray(from, from + entries * JOURNAL.entryBytes);
    memory.u64[(geometry.journalOffset + JOURNAL.checksum) / 8] = BigInt(Bun.hash.crc32(bytes));
  }

  test("redoes a committed journal, clears it, and makes the generation even", () => {
    const memory = journalled();
    recover(memory, header);
    expect(memory.slots[firstSlot]).toBe(42);
    expect(memory.u64[HEADER.directoryWord / 8]).toBe(directoryWord(0, 8));
    expect(memory.u64[(geometry.journalOffset + JOURNAL.commit) / 8]).toBe(0n);
    expect(memory.u32[HEADER.generation / 4]).toBe(8);
  });

  test("done again changes nothing", () => {
    const memory = journalled();
    recover(memory, header);
    const once = memory.bytes.slice();
    recover(memory, header);
    expect(memory.bytes).toEqual(once);
  });

  const at = geometry.journalOffset;
  const forged: [string, (memory: ReturnType<typeof poolMemory>) => void][] = [
    ["that was not committed", ({ u64 }) => (u64[(at + JOURNAL.commit) / 8] = 0n)],
    ["whose checksum is wrong", ({ u64 }) => (u64[(at + JOURNAL.checksum) / 8]! ^= 1n)],
    ["longer than its room", ({ u64 }) => (u64[(at + JOURNAL.commit) / 8] = 1000n)],
    ["of 2^64 - 1 entries", ({ u64 }) => (u64[(at + JOURNAL.commit) / 8] = 2n ** 64n - 1n)],
    [
      "for a directory longer than its room",
      ({ u64 }) => (u64[(at + JOURNAL.nextDirectoryWord) / 8] = directoryWord(0, 8192)),
    ],
  ];
  test.each(forged)("leaves everything as it is for a journal %s", (_, forge) => {
    const memory = journalled((given) => {
      forge(given);
    });
    recover(memory, header);
    expect(memory.slots[firstSlot]).toBe(0);
    expect(memory.u64[HEADER.directoryWord / 8]).toBe(0n);
    expect(memory.u32[HEADER.generation / 4]).toBe(8);
  });

  const outside: [string, bigint][] = [
    ["in the header", BigInt(HEADER.version / 8)],
    ["in the directory", BigInt(geometry.directoryOffset / 8)],
    ["beyond the file", BigInt(geometry.fileBytes / 8)],
    ["far beyond the file", 2n ** 60n],
  ];
  test.each(outside)("does not store a value %s", (_, index) => {
    const memory = journalled((given) => {
      given.u64[(at + JOURNAL.headerBytes) / 8] = index;
      seal(given, 1);
    });
    const before = memory.bytes.slice();
    recover(memory, header);
    const changed = [...memory.bytes.keys()].filter((i) => memory.bytes[i] !== before[i]);
    const allowed = [HEADER.generation, HEADER.directoryWord, at + JOURNAL.commit];
    expect(changed.every((i) => allowed.some((from) => i >= from && i < from + 8))).toBe(true);
    expect(memory.slots[firstSlot - PAGE_HEADER_BYTES / 8]).toBe(0);
  });
});
