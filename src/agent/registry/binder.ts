// Collects the bindings of a change, as few records as their places allow.

import { initialValue, type Metric, type Writer } from "../../layout/index.ts";
import type { Place } from "./free-slots.ts";
import type { Change, Registry } from "./registry.ts";

export class Binder {
  readonly #bound: { first: number; metric: Metric; page: number; slot: number; count: number }[] =
    [];
  readonly #places = new Map<number, Place>();

  constructor(
    readonly registry: Registry,
    readonly writer: Writer,
    readonly change: Change,
  ) {}

  /**
   * Where the writer stores a series: where it does already, or in slots that the change gives it.
   * @param moreSlots slots that are asked for in all, as a hint to the strategy
   */
  placeOf(series: number, metric: Metric, moreSlots: number): Place {
    const known = this.registry.directory.find(this.writer, series) ?? this.#places.get(series);
    if (known !== undefined) return known;
    const place = this.registry.takeSlots(this.writer, metric.slots, moreSlots, this.change);
    this.#clear(metric, place);
    this.#places.set(series, place);
    const last = this.#bound.at(-1);
    if (
      last !== undefined &&
      last.metric === metric &&
      last.page === place.page &&
      last.first + last.count === series &&
      last.slot + last.count * metric.slots === place.slot
    ) {
      last.count++;
    } else {
      this.#bound.push({ first: series, metric, ...place, count: 1 });
    }
    return place;
  }

  /** Writes the bindings; call once, before the commit. */
  finish(): void {
    for (const { first, page, slot, count } of this.#bound) {
      this.change.records.bind({ writer: this.writer.id, firstSeries: first, count, page, slot });
    }
  }

  /** Slots start at what their kind calls unset; nobody reads them before the commit. */
  #clear(metric: Metric, { page, slot }: Place): void {
    const { slots } = this.registry.pool;
    const first = this.registry.pool.slotIndexOf(page, slot);
    slots.fill(0, first, first + metric.slots);
    slots[first] = initialValue(metric.definition);
  }
}
