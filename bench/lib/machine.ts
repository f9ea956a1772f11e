// What a figure was measured on.

import { cpus, release } from "node:os";

export interface Machine {
  cpu: string;
  cores: number;
  kernel: string;
  bun: string;
  date: string;
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    kernel: release(),
    bun: Bun.version,
    date: new Date().toISOString(),
  };
}
