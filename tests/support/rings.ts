// Rings of events in memory, without a file: written by the client's own code, read by the layout's.

import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { Encoder } from "../../src/client/events/encoder.ts";
import { Interner } from "../../src/client/events/interner.ts";
import type { EventsOptions } from "../../src/client/events/options.ts";
import { Redaction } from "../../src/client/events/redaction.ts";
import { type RingMemory, RingWriter } from "../../src/client/events/ring-writer.ts";
import {
  Definitions,
  decodeRingHeader,
  EVENT_LIMITS,
  encodeRingHeader,
  finishRingHeader,
  RING_COMPATIBLE,
  RING_HEADER_BYTES,
  RING_SHIPPER,
  RING_VERSION,
  type RingEvent,
  RingReader,
  ringGeometry,
} from "../../src/layout/index.ts";

/** The smallest ring that there is. */
export const SMALL = ringGeometry(EVENT_LIMITS.ringBytesMin, 4096);

/** A clock that goes on by a millisecond, of 1000 ticks, at each look. */
export class TestClock {
  #tick = 0;
  readonly ticksPerMs = 1000;
  /** Added to the wall clock, as whoever sets it does. */
  setByMs = 0;

  readonly ticks = () => {
    this.#tick += 1000;
    return this.#tick;
  };

  anchor() {
    const tick = this.#tick;
    return { tick, monotonicNs: tick * 1000, unixMs: 1.7e12 + tick / 1000 + this.setByMs };
  }
}

export function headerOf(geometry = SMALL, clock = new TestClock()) {
  return {
    ...geometry,
    ...{ version: RING_VERSION, compatible: RING_COMPATIBLE },
    ringId: "0123456789abcdef",
    app: "shop",
    service: "auth",
    pid: 1,
    threadId: 0,
    processId: "00112233445566778899aabbccddeeff",
    processStartUnixMs: 1.6e12,
    exe: "/usr/bin/bun",
    runtime: "bun 1.4.5",
    start: clock.anchor(),
    ticksPerMs: clock.ticksPerMs,
  };
}

/** The bytes of a ring's file in which nothing was recorded yet. */
export function emptyRing(geometry = SMALL, clock = new TestClock()): Uint8Array {
  const bytes = new Uint8Array(geometry.fileBytes);
  bytes.set(encodeRingHeader(headerOf(geometry, clock)));
  finishRingHeader(bytes);
  return bytes;
}

export function memoryOf(bytes: Uint8Array): RingMemory {
  return { ints: new Int32Array(bytes.buffer), doubles: new Float64Array(bytes.buffer) };
}

export class TestRing {
  readonly clock = new TestClock();
  readonly bytes = emptyRing(SMALL, this.clock);
  readonly writer: RingWriter;
  readonly interner: Interner;
  readonly encoder: Encoder;

  constructor(options: EventsOptions = {}, memory?: RingMemory) {
    this.writer = new RingWriter(memory ?? memoryOf(this.bytes), SMALL, this.clock);
    const redaction = new Redaction(options.redact, options.redactHook);
    this.interner = new Interner(this.writer, redaction);
    this.encoder = new Encoder(redaction, (name) => this.interner.key(name));
  }

  log(message: string, level = 3): void {
    const id = this.interner.message(message)?.id ?? 0;
    this.encoder.reset();
    if (id === 0) this.encoder.text(message);
    this.writer.log(level, id, 0, 0, this.encoder, 0);
  }

  /** Begins a span, by its definition or, if that is 0, by the texts in the encoder. */
  begin(definition: number, sequence = 1, parent = 0): boolean {
    const begun = { sequence, depth: 1, shape: 0, trace0: 1, trace1: 2, trace2: 3, trace3: 4 };
    return definition > 0
      ? this.writer.begin(definition, parent, begun)
      : this.writer.begin(0, parent, begun, this.encoder);
  }

  /** As whoever ships does. */
  shipAll(): void {
    const ints = new Int32Array(this.bytes.buffer);
    const head = ints[SMALL.stateOffset / 4]!;
    new Float64Array(this.bytes.buffer)[SMALL.shipperOffset / 8 + 1] = head >>> 0;
    ints[SMALL.shipperOffset / 4] = head;
  }

  reader(): RingReader {
    return readerOf(this.bytes);
  }
}

/** @throws RingFormatError */
export function readerOf(bytes: Uint8Array): RingReader {
  const header = decodeRingHeader(bytes, bytes.length);
  return new RingReader(header, (offset, length) => {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) {
      throw new RangeError(`${length} bytes at ${offset} were asked for`);
    }
    return bytes.slice(offset, offset + length);
  });
}

/** Everything that a reader gives until it is at the head. */
export function readAll(reader: RingReader): RingEvent[] {
  const events: RingEvent[] = [];
  do events.push(...reader.read());
  while (!reader.isAtHead);
  return events;
}

/** What an operator asks for, in the words of the page of whoever ships. */
export interface Asked {
  level?: number;
  spans?: number;
  measures?: number;
  sample?: number;
  untilUnixMs?: number;
}

/** Stores what an operator asks for into a ring's file, as whoever ships does; what is left out is asked of nobody. */
export function askOf(path: string, asked: Asked): void {
  const file = openSync(path, "r+");
  try {
    const head = Buffer.alloc(RING_HEADER_BYTES);
    readSync(file, head, 0, head.length, 0);
    const { shipperOffset } = decodeRingHeader(head, fstatSync(file).size);
    const words = Buffer.alloc(RING_SHIPPER.untilUnixMs + 8 - RING_SHIPPER.controlVersion);
    const at = (offset: number) => offset - RING_SHIPPER.controlVersion;
    const { level = 0, spans = 0, measures = 0, sample = 0, untilUnixMs = 0 } = asked;
    words.writeUInt32LE(1, 0);
    words.writeUInt32LE(level, at(RING_SHIPPER.level));
    words.writeUInt32LE(spans, at(RING_SHIPPER.spans));
    words.writeUInt32LE(measures, at(RING_SHIPPER.measures));
    words.writeUInt32LE(sample, at(RING_SHIPPER.sample));
    words.writeDoubleLE(untilUnixMs, at(RING_SHIPPER.untilUnixMs));
    writeSync(file, words, 0, words.length, shipperOffset + RING_SHIPPER.controlVersion);
  } finally {
    closeSync(file);
  }
}

/** A copy of the words of a ring from one that was counted from the start, across the ring's end. */
export function wordsOf(bytes: Uint8Array, first: number, end: number): Uint8Array {
  const { ringOffset, ringBytes } = decodeRingHeader(bytes, bytes.length);
  const words = new Uint8Array((end - first) * 8);
  for (let i = 0; i < words.length; i++)
    words[i] = bytes[ringOffset + ((first * 8 + i) % ringBytes)]!;
  return words;
}

/** Where a ring's writer is. */
export function headIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer).getUint32(SMALL.stateOffset, true);
}

/** The definitions beside a ring, as they grow. */
export function definitionsIn(bytes: Uint8Array): Definitions {
  const { definitionsOffset, definitionsBytes } = SMALL;
  return new Definitions(
    (offset, length) => bytes.slice(offset, offset + length),
    definitionsOffset,
    definitionsBytes,
  );
}
