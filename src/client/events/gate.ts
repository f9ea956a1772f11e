// What is recorded and what is not: as the service has set it, unless an operator asks for something else. That is read
// from the ring at each call, where the shipper has stored it: the service is told without a call.

import {
  CONTROL_OFF,
  CONTROL_SWITCH,
  isSampled,
  LEVELS,
  RING_SHIPPER,
  type RingGeometry,
  sampleThreshold,
} from "../../layout/index.ts";
import type { EventsOptions } from "./options.ts";
import type { RingMemory } from "./ring-writer.ts";

const CONTROL_WORDS = (RING_SHIPPER.untilUnixMs - RING_SHIPPER.controlVersion) / 4;
/** Words of {@link Gate.control}. */
export const CONTROL = {
  level: wordOf(RING_SHIPPER.level),
  spans: wordOf(RING_SHIPPER.spans),
  measures: wordOf(RING_SHIPPER.measures),
  sample: wordOf(RING_SHIPPER.sample),
} as const;

function wordOf(offset: number): number {
  return (offset - RING_SHIPPER.controlVersion) / 4;
}

export class Gate {
  /** What an operator asks for: those who are called most look there themselves, whether it is anything at all. */
  control: Int32Array;
  #until: Float64Array;
  readonly #shipperOffset: number;
  /** How many levels, from the worst on, are recorded. */
  readonly #levels: number;
  readonly #hidesSpans: boolean;
  readonly #hidesMeasures: boolean;
  readonly #threshold: number;
  readonly #keepsAll: boolean;

  constructor(
    { ints: { buffer } }: RingMemory,
    { shipperOffset }: RingGeometry,
    { level = "info", spans = true, measures = true, sample = 1 }: EventsOptions,
  ) {
    this.#shipperOffset = shipperOffset;
    this.control = this.#controlIn(buffer);
    this.#until = this.#untilIn(buffer);
    this.#levels = level === "off" ? 0 : LEVELS.indexOf(level) + 1;
    this.#hidesSpans = !spans;
    this.#hidesMeasures = !measures;
    this.#threshold = sampleThreshold(sample);
    this.#keepsAll = sample === 1;
  }

  /** The ring is elsewhere from now on. */
  moveTo({ ints: { buffer } }: RingMemory): void {
    this.control = this.#controlIn(buffer);
    this.#until = this.#untilIn(buffer);
  }

  /** Whether lines are recorded as long as no operator asks. @param level its index in LEVELS */
  isUsual(level: number): boolean {
    return level < this.#levels;
  }

  hidesLog(level: number): boolean {
    const asked = this.control[CONTROL.level]!;
    if (asked === 0 || !this.#holds()) return level >= this.#levels;
    return asked === CONTROL_OFF || level >= asked;
  }

  /** Whether lines of a level are recorded, as an operator asks; undefined where none does. */
  asked(level: number): boolean | undefined {
    const asked = this.control[CONTROL.level]!;
    if (asked === 0 || !this.#holds()) return undefined;
    return asked !== CONTROL_OFF && level < asked;
  }

  hidesMeasure(): boolean {
    const asked = this.control[CONTROL.measures]!;
    return asked === 0 ? this.#hidesMeasures : this.#isOff(asked, this.#hidesMeasures);
  }

  hidesSpan(): boolean {
    const asked = this.control[CONTROL.spans]!;
    return asked === 0 ? this.#hidesSpans : this.#isOff(asked, this.#hidesSpans);
  }

  /** Whether a trace that begins here is kept. @param low the last four bytes of its id */
  samples(low: number): boolean {
    const asked = this.control[CONTROL.sample]!;
    if (asked !== 0 && this.#holds()) return isSampled(low, asked >>> 0);
    return this.#keepsAll || isSampled(low, this.#threshold);
  }

  #isOff(asked: number, usual: boolean): boolean {
    return this.#holds() ? asked === CONTROL_SWITCH.off : usual;
  }

  /** Whether what an operator has asked for is not over yet. Only looked at where something was asked for. */
  #holds(): boolean {
    const untilMs = this.#until[0]!;
    return untilMs === 0 || Date.now() < untilMs;
  }

  #controlIn(buffer: ArrayBufferLike): Int32Array {
    const at = this.#shipperOffset + RING_SHIPPER.controlVersion;
    return new Int32Array(buffer, at, CONTROL_WORDS);
  }

  #untilIn(buffer: ArrayBufferLike): Float64Array {
    return new Float64Array(buffer, this.#shipperOffset + RING_SHIPPER.untilUnixMs, 1);
  }
}
