// Pools as other versions write them: those that are kept in tests/fixtures/pools, and ones of versions to come, with
// what this version does not know.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  ByteWriter,
  directoryHalf,
  directoryWord,
  HEADER,
  poolPath,
  RECORD_HEADER_BYTES,
} from "../../src/layout/index.ts";
import { ROOT, type TestHost } from "./host.ts";
import { readImage } from "./pools.ts";

/** Types of records that may be skipped, far from those that there are or will be soon; as they are shown. */
export const [HINT, ANOTHER] = [0xf000, 0xf011];
export const HINT_AND_ANOTHER = "1 of type 0xf000, 1 of type 0xf011";

/** What must be read from a fixture. */
export interface Fixture {
  app: string;
  poolId: number;
  services: string[];
  writers: { id: number; serviceName: string; retained: boolean }[];
  /** Of counters and histograms, over all writers. */
  totals: Record<string, number[]>;
}

/** A pool that was written by programs of a layout version. */
export function fixture(version: number): { bytes: Uint8Array; read: Fixture } {
  const base = join(ROOT, `tests/fixtures/pools/v${version}`);
  return {
    bytes: new Uint8Array(gunzipSync(readFileSync(`${base}.pool.gz`))),
    read: JSON.parse(readFileSync(`${base}.json`, "utf8")),
  };
}

export interface Growth {
  version?: number;
  compatible?: number;
  incompatible?: number;
  /** Types of records to add behind the others, each with a body of 16 bytes. */
  records?: number[];
}

/** A pool's bytes as they are, but for what a version to come has written. */
export function grown(bytes: Uint8Array, growth: Growth): Uint8Array {
  const { header, state } = readImage(bytes);
  const image = bytes.slice();
  const view = new DataView(image.buffer);
  for (const field of ["version", "compatible", "incompatible"] as const) {
    const value = growth[field];
    if (value !== undefined) view.setUint32(HEADER[field], value, true);
  }
  const records = new ByteWriter();
  for (const type of growth.records ?? []) addUnknown(records, type);
  image.set(records.bytes(), directoryHalf(header, state.epoch) + state.directoryBytes);
  const word = directoryWord(state.epoch, state.directoryBytes + records.length);
  view.setBigUint64(HEADER.directoryWord, word, true);
  return image;
}

/** Writes a record of a type to come. */
export function addUnknown(records: ByteWriter, type: number): void {
  const body = new ByteWriter().u32(1).u32(type).text("unknown").align(8).bytes();
  records.u16(type).u16((RECORD_HEADER_BYTES + body.length) / 8);
  records.u32(Bun.hash.crc32(body)).raw(body);
}

/** Puts a pool's bytes where a host's agent looks for its application. */
export function leave(host: TestHost, bytes: Uint8Array, app = "shop"): string {
  const path = poolPath(app, host.poolDir);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes, { mode: 0o600 });
  return path;
}
