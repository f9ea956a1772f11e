// Reloads tokens and certificates while a server runs: when their files change, and immediately on request (SIGHUP).

import type { Log } from "./log.ts";
import type { WatchedFiles } from "./watched-files.ts";

export class Renewal {
  readonly #followed: WatchedFiles<unknown>[] = [];
  readonly #said = new Map<string, string>();

  /** @param log is told what was not taken and why; never what stands in a file */
  constructor(readonly log: Log) {}

  /**
   * Files that cannot be read are read again when they change.
   * @param take what they hold, in place of what was before. @throws Error where that has to be tried again
   */
  follow<T>(files: WatchedFiles<T>, take: (value: T) => void): void {
    files.follow(() => this.#renew(files, take));
    this.#followed.push(files);
  }

  /** Takes all of it now, changed or not. */
  renewNow(): void {
    for (const each of this.#followed) each.renewNow();
  }

  stop(): void {
    for (const each of this.#followed) each.stop();
  }

  /** @returns false when it has to be tried again though no file changes */
  #renew<T>({ what, read }: WatchedFiles<T>, take: (value: T) => void): boolean {
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
