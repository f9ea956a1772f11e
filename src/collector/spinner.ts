// When to spin for completions instead of sleeping until the device wakes the thread. A wake-up costs some microseconds,
// which is as long as a whole READ on a good network; where READs take longer, spinning only takes a core from others.

import { monotonicNs } from "../ffi/index.ts";
import type { PollMode } from "./worker-protocol.ts";

/** READs that take longer than this are slept through. */
const WORTH_SPINNING_NS = 20_000;
/** At most this many times the usual time. */
const PATIENCE = 2;
/** The longest that is spun at a stretch when asked to spin. */
const LONGEST_NS = 1e6;
/** Weight of the latest batch in the usual time. */
const WEIGHT = 1 / 8;

/** What is spun for: one agent's connection. */
export interface Spinnable {
  /** Reads are under way. */
  readonly busy: boolean;
  /** Looks for completions. */
  look(): void;
}

export class Spinner {
  /** How long reads take from the first post to the last completion, usually. */
  #usualNs = WORTH_SPINNING_NS;

  constructor(
    readonly mode: PollMode,
    readonly nowNs: () => number = monotonicNs,
  ) {}

  get usualNs(): number {
    return this.#usualNs;
  }

  /** Takes note of how long reads took. */
  took(ns: number): void {
    this.#usualNs += (ns - this.#usualNs) * WEIGHT;
  }

  /** How long to spin now before sleeping. */
  get spinNs(): number {
    if (this.mode === "event") return 0;
    if (this.mode === "spin") return LONGEST_NS;
    return this.#usualNs > WORTH_SPINNING_NS ? 0 : this.#usualNs * PATIENCE;
  }

  /**
   * Looks again and again until nothing is under way, or the time is up.
   * @param deadlineNs when there is something else to do; negative for never
   */
  spin(targets: readonly Spinnable[], deadlineNs: number): void {
    const { spinNs } = this;
    if (spinNs === 0) return;
    // What is there at the first look is not made to wait for the clock.
    for (let end = -1; look(targets); ) {
      const now = this.nowNs();
      if (end < 0) end = deadlineNs < 0 ? now + spinNs : Math.min(now + spinNs, deadlineNs);
      if (now >= end) return;
    }
  }
}

/** Whether anything is still under way. */
function look(targets: readonly Spinnable[]): boolean {
  let isBusy = false;
  for (const target of targets) {
    if (!target.busy) continue;
    target.look();
    isBusy ||= target.busy;
  }
  return isBusy;
}
