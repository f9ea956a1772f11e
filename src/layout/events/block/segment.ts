// A file of blocks, as it lies in the spool, is sent, and is kept: a magic, then frames of u32 bytes, u32 CRC-32, block.
// Blocks are appended one by one, so that the end of a file may be torn; what is before is sound.

import { DamageError, UnknownFormatError } from "../../bytes.ts";
import { crc32 } from "../../crc32.ts";
import { BLOCK_LIMITS, BLOCK_MAGIC, BLOCK_PREFIX_BYTES } from "./header.ts";

export const SEGMENT_MAGIC = "MVSEG1\n\0";
export const SEGMENT_HEAD_BYTES = SEGMENT_MAGIC.length;
export const SEGMENT_FRAME_HEAD_BYTES = 8;

const BLOCK_BYTES_MAX = BLOCK_PREFIX_BYTES + BLOCK_LIMITS.headerBytes + BLOCK_LIMITS.payloadBytes;
/** The largest file: one block of the largest size. Others are closed long before. */
export const SEGMENT_BYTES_MAX = SEGMENT_HEAD_BYTES + SEGMENT_FRAME_HEAD_BYTES + BLOCK_BYTES_MAX;

/** A block in a segment; `block` is a part of the segment's bytes, and no copy. */
export interface SegmentFrame {
  /** Where the block begins, its frame's head being before that. */
  offset: number;
  block: Uint8Array;
}

/** What a segment begins with. */
export function segmentHead(): Uint8Array {
  return new TextEncoder().encode(SEGMENT_MAGIC);
}

/** What stands before a block in a segment. */
export function frameHead(block: Uint8Array): Uint8Array {
  const head = new Uint8Array(SEGMENT_FRAME_HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, block.length, true);
  view.setUint32(4, crc32(block), true);
  return head;
}

/** A segment out of blocks. */
export function encodeSegment(blocks: readonly Uint8Array[]): Uint8Array {
  const parts = [segmentHead(), ...blocks.flatMap((block) => [frameHead(block), block])];
  const segment = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    segment.set(part, at);
    at += part.length;
  }
  return segment;
}

/** What a segment has, as far as it is sound. */
export interface SegmentParts {
  /** Those that are sound, also behind one that is damaged. */
  frames: SegmentFrame[];
  /** How much of the file is sound from its beginning; 0 when it is no segment. */
  soundBytes: number;
  /** What belongs to no sound frame, in its order, frames with their heads. */
  damaged: Uint8Array[];
  /** The last of the damaged parts is the beginning of a frame that was not written to its end. */
  isTorn: boolean;
}

/**
 * The frames of a segment, to take what is left of it.
 * @param mayLook whether sound frames are looked for behind one whose length is wrong. That takes long where somebody has
 * made it so: only for files of one's own.
 */
export function readSegment(bytes: Uint8Array, mayLook = false): SegmentParts {
  if (!startsWith(bytes, SEGMENT_MAGIC))
    return { frames: [], soundBytes: 0, damaged: [bytes], isTorn: false };
  const frames: SegmentFrame[] = [];
  const damaged: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = SEGMENT_HEAD_BYTES;
  let soundBytes: number | undefined;
  let isTorn = false;
  while (at < bytes.length) {
    const offset = at + SEGMENT_FRAME_HEAD_BYTES;
    const length = offset <= bytes.length ? view.getUint32(at, true) : BLOCK_PREFIX_BYTES;
    const isLength = length >= BLOCK_PREFIX_BYTES && length <= BLOCK_BYTES_MAX;
    // A file that was made longer before it was written has zeroes there.
    if (!isLength || offset + length > bytes.length) {
      soundBytes ??= at;
      const next = mayLook ? nextFrame(bytes, view, at + 1) : undefined;
      damaged.push(bytes.subarray(at, next));
      isTorn = isLength && next === undefined;
      if (next === undefined) break;
      at = next;
      continue;
    }
    const block = bytes.subarray(offset, offset + length);
    if (crc32(block) === view.getUint32(at + 4, true)) frames.push({ offset, block });
    else {
      soundBytes ??= at;
      damaged.push(bytes.subarray(at, offset + length));
    }
    at = offset + length;
  }
  return { frames, soundBytes: soundBytes ?? at, damaged, isTorn };
}

/** Where the next sound frame begins. */
function nextFrame(bytes: Uint8Array, view: DataView, from: number): number | undefined {
  for (let at = from; at + SEGMENT_FRAME_HEAD_BYTES + BLOCK_PREFIX_BYTES <= bytes.length; at++) {
    const offset = at + SEGMENT_FRAME_HEAD_BYTES;
    if (!startsWith(bytes.subarray(offset, offset + BLOCK_MAGIC.length), BLOCK_MAGIC)) continue;
    const length = view.getUint32(at, true);
    if (length < BLOCK_PREFIX_BYTES || offset + length > bytes.length) continue;
    if (crc32(bytes, offset, offset + length) === view.getUint32(at + 4, true)) return at;
  }
  return undefined;
}

/** Whether it says that it is a segment, of this version or another one. */
export function isSegmentLike(bytes: Uint8Array): boolean {
  return bytes.length >= SEGMENT_HEAD_BYTES && startsWith(bytes, SEGMENT_MAGIC.slice(0, 5));
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

/**
 * The frames of a segment that was sent: all of it has to be sound.
 * @throws DamageError, UnknownFormatError
 */
export function decodeSegment(bytes: Uint8Array): SegmentFrame[] {
  const { frames, soundBytes } = readSegment(bytes);
  if (soundBytes === 0 && isSegmentLike(bytes))
    throw new UnknownFormatError(
      "it is a segment of a version that this microview does not know",
      0,
    );
  if (soundBytes === 0) throw new DamageError("it is no segment", 0);
  if (soundBytes < bytes.length)
    throw new DamageError(`the segment is damaged or torn at byte ${soundBytes}`, soundBytes);
  return frames;
}
