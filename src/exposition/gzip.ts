// gzip of a text that comes in pieces, without waiting for all of it and without a thread: every piece is compressed by
// itself and ended at a byte's border (RFC 1951, 3.2.4: an empty stored block), which makes them one stream together.

import { constants, crc32, deflateRawSync } from "node:zlib";

/** RFC 1952, 2.3: magic, deflate, no flags, no time, no level, an unknown system. */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** A last block that is empty. */
const LAST_BLOCK = [0x03, 0x00];
/** Text of few words: a higher level takes several times as long for little. */
const LEVEL = 1;

/** A source of pieces, as {@link Scrape} is. */
interface Pieces {
  next(): Uint8Array | undefined;
}

export class GzipPieces implements Pieces {
  #crc = 0;
  #length = 0;
  #state: "header" | "pieces" | "done" = "header";

  constructor(readonly source: Pieces) {}

  next(): Uint8Array | undefined {
    if (this.#state === "done") return undefined;
    const piece = this.source.next();
    const parts: Uint8Array[] = [];
    if (this.#state === "header") parts.push(HEADER);
    this.#state = piece === undefined ? "done" : "pieces";
    if (piece === undefined) {
      parts.push(this.#trailer());
    } else {
      this.#crc = crc32(piece, this.#crc);
      this.#length = (this.#length + piece.length) % 2 ** 32;
      parts.push(deflateRawSync(piece, { level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH }));
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  #trailer(): Uint8Array {
    const trailer = new Uint8Array(LAST_BLOCK.length + 8);
    trailer.set(LAST_BLOCK);
    const view = new DataView(trailer.buffer, LAST_BLOCK.length);
    view.setUint32(0, this.#crc, true);
    view.setUint32(4, this.#length, true);
    return trailer;
  }
}
