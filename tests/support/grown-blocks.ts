// Blocks and segments as other versions write them: those that are kept in tests/fixtures/segments, and ones of versions
// to come, with what this version does not know; and blocks that are forged from their parts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "../../src/layout/crc32.ts";
import {
  BLOCK_PAYLOAD_VERSION,
  BLOCK_PREFIX,
  BLOCK_PREFIX_BYTES,
  BLOCK_VERSION,
  ByteWriter,
} from "../../src/layout/index.ts";
import { unzstd, zstd } from "./blocks.ts";
import { ROOT } from "./host.ts";

/** Kinds of sections that may be left out, and that may not. */
export const [EXTRA_SECTION, NEEDED_SECTION] = [0xf0, 0x70];

const PREFIX_FIELDS = {
  version: 16,
  payloadVersion: 16,
  compatible: 32,
  incompatible: 32,
} as const;

interface Parts extends Partial<Record<keyof typeof PREFIX_FIELDS, number>> {
  header: object;
  payload: Uint8Array;
  rawPayloadBytes?: number;
}

/** A block whose checksum is right, whatever else is not. */
export function blockOf({ header, payload, rawPayloadBytes, ...prefix }: Parts): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify(header));
  const packed = zstd(payload);
  const block = new Uint8Array(BLOCK_PREFIX_BYTES + head.length + packed.length);
  block.set(new TextEncoder().encode("MVBK"));
  block.set(head, BLOCK_PREFIX_BYTES);
  block.set(packed, BLOCK_PREFIX_BYTES + head.length);
  const view = new DataView(block.buffer);
  view.setUint16(BLOCK_PREFIX.version, prefix.version ?? BLOCK_VERSION, true);
  view.setUint16(BLOCK_PREFIX.payloadVersion, prefix.payloadVersion ?? BLOCK_PAYLOAD_VERSION, true);
  view.setUint32(BLOCK_PREFIX.compatible, prefix.compatible ?? 0, true);
  view.setUint32(BLOCK_PREFIX.incompatible, prefix.incompatible ?? 0, true);
  view.setUint32(BLOCK_PREFIX.headerBytes, head.length, true);
  view.setUint32(BLOCK_PREFIX.payloadBytes, packed.length, true);
  view.setUint32(BLOCK_PREFIX.rawPayloadBytes, rawPayloadBytes ?? payload.length, true);
  const before = crc32(block, 0, BLOCK_PREFIX.checksum);
  const checksum = crc32(block, BLOCK_PREFIX_BYTES, block.length, before);
  view.setUint32(BLOCK_PREFIX.checksum, checksum, true);
  return block;
}

/** What a block's payload unpacks to. */
export function payloadOf(block: Uint8Array): Uint8Array {
  const view = new DataView(block.buffer, block.byteOffset);
  const headerBytes = view.getUint32(BLOCK_PREFIX.headerBytes, true);
  const packed = block.slice(BLOCK_PREFIX_BYTES + headerBytes);
  return unzstd(packed, view.getUint32(BLOCK_PREFIX.rawPayloadBytes, true));
}

interface BlockGrowth extends Partial<Record<keyof typeof PREFIX_FIELDS, number>> {
  /** Kinds of sections to add before and behind the others. */
  before?: number[];
  behind?: number[];
  /** Bytes to add to the end of each section, as further columns would be. */
  more?: number;
  /** Fields to add to the header. */
  header?: object;
}

/** A block as it is, but for what a version to come has written. */
export function grownBlock(block: Uint8Array, growth: BlockGrowth): Uint8Array {
  const { before = [], behind = [], more = 0, header: fields = {}, ...prefix } = growth;
  const view = new DataView(block.buffer, block.byteOffset);
  const headerBytes = view.getUint32(BLOCK_PREFIX.headerBytes, true);
  const text = block.slice(BLOCK_PREFIX_BYTES, BLOCK_PREFIX_BYTES + headerBytes);
  const header = { ...JSON.parse(new TextDecoder().decode(text)), ...fields };
  const payload = new ByteWriter();
  for (const kind of before) payload.u32(kind).u32(5).raw(new Uint8Array(5).fill(7));
  const raw = payloadOf(block);
  const rawView = new DataView(raw.buffer, raw.byteOffset);
  for (let at = 0; at < raw.length; ) {
    const [kind, bytes] = [rawView.getUint32(at, true), rawView.getUint32(at + 4, true)];
    const end = at + 8 + bytes + Math.min(0, more);
    payload
      .u32(kind)
      .u32(bytes + more)
      .raw(raw.subarray(at + 8, end));
    payload.raw(new Uint8Array(Math.max(0, more)).fill(9));
    at += 8 + bytes;
  }
  for (const kind of behind) payload.u32(kind).u32(0);
  return blockOf({ header, payload: payload.bytes(), ...prefix });
}

/** A segment that was written by programs of a version, and the rows that must be read from it. */
export function segmentFixture(name: string): { bytes: Uint8Array; read: unknown } {
  const base = join(ROOT, "tests/fixtures/segments", name);
  return {
    bytes: new Uint8Array(readFileSync(`${base}.seg`)),
    read: JSON.parse(readFileSync(`${base}.json`, "utf8")),
  };
}
