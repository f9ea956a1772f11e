// Takes tokens and certificates anew while a server runs: when their files change, and at once where it is told to.

import type { Log } from "./log.ts";
import { WatchedFiles } from "./watched-files.ts";

export class Renewal {
  readonly #watched: WatchedFiles[] = [];
  readonly #said = new Map<string, string>();

  /** @param log is told what was not taken and why; never what stands in a file */
  constructor(readonly log: Log) {}

  /**
   * @param what e.g. `the tokens`
   * @param paths of its files; undefined for those that were not given
   * @param read all of it. @throws Error for files that cannot be used, until they change
   * @param take it in place of what was before. @throws Error where that has to be tried again
   */
  watch<T>(
    what: string,
    paths: readonly (string | undefined)[],
    read: () => T,
    take: (value: T) => void,
  ): void {
    const given = paths.filter((path) => path !== undefined);
    if (given.length === 0) return;
    this.#watched.push(new WatchedFiles(given, () => this.#renew(what, read, take)));
  }

  /** Takes all of it now, changed or not. */
  readNow(): void {
    for (const each of this.#watched) each.readNow();
  }

  stop(): void {
    for (const each of this.#watched) each.stop();
  }

  /** @returns false when it has to be tried again though no file changes */
  #renew<T>(what: string, read: () => T, take: (value: T) => void): boolean {
    let isRead = false;
    try {
      const value = read();
      isRead = true;
      take(value);
      this.#said.delete(what);
      return true;
    } catch (error) {
      const { message } = error as Error;
      if (this.#said.get(what) !== message) {
        this.log.error(`${what} stay as they were`, { reason: message });
      }
      this.#said.set(what, message);
      return !isRead;
    }
  }
}
