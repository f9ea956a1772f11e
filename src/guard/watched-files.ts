// Detects file changes: a rewrite, a rename onto the path, or a symbolic link that now points to another folder, as
// Kubernetes does with secrets. It polls, because inotify does not follow all of these.

import { statSync } from "node:fs";

/** How often files are checked. A change counts when the next check finds no other, so no half-written file is read. */
const LOOK_INTERVAL_MS = 1000;

export class WatchedFiles<T> {
  /** The contents at the first reading. */
  readonly first: T;
  readonly #paths: readonly string[];
  /** The state of the files when they were last read. */
  #taken: string;
  /** The state of the files at the last check. */
  #seen: string;
  #timer: Timer | undefined;
  #renew: (() => boolean) | undefined;

  /**
   * @param what e.g. `the tokens`
   * @param paths undefined for those that were not given
   * @param read reads all of them. @throws Error for files that cannot be used
   */
  constructor(
    readonly what: string,
    paths: readonly (string | undefined)[],
    readonly read: () => T,
  ) {
    this.#paths = paths.filter((path) => path !== undefined);
    // Taken before reading, so that a change meanwhile is noticed.
    this.#taken = this.#seen = this.#state();
    this.first = read();
  }

  /**
   * Calls back when the files have changed since the first reading.
   * @param renew reads and uses them. It reports errors itself, and returns false to be called again even if nothing
   *   changes
   */
  follow(renew: () => boolean): void {
    if (this.#paths.length === 0) return;
    this.#renew = renew;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Reads the files now, changed or not. */
  renewNow(): void {
    if (this.#renew === undefined) return;
    this.#seen = this.#taken = this.#state();
    // A failed renewal is tried again at the next check.
    if (!this.#renew()) this.#taken = "";
  }

  stop(): void {
    this.#renew = undefined;
    clearInterval(this.#timer);
  }

  #look(): void {
    const state = this.#state();
    const isSettled = state === this.#seen;
    this.#seen = state;
    if (isSettled && state !== this.#taken) this.renewNow();
  }

  /** Identifies the state of the files: device, inode, size and times. */
  #state(): string {
    return this.#paths
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
