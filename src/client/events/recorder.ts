// Records the events of this thread: its ring, made when the first of them is wanted, and what logs, measures and spans
// share. Nothing here waits for anybody, and whatever callers pass, nothing throws.

import { AsyncLocalStorage } from "node:async_hooks";
import { DEFINITION, EVENT_FLAGS, LEVELS, ringGeometry } from "../../layout/index.ts";
import type { ApiError } from "../../rest/index.ts";
import { Encoder } from "./encoder.ts";
import { Interner } from "./interner.ts";
import { Measure } from "./measure.ts";
import type { EventsOptions, Log, Properties } from "./options.ts";
import { Redaction } from "./redaction.ts";
import { makeClock, makeRingFile, privateMemory, type RingFile } from "./ring-file.ts";
import { type RingClock, RingWriter } from "./ring-writer.ts";
import { Span, SpanName } from "./span.ts";

/** Measures, and names of spans, that are kept for who asks again. */
const NAMES_MAX = 4096;

export interface RecorderOptions extends EventsOptions {
  app: string;
  service: string;
  poolDir?: string | undefined;
  onWarning: (warning: ApiError) => void;
}

export class Recorder {
  readonly log: Log;
  readonly #options: RecorderOptions;
  readonly #clock: RingClock;
  readonly #redaction: Redaction;
  #file: RingFile | undefined;
  #ring: RingWriter;
  #interner: Interner;
  #encoder: Encoder;
  readonly #measures = new Map<string, Measure>();
  readonly #spans = new Map<string, SpanName>();
  readonly #traces = new TraceIds();
  #sequence = 0;
  /** The span whose function this thread is in; that of an asynchronous one comes with its context. */
  #current: Span | undefined;
  #context: AsyncLocalStorage<Span> | undefined;
  #isEncoding = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#clock = makeClock();
    this.#redaction = new Redaction(options.redact, options.redactHook);
    this.#file = this.#makeFile();
    this.#ring = new RingWriter(
      this.#file?.memory ?? privateMemory(ringGeometry()),
      ringGeometry(),
      this.#clock,
    );
    this.#interner = new Interner(this.#ring, this.#redaction);
    this.#encoder = this.#newEncoder();
    this.log = this.#makeLog();
  }

  measure(name: string, unit: string): Measure {
    const key = JSON.stringify([name, unit]);
    let measure = this.#measures.get(key);
    if (measure === undefined) {
      const definition = this.#interner.define(DEFINITION.measure, name, unit, "", "");
      measure = new Measure(this, name, unit, definition);
      if (this.#measures.size < NAMES_MAX) this.#measures.set(key, measure);
    }
    return measure;
  }

  span(name: string): SpanName {
    let span = this.#spans.get(name);
    if (span === undefined) {
      span = new SpanName(this, name, this.#interner.define(DEFINITION.span, name, "", ""));
      if (this.#spans.size < NAMES_MAX) this.#spans.set(name, span);
    }
    return span;
  }

  /** @internal for measures that are defined */
  recordValue(definition: number, value: number): void {
    this.#ring.measure(definition, value);
  }

  /** @internal */
  recordMeasure({ name, unit, definition }: Measure, value: number, properties?: Properties): void {
    this.#encoded((encoder) => {
      if (definition === 0) encoder.text(name).text(unit).text("").text("");
      if (properties !== undefined) encoder.properties(properties);
      const flags = properties === undefined ? 0 : EVENT_FLAGS.properties;
      this.#ring.measureWith(definition, value, encoder, flags);
    });
  }

  /** @internal begins a span below the one that is open */
  begin(name: SpanName): Span {
    const parent = this.#current ?? this.#context?.getStore();
    // 0 is no span.
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    const sequence = this.#sequence;
    const traces = this.#traces;
    const span =
      parent === undefined
        ? new Span(this, sequence, 0, traces.next(), traces.next(), traces.next(), traces.next())
        : new Span(
            this,
            sequence,
            parent.depth + 1,
            parent.trace0,
            parent.trace1,
            parent.trace2,
            parent.trace3,
          );
    const above = parent?.sequence ?? 0;
    if (name.definition > 0) span.isOpen = this.#ring.begin(name.definition, above, span);
    else this.#beginNamed(name.name, above, span);
    return span;
  }

  /** Apart: a function that others capture variables of makes room for them on the heap at each call. */
  #beginNamed(name: string, above: number, span: Span): void {
    this.#encoded((encoder) => {
      span.isOpen = this.#ring.begin(0, above, span, encoder.text(name).text("").text(""));
    });
  }

  /** @internal */
  end(sequence: number, status: number): void {
    this.#ring.end(sequence, status);
  }

  /** @internal runs a function as this span */
  within<T>(span: Span, run: () => T): T {
    const before = this.#current;
    this.#current = span;
    try {
      return run();
    } finally {
      this.#current = before;
    }
  }

  /** @internal runs a function, and all that it calls later, as this span */
  withinAsync<T>(span: Span, run: () => T): T {
    // Made by the first who needs it: logs and spans look there from then on.
    this.#context ??= new AsyncLocalStorage();
    const before = this.#current;
    this.#current = undefined;
    try {
      return this.#context.run(span, run);
    } finally {
      this.#current = before;
    }
  }

  /** Lets go of the ring, whose events stay. What is recorded from now on is seen by nobody. */
  close(): void {
    if (this.#file === undefined) return;
    const file = this.#file;
    this.#file = undefined;
    this.#ring = new RingWriter(privateMemory(file.geometry), file.geometry, this.#clock);
    this.#interner = new Interner(this.#ring, this.#redaction);
    this.#encoder = this.#newEncoder();
    file.close();
  }

  #makeFile(): RingFile | undefined {
    const { app, service, poolDir, onWarning } = this.#options;
    try {
      return makeRingFile(app, service, poolDir, this.#clock);
    } catch (error) {
      onWarning({
        code: "no-ring",
        message: `events of ${app}/${service} are not recorded: ${(error as Error).message}`,
        hint: "free shared memory, or remove files that microview-events has left in it; then start the service again",
      });
      return undefined;
    }
  }

  #makeLog(): Log {
    const log = {} as Record<(typeof LEVELS)[number], Log["info"]>;
    for (const [i, level] of LEVELS.entries()) {
      log[level] = (message, properties) => this.#log(i, message, properties);
    }
    return log;
  }

  #log(level: number, message: unknown, properties: Properties | undefined): void {
    const isOuter = !this.#isEncoding;
    this.#isEncoding = true;
    try {
      const encoder = (isOuter ? this.#encoder : this.#newEncoder()).reset();
      const error = message instanceof Error ? message : undefined;
      const text = typeof message === "string" ? message : String(error?.message ?? message);
      const id = this.#message(encoder, text);
      const span = this.#openSpan();
      if (properties === undefined && error === undefined) {
        this.#ring.log(level, id, span, 0, encoder, 0);
      } else {
        encoder.properties(properties, error);
        this.#ring.log(level, id, span, 0, encoder, EVENT_FLAGS.properties);
      }
    } catch {
      this.#ring.failed();
    } finally {
      if (isOuter) this.#isEncoding = false;
    }
  }

  /** @returns the message's definition; 0 when it was written */
  #message(encoder: Encoder, message: string): number {
    const { hook } = this.#redaction;
    const text = hook === undefined ? message : hidden(hook, message);
    const id = this.#interner.message(text);
    if (id === 0) encoder.text(text);
    return id;
  }

  #openSpan(): number {
    return (this.#current ?? this.#context?.getStore())?.sequence ?? 0;
  }

  /** Encodes something and stores it, whatever callers' objects do meanwhile: they may record something themselves. */
  #encoded(record: (encoder: Encoder) => void): void {
    const isOuter = !this.#isEncoding;
    this.#isEncoding = true;
    try {
      record((isOuter ? this.#encoder : this.#newEncoder()).reset());
    } catch {
      this.#ring.failed();
    } finally {
      if (isOuter) this.#isEncoding = false;
    }
  }

  #newEncoder(): Encoder {
    return new Encoder(this.#redaction, (name) => this.#interner.key(name));
  }
}

function hidden(hook: (key: string, value: unknown) => unknown, message: string): string {
  try {
    return String(hook("message", message));
  } catch {
    return "[redacted]";
  }
}

/**
 * Ids of traces. They have to differ and to be spread evenly, and are no secrets: a generator that begins at a random
 * place makes one in 8 ns, and the system's random numbers take 40 (sfc32 of PractRand, Chris Doty-Humphrey).
 */
class TraceIds {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor() {
    const [a, b, c, counter] = crypto.getRandomValues(new Int32Array(4));
    this.#a = a!;
    this.#b = b!;
    this.#c = c!;
    this.#counter = counter!;
  }

  next(): number {
    const b = this.#b;
    const c = this.#c;
    const result = (this.#a + b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = b ^ (b >>> 9);
    this.#b = (c + (c << 3)) | 0;
    this.#c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result;
  }
}
