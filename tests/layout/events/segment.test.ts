// Segments: files of blocks, which may end anywhere.

import { describe, expect, test } from "bun:test";
import {
  DamageError,
  decodeSegment,
  encodeBlock,
  encodeSegment,
  readSegment,
} from "../../../src/layout/index.ts";
import { noColumns, ORIGIN, zstd } from "../../support/blocks.ts";

const blocks: Uint8Array[] = [0, 100, 200].map((first) =>
  encodeBlock({ ...ORIGIN, first, end: first + 100 }, noColumns(), zstd),
);
const segment = encodeSegment(blocks);

describe("a segment", () => {
  test("gives its blocks, and where they are", () => {
    const frames = decodeSegment(segment);
    expect(frames.map(({ block }) => block.slice()) as Uint8Array[]).toEqual(blocks);
    for (const { offset, block } of frames)
      expect(segment.slice(offset, offset + block.length)).toEqual(block.slice());
    expect(decodeSegment(encodeSegment([]))).toEqual([]);
  });

  test("that is torn anywhere gives the blocks before, and says how much of it is sound", () => {
    for (let length = 0; length < segment.length; length++) {
      const torn = segment.slice(0, length);
      const { frames, soundBytes } = readSegment(torn);
      const whole = encodeSegment(blocks.slice(0, frames.length));
      expect(soundBytes).toBe(length < 8 ? 0 : whole.length);
      expect(torn.slice(0, soundBytes)).toEqual(whole.slice(0, soundBytes));
      if (soundBytes === length && length > 0) continue;
      expect(() => decodeSegment(torn)).toThrow(DamageError);
    }
  });

  test("whose end was not written is sound up to there", () => {
    const longer = new Uint8Array(segment.length + 4096);
    longer.set(segment);
    expect(readSegment(longer).soundBytes).toBe(segment.length);
  });

  test("with a block that is damaged gives those before and behind it, and the damaged part", () => {
    const bytes = segment.slice();
    const { offset, block } = decodeSegment(segment)[1]!;
    bytes[offset + block.length - 1]! ^= 1;
    const { frames, soundBytes, damaged, isTorn } = readSegment(bytes);
    expect(frames.map((frame) => frame.block.slice()) as Uint8Array[]).toEqual([
      blocks[0]!,
      blocks[2]!,
    ]);
    expect([soundBytes, isTorn]).toEqual([offset - 8, false]);
    expect(damaged.map((part) => part.length)).toEqual([block.length + 8]);
  });

  test("with a wrong byte anywhere is refused", () => {
    for (let at = 0; at < segment.length; at++) {
      const wrong = segment.slice();
      wrong[at]! ^= 0x10;
      expect(() => decodeSegment(wrong)).toThrow(DamageError);
    }
  });
});
