// What the threads of a process did since they were looked at last. The kernel counts by thread, and forgets those of a
// thread that ended.

import type { SeriesName } from "./definitions.ts";
import { readSwitches, readThread, type Switches, threadsOf } from "./proc.ts";

/** Threads above this many are not looked at. */
const MAX_THREADS = 256;

/** What Bun 1.4 and JavaScriptCore call their threads, as the kernel has it. A program may name its workers itself. */
const ROLES: readonly [name: RegExp, series: SeriesName][] = [
  [/^Worker$/, "workerThreads"],
  // Marks and sweeps beside the program; what stops it is the main thread's.
  [/^HeapHelper|ollector Thread$/, "collectorThreads"],
  [/^JITWorker/, "compilerThreads"],
  [/^Bun Pool /, "poolThreads"],
  [/^HTTP Client$/, "httpThread"],
];

interface Seen extends Switches {
  cpuS: number;
}

export class Threads {
  #seen = new Map<string, Seen>();

  constructor(readonly pid: number) {}

  /** @param add receives what was counted since the last time */
  sample(add: (series: SeriesName, amount: number) => void): void {
    const seen = new Map<string, Seen>();
    for (const thread of threadsOf(this.pid).slice(0, MAX_THREADS)) {
      const switches = readSwitches(this.pid, thread);
      const stat = readThread(this.pid, thread);
      if (switches === undefined || stat === undefined) continue;
      seen.set(thread, { ...switches, cpuS: stat.cpuS });
      const before = this.#seen.get(thread);
      if (before === undefined) continue;
      add("voluntary", switches.voluntary - before.voluntary);
      add("involuntary", switches.involuntary - before.involuntary);
      add(roleOf(thread === String(this.pid), stat.name), stat.cpuS - before.cpuS);
    }
    this.#seen = seen;
  }
}

/** Whatever a thread calls itself, it has one of a few roles. */
export function roleOf(main: boolean, name: string): SeriesName {
  if (main) return "mainThread";
  return ROLES.find(([pattern]) => pattern.test(name))?.[1] ?? "otherThreads";
}
