// Drops files from the kernel's page cache, so that the next read comes from the disk. For benchmarks of cold reads.

import { dlopen, FFIType } from "bun:ffi";
import { closeSync, openSync } from "node:fs";

/** <fcntl.h> on Linux: the pages are not needed in the near future. */
const POSIX_FADV_DONTNEED = 4;

const { i32, i64 } = FFIType;
const libc = dlopen("libc.so.6", {
  posix_fadvise: { args: [i32, i64, i64, i32], returns: i32 },
});

/** Of files that are on disk already; what is not written back yet stays. */
export function forgetFiles(paths: readonly string[]): void {
  for (const path of paths) {
    const fd = openSync(path, "r");
    try {
      const error = libc.symbols.posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      if (error !== 0) throw new Error(`posix_fadvise of ${path} failed with errno ${error}`);
    } finally {
      closeSync(fd);
    }
  }
}
