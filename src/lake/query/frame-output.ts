// What a query process says on its standard output, in frames. It waits while nobody reads: rows are made no faster than
// they are taken. Used by process.ts.

import { writeSync } from "node:fs";
import { POLL, Poll } from "../../ffi/index.ts";
import { FRAME, type FrameKind, frameHeader, MAX_FRAME_BYTES } from "./frames.ts";

const STDOUT = 1;

let room: Poll | undefined;

/** @param bytes at most a frame's */
export function say(kind: FrameKind, bytes: Uint8Array = new Uint8Array(0)): void {
  write(frameHeader(kind, bytes.length));
  write(bytes);
}

export function sayJson(kind: FrameKind, value: unknown): void {
  say(kind, Buffer.from(JSON.stringify(value)));
}

/** Bytes of the answer, in as many frames as they need. */
export function sayData(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += MAX_FRAME_BYTES) {
    say(FRAME.data, bytes.subarray(at, at + MAX_FRAME_BYTES));
  }
}

function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      // Bun has made it non-blocking.
      waitForRoom();
    }
  }
}

function waitForRoom(): void {
  if (room === undefined) {
    room = new Poll();
    room.add(STDOUT, POLL.out);
  }
  room.wait(-1, () => {});
}
