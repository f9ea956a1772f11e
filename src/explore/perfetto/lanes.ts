// Which spans may share a track of Perfetto's, where slices are a stack: what begins later ends earlier, or begins after
// the end. Spans come in the order of their beginnings. Only those that go on are remembered.

interface Open {
  readonly spanId: string;
  readonly endNs: bigint;
}

/** Of a span that never ended: nothing outlives it. */
const NEVER = 2n ** 63n;

export class Lanes {
  readonly #lanes: Open[][] = [];
  readonly #laneOf = new Map<string, number>();

  /** @param prefersFirst spans that nest in the first lane stay there, as those of a thread's call stack do */
  constructor(readonly prefersFirst: boolean) {}

  /** The lane in which a span finds room: that of its parent, if it can be. */
  place(spanId: string, parentId: string, beginNs: bigint, endNs: bigint | undefined): number {
    const end = endNs ?? NEVER;
    const lane = this.#choose(parentId, beginNs, end);
    this.#lanes[lane] ??= [];
    this.#lanes[lane].push({ spanId, endNs: end });
    this.#laneOf.set(spanId, lane);
    return lane;
  }

  #choose(parentId: string, beginNs: bigint, endNs: bigint): number {
    const wanted = this.#laneOf.get(parentId);
    if (wanted !== undefined && this.#hasRoom(wanted, beginNs, endNs)) return wanted;
    if (this.prefersFirst && this.#hasRoom(0, beginNs, endNs)) return 0;
    // Not within spans that it does not belong to.
    for (let lane = 0; lane < this.#lanes.length; lane++) {
      this.#forgetEnded(lane, beginNs);
      if (this.#lanes[lane]!.length === 0) return lane;
    }
    return this.#lanes.length;
  }

  #hasRoom(lane: number, beginNs: bigint, endNs: bigint): boolean {
    this.#forgetEnded(lane, beginNs);
    const last = this.#lanes[lane]?.at(-1);
    return last === undefined || endNs <= last.endNs;
  }

  #forgetEnded(lane: number, nowNs: bigint): void {
    const open = this.#lanes[lane] ?? [];
    while (open.length > 0 && open.at(-1)!.endNs <= nowNs) {
      this.#laneOf.delete(open.pop()!.spanId);
    }
  }
}
