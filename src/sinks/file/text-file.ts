// A file of text that grows, compressed or not. Compressed pieces stand by themselves: what is written is readable
// whatever becomes of this process.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";

const PIECE_BYTES = 1 << 20;
/** What is written is in the file after this time. */
const FLUSH_MS = 1_000;

export interface TextFileOptions {
  path: string;
  compression: "none" | "gzip" | "zstd";
  /** Whether a file of this name may be there, and is replaced. */
  replace: boolean;
  /** Told once, with the system's error; nothing is written any more. */
  onFailure: (error: NodeJS.ErrnoException) => void;
}

/** Opens a plain file to be overwritten. Does not wait for the other end of a FIFO. */
function openPlain(path: string, replace: boolean): number {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NONBLOCK } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | O_NONBLOCK | (replace ? 0 : O_EXCL), 0o644);
  if (fstatSync(fd).isFile()) {
    ftruncateSync(fd);
    return fd;
  }
  closeSync(fd);
  throw new Error("it is no plain file");
}

export class TextFile {
  readonly #fd: number;
  readonly #timer: Timer;
  readonly #atExit = () => this.#flush();
  #texts: string[] = [];
  #length = 0;
  #hasFailed = false;
  /** Bytes in the file. */
  bytes = 0;
  /** Texts that are not in it, since it could not be written on. */
  lost = 0;

  /** @throws the system's error, EEXIST when there is a file that is not to be replaced; Error when it is no plain file */
  constructor(readonly options: TextFileOptions) {
    this.#fd = openPlain(options.path, options.replace);
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS);
    // Also if an orderly shutdown is abandoned.
    process.on("exit", this.#atExit);
  }

  /** All that it was given is in the file, or lost. */
  get isWritten(): boolean {
    return this.#length === 0;
  }

  write(text: string): void {
    this.#texts.push(text);
    this.#length += text.length;
    if (this.#length >= PIECE_BYTES) this.#flush();
  }

  close(): void {
    clearInterval(this.#timer);
    process.off("exit", this.#atExit);
    this.#flush();
    closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#length === 0) return;
    const texts = this.#texts;
    this.#texts = [];
    this.#length = 0;
    if (this.#hasFailed) {
      this.lost += texts.length;
      return;
    }
    const piece = this.#packed(Buffer.from(texts.join("")));
    try {
      for (let at = 0; at < piece.length; ) at += writeSync(this.#fd, piece, at);
      this.bytes += piece.length;
    } catch (error) {
      this.#hasFailed = true;
      this.lost += texts.length;
      this.#cutOff();
      this.options.onFailure(error as NodeJS.ErrnoException);
    }
  }

  /** A piece of which only a part had room would keep others from reading the file to its end. */
  #cutOff(): void {
    try {
      ftruncateSync(this.#fd, this.bytes);
    } catch {
      // A device has no length.
    }
  }

  #packed(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
    switch (this.options.compression) {
      // Members one after the other are one file: RFC 1952, section 2.2; RFC 8878, section 3.1.
      case "gzip":
        return Bun.gzipSync(bytes);
      case "zstd":
        return Bun.zstdCompressSync(bytes, { level: 1 });
      default:
        return bytes;
    }
  }
}
