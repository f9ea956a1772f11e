// Fills requests with the points of blocks, until each has as many as it may.

import type { Block } from "./block.ts";
import type { Attributes, Part, Section } from "./model.ts";

/** Slots of a histogram that weigh as much as a point in how large a request becomes. */
const SLOTS_PER_POINT = 32;
const GAUGE = { absent: 0, shown: 1, lost: 2 } as const;

/** A request that is made until it is full. */
export class Filling<Table> {
  #sections: Section<Table>[] = [];
  #points = 0;
  #weight = 0;

  constructor(
    readonly maxPoints: number,
    readonly part: Omit<Part<Table>, "sections">,
  ) {}

  *add(
    block: Block<Table>,
    resource: Attributes,
    from: number,
    to: number,
    ended: boolean,
  ): Generator<Part<Table>> {
    const { service, scope, head, table, slots } = block;
    const weight = ended ? 1 : Math.max(1, Math.floor(slots / SLOTS_PER_POINT));
    for (let at = from; at < to; ) {
      const room = Math.max(1, Math.floor((this.maxPoints - this.#weight) / weight));
      const end = Math.min(to, at + room);
      const { valueAt, startsMs } = block;
      const range = { from: at, to: end, valueAt, startsMs, ended };
      this.#sections.push({ service, resource, scope, head, table, ...range });
      this.#points += end - at;
      this.#weight += (end - at) * weight;
      at = end;
      if (this.#weight >= this.maxPoints) yield* this.finish();
    }
  }

  *finish(): Generator<Part<Table>> {
    if (this.#points === 0) return;
    const part = { ...this.part, sections: this.#sections, points: this.#points };
    this.#sections = [];
    this.#points = 0;
    this.#weight = 0;
    yield part;
  }
}

/** Neighbours that are alike: from, to, and what they are. */
export function* runs(
  states: Uint8Array,
  count: number,
): Generator<[from: number, to: number, state: number]> {
  for (let from = 0; from < count; ) {
    const state = states[from]!;
    let to = from + 1;
    while (to < count && states[to] === state) to++;
    yield [from, to, state];
    from = to;
  }
}

/** Points of gauges that have a value, and ends of those that have lost it. */
export function* addGauges<Table>(
  filling: Filling<Table>,
  block: Block<Table>,
  resource: Attributes,
  values: Float64Array,
): Generator<Part<Table>> {
  const { present, valueAt } = block;
  const states = new Uint8Array(block.count);
  for (let i = 0; i < states.length; i++) {
    const has = !Number.isNaN(values[valueAt[i]!]!);
    states[i] = has ? GAUGE.shown : present[i] === 1 ? GAUGE.lost : GAUGE.absent;
    present[i] = has ? 1 : 0;
  }
  for (const [from, to, state] of runs(states, states.length)) {
    if (state === GAUGE.absent) continue;
    yield* filling.add(block, resource, from, to, state === GAUGE.lost);
  }
}
