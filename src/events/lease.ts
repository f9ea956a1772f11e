// The right to move a ring's position, and the words that belong to it: how far the ring was shipped, and what is being
// shipped. Held by the keeper, which drops what is old, or by the shipper.

import {
  RING_SHIPPER,
  readShipped,
  SHIPPED_BYTES,
  storeOfTimeline,
  type TimelineState,
} from "../layout/index.ts";
import type { OpenRing } from "./rings.ts";
import type { RingControl } from "./settings.ts";

/** The lease holder has the lock of these bytes, where the position is. */
const LEASE_BYTES = 8;

export class Lease {
  readonly #ring: OpenRing;
  readonly #word = new Uint8Array(8);
  readonly #view = new DataView(this.#word.buffer);
  /** Words that were ever done with. Stored before the position: the next holder goes by it after a death. */
  total: number;
  /** Words up to where the block goes that is being written, or was written last. */
  pending: number;
  /** Whether the block that says that nothing follows was written. */
  isEnded: boolean;
  /** The ring's time at the total; undefined where nobody has stored it. */
  timeline: TimelineState | undefined;
  #position: number;

  private constructor(ring: OpenRing) {
    this.#ring = ring;
    this.total = this.#count(RING_SHIPPER.total);
    const pending = this.#count(RING_SHIPPER.pending);
    this.pending = pending - this.total <= this.news ? Math.max(this.total, pending) : this.total;
    this.timeline = readShipped(this.#page()).timeline;
    this.isEnded = this.#count(RING_SHIPPER.ended) === 1;
    this.#position = this.#u32(RING_SHIPPER.position);
  }

  /**
   * Undefined while another agent has it, whose turn ends with its life.
   * @throws RingFormatError, SystemError for a ring that cannot be read
   */
  static take(ring: OpenRing): Lease | undefined {
    const { shipperOffset } = ring.header;
    return ring.file.lock(shipperOffset, LEASE_BYTES) ? new Lease(ring) : undefined;
  }

  /** Words that the writer has committed and that were not shipped. */
  get news(): number {
    return this.wordsAfter(this.total);
  }

  /** Words from one that was counted from the start up to the head. */
  wordsAfter(word: number): number {
    return (this.#ring.head - (word % WRAP)) >>> 0;
  }

  /** Up to where the next block will go. */
  storePending(word: number): void {
    if (word === this.pending) return;
    this.pending = word;
    this.#store(RING_SHIPPER.pending, word);
  }

  /** @param timeline the ring's time there, if it is known */
  storeTotal(word: number, timeline: TimelineState | undefined): void {
    if (timeline !== undefined) {
      const { offset, bytes } = storeOfTimeline(word, timeline, this.#page());
      this.#ring.store(this.#ring.header.shipperOffset + offset, bytes);
    }
    this.timeline = timeline;
    this.total = word;
    this.#store(RING_SHIPPER.total, word);
  }

  /** Gives the writer the room of all words before one. */
  storePosition(word: number): void {
    const position = word % WRAP;
    if (position === this.#position) return;
    this.#position = position;
    this.#view.setUint32(0, position, true);
    this.#view.setUint32(4, 0, true);
    this.#put(RING_SHIPPER.position);
  }

  /** Words before the total that the writer cannot use yet. */
  get kept(): number {
    return ((this.total % WRAP) - this.#position) >>> 0;
  }

  storeEnded(): void {
    this.isEnded = true;
    this.#store(RING_SHIPPER.ended, 1);
  }

  /** What an operator has asked its writer to record. */
  get control(): RingControl {
    const { shipperOffset } = this.#ring.header;
    const page = this.#ring.copy(shipperOffset, SHIPPED_BYTES);
    const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    const u32 = (at: number) => view.getUint32(at, true);
    const until = view.getFloat64(RING_SHIPPER.untilUnixMs, true);
    return {
      level: u32(RING_SHIPPER.level),
      spans: u32(RING_SHIPPER.spans),
      measures: u32(RING_SHIPPER.measures),
      sample: u32(RING_SHIPPER.sample),
      // What cannot be a time was over long ago.
      untilMs: until >= 0 ? until : LONG_AGO_MS,
    };
  }

  /** While it is stored nothing holds, and so it stays when this process dies meanwhile. */
  storeControl({ level, spans, measures, sample, untilMs }: RingControl): void {
    const { controlVersion, spans: spansAt, sample: sampleAt, untilUnixMs } = RING_SHIPPER;
    this.#store(untilUnixMs, LONG_AGO_MS);
    const before = this.#ring.copy(this.#ring.header.shipperOffset + controlVersion, 4);
    const version = new DataView(before.buffer, before.byteOffset, 4).getUint32(0, true);
    // By twos: eight bytes are stored at once.
    this.#pair(controlVersion, version + 1, level);
    this.#pair(spansAt, spans, measures);
    this.#pair(sampleAt, sample, 0);
    this.#store(untilUnixMs, untilMs);
  }

  #pair(at: number, first: number, second: number): void {
    this.#view.setUint32(0, first, true);
    this.#view.setUint32(4, second, true);
    this.#put(at);
  }

  #store(at: number, value: number): void {
    this.#view.setFloat64(0, value, true);
    this.#put(at);
  }

  #page(): Uint8Array {
    return this.#ring.copy(this.#ring.header.shipperOffset, SHIPPED_BYTES);
  }

  #put(at: number): void {
    this.#ring.store(this.#ring.header.shipperOffset + at, this.#word);
  }

  /** Anything may stand there. */
  #count(at: number): number {
    this.#ring.read(this.#word, this.#ring.header.shipperOffset + at);
    const value = this.#view.getFloat64(0, true);
    return Number.isSafeInteger(value) && value >= 0 && value <= WORDS_MAX ? value : 0;
  }

  #u32(at: number): number {
    this.#ring.read(this.#word, this.#ring.header.shipperOffset + at);
    return this.#view.getUint32(0, true);
  }
}

const LONG_AGO_MS = 1;
const WRAP = 2 ** 32;
/** As many digits as the ids of blocks have. */
const WORDS_MAX = 2 ** 52;
