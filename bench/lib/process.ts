// What the kernel says of another process: memory and CPU time.

import { readdirSync, readFileSync } from "node:fs";

export interface ProcessMemory {
  /** All that is resident, in bytes. */
  rss: number;
  /** Of it, what is the process's alone: heap and stacks. The rest is shared memory and files. */
  anonymous: number;
}

export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
    if (kilobytes === undefined) throw new Error(`the kernel does not tell ${name} of a process`);
    return Number(kilobytes) * 1024;
  };
  return { rss: field("VmRSS"), anonymous: field("RssAnon") };
}

/** CPU time that all living threads of a process have used, to the nanosecond. */
export function cpuNsOf(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return sum;
}
