// The pool's header: writing a new one, and reading one that may be anything.

import { ByteReader, ByteWriter, DamageError } from "../bytes.ts";
import {
  HEADER,
  HEADER_BYTES_USED,
  KNOWN_INCOMPATIBLE,
  LAYOUT_VERSION,
  LIMITS,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  POOL_DEFAULTS,
  POOL_MAGIC,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
} from "../constants.ts";
import { checkAppName } from "../definitions/metric.ts";

/** Where the parts of a pool are; fixed for the pool's life. All in bytes but `pageCapacity`. */
export interface PoolGeometry {
  fileBytes: number;
  /** Start of the first of the directory's two halves. */
  directoryOffset: number;
  /** Bytes of each half. */
  directoryCapacity: number;
  journalOffset: number;
  journalCapacity: number;
  pagesOffset: number;
  pageCapacity: number;
}

/** The header of a pool. */
export interface PoolHeader extends PoolGeometry {
  /** The layout's version that it was made in, and stays in. */
  version: number;
  /** Feature words; see {@link KNOWN_INCOMPATIBLE}. */
  compatible: number;
  incompatible: number;
  app: string;
  createdAtMs: number;
  /** Random; tells a pool from one that took its name. */
  poolId: number;
  /** Id of the first of the pools that took each other's place with all that was in them; this one's if it is the first. */
  lineage: number;
  /** How many of those came before this one. */
  replacements: number;
}

/** What of the header changes while the pool lives. */
export interface PoolState {
  /** Odd while the agent changes the structure. */
  generation: number;
  /** Which writing of the directory this is; a new one begins when it is compacted. */
  epoch: number;
  /** Committed bytes of the directory. */
  directoryBytes: number;
  /** No page at or above this index was ever handed out. */
  pagesHighWater: number;
  agentPid: number;
  /** Raised when remote readers should ask the agent again. */
  notices: number;
}

/** A file that is no pool, or one that this microview cannot read: then `version` is the layout version that it has. */
export class PoolFormatError extends Error {
  override readonly name = "PoolFormatError";
  constructor(
    message: string,
    readonly version?: number,
  ) {
    super(message);
  }
}

/** Sizes of a new pool; what is left out takes the default. */
export type PoolSizes = Partial<
  Pick<PoolGeometry, "pageCapacity" | "directoryCapacity" | "journalCapacity">
>;

export function poolGeometry(sizes: PoolSizes = {}): PoolGeometry {
  const { pageCapacity, directoryCapacity, journalCapacity } = { ...POOL_DEFAULTS, ...sizes };
  const directoryOffset = PAGE_BYTES;
  const journalOffset = directoryOffset + 2 * directoryCapacity;
  const pagesOffset = journalOffset + journalCapacity;
  return {
    fileBytes: pagesOffset + pageCapacity * PAGE_BYTES,
    directoryOffset,
    directoryCapacity,
    journalOffset,
    journalCapacity,
    pagesOffset,
    pageCapacity,
  };
}

/** Byte offset of a page in the pool's file. */
export function pageOffset(geometry: PoolGeometry, page: number): number {
  return geometry.pagesOffset + page * PAGE_BYTES;
}

/** Index of a page's slot among the f64s of the pool's file. */
export function slotIndex(geometry: PoolGeometry, page: number, slot: number): number {
  return (pageOffset(geometry, page) + PAGE_HEADER_BYTES) / SLOT_BYTES + slot;
}

/** Byte offset of the half of the directory that an epoch is written in. */
export function directoryHalf(geometry: PoolGeometry, epoch: number): number {
  return geometry.directoryOffset + (epoch % 2) * geometry.directoryCapacity;
}

/** The bytes of a new header, all but the magic, which the creator stores last. */
export function encodeHeader(header: PoolHeader): Uint8Array {
  const bytes = new ByteWriter(PAGE_BYTES);
  const magic = new TextEncoder().encode(POOL_MAGIC);
  bytes
    .raw(magic)
    .u32(header.version)
    .u32(PAGE_BYTES)
    .u32(PAGE_BYTES)
    .u32(SLOT_BYTES)
    .u32(PAGE_HEADER_BYTES)
    .u32(SLOTS_PER_PAGE)
    .u64(header.fileBytes)
    .u64(header.directoryOffset)
    .u64(header.directoryCapacity)
    .u64(header.journalOffset)
    .u64(header.journalCapacity)
    .u64(header.pagesOffset)
    .u32(header.pageCapacity);
  const app = new TextEncoder().encode(header.app);
  bytes.u32(app.length).raw(app);
  while (bytes.length < HEADER.createdAtMs) bytes.u8(0);
  bytes.f64(header.createdAtMs).u64(header.poolId).u64(header.lineage).u32(header.replacements);
  while (bytes.length < HEADER.compatible) bytes.u8(0);
  bytes.u32(header.compatible).u32(header.incompatible);
  while (bytes.length < HEADER_BYTES_USED) bytes.u8(0);
  return bytes.bytes().slice();
}

/**
 * Reads the fixed part of a header.
 * @param bytes at least the first {@link HEADER_BYTES_USED} bytes of the file
 * @param fileBytes size of the file, which the geometry must fit
 * @throws PoolFormatError when this is no pool, of another version, or its geometry does not hold together
 */
export function decodeHeader(bytes: Uint8Array, fileBytes: number): PoolHeader {
  if (bytes.length < HEADER_BYTES_USED) {
    throw new PoolFormatError(
      `a pool has at least ${HEADER_BYTES_USED} bytes, this has ${bytes.length}`,
    );
  }
  const reader = new ByteReader(bytes);
  const magic = new TextDecoder("latin1").decode(bytes.subarray(0, 8));
  if (magic !== POOL_MAGIC)
    throw new PoolFormatError("this is not a pool: its first bytes are not MICROVW");
  reader.position = HEADER.version;
  const version = reader.u32();
  if (!isReadableVersion(version)) {
    throw new PoolFormatError(
      `the pool has layout version ${version}, this microview reads ${READABLE_VERSIONS}`,
      version,
    );
  }
  reader.position = HEADER.compatible;
  const compatible = reader.u32();
  const incompatible = reader.u32();
  const unknown = (incompatible & ~KNOWN_INCOMPATIBLE) >>> 0;
  if (unknown !== 0) {
    throw new PoolFormatError(
      `the pool has features that this microview does not know (0x${unknown.toString(16)}): a newer one reads it`,
      version,
    );
  }
  try {
    reader.position = HEADER.headerBytes;
    const sizes = [reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32()];
    const known = [PAGE_BYTES, PAGE_BYTES, SLOT_BYTES, PAGE_HEADER_BYTES, SLOTS_PER_PAGE];
    if (sizes.some((size, i) => size !== known[i])) {
      throw new PoolFormatError(
        `header, page, slot sizes are ${sizes.join(", ")}, not ${known.join(", ")}`,
      );
    }
    const header: PoolHeader = {
      version,
      compatible,
      incompatible,
      fileBytes: reader.u64(),
      directoryOffset: reader.u64(),
      directoryCapacity: reader.u64(),
      journalOffset: reader.u64(),
      journalCapacity: reader.u64(),
      pagesOffset: reader.u64(),
      pageCapacity: reader.u32(),
      app: "",
      createdAtMs: 0,
      poolId: 0,
      lineage: 0,
      replacements: 0,
    };
    const appBytes = reader.u32();
    if (appBytes > LIMITS.appNameBytes)
      throw new PoolFormatError("its application name is too long");
    header.app = new TextDecoder("utf-8", { fatal: true }).decode(
      bytes.subarray(HEADER.app, HEADER.app + appBytes),
    );
    checkAppName(header.app);
    reader.position = HEADER.createdAtMs;
    header.createdAtMs = reader.f64();
    header.poolId = reader.u64();
    // Older agents wrote none.
    header.lineage = reader.u64() || header.poolId;
    header.replacements = reader.u32();
    checkGeometry(header, fileBytes);
    return header;
  } catch (error) {
    if (error instanceof PoolFormatError) throw error;
    throw new PoolFormatError(`the pool's header is damaged: ${(error as Error).message}`);
  }
}

/** Versions whose pools this one reads and goes on with, in words. */
export const READABLE_VERSIONS = `versions ${LAYOUT_VERSION - 1} to ${LAYOUT_VERSION + 1}`;

/** Whether pools of a version are read: hosts are upgraded one after the other. */
export function isReadableVersion(version: number): boolean {
  return Math.abs(version - LAYOUT_VERSION) <= 1;
}

function checkGeometry(header: PoolHeader, fileBytes: number): void {
  const expected = poolGeometry(header);
  const fits =
    header.pageCapacity > 0 &&
    header.directoryCapacity > 0 &&
    header.journalCapacity > 0 &&
    header.pageCapacity <= LIMITS.pageCapacity &&
    header.directoryCapacity <= LIMITS.directoryCapacity &&
    header.journalCapacity <= LIMITS.journalCapacity &&
    header.directoryCapacity % PAGE_BYTES === 0 &&
    header.journalCapacity % PAGE_BYTES === 0 &&
    header.directoryOffset === expected.directoryOffset &&
    header.journalOffset === expected.journalOffset &&
    header.pagesOffset === expected.pagesOffset &&
    header.fileBytes === expected.fileBytes;
  if (!fits) throw new PoolFormatError("the parts of the pool do not fit together");
  if (header.fileBytes > LIMITS.fileBytes) {
    throw new PoolFormatError(
      `the pool has ${header.fileBytes} bytes, at most ${LIMITS.fileBytes} can be mapped`,
    );
  }
  if (fileBytes < header.fileBytes) {
    throw new PoolFormatError(`the pool says ${header.fileBytes} bytes, its file has ${fileBytes}`);
  }
}

/**
 * Reads the changing part of a header.
 * @param bytes the bytes from {@link HEADER_LIVE_OFFSET} on, at least {@link HEADER_LIVE_BYTES} of them
 * @throws DamageError when the state cannot be one of a pool of this geometry
 */
export function decodeState(bytes: Uint8Array, geometry: PoolGeometry): PoolState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (offset: number) => offset - HEADER.generation;
  const state: PoolState = {
    generation: view.getUint32(at(HEADER.generation), true),
    directoryBytes: view.getUint32(at(HEADER.directoryWord), true) * 8,
    epoch: view.getUint32(at(HEADER.directoryWord) + 4, true),
    pagesHighWater: view.getUint32(at(HEADER.pagesHighWater), true),
    agentPid: view.getUint32(at(HEADER.agentPid), true),
    notices: view.getUint32(at(HEADER.notices), true),
  };
  if (state.directoryBytes > geometry.directoryCapacity) {
    throw new DamageError(
      `the directory says ${state.directoryBytes} bytes, it has room for ${geometry.directoryCapacity}`,
      HEADER.directoryWord,
    );
  }
  if (state.pagesHighWater > geometry.pageCapacity) {
    throw new DamageError(
      `${state.pagesHighWater} pages in use of ${geometry.pageCapacity}`,
      HEADER.pagesHighWater,
    );
  }
  return state;
}

/** The directory's commit word: its length in 8-byte words below, its epoch above, stored as one u64. */
export function directoryWord(epoch: number, lengthBytes: number): bigint {
  return (BigInt(epoch) << 32n) | BigInt(lengthBytes / 8);
}
