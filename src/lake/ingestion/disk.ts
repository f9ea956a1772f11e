// Keeps some of the disk free: a lake that has filled it could not even drop what is old.

import { statfsSync } from "node:fs";

const LOOK_EVERY_MS = 1_000;

export class Disk {
  readonly #dir: string;
  readonly #reserveBytes: number;
  #freeBytes = Number.POSITIVE_INFINITY;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(dir: string, reserveBytes: number) {
    this.#dir = dir;
    this.#reserveBytes = reserveBytes;
  }

  /** Whether so much more would leave less than what is kept free. */
  isFull(moreBytes: number): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#lookedAtMs > LOOK_EVERY_MS) {
      const { bavail, bsize } = statfsSync(this.#dir);
      this.#freeBytes = bavail * bsize;
      this.#lookedAtMs = nowMs;
    }
    if (this.#freeBytes - moreBytes < this.#reserveBytes) return true;
    this.#freeBytes -= moreBytes;
    return false;
  }
}
