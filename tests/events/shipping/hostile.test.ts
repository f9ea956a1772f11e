// Rings that hold anything at all, as every user of a host may make them: the shipper goes on with others, and nobody
// speaks in another one's name.

import { describe, expect, test } from "bun:test";
import {
  chownSync,
  copyFileSync,
  linkSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeBlock } from "../../../src/events/shipping/blocks.ts";
import { Shipper, type ShipperOptions } from "../../../src/events/shipping/shipper.ts";
import { Spool } from "../../../src/events/shipping/spool.ts";
import { SharedFile } from "../../../src/ffi/index.ts";
import { RING_HEADER, RING_SHIPPER, ringGeometry } from "../../../src/layout/index.ts";
import { Random, seedOf } from "../../chaos/random.ts";
import { TestHost } from "../../support/host.ts";
import { nobodyUid } from "../../support/permissions.ts";
import { ringsOf } from "../recording.ts";
import { LakeStandIn } from "./stand-in.ts";

const SEED = seedOf("EVENTS_SEED");

/** A shipper whose rounds are called, and the lake that gets what it spools. */
function shipper(host: TestHost, lake: LakeStandIn, options: Partial<ShipperOptions> = {}) {
  const spool = new Spool({
    folder: join(host.folder, "spool"),
    maxBytes: 64 << 20,
    maxAgeMs: 1e9,
  });
  const left: string[] = [];
  const made = new Shipper({
    spool,
    makeBlock,
    poolDir: host.poolDir,
    host: "here",
    isForAll: false,
    onUnreadable: (_path, reason) => left.push(reason),
    ...options,
  });
  host.onEnd(() => {
    made.close();
    spool.close();
  });
  let nowMs = 0;
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      nowMs += 1100;
      made.round(nowMs);
      spool.seal();
      for (let next = spool.peek(); next !== undefined; next = spool.peek()) {
        lake.take(next.segmentId, next.body);
        spool.shift(next);
      }
    }
  };
  return { made, rounds, left };
}

const { shipperOffset, stateOffset, ringOffset, definitionsOffset } = ringGeometry();

describe("a ring whose numbers are forged", () => {
  test.each([
    ["head", stateOffset, [0xffffffff, 0]],
    ["position", shipperOffset, [0xfffffff0, 0]],
    ["total", shipperOffset + RING_SHIPPER.total, [0, 0x7ff80000]],
    ["total that is huge", shipperOffset + RING_SHIPPER.total, [0, 0x43300000]],
    ["total that is no whole number", shipperOffset + RING_SHIPPER.total, [1, 0x3ff00000]],
    ["pending", shipperOffset + RING_SHIPPER.pending, [0, 0x40c00000]],
    ["end", shipperOffset + RING_SHIPPER.ended, [0, 0x3ff00000]],
    ["first record", ringOffset, [0xffffffff, 0]],
    ["definitions", definitionsOffset, [0xfffffff8, 1]],
    ["length of parts", RING_HEADER.ringBytes, [1 << 27, 0]],
  ])("by its %s holds up no other one", async (_what, offset, words) => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const bad = host.client({ poolDir: host.poolDir, app: "bad" });
    for (let n = 0; n < 100; n++) bad.log.info("bad", { bad: n });
    await bad.close();
    const [path] = ringsOf(host, "bad");
    const bytes = readFileSync(path!);
    for (const [i, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, offset + 4 * i);
    writeFileSync(path!, bytes);
    const good = host.client({ poolDir: host.poolDir, app: "good" });
    for (let n = 0; n < 100; n++) good.log.info("good", { n });
    const { rounds } = shipper(host, lake);
    rounds(5);
    expect(lake.numbers()).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  test(`at random, in any of its pages, holds up no other one and ends nothing (EVENTS_SEED=${SEED})`, async () => {
    const random = new Random(SEED);
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const good = host.client({ poolDir: host.poolDir, app: "good" });
    const bad = host.client({ poolDir: host.poolDir, app: "bad" });
    const query = bad.span("query");
    const latency = bad.measure("latency", "seconds");
    for (let n = 0; n < 200; n++) {
      query.run(() => bad.log.info("bad", { bad: n, text: "some" }));
      latency.record(n, { of: "it" });
    }
    await bad.close();
    const [path] = ringsOf(host, "bad");
    const whole = readFileSync(path!);
    const { rounds } = shipper(host, lake);
    let n = 0;
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(whole);
      for (let i = 0; i < 1 + (round % 20); i++) {
        const at = random.between(0, ringOffset + 39_999);
        bytes.writeUInt8(random.between(0, 255), at);
      }
      const id = Buffer.from(crypto.getRandomValues(new Uint8Array(8)));
      id.copy(bytes, RING_HEADER.ringId);
      writeFileSync(join(host.poolDir, "bad", `events.${id.toString("hex")}`), bytes);
      good.log.info("good", { n: n++ });
      rounds(2);
    }
    expect(lake.logs().filter(({ app }) => app === "good")).toHaveLength(n);
  }, 60_000);
});

test("a service whose name has a zero in it is shipped, with another character there", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const mv = host.client({ poolDir: host.poolDir, service: "au\0th" });
  mv.log.info("mine", { n: 0 });
  const { rounds } = shipper(host, lake);
  rounds(2);
  const [block] = [...lake.blocks.values()];
  expect(block!.header.process.service).toBe("au\ufffdth");
});

describe("a ring in somebody else's name", () => {
  test("is left alone: with another file's name, or another application's", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("mine", { n: 0 });
    const { rounds, left, made } = shipper(host, lake);
    rounds(1);
    const [path] = ringsOf(host, "shop");
    const id = path!.slice(-16);
    const other = join(host.poolDir, "bank");
    await Bun.write(join(other, "events.00112233445566ff"), "");
    // Another name, and another application.
    copyFileSync(path!, join(host.poolDir, "shop", "events.00112233445566aa"));
    copyFileSync(path!, join(other, "events.00112233445566bb"));
    rounds(25);
    expect(made.ringCount).toBe(1);
    expect(left.sort()).toEqual([
      expect.stringContaining("it is too short"),
      expect.stringContaining(`it says that it is ${id}`),
      expect.stringContaining("it says that it is of shop"),
    ]);
    expect(lake.logs()).toHaveLength(1);
  });

  test("and with another one's id holds up no other one, whichever was found first", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("mine", { n: 0 });
    const [path] = ringsOf(host, "shop");
    const forged = readFileSync(path!);
    forged.writeUInt32LE(4, RING_HEADER.appBytes);
    forged.write("bank", RING_HEADER.app);
    // It has what nobody has recorded, and somebody may write there.
    forged.writeUInt32LE(0, stateOffset);
    const copy = join(host.poolDir, "bank", `events.${path!.slice(-16)}`);
    await Bun.write(copy, forged);
    const file = SharedFile.open(copy, true);
    host.onEnd(() => file.close());
    file.lock(stateOffset, 4096);
    // Hidden while the copy is found.
    renameSync(join(host.poolDir, "shop"), `${host.poolDir}-hidden`);
    const { rounds, left, made } = shipper(host, lake);
    rounds(1);
    expect(made.ringCount).toBe(1);
    renameSync(`${host.poolDir}-hidden`, join(host.poolDir, "shop"));
    rounds(2);
    expect([made.ringCount, left]).toEqual([2, []]);
    mv.log.info("mine", { n: 1 });
    rounds(2);
    expect(lake.logs().filter(({ app }) => app === "shop")).toMatchObject([
      { properties: { n: 0 } },
      { properties: { n: 1 } },
    ]);
  });

  test("is shipped when its place has another file by now", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("mine", { n: 0 });
    const [path] = ringsOf(host, "shop");
    renameSync(path!, `${host.poolDir}-ring`);
    writeFileSync(path!, "no ring");
    const { rounds, left, made } = shipper(host, lake);
    rounds(25);
    expect([made.ringCount, left.length]).toEqual([0, 1]);
    renameSync(`${host.poolDir}-ring`, path!);
    rounds(60);
    expect(lake.numbers()).toEqual([0]);
    expect(left).toHaveLength(1);
  });

  test("is no file that others have linked there", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const mv = host.client({ poolDir: host.poolDir });
    mv.log.info("mine", { n: 0 });
    const [path] = ringsOf(host, "shop");
    linkSync(path!, join(host.poolDir, "shop", "events.00112233445566cc"));
    const { rounds, made } = shipper(host, lake);
    rounds(3);
    expect(made.ringCount).toBe(1);
    expect(lake.numbers()).toEqual([0]);
  });
});

test.if(process.getuid?.() === 0)("a user with many rings holds up nobody else", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  for (let n = 0; n < 6; n++) {
    const mv = host.client({ poolDir: host.poolDir, app: n < 5 ? "hog" : "shop" });
    mv.log.info("mine", { n });
    await mv.close();
  }
  for (const path of ringsOf(host, "hog")) chownSync(path, nobodyUid, 0);
  let nowMs = 0;
  // Whatever is looked at takes longer than a round may.
  const clockMs = () => (nowMs += 100);
  const { rounds } = shipper(host, lake, { isForAll: true, clockMs });
  rounds(1);
  expect(
    lake
      .logs()
      .map(({ app }) => app)
      .sort(),
  ).toEqual(["hog", "shop"]);
  rounds(4);
  expect(lake.numbers().sort()).toEqual([0, 1, 2, 3, 4, 5]);
});

test("of a user whose rings would be too large together some wait", async () => {
  await using host = new TestHost();
  await using lake = new LakeStandIn();
  const mv = host.client({ poolDir: host.poolDir });
  mv.log.info("mine", { n: 0 });
  const [path] = ringsOf(host, "shop");
  const forged = readFileSync(path!);
  const sparse = 1 << 26;
  forged.writeUInt32LE(sparse, RING_HEADER.ringBytes);
  for (let n = 0; n < 40; n++) {
    const id = `00000000000000${(16 + n).toString(16)}`;
    Buffer.from(id, "hex").copy(forged, RING_HEADER.ringId);
    const copy = join(host.poolDir, "shop", `events.${id}`);
    writeFileSync(copy, forged);
    truncateSync(copy, ringOffset + sparse);
  }
  const { rounds, made, left } = shipper(host, lake);
  rounds(1);
  expect(made.ringCount).toBeLessThan(33);
  expect(made.ringCount).toBeGreaterThan(25);
  // Their writers have ended: they go, and make room for the others.
  rounds(5);
  expect(ringsOf(host, "shop")).toEqual([path!]);
  expect(left).toEqual([]);
}, 60_000);
