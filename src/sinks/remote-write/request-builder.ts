// A remote-write request that grows until it is full, out of parts that are compressed already.

import { putVarint } from "../../protobuf/index.ts";
import type { WireVersion } from "./template.ts";

/** A request's body. */
export interface Encoded {
  body: Uint8Array<ArrayBuffer>;
  /** Samples in it; a native histogram's moment is one. */
  samples: number;
  /** Of the protocol, in which it is written. */
  version: WireVersion;
}

/** What was added to a request. */
export interface Added {
  /** Compressed. */
  bytes: number;
  /** How long that is when it is decompressed. */
  plainBytes: number;
  samples: number;
}

/** Room for how long a request is when it is decompressed, which its block begins with. */
const LENGTH_ROOM = 5;

export class RequestBuilder {
  view = new DataView(new ArrayBuffer(64 << 10));
  samples = 0;
  #plainBytes = 0;
  #length = LENGTH_ROOM;

  constructor(
    readonly maxSamples: number,
    readonly onRequest: (request: Encoded) => void,
  ) {}

  /** Room for a part that is about to be added. @returns where it begins */
  reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.view.byteLength) {
      const grown = new Uint8Array(Math.max(needed, this.view.byteLength * 2));
      grown.set(new Uint8Array(this.view.buffer, 0, this.#length));
      this.view = new DataView(grown.buffer);
    }
    return this.#length;
  }

  /** The part that {@link RequestBuilder.reserve} made room for was written. */
  add({ bytes, plainBytes, samples }: Added): void {
    this.#length += bytes;
    this.#plainBytes += plainBytes;
    this.samples += samples;
  }

  /** Adds a part as it is. */
  put(bytes: Uint8Array, plainBytes: number, samples: number): void {
    const at = this.reserve(bytes.length);
    new Uint8Array(this.view.buffer).set(bytes, at);
    this.add({ bytes: bytes.length, plainBytes, samples });
  }

  get isFull(): boolean {
    return this.samples >= this.maxSamples;
  }

  /** Hands out what there is. */
  finish(version: WireVersion): void {
    if (this.samples === 0) return;
    const bytes = new Uint8Array(this.view.buffer);
    const length = new Uint8Array(LENGTH_ROOM);
    const lengthBytes = putVarint(length, 0, this.#plainBytes);
    const start = LENGTH_ROOM - lengthBytes;
    bytes.set(length.subarray(0, lengthBytes), start);
    const { samples } = this;
    const body = bytes.slice(start, this.#length);
    this.samples = 0;
    this.#plainBytes = 0;
    this.#length = LENGTH_ROOM;
    this.onRequest({ body, samples, version });
  }
}
