// Where the kernel does the work of an RDMA device that is emulated by it (Soft-RoCE): its workers wander between
// processors, and waking one on an idle processor takes longer than the READ. A real device is left alone.

import { readFileSync, writeFileSync } from "node:fs";

/** Processors for all of the kernel's workers that are bound to none, as a hexadecimal mask. */
const MASK = "/sys/devices/virtual/workqueue/cpumask";

export class KernelWork {
  readonly #before: string | undefined;

  /** @param device of the kernel's RDMA devices */
  constructor(device: string) {
    if (!device.startsWith("rxe")) return;
    try {
      const before = readFileSync(MASK, "utf8").trim();
      writeFileSync(MASK, before);
      this.#before = before;
    } catch {
      // Only root may; then figures scatter more.
    }
  }

  /** Whether there is such work, and it can be put somewhere. */
  get movable(): boolean {
    return this.#before !== undefined;
  }

  moveTo(processor: number): void {
    if (this.movable) writeFileSync(MASK, (1 << processor).toString(16));
  }

  restore(): void {
    if (this.#before !== undefined) writeFileSync(MASK, this.#before);
  }
}
