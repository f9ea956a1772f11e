// The host as the checks see it: files below a root, so that tests can show them another host than their own.

import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
} from "node:fs";

export interface Host {
  /** As `uname -s -m` would say, in Node's words: linux, x64, arm64. */
  platform: string;
  architecture: string;
  /** A small file's text without the last line feed, or undefined when it is not there or not ours to read. */
  read(path: string): string | undefined;
  /** Names in a directory; none when it is not there. */
  list(path: string): string[];
  exists(path: string): boolean;
  isFolder(path: string): boolean;
  writable(path: string): boolean;
  /** Of the file system that a path is on. */
  space(path: string): { totalBytes: number; freeBytes: number } | undefined;
}

/** This host, or what lies below a directory as if it were one. */
export function hostAt(root = ""): Host {
  return {
    platform: process.platform,
    architecture: process.arch,
    read: (path) => attempt(() => readFileSync(root + path, "utf8").trimEnd()),
    list: (path) => attempt(() => readdirSync(root + path).sort()) ?? [],
    exists: (path) => existsSync(root + path),
    isFolder: (path) => statSync(root + path, { throwIfNoEntry: false })?.isDirectory() === true,
    writable: (path) => attempt(() => accessSync(root + path, constants.W_OK) ?? true) ?? false,
    space: (path) =>
      attempt(() => {
        const { bsize, blocks, bavail } = statfsSync(root + path);
        return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
      }),
  };
}

function attempt<Result>(run: () => Result): Result | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
