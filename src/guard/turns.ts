// Who does something costly when: so many at once, the others wait. Callers take turns, so that somebody who asks a lot
// makes nobody wait but themselves. Used by the lake for queries and for OTLP.

interface TurnsOptions {
  /** Turns that are taken at once. */
  atOnce: number;
  /** Who may wait for one, of all callers together. */
  waiting: number;
  /** Limits of one caller; all of it unless given. */
  perCaller?: { atOnce: number; waiting: number };
  /** What a caller that may not wait is told. */
  refusal(waiting: number): Error;
}

interface Waiting {
  caller: string;
  begin(): void;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #perCaller: { atOnce: number; waiting: number };
  #taken = 0;
  readonly #takenBy = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  /** Callers in the order in which they have last begun: a caller that is not in it comes first. */
  readonly #order = new Set<string>();

  constructor(options: TurnsOptions) {
    this.#options = options;
    const { atOnce, waiting, perCaller = { atOnce, waiting } } = options;
    this.#perCaller = { ...perCaller, atOnce: Math.max(1, perCaller.atOnce) };
  }

  /**
   * Waits for a turn.
   * @returns what gives it back; it may be called again
   * @throws what `refusal` makes when too many wait already; the signal's reason
   */
  async take(caller: string, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#mayBegin(caller)) this.#begin(caller);
    else await this.#wait(caller, signal);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#end(caller);
    };
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  #mayBegin(caller: string): boolean {
    const { atOnce } = this.#options;
    return this.#taken < atOnce && (this.#takenBy.get(caller) ?? 0) < this.#perCaller.atOnce;
  }

  #begin(caller: string): void {
    this.#taken++;
    this.#takenBy.set(caller, (this.#takenBy.get(caller) ?? 0) + 1);
    this.#order.delete(caller);
    this.#order.add(caller);
  }

  #end(caller: string): void {
    this.#taken--;
    const left = this.#takenBy.get(caller)! - 1;
    if (left > 0) this.#takenBy.set(caller, left);
    else this.#takenBy.delete(caller);
    for (let next = this.#next(); next !== undefined; next = this.#next()) next.begin();
    this.#forget();
  }

  /** Of those who may begin, the first of the caller who has not begun for the longest time. */
  #next(): Waiting | undefined {
    const ranks = new Map([...this.#order].map((caller, rank) => [caller, rank]));
    let best: Waiting | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    for (const each of this.#waiting) {
      const rank = ranks.get(each.caller) ?? -1;
      if (rank >= bestRank || !this.#mayBegin(each.caller)) continue;
      best = each;
      bestRank = rank;
    }
    return best;
  }

  /** Callers who neither hold nor want a turn. */
  #forget(): void {
    const wanted = new Set(this.#waiting.map(({ caller }) => caller));
    for (const caller of this.#order) {
      if (!wanted.has(caller) && !this.#takenBy.has(caller)) this.#order.delete(caller);
    }
  }

  #wait(caller: string, signal: AbortSignal | undefined): Promise<void> {
    const own = this.#waiting.filter((each) => each.caller === caller).length;
    const all = this.#waiting.length;
    if (own >= this.#perCaller.waiting) throw this.#options.refusal(own);
    if (all >= this.#options.waiting) throw this.#options.refusal(all);
    return new Promise((resolve, reject) => {
      const remove = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        signal?.removeEventListener("abort", leave);
      };
      const leave = () => {
        remove();
        reject(signal?.reason);
      };
      const waiting: Waiting = {
        caller,
        begin: () => {
          remove();
          this.#begin(caller);
          resolve();
        },
      };
      this.#waiting.push(waiting);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
