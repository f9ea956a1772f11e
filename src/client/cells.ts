// Where the values of a series are: in private memory first, in a page of the pool later. A handle never changes;
// what it points to does.

import type { MetricDefinition } from "../layout/index.ts";

/** A series as this thread writes it: its first slot is `values[at]`. */
export class Cell {
  /** @internal memory that is stored into: private, or a page */
  values: Float64Array;
  /** @internal index of the first slot */
  at: number;

  /** @internal */
  constructor(values: Float64Array, at: number) {
    this.values = values;
    this.at = at;
  }
}

/** Private memory, in pieces, for series that have no page yet. */
export class PrivateMemory {
  static readonly #PIECE_SLOTS = 512;
  #piece = new Float64Array();
  #next = 0;

  /** Zeroed slots in a row. */
  take(slots: number): { values: Float64Array; at: number } {
    if (this.#next + slots > this.#piece.length) {
      this.#piece = new Float64Array(Math.max(slots, PrivateMemory.#PIECE_SLOTS));
      this.#next = 0;
    }
    const place = { values: this.#piece, at: this.#next };
    this.#next += slots;
    return place;
  }
}

/** A series with what the agent is told of it. */
export interface Series {
  readonly metric: MetricDefinition;
  readonly labelValues: string[];
  readonly cell: Cell;
  readonly slots: number;
  /** Whether its values are in a page of the pool. */
  placed: boolean;
  /** Whether it was removed. */
  gone?: true;
}

/** Points a series to other memory, taking its values along. */
export function moveSeries(series: Series, values: Float64Array, at: number): void {
  const { cell, slots } = series;
  for (let i = 0; i < slots; i++) values[at + i] = cell.values[cell.at + i]!;
  cell.values = values;
  cell.at = at;
}
