// What time an event of a ring has: ticks of the processor's counter as Unix time. The reader of rings and the builder of
// blocks share it, so that both say the same. Times of a ring never go back (docs/decisions/0045).

import type { Anchor, RingHeader } from "./header.ts";

/** All that is known about a ring's time at some place of it; what comes later follows from this and the ring's words. */
export interface TimelineState extends Anchor {
  /** How far the ring's time is ahead of the wall clock, because that was set back. */
  aheadNs: number;
}

/** The wall clock was set, between two anchors. */
export interface ClockStep {
  /** Negative: back. */
  stepMs: number;
}

/** The wall clock is adjusted by less all the time. */
const STEP_NS = 10e6;
/** Over a second and more the clocks say better what a tick is than the millisecond of the writer's start. */
const CALIBRATED_NS = 500e6;
/** Unix times that fit into 64 bits of nanoseconds; in milliseconds. */
const UNIX_MS_MAX = 9.2e12;
/**
 * A ring's time that is ahead runs slower until the wall clock has caught up: by a thousandth, which no duration shows,
 * or, when the clock was really set, by one half, so that it does not take for ever.
 */
const SLOWER = 1 / 1000;
const SLOWER_WHEN_SET = 1 / 2;
const SET_NS = 100e6;

export class Timeline {
  /** Unix time in nanoseconds that times count from. */
  readonly epochNs: bigint;
  readonly #start: Anchor;
  readonly #ticksPerMs: number;
  readonly #maxNs: number;
  #state: TimelineState;
  /** The anchor as this counts: its time, and what a tick is from there on. */
  #tick = 0;
  #timeNs = 0;
  #nsPerTick = 0;
  #aheadNs = 0;
  #slower = 0;
  #lastNs = 0;

  /** @param state of another timeline of the same ring; undefined for the beginning of the ring */
  constructor(
    { start, ticksPerMs }: Pick<RingHeader, "start" | "ticksPerMs">,
    state?: TimelineState,
  ) {
    const startMs = Math.min(Math.max(start.unixMs, 0), UNIX_MS_MAX);
    this.#start = { ...start, unixMs: startMs };
    this.#ticksPerMs = ticksPerMs;
    this.epochNs = nsOfMs(startMs);
    this.#maxNs = (UNIX_MS_MAX - startMs) * 1e6;
    this.#state = { ...this.#start, aheadNs: 0 };
    this.resume(state ?? this.#state);
  }

  get state(): TimelineState {
    return this.#state;
  }

  /** Nanoseconds since {@link epochNs}, whole, and never less than those of the call before. */
  at(tick: number): number {
    const passed = (tick - this.#tick) * this.#nsPerTick;
    let timeNs = Math.floor(this.#timeNs + passed);
    if (this.#aheadNs > 0)
      timeNs = Math.floor(timeNs - Math.min(this.#aheadNs, passed * this.#slower));
    if (timeNs > this.#maxNs) timeNs = this.#maxNs;
    // What is no number at all is not greater either.
    if (!(timeNs > this.#lastNs)) return this.#lastNs;
    this.#lastNs = timeNs;
    return timeNs;
  }

  /** Goes on with the state of another timeline, behind a part that was not read. */
  resume(state: TimelineState): void {
    this.#state = state;
    this.#turnTo(state);
    this.#lastNs = Math.max(this.#lastNs, Math.min(this.#maxNs, Math.floor(this.#timeNs)));
  }

  /** Goes by a state of further on, or the next anchor, where that of here is not known. */
  approximate(state: TimelineState): void {
    this.#state = state;
    this.#turnTo(state);
  }

  /** @returns whether clocks can say this: what is forged cannot be used */
  static isAnchor({ tick, monotonicNs, unixMs }: Anchor): boolean {
    return (
      Math.abs(tick) < 2 ** 62 &&
      Math.abs(monotonicNs) < 2 ** 62 &&
      unixMs >= 0 &&
      unixMs <= UNIX_MS_MAX
    );
  }

  static isState(state: TimelineState): boolean {
    return Timeline.isAnchor(state) && state.aheadNs >= 0 && state.aheadNs < 2 ** 64;
  }

  /**
   * From here on times go by this anchor.
   * @returns what the reader has to be told
   */
  turnTo(anchor: Anchor): ClockStep | undefined {
    const before = this.#state;
    const byRing = this.at(anchor.tick);
    const byClock = (anchor.unixMs - this.#start.unixMs) * 1e6;
    this.#state = { ...anchor, aheadNs: Math.max(0, byRing - byClock) };
    this.#turnTo(this.#state);
    const stepNs =
      (anchor.unixMs - before.unixMs) * 1e6 - (anchor.monotonicNs - before.monotonicNs);
    return Math.abs(stepNs) < STEP_NS ? undefined : { stepMs: stepNs / 1e6 };
  }

  #turnTo({ tick, monotonicNs, unixMs, aheadNs }: TimelineState): void {
    const start = this.#start;
    this.#tick = tick;
    this.#aheadNs = aheadNs;
    this.#slower = aheadNs > SET_NS ? SLOWER_WHEN_SET : SLOWER;
    this.#timeNs = (unixMs - start.unixMs) * 1e6 + aheadNs;
    const passedNs = monotonicNs - start.monotonicNs;
    const rate = passedNs > CALIBRATED_NS ? ((tick - start.tick) / passedNs) * 1e6 : 0;
    this.#nsPerTick = 1e6 / (rate >= 1 ? rate : this.#ticksPerMs);
  }
}

/** Unix time in milliseconds as nanoseconds, exact to the last bit that it has. */
export function nsOfMs(unixMs: number): bigint {
  const wholeMs = Math.floor(unixMs);
  return BigInt(wholeMs) * 1_000_000n + BigInt(Math.floor((unixMs - wholeMs) * 1e6));
}
