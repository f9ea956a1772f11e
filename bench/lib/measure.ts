// Measures loops against each other: all of them take turns in small rounds, so that what disturbs the machine
// disturbs them alike.

import type { Samples } from "./samples.ts";

/** Does its work `times` times. */
export type Work = (times: number) => void;

export interface Rounds {
  count: number;
  /** How long one round of one contestant takes, about. */
  ms: number;
}

/** How long a loop runs before it counts: the JIT has compiled it for good by then. */
const WARM_UP_MS = { usual: 150, quick: 15 };

/**
 * Runs all contestants in turns.
 * @returns nanoseconds per repetition, one for each round, by contestant
 */
export function alternate<Name extends string>(
  contestants: Readonly<Record<Name, Work>>,
  rounds: Rounds,
  quick: boolean,
): Record<Name, Samples> {
  const names = Object.keys(contestants) as Name[];
  const warmUpMs = quick ? WARM_UP_MS.quick : WARM_UP_MS.usual;
  const times = names.map((name) => calibrate(contestants[name], rounds.ms, warmUpMs));
  const samples = names.map(() => new Array<number>(rounds.count).fill(0));
  for (let round = 0; round < rounds.count; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      // Everyone comes after everyone else equally often.
      const i = (round + turn) % names.length;
      samples[i]![round] = timed(contestants[names[i]!], times[i]!);
    }
  }
  return Object.fromEntries(names.map((name, i) => [name, samples[i]!])) as Record<Name, Samples>;
}

/** Nanoseconds per repetition of one round. */
function timed(work: Work, times: number): number {
  const start = Bun.nanoseconds();
  work(times);
  return (Bun.nanoseconds() - start) / times;
}

/** Warms up, and finds how many repetitions a round of `ms` has. */
function calibrate(work: Work, ms: number, warmUpMs: number): number {
  let times = 1;
  let perRun = timed(work, times);
  const endNs = Bun.nanoseconds() + warmUpMs * 1e6;
  while (Bun.nanoseconds() < endNs) {
    perRun = timed(work, times);
    times = Math.max(1, Math.min(times * 2, Math.ceil((ms * 1e6) / perRun)));
  }
  return Math.max(1, Math.ceil((ms * 1e6) / perRun));
}
