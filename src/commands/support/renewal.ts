// Takes tokens and certificates anew while a command runs: when their files change, and at once at a SIGHUP.

import { onHangUp, UsageError } from "../../command-line/index.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Something that was read from files and is read again. */
interface Renewable {
  /** E.g. `the tokens`. */
  what: string;
  /** Undefined for those that were not given. */
  paths: readonly (string | undefined)[];
  /** Reads all of it and takes it. @throws UsageError for files that cannot be used, and nothing was taken */
  take(): void;
}

export class Renewal {
  readonly #watched: WatchedFiles[];
  readonly #said = new Map<string, string>();

  /** @param complain is told what was not taken and why; never what stands in a file */
  constructor(
    renewables: readonly Renewable[],
    readonly complain: (message: string, reason: string) => void,
  ) {
    this.#watched = renewables.flatMap((each) => {
      const paths = each.paths.filter((path) => path !== undefined);
      return paths.length === 0 ? [] : [new WatchedFiles(paths, () => this.#take(each))];
    });
    // Also without files to reload: SIGHUP must not end a server.
    onHangUp(() => {
      for (const each of this.#watched) each.readNow();
    });
  }

  stop(): void {
    for (const each of this.#watched) each.stop();
  }

  #take({ what, take }: Renewable): boolean {
    try {
      take();
      this.#said.delete(what);
      return true;
    } catch (error) {
      const { message } = error as Error;
      if (this.#said.get(what) !== message) {
        this.complain(`${what} stay as they were`, message);
      }
      this.#said.set(what, message);
      // A file waits for its next change; what else went wrong may go right next time.
      return error instanceof UsageError;
    }
  }
}
