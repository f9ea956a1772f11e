// Notices when files have changed: written anew, renamed over, or behind a symbolic link that was
// turned to another folder, as Kubernetes does with secrets. Polls, for a watch of the system follows none of these.

import { statSync } from "node:fs";

/** How often is looked. A change is taken up when it has stood for one look, so that no file is read half-written. */
const LOOK_INTERVAL_MS = 1000;

export class WatchedFiles {
  readonly #timer: Timer;
  /** As they were when `read` was called last. */
  #taken: string;
  /** As they were at the last look. */
  #seen: string;
  #stopped = false;

  /**
   * @param read takes the files as they are now; it tells of errors itself
   * @returns false from `read` to be called again though nothing changes, because it could not use them
   */
  constructor(
    readonly paths: readonly string[],
    readonly read: () => boolean,
    intervalMs = LOOK_INTERVAL_MS,
  ) {
    this.#taken = this.#seen = this.#state();
    this.#timer = setInterval(() => this.#look(), intervalMs);
    this.#timer.unref();
  }

  /** Takes them now, changed or not. */
  readNow(): void {
    if (this.#stopped) return;
    this.#seen = this.#taken = this.#state();
    // What changes while it is read is read again.
    if (!this.read()) this.#taken = "";
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #look(): void {
    const state = this.#state();
    const isSettled = state === this.#seen;
    this.#seen = state;
    if (isSettled && state !== this.#taken) this.readNow();
  }

  /** Tells one state of the files from every other: which they are, how long, and when they were written. */
  #state(): string {
    return this.paths
      .map((path) => {
        try {
          const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
          return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code ?? "gone";
        }
      })
      .join("\n");
  }
}
