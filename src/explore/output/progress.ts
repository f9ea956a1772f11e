// A bar for questions that take longer than a moment. It is drawn beside the answer, on standard error, and goes when
// something else is written.

import { formatSeconds } from "../../text/index.ts";

export interface ProgressOptions {
  readonly write: (text: string) => void;
  readonly nowMs?: () => number;
  /** Columns of the bar itself. */
  readonly width?: number;
}

/** Shorter questions show none. */
const SHOWN_AFTER_MS = 1_000;
const DRAWN_EVERY_MS = 100;
const ERASE_LINE = "\r\u001b[K";

export class ProgressBar {
  readonly #startMs: number;
  readonly #nowMs: () => number;
  #timer: Timer | undefined;
  #share = 0;
  #isDrawn = false;

  constructor(readonly options: ProgressOptions) {
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#startMs = this.#nowMs();
  }

  /** Draws by itself from now on. */
  start(): void {
    this.#timer = setInterval(() => this.draw(), DRAWN_EVERY_MS);
    this.#timer.unref();
  }

  /** How much of the question is done, from 0 to 1; it never goes back. */
  advance(share: number): void {
    this.#share = Math.max(this.#share, share);
  }

  draw(): void {
    const elapsedMs = this.#nowMs() - this.#startMs;
    if (elapsedMs < SHOWN_AFTER_MS) return;
    const { width = 30, write } = this.options;
    const filled = Math.round(this.#share * width);
    const bar = "█".repeat(filled) + "░".repeat(width - filled);
    const percent = String(Math.floor(this.#share * 100)).padStart(3);
    write(`${ERASE_LINE}${bar} ${percent} % ${formatSeconds(Math.floor(elapsedMs / 100) / 10)}`);
    this.#isDrawn = true;
  }

  /** Takes the bar away, for good. */
  stop(): void {
    clearInterval(this.#timer);
    if (this.#isDrawn) this.options.write(ERASE_LINE);
    this.#isDrawn = false;
  }
}
