import { afterAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type Backlog, MemoryBacklog, WriteAhead } from "../../../src/sinks/delivery/index.ts";
import { canMount, mountTmpfs } from "../../support/permissions.ts";

const root = mkdtempSync("/dev/shm/microview-test-");
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
const folder = () => join(root, String(count++));

function request(n: number, bytes = 100): { body: Uint8Array<ArrayBuffer>; items: number } {
  return { body: new Uint8Array(bytes).fill(n), items: (n % 7) + 1 };
}

/** Everything that waits, in its order. */
function drain(backlog: WriteAhead): number[] {
  const found: number[] = [];
  for (let next = backlog.peek(); next !== undefined; next = backlog.peek()) {
    found.push(next.body[0]!);
    backlog.shift(next);
  }
  return found;
}

test("requests come out in their order, once, however often it is opened again", () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), bytes: fc.integer({ min: 0, max: 30_000 }) }),
    fc.record({ kind: fc.constantFrom("shift" as const, "reopen" as const) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const path = folder();
      let backlog = new WriteAhead(path, 16 << 20);
      const model: number[] = [];
      let pushed = 0;
      for (const each of actions) {
        if (each.kind === "push") {
          const n = ++pushed & 255;
          backlog.push(request(n, each.bytes + 1));
          model.push(n);
        } else if (each.kind === "reopen") {
          backlog.close();
          backlog = new WriteAhead(path, 16 << 20);
        } else {
          const next = backlog.peek();
          expect(next?.body[0]).toBe(model.shift());
          if (next !== undefined) backlog.shift(next);
        }
        expect(backlog.items).toBe(model.reduce((sum, n) => sum + (n % 7) + 1, 0));
      }
      expect(drain(backlog)).toEqual(model);
      expect([backlog.items, backlog.dropped, backlog.damagedBytes]).toEqual([0, 0, 0]);
      backlog.close();
      // What is delivered takes no room.
      expect(readdirSync(path).filter((name) => name.endsWith(".wal"))).toHaveLength(1);
    }),
    { numRuns: 50 },
  );
});

test("the oldest go, and are counted, when there is no room", () => {
  const backlog = new WriteAhead(folder(), 1 << 20);
  for (let n = 0; n < 200; n++) backlog.push(request(n, 10_000));
  expect(backlog.bytes).toBeLessThanOrEqual(1 << 20);
  expect(backlog.bytes).toBeGreaterThan(800_000);
  const kept = backlog.items;
  expect(backlog.dropped).toBe(
    Array.from({ length: 200 }, (_, n) => (n % 7) + 1).reduce((a, b) => a + b) - kept,
  );
  const left = drain(backlog);
  expect(left.at(-1)).toBe(199);
  expect(left).toEqual(Array.from(left, (_, i) => 200 - left.length + i));
  backlog.close();
});

test("a request that is under way when it goes for want of room takes no other with it", () => {
  const backlog = new WriteAhead(folder(), 1 << 20);
  backlog.push(request(0, 1000));
  const first = backlog.peek()!;
  for (let n = 1; n < 200; n++) backlog.push(request(n, 10_000));
  const { items } = backlog;
  backlog.shift(first);
  expect(backlog.items).toBe(items - first.items);
  expect(drain(backlog).at(-1)).toBe(199);
  backlog.close();
});

describe.each<[string, () => Backlog]>([
  ["in memory", () => new MemoryBacklog(1 << 20)],
  ["in files", () => new WriteAhead(folder(), 1 << 20)],
])("a request that goes for want of room while it is being sent, %s,", (_, make) => {
  const ITEMS = Array.from({ length: 200 }, (_, n) => (n % 7) + 1).reduce((a, b) => a + b);

  test("is counted as delivered, and not as dropped, where it was taken", () => {
    const backlog = make();
    for (let n = 0; n < 100; n++) backlog.push(request(n, 10_000));
    const first = backlog.peek()!;
    for (let n = 100; n < 200; n++) backlog.push(request(n, 10_000));
    expect(backlog.items + backlog.dropped).toBe(ITEMS);
    backlog.shift(first);
    expect(backlog.items + backlog.dropped).toBe(ITEMS - first.items);
    expect(backlog.peek()).not.toBe(first);
    expect(backlog.items + backlog.dropped).toBe(ITEMS - first.items);
    backlog.close();
  });

  test("is counted as dropped where it was not", () => {
    const backlog = make();
    for (let n = 0; n < 100; n++) backlog.push(request(n, 10_000));
    const first = backlog.peek()!;
    for (let n = 100; n < 200; n++) backlog.push(request(n, 10_000));
    const { dropped } = backlog;
    expect(backlog.peek()).not.toBe(first);
    expect(backlog.dropped).toBe(dropped + first.items);
    expect(backlog.items + backlog.dropped).toBe(ITEMS);
    backlog.close();
  });
});

test("a record that was cut off, at any byte, costs itself and nothing before it", () => {
  const path = folder();
  const backlog = new WriteAhead(path, 1 << 20);
  for (let n = 1; n <= 3; n++) backlog.push(request(n));
  const name = readdirSync(path).find((each) => each.endsWith(".wal"))!;
  const whole = readFileSync(join(path, name));
  const position = readFileSync(join(path, "position"));
  backlog.close();
  for (let length = 0; length <= whole.length; length += 7) {
    const copy = folder();
    new WriteAhead(copy, 1 << 20).close();
    for (const each of readdirSync(copy)) if (each.endsWith(".wal")) rmSync(join(copy, each));
    writeFileSync(join(copy, name), whole);
    writeFileSync(join(copy, "position"), position);
    truncateSync(join(copy, name), length);
    const again = new WriteAhead(copy, 1 << 20);
    again.push(request(9));
    const left = Math.floor(length / 112);
    expect(drain(again)).toEqual([...[1, 2, 3].slice(0, left), 9]);
    expect(again.damagedBytes).toBe(length - left * 112);
    again.close();
  }
});

test("damage costs the rest of its segment, and a position that is none sends all again", () => {
  const path = folder();
  const backlog = new WriteAhead(path, 1 << 20);
  for (let n = 1; n <= 9; n++) backlog.push(request(n, 60_000));
  backlog.shift(backlog.peek()!);
  const files = readdirSync(path).filter((each) => each.endsWith(".wal"));
  expect(files.length).toBeGreaterThan(2);
  backlog.close();
  const broken = join(path, files.sort()[1]!);
  const bytes = readFileSync(broken);
  bytes[50] = 99;
  writeFileSync(broken, bytes);
  writeFileSync(join(path, "position"), "nonsense");
  const again = new WriteAhead(path, 1 << 20);
  const left = drain(again);
  expect(left.slice(0, 2)).toEqual([1, 2]);
  expect(left.at(-1)).toBe(9);
  expect(left).not.toContain(3);
  expect(again.damagedBytes).toBe(bytes.length);
  again.close();
});

test("a folder that another collector writes to is refused", () => {
  const path = folder();
  const backlog = new WriteAhead(path, 1 << 20);
  expect(() => new WriteAhead(path, 1 << 20)).toThrow(`another collector writes to ${path}`);
  backlog.close();
  new WriteAhead(path, 1 << 20).close();
  writeFileSync(join(root, "file"), "");
  expect(() => new WriteAhead(join(root, "file"), 1 << 20)).toThrow("cannot use");
});

test.skipIf(!canMount)(
  "a full disk is reported once, and once more when it has room again; what was written stays",
  () => {
    const tmpfs = mountTmpfs("size=256k")!;
    try {
      const said: string[] = [];
      const backlog = new WriteAhead(join(tmpfs.path, "wal"), 16 << 20, (text) => said.push(text));
      backlog.push(request(1));
      const filler = join(tmpfs.path, "filler");
      expect(() => writeFileSync(filler, new Uint8Array(1 << 20))).toThrow("ENOSPC");
      for (let i = 0; i < 500; i++) backlog.push(request(2, 8_000));
      expect(said).toEqual([expect.stringMatching(/^cannot write requests to .*ENOSPC/)]);
      rmSync(filler);
      for (let i = 0; i < 5; i++) backlog.push(request(3));
      expect(said.slice(1)).toEqual([
        expect.stringMatching(/^requests can be written to .* again, after 500 failures$/),
      ]);
      expect(drain(backlog)).toEqual([1, 3, 3, 3, 3, 3]);
      backlog.close();
    } finally {
      tmpfs.unmount();
    }
  },
);

test("a folder that somebody removes ends nothing: it is told once, what has no room is counted, and the rest goes on", () => {
  const path = folder();
  const said: string[] = [];
  const backlog = new WriteAhead(path, 128 << 10, (text) => said.push(text));
  let pushed = 0;
  const push = (times: number) => {
    for (let i = 0; i < times; i++) {
      const each = request(++pushed, 5_000);
      backlog.push(each);
      given += each.items;
    }
  };
  let given = 0;
  let taken = 0;
  const take = () => {
    for (let next = backlog.peek(); next !== undefined; next = backlog.peek()) {
      taken += next.items;
      backlog.shift(next);
    }
  };
  push(20);
  rmSync(path, { recursive: true });
  push(100);
  expect(backlog.bytes).toBeLessThanOrEqual(128 << 10);
  expect(backlog.dropped).toBeGreaterThan(0);
  take();
  // A receiver that takes everything again is sent all of it.
  const { dropped } = backlog;
  for (let i = 0; i < 50; i++) {
    push(1);
    take();
  }
  expect(backlog.dropped).toBe(dropped);
  expect(taken + dropped).toBe(given);
  backlog.close();
  expect(said).toEqual([expect.stringMatching(/^cannot make a file in .*ENOENT/)]);
});

test("a segment that cannot be removed ends nothing: it is told once, and removed with a later one", () => {
  const path = folder();
  const said: string[] = [];
  const backlog = new WriteAhead(path, 128 << 10, (text) => said.push(text));
  const push = (times: number) => {
    for (let i = 0; i < times; i++) backlog.push(request(7, 5_000));
  };
  push(1);
  // Root may remove from any folder: only a folder in the file's place keeps it.
  const first = join(path, "00000001.wal");
  rmSync(first);
  mkdirSync(join(first, "kept"), { recursive: true });
  push(100);
  expect(backlog.dropped + backlog.items).toBe(101);
  expect(said).toEqual([expect.stringMatching(/^cannot remove what is over from /)]);
  rmSync(join(first), { recursive: true });
  push(100);
  expect(drain(backlog)).toHaveLength(201 - backlog.dropped);
  expect(said[1]).toMatch(/^what is over can be removed from .* again/);
  expect(readdirSync(path).filter((name) => name.endsWith(".wal"))).toHaveLength(1);
  backlog.close();
});
