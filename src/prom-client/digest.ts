// Quantiles of a stream of numbers: exact while there are few different ones, a merging t-digest beyond.
// T. Dunning, O. Ertl: Computing Extremely Accurate Quantiles Using t-Digests, 2019. As prom-client's digest it merges
// neighbours up to 4·n·δ·q(1 − q) values, δ = 0.01, and interpolates between the middles of their weights.

/** A centroid takes at most this share of the values in the middle of the distribution. */
const DELTA = 0.01;
/** So many different values are kept as they are. */
const EXACT_MAX = 1000;
/** Values wait unsorted until there are so many, or somebody asks. */
const WAITING_MAX = 256;

export class Digest {
  /** Centroids, ascending, with how many values each stands for. */
  #means = new Float64Array();
  #counts = new Float64Array();
  #size = 0;
  #total = 0;
  /** More centroids than these are merged. */
  #sizeMax = EXACT_MAX;
  #waiting = new Float64Array(8);
  #waitingCount = 0;

  push(value: number): void {
    if (this.#waitingCount === this.#waiting.length) this.#makeRoom();
    this.#waiting[this.#waitingCount++] = value;
  }

  reset(): void {
    this.#size = 0;
    this.#total = 0;
    this.#sizeMax = EXACT_MAX;
    this.#waitingCount = 0;
  }

  /** Centroids; 0 when there are no values. */
  size(): number {
    this.compress();
    return this.#size;
  }

  /** The value below which a share `p` of the values lies; undefined without values. */
  percentile(p: number): number | undefined {
    this.compress();
    const means = this.#means;
    const counts = this.#counts;
    const rank = this.#total * p;
    let before = 0;
    let lower = 0;
    for (let i = 0; i < this.#size; i++) {
      const middle = before + counts[i]! / 2;
      if (middle > rank) {
        if (i === 0) return means[0];
        const low = means[i - 1]!;
        return low + ((rank - lower) * (means[i]! - low)) / (middle - lower);
      }
      lower = middle;
      before += counts[i]!;
    }
    return this.#size === 0 ? undefined : means[this.#size - 1];
  }

  /** Takes in the values that wait. */
  compress(): void {
    if (this.#waitingCount === 0) return;
    const values = this.#waiting.subarray(0, this.#waitingCount).sort();
    const means = new Float64Array(this.#size + values.length);
    const counts = new Float64Array(this.#size + values.length);
    let size = 0;
    let i = 0;
    for (let j = 0; i < this.#size || j < values.length; ) {
      const isKnown = j === values.length || (i < this.#size && this.#means[i]! <= values[j]!);
      const mean = isKnown ? this.#means[i]! : values[j]!;
      const count = isKnown ? this.#counts[i++]! : 1;
      if (!isKnown) j++;
      if (size > 0 && means[size - 1] === mean) {
        counts[size - 1]! += count;
      } else {
        means[size] = mean;
        counts[size++] = count;
      }
    }
    this.#means = means;
    this.#counts = counts;
    this.#size = size;
    this.#total += values.length;
    this.#waitingCount = 0;
    if (size > this.#sizeMax) this.#merge();
  }

  #makeRoom(): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.compress();
      return;
    }
    const room = new Float64Array(this.#waiting.length * 2);
    room.set(this.#waiting);
    this.#waiting = room;
  }

  /** Merges neighbours as far as their place in the distribution allows. */
  #merge(): void {
    const means = this.#means;
    const counts = this.#counts;
    let last = 0;
    let before = 0;
    for (let i = 1; i < this.#size; i++) {
      const count = counts[last]! + counts[i]!;
      const q = (before + count / 2) / this.#total;
      if (count <= 4 * this.#total * DELTA * q * (1 - q)) {
        means[last]! += ((means[i]! - means[last]!) * counts[i]!) / count;
        counts[last] = count;
      } else {
        before += counts[last]!;
        last++;
        means[last] = means[i]!;
        counts[last] = counts[i]!;
      }
    }
    this.#size = last + 1;
    this.#sizeMax = Math.max(EXACT_MAX, this.#size * 2);
  }
}
