// Instruments whose values the program stores itself. What is wrong with a value is told to `diag`, once, and the value
// is left out: the API lets no error reach its caller.

import type {
  Attributes,
  Context,
  Counter,
  Gauge,
  Histogram,
  UpDownCounter,
} from "@opentelemetry/api";
import type { Descriptor } from "./aggregation.ts";
import { type Diagnostics, shortText } from "./api.ts";
import type { Stream } from "./streams.ts";

const NOWHERE: Pick<Stream, "record"> = { record() {} };

/** What instruments do with a value that they have looked at. */
abstract class SyncInstrument {
  /** The only one of most. */
  protected readonly stream: Pick<Stream, "record">;
  /** Whether a value is more than a call of it: there are other streams, or fractions to cut off. */
  protected readonly isSpecial: boolean;
  readonly #others: readonly Stream[];

  constructor(
    readonly descriptor: Descriptor,
    streams: readonly Stream[],
    readonly diagnostics: Diagnostics,
  ) {
    this.stream = streams[0] ?? NOWHERE;
    this.#others = streams.slice(1);
    this.isSpecial = descriptor.isInteger || this.#others.length > 0;
  }

  protected storeSpecially(value: number, attributes?: Attributes, context?: Context): void {
    const given = this.descriptor.isInteger ? this.#whole(value) : value;
    this.stream.record(given, attributes, context);
    for (const stream of this.#others) stream.record(given, attributes, context);
  }

  protected refuse(value: unknown, takes: string): void {
    const { name } = this.descriptor;
    this.diagnostics.warn(`${name} takes ${takes}: ${shortText(value)} is left out`);
  }

  #whole(value: number): number {
    if (Number.isInteger(value) || !Number.isFinite(value)) return value;
    this.diagnostics.warn(`${this.descriptor.name} takes whole numbers: fractions are cut off`);
    return Math.trunc(value);
  }
}

// Each has its way of a value written out: code that all kinds share is slower for all of them.

export class CounterInstrument extends SyncInstrument implements Counter {
  add(value: number, attributes?: Attributes, context?: Context): void {
    if (!(typeof value === "number" && value >= 0 && value <= Number.MAX_VALUE)) {
      this.refuse(value, "finite numbers that are not negative");
    } else if (this.isSpecial) {
      this.storeSpecially(value, attributes, context);
    } else {
      this.stream.record(value, attributes, context);
    }
  }
}

export class UpDownCounterInstrument extends SyncInstrument implements UpDownCounter {
  add(value: number, attributes?: Attributes, context?: Context): void {
    if (!(typeof value === "number" && value - value === 0)) this.refuse(value, "finite numbers");
    else if (this.isSpecial) this.storeSpecially(value, attributes, context);
    else this.stream.record(value, attributes, context);
  }
}

export class GaugeInstrument extends SyncInstrument implements Gauge {
  record(value: number, attributes?: Attributes, context?: Context): void {
    if (!(typeof value === "number" && value === value)) this.refuse(value, "numbers");
    else if (this.isSpecial) this.storeSpecially(value, attributes, context);
    else this.stream.record(value, attributes, context);
  }
}

export class HistogramInstrument extends SyncInstrument implements Histogram {
  record(value: number, attributes?: Attributes, context?: Context): void {
    if (!(typeof value === "number" && value >= 0 && value <= Number.MAX_VALUE)) {
      this.refuse(value, "finite numbers that are not negative");
    } else if (this.isSpecial) {
      this.storeSpecially(value, attributes, context);
    } else {
      this.stream.record(value, attributes, context);
    }
  }
}
