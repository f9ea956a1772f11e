// Each writer's own values, where they are shown by themselves: which they are is taken down with the structure, so
// that a directory that moves on does not attribute a value to another series.

import { type Metric, type Structure, snapshotIndex } from "../layout/index.ts";
import type { ShownWriter } from "./templates.ts";

/** Consecutive series of a metric that one writer has. */
export interface WriterPart {
  writer: ShownWriter;
  metric: Metric;
  firstSeries: number;
  count: number;
  /** Index of the first series' first value. */
  index: number;
}

/** Made once per structure; `of` runs once per scrape. */
export class WriterValues {
  readonly parts: WriterPart[] = [];
  readonly #sources: number[] = [];
  #count = 0;

  constructor(readonly structure: Structure) {
    const { plan } = structure;
    for (const writer of structure.writers) {
      const { id, pid, retained, startedAtMs } = writer;
      for (const { metric, firstSeries, count, page, slot } of writer.runs) {
        const source = snapshotIndex(plan, page, slot);
        if (source < 0) continue;
        const part = { writer: { id, pid, retained, startedAtMs }, metric, firstSeries, count };
        this.parts.push({ ...part, index: this.#count });
        this.#sources.push(source);
        this.#count += count * metric.slots;
      }
    }
  }

  /** @param slots what the plan's ranges brought, one after the other */
  of(slots: Float64Array): Float64Array {
    const values = new Float64Array(this.#count);
    for (const [i, { index, count, metric }] of this.parts.entries()) {
      const source = this.#sources[i]!;
      values.set(slots.subarray(source, source + count * metric.slots), index);
    }
    return values;
  }
}
