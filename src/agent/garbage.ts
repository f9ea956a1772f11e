// Has the agent's garbage collected. The pools that it maps count as its heap, whole, though their files are sparse:
// gigabytes, beside which the runtime finds hundreds of megabytes of garbage not worth a look.

/** Garbage of so much is let be: the heap of an agent without pools grows as far. */
const SPARE_BYTES = 16 << 20;
/** A larger heap may grow by more: each collection looks at all of it. */
const GROWTH = 1.5;

export class Garbage {
  /** The smallest that the heap was since it was last collected, without what it only refers to. */
  #leastBytes = Number.POSITIVE_INFINITY;

  /** Collects, in another thread for the most part, when the heap has grown by much since the last time. */
  look(): void {
    const heapTotal = heapBytes();
    if (heapTotal === undefined) return;
    this.#leastBytes = Math.min(this.#leastBytes, heapTotal);
    if (heapTotal <= this.#leastBytes * GROWTH + SPARE_BYTES) return;
    this.#leastBytes = Number.POSITIVE_INFINITY;
    Bun.gc(false);
  }
}

/** To ask takes a file, and strangers may have taken the last one: the next look is not far. */
function heapBytes(): number | undefined {
  try {
    return process.memoryUsage().heapTotal;
  } catch {
    return undefined;
  }
}
