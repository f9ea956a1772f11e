// An exemplar: the labels of one example behind a count, such as a trace's id. OpenMetrics only; kept in this process.
// https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md#exemplars

import type { Labels } from "./labels.ts";

const LABELS_LENGTH_MAX = 128;

export class Exemplar {
  labelSet: Labels = {};
  value: number | null = null;
  /** Unix time in seconds. */
  timestamp?: number;

  /** @throws RangeError when the labels are longer than the specification allows; it then stays what it was */
  set(labels: Labels, value: number): void {
    let text = "";
    for (const [name, label] of Object.entries(labels)) text += `${name}${label}`;
    if (text.length > LABELS_LENGTH_MAX) {
      throw new RangeError("Label set size must be smaller than 128 UTF-8 chars");
    }
    this.labelSet = labels;
    this.value = value;
    this.timestamp = Date.now() / 1000;
  }
}
