// Memory for the snapshots of one pool: a few shared buffers that go to the main thread and come back by a flag.

import { allocateShared } from "../ffi/index.ts";
import type { Destination } from "./transport.ts";

/** Room for a pool to grow without new memory each time. */
const HEADROOM = 1.25;

interface Slot extends Destination {
  buffer: SharedArrayBuffer;
  release?: () => void;
}

/** Makes memory known to whoever fills it; see Transport.pin. */
type Pin = (address: number, bytes: number) => { key: number; release(): void };

export class SnapshotBuffers {
  /** Int32 per buffer: 1 while the main thread has it. */
  readonly state: SharedArrayBuffer;
  readonly #state: Int32Array;
  readonly #slots: (Slot | undefined)[];
  #current = 0;

  constructor(
    count: number,
    readonly pin?: Pin,
  ) {
    this.state = new SharedArrayBuffer(4 * count);
    this.#state = new Int32Array(this.state);
    this.#slots = new Array(count).fill(undefined);
  }

  /** Which buffer was acquired last. */
  get index(): number {
    return this.#current;
  }

  get buffer(): SharedArrayBuffer {
    return this.#slots[this.#current]!.buffer;
  }

  /** A free buffer of at least so many bytes, or undefined when the main thread has them all. */
  acquire(bytes: number): Destination | undefined {
    for (let i = 0; i < this.#slots.length; i++) {
      const index = (this.#current + i) % this.#slots.length;
      if (Atomics.load(this.#state, index) !== 0) continue;
      let slot = this.#slots[index];
      if (slot === undefined || slot.bytes.length < bytes) {
        slot?.release?.();
        this.#slots[index] = undefined;
        const shared = allocateShared(Math.ceil((bytes * HEADROOM) / 4096) * 4096);
        const pinned = this.pin?.(shared.address, shared.buffer.byteLength);
        slot = { ...shared, bytes: new Uint8Array(shared.buffer), ...pinned };
        this.#slots[index] = slot;
      }
      this.#current = index;
      return slot;
    }
    return undefined;
  }

  /** The memory is used no more. */
  close(): void {
    for (const slot of this.#slots) slot?.release?.();
    this.#slots.fill(undefined);
  }

  /** Hands the last acquired buffer to the main thread. */
  give(): void {
    Atomics.store(this.#state, this.#current, 1);
  }
}
