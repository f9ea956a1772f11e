// Ranges of integers that do not overlap, each with a value: what of a pool's slots is granted, and what is bound.
// Kept sorted in pieces of bounded length, so that no order of additions makes one take long.

/** Ranges in one piece; beyond, it is split. */
const CHUNK_MAX = 512;

interface Chunk<T> {
  /** First integers of the ranges, ascending; never empty. */
  starts: number[];
  /** Ends of the ranges, exclusive. */
  ends: number[];
  values: T[];
}

/** Half-open ranges. Neighbours with one value are one range. */
export class Spans<T> {
  readonly #chunks: Chunk<T>[] = [];

  /** The range that holds an integer. */
  at(position: number): { start: number; end: number; value: T } | undefined {
    const chunk = this.#chunks[this.#chunkOf(position)];
    if (chunk === undefined) return undefined;
    const i = lastUpTo(chunk.starts, position);
    if (i < 0 || chunk.ends[i]! <= position) return undefined;
    return { start: chunk.starts[i]!, end: chunk.ends[i]!, value: chunk.values[i]! };
  }

  /** @returns false, with nothing changed, when any of the range is taken */
  add(start: number, end: number, value: T): boolean {
    const c = Math.max(0, this.#chunkOf(start));
    const chunk = this.#chunks[c];
    if (chunk === undefined) {
      this.#chunks.push({ starts: [start], ends: [end], values: [value] });
      return true;
    }
    const i = lastUpTo(chunk.starts, start);
    if (i >= 0 && chunk.ends[i]! > start) return false;
    const isInside = i + 1 < chunk.starts.length;
    const next = isInside ? chunk.starts[i + 1]! : this.#chunks[c + 1]?.starts[0];
    if (next !== undefined && next < end) return false;
    const joinsBefore = i >= 0 && chunk.ends[i] === start && chunk.values[i] === value;
    const joinsNext = isInside && next === end && chunk.values[i + 1] === value;
    if (joinsBefore && joinsNext) {
      chunk.ends[i] = chunk.ends[i + 1]!;
      this.#splice(c, i + 1, 1);
    } else if (joinsBefore) {
      chunk.ends[i] = end;
    } else if (joinsNext) {
      chunk.starts[i + 1] = start;
    } else {
      this.#splice(c, i + 1, 0, start, end, value);
    }
    return true;
  }

  /** Frees a range: what begins before or ends behind it is cut. */
  clear(start: number, end: number): void {
    for (;;) {
      const found = this.#firstIn(start, end);
      if (found === undefined) return;
      const [c, i] = found;
      const chunk = this.#chunks[c]!;
      const last = chunk.ends[i]!;
      const value = chunk.values[i]!;
      if (chunk.starts[i]! < start) {
        chunk.ends[i] = start;
        if (last > end) this.#splice(c, i + 1, 0, end, last, value);
      } else if (last > end) {
        chunk.starts[i] = end;
      } else {
        this.#splice(c, i, 1);
      }
    }
  }

  /** The first range that has any of the given one. */
  #firstIn(start: number, end: number): [chunk: number, index: number] | undefined {
    let c = this.#chunkOf(start);
    let i = -1;
    if (c >= 0) i = lastUpTo(this.#chunks[c]!.starts, start);
    else c = 0;
    const chunk = this.#chunks[c];
    if (chunk === undefined) return undefined;
    if (i >= 0 && chunk.ends[i]! > start) return [c, i];
    if (i + 1 < chunk.starts.length) return chunk.starts[i + 1]! < end ? [c, i + 1] : undefined;
    const next = this.#chunks[c + 1]?.starts[0];
    return next !== undefined && next < end ? [c + 1, 0] : undefined;
  }

  /** The last piece that begins at or before an integer, or −1. */
  #chunkOf(position: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#chunks[middle]!.starts[0]! <= position) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #splice(c: number, at: number, remove: number, ...added: [] | [number, number, T]): void {
    const chunk = this.#chunks[c]!;
    const { starts, ends, values } = chunk;
    if (added.length === 0) {
      starts.splice(at, remove);
      ends.splice(at, remove);
      values.splice(at, remove);
      if (starts.length === 0) this.#chunks.splice(c, 1);
      return;
    }
    const [start, end, value] = added;
    starts.splice(at, remove, start);
    ends.splice(at, remove, end);
    values.splice(at, remove, value);
    if (starts.length <= CHUNK_MAX) return;
    const half = starts.length >>> 1;
    this.#chunks.splice(c + 1, 0, {
      starts: starts.splice(half),
      ends: ends.splice(half),
      values: values.splice(half),
    });
  }
}

/** Index of the last number up to another, or −1. */
function lastUpTo(ascending: readonly number[], position: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! <= position) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
