// Rings as other versions write them: those that are kept in tests/fixtures/rings, and ones of versions to come, with what
// this version does not know.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  DEFINITION,
  EVENT,
  RING_HEADER,
  type RingEvent,
  SKIPPABLE_EVENTS,
} from "../../src/layout/index.ts";
import { ROOT } from "./host.ts";
import { headIn, SMALL, TestRing } from "./rings.ts";

/** Types of records, kinds of definitions and tags of values that may be left out, far from those that will be soon. */
export const [HINT, ANOTHER] = [0xf0, 0xfa];
/** One that may not. */
export const UNKNOWN = SKIPPABLE_EVENTS - 1;

interface RingGrowth {
  version?: number;
  compatible?: number;
  incompatible?: number;
  /** Types that the first logs get, in the place of their own. */
  types?: readonly number[];
}

/** A ring's bytes as they are, but for what a version to come has written. */
export function grownRing(bytes: Uint8Array, growth: RingGrowth): Uint8Array {
  const image = bytes.slice();
  const view = new DataView(image.buffer);
  for (const field of ["version", "compatible", "incompatible"] as const) {
    const value = growth[field];
    if (value !== undefined) view.setUint32(RING_HEADER[field], value, true);
  }
  const types = [...(growth.types ?? [])];
  for (let at = 0; at < headIn(image) && types.length > 0; ) {
    const place = SMALL.ringOffset + 8 * at;
    if (view.getUint8(place + 2) === EVENT.log) view.setUint8(place + 2, types.shift()!);
    at += view.getUint16(place, true);
  }
  return image;
}

/** A small ring with all that a ring can have. */
export function sampleRing(): TestRing {
  const ring = new TestRing();
  const { encoder, interner, writer, clock } = ring;
  for (let i = 0; i < 6; i++) {
    ring.log(`line ${i}`, i);
    encoder.reset().properties({ route: "/x", list: [1, { deep: "text" }], i, share: i / 4 });
    const latency = interner.define(DEFINITION.measure, "latency", "ms", "http", "a.ts:1");
    writer.measureWith(latency, i / 8, encoder, 1);
    ring.begin(interner.define(DEFINITION.span, "query", "db", "b.ts:2"), i + 1, i);
    if (i > 2) writer.endWith(i, i & 1, encoder);
  }
  writer.end(99, 1);
  clock.setByMs = -5000;
  for (let i = 0; i < 1000; i++) clock.ticks();
  writer.failed();
  ring.log("after a gap and a step");
  return ring;
}

/** A ring that was written by programs of a version, and the events that must be read from it. */
export function ringFixture(version: number): { bytes: Uint8Array; read: RingEvent[] } {
  const base = join(ROOT, `tests/fixtures/rings/v${version}`);
  return {
    bytes: new Uint8Array(gunzipSync(readFileSync(`${base}.ring.gz`))),
    read: JSON.parse(readFileSync(`${base}.json`, "utf8")),
  };
}
