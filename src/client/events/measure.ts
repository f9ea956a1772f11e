// A value that is recorded each time, with its moment: unlike a metric, which only counts.

import type { Gate } from "./gate.ts";
import type { Properties } from "./options.ts";

/** Where its values go. */
interface Recorder {
  readonly gate: Gate;
  recordValue(definition: number, value: number): void;
  /** Told when a value is no number. */
  tellNoNumber(measure: Measure, value: unknown): void;
  recordMeasure(measure: Measure, value: number, properties?: Properties): void;
}

export interface MeasureOptions {
  /** What part of the program it is of. */
  target?: string;
}

/** Made by {@link MicroView.measure}. */
export class Measure {
  readonly #recorder: Recorder;
  readonly #gate: Gate;
  #hasToldNoNumber = false;

  /** @internal */
  constructor(
    recorder: Recorder,
    readonly name: string,
    readonly unit: string,
    readonly target: string,
    /** @internal */
    readonly place: string,
    /** @internal 0 where it is written out with each value */
    readonly definition: number,
  ) {
    this.#recorder = recorder;
    this.#gate = recorder.gate;
  }

  /** Never throws: what is no number is recorded as NaN, and warned of once. */
  record(value: number, properties?: Properties): void {
    if (this.#gate.hidesMeasure()) return;
    const number = typeof value === "number" ? value : this.#noNumber(value);
    if (properties === undefined && this.definition > 0) {
      this.#recorder.recordValue(this.definition, number);
    } else {
      this.#recorder.recordMeasure(this, number, properties);
    }
  }

  #noNumber(value: unknown): number {
    if (!this.#hasToldNoNumber) {
      this.#hasToldNoNumber = true;
      this.#recorder.tellNoNumber(this, value);
    }
    return Number.NaN;
  }
}
