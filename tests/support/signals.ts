// Sends signals of which each is to be seen. Two of the same that wait for a process are one, so one that follows waits
// until the process has taken the one before. For tests that signal a program several times.

import { constants } from "node:os";
import { until } from "./wait.ts";

/** Signals a process, and waits until it has taken that, or has ended. */
export async function signalTaken(
  child: { readonly pid: number; kill(signal: NodeJS.Signals): void },
  signal: NodeJS.Signals,
): Promise<void> {
  child.kill(signal);
  const status = Bun.file(`/proc/${child.pid}/status`);
  const bit = 1n << BigInt(constants.signals[signal] - 1);
  await until(`${signal} is taken`, async () => {
    const text = await status.text().catch(() => "");
    const pending = [...text.matchAll(/^S(?:ig|hd)Pnd:\s*(\w+)$/gm)];
    return pending.every(([, mask]) => (BigInt(`0x${mask}`) & bit) === 0n);
  });
}
