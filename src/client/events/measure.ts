// A value that is recorded each time, with its moment: unlike a metric, which only counts.

import type { Properties } from "./options.ts";

/** Where its values go. */
interface Recorder {
  recordValue(definition: number, value: number): void;
  recordMeasure(measure: Measure, value: number, properties?: Properties): void;
}

/** Made by {@link MicroView.measure}. */
export class Measure {
  readonly #recorder: Recorder;

  /** @internal */
  constructor(
    recorder: Recorder,
    readonly name: string,
    readonly unit: string,
    /** @internal */
    readonly definition: number,
  ) {
    this.#recorder = recorder;
  }

  /** Never throws: what is no number is recorded as NaN. */
  record(value: number, properties?: Properties): void {
    const number = typeof value === "number" ? value : Number.NaN;
    if (properties === undefined && this.definition > 0) {
      this.#recorder.recordValue(this.definition, number);
    } else {
      this.#recorder.recordMeasure(this, number, properties);
    }
  }
}
