// Finds a series by metric and label values: in the directory, or among those whose records are written and not yet
// committed.

import { ByteWriter, type Directory } from "../../layout/index.ts";

export class SeriesIndex {
  readonly #key = new ByteWriter(512);
  readonly #pending = new Map<string, number>();

  /** The id of a series, or 0 when it is not known. */
  find(directory: Directory, metric: number, labelValues: readonly string[]): number {
    const key = this.#encode(metric, labelValues);
    const known = directory.seriesOf(key);
    if (known !== 0 || this.#pending.size === 0) return known;
    return this.#pending.get(pendingKey(key)) ?? 0;
  }

  /** Notes a series whose record is written and not yet committed. */
  expect(metric: number, labelValues: readonly string[], id: number): void {
    this.#pending.set(pendingKey(this.#encode(metric, labelValues)), id);
  }

  /** The directory has what was committed: what it has not has failed. */
  settle(): void {
    this.#pending.clear();
  }

  /** As {@link Directory.seriesOf} takes it. */
  #encode(metric: number, labelValues: readonly string[]): Uint8Array {
    const key = this.#key.reset().u32(metric);
    for (const value of labelValues) key.text(value);
    return key.bytes();
  }
}

/** The bytes as a string, so that they are equal where the bytes are: label values may hold any separator. */
function pendingKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}
