// A file that exists in memory alone, for libraries that write to paths or are loaded from them.

import { dlopen } from "bun:ffi";
import { closeSync, fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** No more seals, and neither shrunk, nor grown, nor written. */
const ALL_SEALS = 0xf;

/** Gone when it is closed, or its process ends. */
export class MemoryFile {
  private constructor(
    readonly fd: number,
    /** By which this process opens it. */
    readonly path: string,
  ) {}

  /** @param name shown in /proc; no meaning otherwise */
  static create(name: string): MemoryFile {
    const libc = dlopen("libc.so.6", {
      memfd_create: { args: ["cstring", "u32"], returns: "i32" },
    });
    const fd = libc.symbols.memfd_create(
      Buffer.from(`${name}\0`) as never,
      MFD_CLOEXEC | MFD_ALLOW_SEALING,
    );
    libc.close();
    if (fd < 0) throw new Error("memfd_create failed: no file in memory can be made");
    return new MemoryFile(fd, `/proc/self/fd/${fd}`);
  }

  /** Adds to what it holds. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
  }

  /** A copy of all that it holds. */
  read(): Uint8Array {
    const bytes = new Uint8Array(fstatSync(this.fd).size);
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(this.fd, bytes, at, bytes.length - at, at);
      if (count === 0) break;
      at += count;
    }
    return bytes;
  }

  /** Empties it. */
  truncate(): void {
    ftruncateSync(this.fd, 0);
  }

  /** From here on nobody can change it, whoever has it. */
  seal(): void {
    const libc = dlopen("libc.so.6", { fcntl: { args: ["i32", "i32", "i32"], returns: "i32" } });
    const status = libc.symbols.fcntl(this.fd, F_ADD_SEALS, ALL_SEALS);
    libc.close();
    if (status < 0) throw new Error("a file in memory cannot be sealed");
  }

  close(): void {
    closeSync(this.fd);
  }
}
