// What the spool keeps through kills, torn files, a full disk and time.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type LossCause, Spool, SpoolError } from "../../../src/events/shipping/spool.ts";
import {
  blankLogs,
  decodeBlockHeader,
  decodeSegment,
  encodeBlock,
  encodeSegment,
} from "../../../src/layout/index.ts";
import { noColumns, ORIGIN, zstd } from "../../support/blocks.ts";
import { TestHost } from "../../support/host.ts";
import { canMount, mountTmpfs, nobodyUid } from "../../support/permissions.ts";
import { until } from "../../support/wait.ts";
import { shipping } from "./running.ts";
import { LakeStandIn } from "./stand-in.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync("/tmp/microview-spool-");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function blockOf(first: number, events: number, streamId = ORIGIN.stream.streamId) {
  const stream = { ...ORIGIN.stream, streamId };
  const columns = { ...noColumns(), logs: blankLogs(events) };
  const block = encodeBlock({ ...ORIGIN, stream, first, end: first + events }, columns, zstd);
  return { block, header: decodeBlockHeader(block) };
}

function spool(options: Partial<ConstructorParameters<typeof Spool>[0]> = {}) {
  const lost: [LossCause, number][] = [];
  const troubles: string[] = [];
  const notices: string[] = [];
  const made = new Spool({
    folder,
    maxBytes: 1 << 20,
    maxAgeMs: 60_000,
    onLost: (cause, events) => lost.push([cause, events]),
    onTrouble: (message) => troubles.push(message),
    onNotice: (message) => notices.push(message),
    ...options,
  });
  return { made, lost, troubles, notices };
}

function append(to: Spool, first: number, events: number, nowMs?: number): boolean {
  const { block, header } = blockOf(first, events);
  return to.append(block, header, nowMs);
}

const NAMES = ["1", "2", "3", "4"].map((n) => `000000000${n}-${n.repeat(32)}.seg`);

/** @param atS when it was written to last; by its number unless given */
function leave(n: number, bytes: Uint8Array | string, atS = Date.now() / 1000 - 10 + n): void {
  const path = join(folder, NAMES[n]!);
  writeFileSync(path, bytes);
  utimesSync(path, atS, atS);
}

/** A block with something in its version that this program does not know; its frame is sound. */
function ofVersion(block: Uint8Array, version: number): Uint8Array {
  const other = block.slice();
  new DataView(other.buffer).setUint16(4, version, true);
  return other;
}

const segments = () =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".seg"))
    .sort();

describe("a spool", () => {
  test("gives segments in the order in which they were closed, and removes what was taken", () => {
    const { made } = spool();
    append(made, 0, 3);
    append(made, 3, 4);
    expect(made.peek()).toBeUndefined();
    made.seal();
    append(made, 7, 5);
    made.seal();
    const first = made.peek()!;
    expect(first.items).toBe(7);
    expect(decodeSegment(first.body).map(({ block }) => decodeBlockHeader(block).first)).toEqual([
      0, 3,
    ]);
    made.shift(first);
    expect(made.peek()!.items).toBe(5);
    expect([made.items, segments().length]).toEqual([5, 1]);
    expect(made.bytes).toBe(made.peek()!.body.length);
    made.shift(made.peek()!);
    expect([made.items, made.bytes, segments().length]).toEqual([0, 0, 0]);
    made.close();
  });

  test("keeps apart what users and applications have recorded, so that a lake refuses none for another's sake", () => {
    const { made } = spool();
    for (const [user, app] of [
      ["me", "shop"],
      ["me", "bank"],
      ["you", "shop"],
      ["me", "shop"],
    ] as const) {
      const { block, header } = blockOf(0, 1);
      made.append(block, { ...header, process: { ...header.process, user, app } });
    }
    made.seal();
    const counts: number[] = [];
    for (let next = made.peek(); next !== undefined; next = made.peek()) {
      counts.push(decodeSegment(next.body).length);
      made.shift(next);
    }
    expect(counts).toEqual([2, 1, 1]);
    made.close();
  });

  test("has a bound of files that are open at a time", () => {
    const { made } = spool();
    for (let i = 0; i < 200; i++) {
      const { block, header } = blockOf(0, 1);
      made.append(block, { ...header, process: { ...header.process, app: `app-${i}` } });
    }
    expect(made.peek()!.items).toBe(1);
    expect([made.segments, made.items]).toEqual([200, 200]);
    made.close();
  });

  test("is one agent's, until it ends", () => {
    const { made } = spool();
    expect(() => spool()).toThrow(SpoolError);
    made.close();
    spool().made.close();
  });

  test("knows after a death what it has of each stream, and cuts off what is torn", () => {
    const { made } = spool();
    append(made, 0, 3);
    append(made, 3, 4);
    made.seal();
    append(made, 7, 5);
    // As if it had died: nothing is closed in order. Of a third block a part was written.
    made.close();
    const [, last] = segments();
    const whole = readFileSync(join(folder, last!));
    appendFileSync(join(folder, last!), encodeSegment([blockOf(12, 9).block]).subarray(8, 200));
    const { made: next } = spool();
    expect(next.stream(ORIGIN.process, ORIGIN.stream.streamId)).toMatchObject({
      end: 12,
      isFinal: false,
    });
    expect([next.items, next.segments]).toEqual([12, 2]);
    expect(readFileSync(join(folder, last!))).toEqual(whole);
    next.shift(next.peek()!);
    const second = next.peek()!;
    expect(second.body).toEqual(new Uint8Array(whole));
    next.shift(second);
    expect(next.stream(ORIGIN.process, ORIGIN.stream.streamId)).toBeUndefined();
    next.close();
  });

  test("knows streams by their owners too, who may have copied an id", () => {
    const { made } = spool();
    append(made, 0, 3);
    const { block, header } = blockOf(0, 50);
    made.append(block, { ...header, process: { ...header.process, user: "somebody" } });
    expect(made.stream(ORIGIN.process, ORIGIN.stream.streamId)).toMatchObject({ end: 3 });
    expect(made.stream({ ...ORIGIN.process, app: "bank" }, ORIGIN.stream.streamId)).toBeUndefined();
    made.close();
  });

  test("keeps a segment's id, so that a lake that has it already knows it", () => {
    const { made } = spool();
    append(made, 0, 3);
    made.seal();
    const { segmentId } = made.peek()!;
    made.close();
    const { made: next } = spool();
    expect(next.peek()!.segmentId).toBe(segmentId);
    append(next, 3, 1);
    next.seal();
    next.shift(next.peek()!);
    expect(next.peek()!.items).toBe(1);
    next.close();
  });

  test("does not mind files that are none of its own, nor empty and damaged ones", () => {
    writeFileSync(join(folder, "notes.txt"), "mine");
    leave(0, "");
    leave(1, "no segment at all");
    const damaged = encodeSegment([blockOf(0, 2).block, blockOf(2, 3).block]);
    damaged[damaged.length - 3]! ^= 1;
    leave(2, damaged);
    const { made, lost } = spool();
    expect([made.segments, made.items]).toEqual([1, 2]);
    expect(segments()).toHaveLength(1);
    expect(readdirSync(folder)).toContain("notes.txt");
    expect(lost).toEqual([
      ["damaged", 1],
      ["damaged", 3],
    ]);
    made.close();
  });

  test("keeps blocks that it cannot read and that are as they were written, sends them, and says so", () => {
    const whole = encodeSegment([
      blockOf(0, 2).block,
      ofVersion(blockOf(2, 3).block, 99),
      blockOf(5, 4).block,
    ]);
    leave(0, whole);
    leave(1, encodeSegment([ofVersion(blockOf(9, 1).block, 99)]));
    const { made, lost, notices } = spool();
    expect([made.segments, lost.length]).toEqual([2, 0]);
    expect(made.stream(ORIGIN.process, ORIGIN.stream.streamId)).toMatchObject({ end: 9 });
    expect(made.peek()!.body).toEqual(new Uint8Array(whole));
    expect(notices).toEqual([
      expect.stringContaining("blocks that this agent cannot read"),
      expect.stringContaining(NAMES[1]!),
    ]);
    made.close();
  });

  test("keeps a segment of another version, which the lake may know", () => {
    const other = encodeSegment([blockOf(0, 2).block]);
    other[5] = "2".charCodeAt(0);
    leave(0, other);
    const { made, lost, notices } = spool();
    expect(Buffer.from(made.peek()!.body)).toEqual(Buffer.from(other));
    expect(lost).toEqual([]);
    expect(notices).toEqual([expect.stringContaining("another version")]);
    made.close();
  });

  test("takes out what is damaged in the middle, tells it as lost, and keeps what is behind", () => {
    const blocks = [blockOf(0, 2), blockOf(2, 3), blockOf(5, 4)].map(({ block }) => block);
    const bytes = encodeSegment(blocks);
    bytes[8 + 8 + blocks[0]!.length + 8 + blocks[1]!.length - 1]! ^= 1;
    leave(0, bytes);
    const { made, lost } = spool();
    expect(lost).toEqual([["damaged", 3]]);
    expect([made.items, made.dropped]).toEqual([6, 3]);
    const { body } = made.peek()!;
    expect(body).toEqual(encodeSegment([blocks[0]!, blocks[2]!]) as typeof body);
    expect(made.bytes).toBe(body.length);
    made.close();
  });

  test("finds the blocks behind one whose length is wrong", () => {
    const blocks = [blockOf(0, 2), blockOf(2, 3), blockOf(5, 4)].map(({ block }) => block);
    for (const length of [0, 1, 100_000, 0xffff_ffff]) {
      const bytes = encodeSegment(blocks);
      new DataView(bytes.buffer).setUint32(8 + 8 + blocks[0]!.length, length, true);
      leave(0, bytes);
      const { made, lost } = spool();
      expect(lost).toEqual([["damaged", 3]]);
      expect(Buffer.from(made.peek()!.body)).toEqual(
        Buffer.from(encodeSegment([blocks[0]!, blocks[2]!])),
      );
      made.close();
    }
  });

  test("counts what was torn off a segment that was not written to last: no ring has it any more", () => {
    const whole = encodeSegment([blockOf(0, 2).block, blockOf(2, 3).block]);
    leave(0, whole.slice(0, -5));
    leave(1, encodeSegment([blockOf(5, 1).block]).slice(0, -5));
    leave(2, encodeSegment([blockOf(6, 1).block, blockOf(7, 1).block]).slice(0, -5));
    const { made, lost } = spool();
    expect(lost).toEqual([
      ["damaged", 3],
      ["damaged", 1],
    ]);
    expect([made.segments, made.items]).toEqual([2, 3]);
    made.close();
  });

  test("does not count what was torn off by the agent's death: of several that were open it is the one that was written to last", () => {
    const whole = encodeSegment([blockOf(0, 2).block, blockOf(2, 3).block]);
    leave(0, whole.slice(0, -5), Date.now() / 1000);
    leave(1, encodeSegment([blockOf(5, 1).block]));
    const { made, lost } = spool();
    expect(lost).toEqual([]);
    expect([made.segments, made.items]).toEqual([2, 3]);
    made.close();
  });

  test("drops the oldest when there is no room; one that is being sent counts only when it was not taken", () => {
    const size = blockOf(0, 100).block.length + 8;
    const { made, lost } = spool({ maxBytes: 9 * size });
    for (let i = 0; i < 9; i++) append(made, i * 100, 100);
    made.seal();
    const sent = made.peek()!;
    for (let i = 9; i < 20; i++) {
      append(made, i * 100, 100);
      made.seal();
    }
    expect(made.bytes).toBeLessThanOrEqual(9 * size);
    const dropped = lost.reduce((sum, [, events]) => sum + events, 0);
    made.shift(sent);
    expect(lost.every(([cause]) => cause === "size")).toBe(true);
    expect(dropped + sent.items + made.items).toBe(2000);
    const next = made.peek()!;
    made.shift(next);
    expect(dropped).toBe(lost.reduce((sum, [, events]) => sum + events, 0));
    made.close();
  });

  test("drops what has waited for too long", () => {
    const { made, lost } = spool();
    append(made, 0, 3, 1_000_000);
    made.seal();
    append(made, 3, 2, 1_040_000);
    made.seal();
    made.tick(1_060_001);
    expect(lost).toEqual([["age", 3]]);
    expect([made.items, segments().length]).toEqual([2, 1]);
    // A clock that goes back makes nothing old.
    made.tick(0);
    expect(made.items).toBe(2);
    made.close();
  });

  test("keeps aside what was refused, until its room is needed", () => {
    const size = blockOf(0, 100).block.length + 8;
    const { made, lost } = spool({ maxBytes: 8 * size });
    append(made, 0, 100);
    made.seal();
    const refused = made.peek()!;
    made.refuse(refused);
    made.shift(refused);
    expect(made.peek()).toBeUndefined();
    expect([made.items, readdirSync(join(folder, "refused")).length]).toEqual([0, 1]);
    for (let i = 1; i < 9; i++) {
      append(made, i * 100, 100);
      made.seal();
    }
    expect(readdirSync(join(folder, "refused"))).toEqual([]);
    expect(lost[0]).toEqual(["refused", 100]);
    made.close();
  });

  test("counts a segment whose file somebody has removed or cut, and goes on with the next", () => {
    const { made, lost } = spool();
    for (let i = 0; i < 3; i++) {
      append(made, i, 1);
      made.seal();
    }
    const [first, second] = segments();
    unlinkSync(join(folder, first!));
    truncateSync(join(folder, second!), 20);
    expect(decodeBlockHeader(decodeSegment(made.peek()!.body)[0]!.block).first).toBe(2);
    expect(lost).toEqual([
      ["damaged", 1],
      ["damaged", 1],
    ]);
    made.close();
  });
});

describe.skipIf(!canMount)("a full disk", () => {
  test("holds up nobody: events wait in their rings, once it has room all of them arrive", async () => {
    const { path, unmount } = mountTmpfs("size=256k")!;
    try {
      await using host = new TestHost();
      await using lake = new LakeStandIn();
      let isAway = true;
      lake.fate = () => (isAway ? new Response("", { status: 503 }) : undefined);
      writeFileSync(join(path, "ballast"), new Uint8Array(150_000));
      const { said, status } = shipping(host, lake.url, { spool: join(path, "spool") });
      const mv = host.client({ poolDir: host.poolDir });
      let n = 0;
      await until("the disk is full", async () => {
        for (let i = 0; i < 50; i++) {
          const text = Buffer.from(crypto.getRandomValues(new Uint8Array(60))).toString("base64");
          mv.log.error(text, { n: n++ });
        }
        await Bun.sleep(5);
        return status()?.trouble !== undefined;
      });
      expect(status()!.trouble).toContain("ENOSPC");
      for (let i = 0; i < 1000; i++) mv.log.error("meanwhile", { n: n++ });
      unlinkSync(join(path, "ballast"));
      isAway = false;
      await until("all has arrived", () => lake.numbers().length === n);
      expect(lake.numbers()).toEqual(Array.from({ length: n }, (_, i) => i));
      expect(status()!.lost).toMatchObject({ size: 0, damaged: 0 });
      await until("it is said, also where nothing is recorded any more", () =>
        said.some((text) => text.includes("can be used again")),
      );
      await until("it is shown", () => status()!.trouble === undefined);
      expect(existsSync(join(path, "spool/probe"))).toBe(false);
      const ofSpool = said.filter((text) => text.includes("the spool"));
      expect(ofSpool).toEqual([
        expect.stringContaining("cannot be used: ENOSPC"),
        expect.stringContaining("can be used again"),
      ]);
    } finally {
      unmount();
    }
  });
});

describe("a folder that somebody else may have filled", () => {
  const isRoot = process.getuid?.() === 0;
  const sound = () => encodeSegment([blockOf(0, 3).block]);
  const notices = () => {
    const { made, notices } = spool();
    const { items } = made;
    made.close();
    return { items, notices };
  };

  test("is refused where every user may write", () => {
    chmodSync(folder, 0o777);
    expect(() => spool()).toThrow(/every user may write there/);
    chmodSync(folder, 0o700);
    mkdirSync(join(folder, "refused"));
    chmodSync(join(folder, "refused"), 0o777);
    expect(() => spool()).toThrow(SpoolError);
  });

  test.if(isRoot)("is refused where it is another user's", () => {
    leave(0, sound());
    chownSync(folder, nobodyUid, 0);
    expect(() => spool()).toThrow(`is of user ${nobodyUid}`);
  });

  test("is no link within, and neither is the lock", () => {
    const elsewhere = mkdtempSync("/tmp/microview-elsewhere-");
    try {
      symlinkSync(elsewhere, join(folder, "refused"));
      expect(() => spool()).toThrow(SpoolError);
      unlinkSync(join(folder, "refused"));
      symlinkSync(join(elsewhere, "kept"), join(folder, "lock"));
      expect(() => spool()).toThrow(SpoolError);
      unlinkSync(join(folder, "lock"));
      expect(Bun.spawnSync(["mkfifo", join(folder, "lock")]).success).toBe(true);
      expect(() => spool()).toThrow(SpoolError);
      expect(readdirSync(elsewhere)).toEqual([]);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test("has links, pipes and files that are too large left alone, and its own sent", () => {
    leave(0, sound());
    symlinkSync(NAMES[0]!, join(folder, NAMES[1]!));
    expect(Bun.spawnSync(["mkfifo", join(folder, NAMES[2]!)]).success).toBe(true);
    leave(3, "");
    truncateSync(join(folder, NAMES[3]!), 1 << 30);
    const found = notices();
    expect(found.items).toBe(3);
    expect(found.notices).toHaveLength(3);
    expect(found.notices.every((text) => text.includes("is left alone"))).toBe(true);
    expect(segments()).toEqual(NAMES);
  });

  test.if(isRoot)("has files of another user left alone", () => {
    leave(0, sound());
    chownSync(join(folder, NAMES[0]!), nobodyUid, 0);
    expect(notices()).toEqual({ items: 0, notices: [expect.stringContaining("is left alone")] });
  });
});
