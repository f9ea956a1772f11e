// The demo's lake: in a process of its own, so that it does not keep the reading of metrics waiting.

import { createLog } from "../guard/index.ts";
import { type Lake, startLake } from "../lake/index.ts";

/** It lies in shared memory, and demos may run for days. */
const KEPT_BYTES = 128 * 2 ** 20;
/** Containers have 64 MiB of shared memory. */
const RESERVE_BYTES = 8 * 2 ** 20;

/** Starts a lake in a folder, on a free port. */
export function startDemoLake(dir: string, version: string): Promise<Lake> {
  return startLake({
    ...{ dir, version, host: "127.0.0.1", port: 0, insecure: false, allowHosts: [] },
    reserveBytes: RESERVE_BYTES,
    log: createLog("error", false),
    retention: { ageMs: undefined, bytes: KEPT_BYTES },
  });
}
