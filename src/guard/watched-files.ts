// Detects file changes: a rewrite, a rename onto the path, or a symbolic link that now points to another folder, as
// Kubernetes does with secrets. It polls, because inotify does not follow all of these.

import { statSync } from "node:fs";

/** How often is looked. A change is taken up when it has stood for one look, so that no file is read half-written. */
const LOOK_INTERVAL_MS = 1000;

export class WatchedFiles<T> {
  /** What was read of them first. */
  readonly first: T;
  readonly #paths: readonly string[];
  /** As they were when they were read last. */
  #taken: string;
  /** As they were at the last look. */
  #seen: string;
  #timer: Timer | undefined;
  #renew: (() => boolean) | undefined;

  /**
   * @param what e.g. `the tokens`
   * @param paths undefined for those that were not given
   * @param read all of them. @throws Error for files that cannot be used
   */
  constructor(
    readonly what: string,
    paths: readonly (string | undefined)[],
    readonly read: () => T,
  ) {
    this.#paths = paths.filter((path) => path !== undefined);
    // Before they are read, so that what changes meanwhile is read again.
    this.#taken = this.#seen = this.#state();
    this.first = read();
  }

  /**
   * Calls when they have changed since they were read first.
   * @param renew reads and takes them; it tells of errors itself, and returns false to be called again though nothing
   *   changes
   */
  follow(renew: () => boolean): void {
    if (this.#paths.length === 0) return;
    this.#renew = renew;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Takes them now, changed or not. */
  renewNow(): void {
    if (this.#renew === undefined) return;
    this.#seen = this.#taken = this.#state();
    // What changes while it is read is read again.
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

  /** Tells one state of the files from every other: which they are, how long, and when they were written. */
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
