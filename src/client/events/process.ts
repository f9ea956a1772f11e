// Who this process is, as each of its rings says: the same in all of its threads, and another in any other process.

import { readFileSync, readlinkSync } from "node:fs";
import { RING_HEADER, RING_HEADER_ENDS } from "../../layout/index.ts";

interface ProcessFacts {
  /** Thirty-two hex digits. */
  processId: string;
  processStartUnixMs: number;
  exe: string;
  runtime: string;
}

/** Units of /proc/self/stat's times, for everything that runs on Linux (proc_pid_stat(5): sysconf(_SC_CLK_TCK)). */
const JIFFY_MS = 10;

export function processFacts(): ProcessFacts {
  // The name, in parentheses, may have anything in it.
  const afterName = read("/proc/self/stat").split(") ").at(-1) ?? "";
  const startJiffies = afterName.split(" ")[19] ?? "";
  const identity = [
    read("/proc/sys/kernel/random/boot_id").trim(),
    // Containers all have a process 1, and a host's may begin at the same time.
    link("/proc/self/ns/pid"),
    process.pid,
    startJiffies,
  ];
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(identity)).digest("hex");
  const upMs = Number.parseFloat(read("/proc/uptime")) * 1000;
  const startUnixMs = Date.now() - upMs + Number(startJiffies) * JIFFY_MS;
  return {
    processId: hash.slice(0, 32),
    processStartUnixMs: Number.isFinite(startUnixMs) ? Math.round(startUnixMs) : 0,
    exe: endOf(process.execPath, RING_HEADER_ENDS.exe - RING_HEADER.exe),
    runtime: `bun ${Bun.version}`,
  };
}

/** Of a path the end says more. */
function endOf(path: string, bytesMax: number): string {
  let end = path.slice(-bytesMax);
  while (Buffer.byteLength(end) > bytesMax) end = end.slice(1);
  return end.toWellFormed();
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
