// How much of the agent's time work may take that clients can ask for as often as they like.

export class WorkBudget {
  #leftMs: number;
  #atMs: number;

  /**
   * @param share of the time, from 0 to 1
   * @param burstMs what may be spent at once after a quiet while; the last piece of work may go beyond
   */
  constructor(
    readonly share: number,
    readonly burstMs: number,
    nowMs = performance.now(),
  ) {
    this.#leftMs = burstMs;
    this.#atMs = nowMs;
  }

  /** Seconds, in whole ones, after which there may be more work; 0 for now. */
  waitS(nowMs = performance.now()): number {
    this.#fill(nowMs);
    return this.#leftMs > 0 ? 0 : Math.floor(-this.#leftMs / this.share / 1000) + 1;
  }

  /** Work was done, and took so long. */
  spent(ms: number, nowMs = performance.now()): void {
    this.#fill(nowMs);
    this.#leftMs -= ms;
  }

  #fill(nowMs: number): void {
    const gainedMs = Math.max(0, nowMs - this.#atMs) * this.share;
    this.#leftMs = Math.min(this.burstMs, this.#leftMs + gainedMs);
    this.#atMs = nowMs;
  }
}
