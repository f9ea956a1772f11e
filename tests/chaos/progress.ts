// What a writer does and how far it has come, in a small shared file that outlives it. Written by fixtures/writer.ts.

import { readFileSync, writeFileSync } from "node:fs";

/** What a writer is told to do. */
export interface WriterTask {
  socket: string;
  progress: string;
  app: string;
  service: string;
  /** Everything that it stores is a multiple of this, which no other service has. */
  step: number;
  shard: string;
  /** Series of its own, that nobody has again. */
  sessions: number;
  /** Rounds of counting, unless it is killed or told to stop before. */
  rounds: number;
  /** Rounds without a pause, and the pause after them. */
  burst: number;
  pauseMs: number;
  /** How it leaves: orderly, or by ending its process. */
  ending: "close" | "exit";
}

export const SHARDS = ["s0", "s1", "s2", "s3"] as const;

/** Numbers of the file. */
export const PROGRESS = { state: 0, before: 1, after: 2, count: 3 } as const;

export const STATE = { starting: 0, counting: 1, finished: 2 } as const;

/** Buckets that a writer's observations fall into: round n observes 1, 2 or 3 steps. */
export const OBSERVED_STEPS = [1, 2, 3] as const;

export function boundsOf(step: number): number[] {
  return [step * 1.5, step * 2.5];
}

/** What a writer's values are after so many rounds. */
export function valuesAfter(rounds: number, step: number): { counted: number; latency: number[] } {
  const buckets = OBSERVED_STEPS.map((_, i) => Math.ceil((rounds - i) / OBSERVED_STEPS.length)).map(
    (count) => Math.max(0, count),
  );
  const sum = buckets.reduce((total, count, i) => total + count * OBSERVED_STEPS[i]! * step, 0);
  return { counted: rounds * step, latency: [...buckets, sum] };
}

/** Makes the file for a writer to come. */
export function createProgress(path: string): void {
  writeFileSync(path, new Uint8Array(PROGRESS.count * 8));
}

export function readProgress(path: string): { state: number; before: number; after: number } {
  const bytes = readFileSync(path);
  const numbers = new Float64Array(new Uint8Array(bytes).buffer);
  return {
    state: numbers[PROGRESS.state]!,
    before: numbers[PROGRESS.before]!,
    after: numbers[PROGRESS.after]!,
  };
}
