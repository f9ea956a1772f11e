// A file of --out or --perfetto: it is there when all of the answer is in it, and nothing is there when that fails.

import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { SettingError } from "../../settings/index.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist",
  ENOTDIR: "a part of its path is no directory",
  EISDIR: "it is a directory",
  EACCES: "this user may not write there",
  EROFS: "its file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "this user's quota is used up",
};

export class OutFile {
  #bytes = 0;

  private constructor(
    readonly path: string,
    readonly temporary: string,
    readonly handle: FileHandle,
    readonly label: string,
  ) {}

  /**
   * @param label the flag that names it
   * @throws SettingError when the file cannot be made, or is there and must not be replaced
   */
  static async open(path: string, replaces: boolean, label = "--out"): Promise<OutFile> {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there !== undefined && !there.isFile() && !there.isDirectory()) {
      // A device or a pipe would become a file.
      throw new SettingError(`${label}: ${path} is no file`, "choose another name");
    }
    if (path === "-") {
      throw new SettingError(
        `${label}: - is no file`,
        "leave it out to write to standard output, or write ./-",
      );
    }
    if (!replaces && there !== undefined) {
      throw new SettingError(
        `${label}: ${path} already exists`,
        "choose another name, or use --force to replace it",
      );
    }
    const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
    try {
      return new OutFile(path, temporary, await open(temporary, "wx"), label);
    } catch (error) {
      throw new SettingError(`${label}: cannot write ${path}: ${reasonOf(error)}`);
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws Error when the disk does not take it */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.handle.write(bytes, done)).bytesWritten;
      }
    } catch (error) {
      throw Object.assign(
        new Error(`${this.label}: cannot write ${this.path}: ${reasonOf(error)}`),
        {
          hint: "nothing was left there",
        },
      );
    }
    this.#bytes += bytes.length;
  }

  /** Gives the file its name. */
  async complete(): Promise<void> {
    await this.handle.close();
    await rename(this.temporary, this.path);
  }

  /** Leaves nothing. */
  async discard(): Promise<void> {
    await this.handle.close().catch(() => {});
    await unlink(this.temporary).catch(() => {});
  }
}

function reasonOf(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}
