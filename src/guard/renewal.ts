// Reloads tokens and certificates while a server runs: when their files change, and immediately on request (SIGHUP).

import type { Log } from "./log.ts";
import type { WatchedFiles } from "./watched-files.ts";

export class Renewal {
  readonly #followed: WatchedFiles<unknown>[] = [];
  readonly #said = new Map<string, string>();

  /** @param log gets what could not be used and why, but never the contents of a file */
  constructor(readonly log: Log) {}

  /**
   * Follows files. If they cannot be read, they are read again when they change.
   * @param take uses the new contents instead of the old. @throws Error if that has to be tried again
   */
  follow<T>(files: WatchedFiles<T>, take: (value: T) => void): void {
    files.follow(() => this.#renew(files, take));
    this.#followed.push(files);
  }

  /** Reloads all files now, changed or not. */
  renewNow(): void {
    for (const each of this.#followed) each.renewNow();
  }

  stop(): void {
    for (const each of this.#followed) each.stop();
  }

  /** @returns false if it has to be tried again although no file changes */
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
