// Makes the ids of traces. They have to differ and to be spread evenly, and are no secrets.

/**
 * The first half is this thread's, the second one random: rows of one thread compress well then, and the part that
 * samplers look at is random, as W3C's Trace Context wants it (section 3.2.2.3). A generator that begins at a random place
 * makes a word in 2 ns, and the system's random numbers take 40 (sfc32 of PractRand, Chris Doty-Humphrey).
 */
export class TraceIds {
  readonly high0: number;
  readonly high1: number;
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor() {
    const [high0, high1, a, b, c, counter] = crypto.getRandomValues(new Int32Array(6));
    // No id is 0 as a whole.
    this.high0 = high0! || 1;
    this.high1 = high1!;
    this.#a = a!;
    this.#b = b!;
    this.#c = c!;
    this.#counter = counter!;
  }

  next(): number {
    const b = this.#b;
    const c = this.#c;
    const result = (this.#a + b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = b ^ (b >>> 9);
    this.#b = (c + (c << 3)) | 0;
    this.#c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result;
  }
}
