// Measures loops against each other: all of them take turns in small rounds, so that what disturbs the machine
// disturbs them alike.

import type { Samples } from "./samples.ts";

/** Does its work `times` times. */
export type Work = (times: number) => void | Promise<void>;

export interface Rounds {
  count: number;
  /** How long one round of one contestant takes, about. */
  ms: number;
}

/** How long a loop runs before it counts: the JIT has compiled it for good by then. */
const WARM_UP_MS = { usual: 150, quick: 15 };

/**
 * Runs all contestants in turns.
 * @param between runs before each turn and is not timed
 * @returns nanoseconds per repetition, one for each round, by contestant
 */
export async function alternate<Name extends string>(
  contestants: Readonly<Record<Name, Work>>,
  rounds: Rounds,
  quick: boolean,
  between?: () => Promise<void>,
): Promise<Record<Name, Samples>> {
  const names = Object.keys(contestants) as Name[];
  const warmUpMs = quick ? WARM_UP_MS.quick : WARM_UP_MS.usual;
  const times: number[] = [];
  for (const name of names) times.push(await calibrate(contestants[name], rounds.ms, warmUpMs));
  const samples = names.map(() => new Array<number>(rounds.count).fill(0));
  for (let round = 0; round < rounds.count; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      // Everyone comes after everyone else equally often.
      const i = (round + turn) % names.length;
      if (between !== undefined) await between();
      samples[i]![round] = await timed(contestants[names[i]!], times[i]!);
    }
  }
  const byName = {} as Record<Name, Samples>;
  for (const [i, name] of names.entries()) byName[name] = samples[i]!;
  return byName;
}

/** Nanoseconds per repetition of one round. */
async function timed(work: Work, times: number): Promise<number> {
  const start = Bun.nanoseconds();
  const pending = work(times);
  // What is done when it returns is not made to wait for the event loop.
  if (pending !== undefined) await pending;
  return (Bun.nanoseconds() - start) / times;
}

/** Warms up, and finds how many repetitions a round of `ms` has. */
async function calibrate(work: Work, ms: number, warmUpMs: number): Promise<number> {
  let times = 1;
  let perRun = await timed(work, times);
  const endNs = Bun.nanoseconds() + warmUpMs * 1e6;
  while (Bun.nanoseconds() < endNs) {
    perRun = await timed(work, times);
    times = Math.max(1, Math.min(times * 2, Math.ceil((ms * 1e6) / perRun)));
  }
  return Math.max(1, Math.ceil((ms * 1e6) / perRun));
}
