// Finds a series by metric and label values: an open-addressing hash table of series ids over the directory's own
// bytes, so that a series costs the agent a few bytes and not a string.

import { ByteWriter, type Directory } from "../layout/index.ts";

export class SeriesIndex {
  #table = new Uint32Array(1024);
  #count = 0;
  readonly #key = new ByteWriter(512);
  readonly #pending = new Map<string, number>();

  /** Forgets all and takes in the series of a directory. */
  rebuild(directory: Directory): void {
    let capacity = 1024;
    while (capacity < directory.seriesCount * 2) capacity *= 2;
    this.#table = new Uint32Array(capacity);
    this.#count = 0;
    this.#pending.clear();
    for (let id = 1; id <= directory.lastId.series; id++) this.#insert(directory, id);
  }

  /** The id of a series, or 0 when it is not known. */
  find(directory: Directory, metric: number, labelValues: readonly string[]): number {
    const key = this.#encode(metric, labelValues);
    const mask = this.#table.length - 1;
    for (let at = Bun.hash.crc32(key) & mask; ; at = (at + 1) & mask) {
      const id = this.#table[at]!;
      if (id === 0) break;
      if (sameBytes(directory.seriesKey(id), key)) return id;
    }
    return this.#pending.size === 0 ? 0 : (this.#pending.get(pendingKey(key)) ?? 0);
  }

  /** Notes a series whose record is written and not yet committed. */
  expect(metric: number, labelValues: readonly string[], id: number): void {
    this.#pending.set(pendingKey(this.#encode(metric, labelValues)), id);
  }

  /** Takes in the series that a commit has added to the directory, or forgets those that it failed to add. */
  settle(directory: Directory): void {
    for (const id of this.#pending.values()) {
      if (id <= directory.lastId.series) this.#insert(directory, id);
    }
    this.#pending.clear();
  }

  #insert(directory: Directory, id: number): void {
    if (++this.#count * 2 > this.#table.length) this.#grow(directory);
    this.#place(directory, id);
  }

  #place(directory: Directory, id: number): void {
    const mask = this.#table.length - 1;
    let at = Bun.hash.crc32(directory.seriesKey(id)) & mask;
    while (this.#table[at] !== 0) at = (at + 1) & mask;
    this.#table[at] = id;
  }

  #grow(directory: Directory): void {
    const known = this.#table;
    this.#table = new Uint32Array(known.length * 2);
    for (const id of known) if (id !== 0) this.#place(directory, id);
  }

  /** The bytes that {@link Directory.seriesKey} gives for such a series. */
  #encode(metric: number, labelValues: readonly string[]): Uint8Array {
    const key = this.#key.reset().u32(metric);
    for (const value of labelValues) key.text(value);
    // The record is padded to 8 bytes from its start; its header and id take 12.
    while ((key.length + 12) % 8 !== 0) key.u8(0);
    return key.bytes();
  }
}

/** The bytes as a string, so that they are equal where the bytes are: label values may hold any separator. */
function pendingKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
