// The shape of a benchmark, as bench/run.ts calls it.

import type { Machine } from "./machine.ts";
import type { Row } from "./report.ts";
import type { Scratch } from "./scratch.ts";

export interface BenchContext {
  /** Few, short rounds: shows that it works, not how fast it is. */
  quick: boolean;
  /** Clears away what the benchmark makes. */
  scratch: Scratch;
  /** A line about what goes on, for the person who waits. */
  progress(line: string): void;
  /** Says that it is another machine than this one that the figures are of. */
  measuredOn(machine: Machine): void;
}

export interface Bench {
  /** What it measures, in a line. */
  summary: string;
  /** @throws Error when it cannot be run here */
  run(context: BenchContext): Promise<Row[]>;
}
