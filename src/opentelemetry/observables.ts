// Instruments whose values are asked for. Whoever reads the pool is outside and asks nobody, so the callbacks are called
// from time to time, and their values are stored.
// https://opentelemetry.io/docs/specs/otel/metrics/api/#asynchronous-instrument-api

import type {
  Attributes,
  BatchObservableCallback,
  Observable,
  ObservableCallback,
} from "@opentelemetry/api";
import type { Descriptor } from "./aggregation.ts";
import { type Diagnostics, shortText } from "./api.ts";
import type { Stream } from "./streams.ts";

/** Before the first round, so that a program that starts has made all it makes. */
const FIRST_ROUND_MS = 1000;
/** Timers take no more, and would then fire at once. */
const INTERVAL_MAX_MS = 2 ** 31 - 1;

export class ObservableInstrument implements Observable {
  constructor(
    readonly descriptor: Descriptor,
    readonly streams: readonly Stream[],
    readonly registry: ObservableRegistry,
  ) {}

  addCallback(callback: ObservableCallback): void {
    this.registry.add(callback, [this], true);
  }

  removeCallback(callback: ObservableCallback): void {
    this.registry.remove(callback, [this], true);
  }
}

/** Values by what tells their attributes apart. */
type Values = Map<string, { value: number; attributes: Attributes }>;

/** What one call has told: of each set of attributes the last value counts. */
type Observations = Map<ObservableInstrument, Values>;

interface Registered {
  callback: ObservableCallback | BatchObservableCallback;
  instruments: ReadonlySet<ObservableInstrument>;
  isSingle: boolean;
  /** Its call has not come to an end yet. */
  isRunning: boolean;
  /** What it has told since it was stored last. */
  told: Observations | undefined;
}

export class ObservableRegistry {
  readonly #intervalMs: number;
  readonly #diagnostics: Diagnostics;
  #registered: Registered[] = [];
  /** All that ever had a callback: what is told no more has to be absent. */
  readonly #instruments = new Set<ObservableInstrument>();
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #closed = false;

  constructor(intervalMs: number, diagnostics: Diagnostics) {
    this.#intervalMs = Math.min(intervalMs, INTERVAL_MAX_MS);
    this.#diagnostics = diagnostics;
  }

  add(
    callback: Registered["callback"],
    observables: readonly Observable[],
    isSingle: boolean,
  ): void {
    if (typeof callback !== "function") {
      this.#diagnostics.warn(`a callback is ${typeof callback}, and is not called`);
      return;
    }
    const instruments = this.#own(observables);
    if (instruments.size === 0) {
      this.#diagnostics.warn("a callback is for no instrument of this provider, and is not called");
      return;
    }
    if (this.#indexOf(callback, instruments, isSingle) >= 0) return;
    this.#registered.push({ callback, instruments, isSingle, isRunning: false, told: undefined });
    for (const instrument of instruments) this.#instruments.add(instrument);
    if (this.#timer === undefined) this.#schedule(Math.min(FIRST_ROUND_MS, this.#intervalMs));
  }

  remove(
    callback: Registered["callback"],
    observables: readonly Observable[],
    isSingle: boolean,
  ): void {
    const index = this.#indexOf(callback, this.#own(observables), isSingle);
    if (index >= 0) this.#registered = this.#registered.toSpliced(index, 1);
  }

  /** A round of all callbacks that are not under way; one that is asked for during another follows it. */
  collect(timeoutMs: number): Promise<void> {
    const round = (this.#round ?? Promise.resolve()).then(() => this.#collect(timeoutMs));
    this.#round = round;
    return round;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(async () => {
      // A callback that takes longer is not called again meanwhile; its values are stored in a later round.
      await this.collect(this.#intervalMs);
      this.#schedule(this.#intervalMs);
    }, delayMs);
    this.#timer.unref();
  }

  async #collect(timeoutMs: number): Promise<void> {
    // Who has told something since is not asked again before that is stored, however slow it is.
    const asked = this.#registered.filter(({ isRunning, told }) => !isRunning && !told);
    let timer: Timer | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(timeoutMs, INTERVAL_MAX_MS));
    });
    await Promise.race([Promise.all(asked.map((each) => this.#call(each))), timeout]);
    clearTimeout(timer);
    this.#store();
  }

  /** Stores what was told, and ends the round for all streams but those that are still being asked for. */
  #store(): void {
    // Instruments that were made twice have one stream.
    const late = new Set<Stream>();
    for (const { isRunning, instruments } of this.#registered) {
      if (isRunning)
        for (const { streams } of instruments) for (const each of streams) late.add(each);
    }
    const byStream = new Map<Stream, Values>();
    for (const { streams } of this.#instruments) {
      for (const stream of streams) if (!late.has(stream)) byStream.set(stream, new Map());
    }
    // Of what several callbacks tell of the same attributes the last counts.
    for (const registered of this.#registered) {
      for (const [{ streams }, values] of registered.told ?? []) {
        for (const stream of streams) {
          for (const [identity, told] of values) byStream.get(stream)?.set(identity, told);
        }
      }
      registered.told = undefined;
    }
    for (const [stream, values] of byStream) {
      for (const { value, attributes } of values.values()) stream.tell(value, attributes);
      stream.settle();
    }
  }

  async #call(registered: Registered): Promise<void> {
    const { callback, instruments, isSingle } = registered;
    const told: Observations = new Map();
    const observe = (observable: unknown, value: number, attributes?: Attributes) => {
      const instrument = observable as ObservableInstrument;
      if (instruments.has(instrument)) this.#note(told, instrument, value, attributes ?? {});
    };
    const [only] = instruments;
    const result = isSingle
      ? { observe: (value: number, attributes?: Attributes) => observe(only, value, attributes) }
      : { observe };
    registered.isRunning = true;
    try {
      await (callback as (result: unknown) => void | Promise<void>)(result);
      registered.told = told;
    } catch (error) {
      const names = [...instruments].map(({ descriptor }) => descriptor.name).join(", ");
      this.#diagnostics.warn(`a callback of ${names} has thrown: ${shortText(error)}`);
    } finally {
      registered.isRunning = false;
    }
  }

  #note(
    told: Observations,
    instrument: ObservableInstrument,
    given: number,
    attributes: Attributes,
  ): void {
    const { name, type, isInteger } = instrument.descriptor;
    const value = isInteger && Number.isFinite(given) ? Math.trunc(given) : given;
    if (isInteger && value !== given) {
      this.#diagnostics.warn(`${name} takes whole numbers: fractions are cut off`);
    }
    const isWrong =
      typeof value !== "number" ||
      Number.isNaN(value) ||
      (type !== "OBSERVABLE_GAUGE" && !Number.isFinite(value)) ||
      (type === "OBSERVABLE_COUNTER" && value < 0);
    if (isWrong) {
      this.#diagnostics.warn(`${name} was told ${shortText(given)}, which is left out`);
      return;
    }
    let values = told.get(instrument);
    if (values === undefined) {
      values = new Map();
      told.set(instrument, values);
    }
    values.set(identityOf(attributes), { value, attributes });
  }

  #own(observables: readonly Observable[]): Set<ObservableInstrument> {
    const own = (each: unknown): each is ObservableInstrument =>
      each instanceof ObservableInstrument && each.registry === this;
    return new Set(Array.isArray(observables) ? observables.filter(own) : []);
  }

  #indexOf(
    callback: Registered["callback"],
    instruments: ReadonlySet<ObservableInstrument>,
    isSingle: boolean,
  ): number {
    return this.#registered.findIndex(
      (each) =>
        each.callback === callback &&
        each.isSingle === isSingle &&
        each.instruments.size === instruments.size &&
        instruments.isSubsetOf(each.instruments),
    );
  }
}

/** The same for the same attributes, in whichever order. */
function identityOf(attributes: Attributes): string {
  try {
    const pairs = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(pairs, (_, value) => (typeof value === "bigint" ? String(value) : value));
  } catch {
    // It goes in circles: a value of its own.
    return crypto.randomUUID();
  }
}
