// Spans: a piece of work with a beginning and an end, each recorded when it happens.

import {
  hex8,
  SPAN_BITS,
  SPAN_KINDS,
  SPAN_NAME_PROPERTY,
  type SpanKind,
} from "../../layout/index.ts";
import type { Properties } from "./options.ts";
import { kindOf, shapeOf } from "./ring-writer.ts";
import { formatTraceparent, type SpanContext } from "./trace-context.ts";

/** Where beginnings and ends go, and who knows which span is open. */
interface Recorder {
  /** The first half of the ids of its spans. */
  readonly spanPrefix: string;
  begin(name: SpanName, shape: number): Span;
  beginWith(name: SpanName, shape: number, options: BeginOptions): Span;
  end(sequence: number, status: number): void;
  endWith(sequence: number, status: number, set: object | undefined, properties: unknown): void;
  within<T>(span: Span, run: (span: Span) => T): T;
  withinAsync<T>(span: Span, run: () => T): T;
}

export interface SpanOptions {
  /** What the work is to others; default "internal". */
  kind?: SpanKind;
  /** What part of the program it is of. */
  target?: string;
}

/** How a span begins, where it is not simply below the one that is open. */
export interface BeginOptions {
  properties?: Properties | undefined;
  /** The span above, wherever it is; null for a trace of its own. */
  parent?: Span | SpanContext | null | undefined;
  /**
   * A request's header of that name, whose trace is continued if the option `trustTraceparent` allows it. It comes before
   * the span that is open, and after `parent`.
   */
  traceparent?: string | null | undefined;
}

/**
 * Marks a span that stands for a call to another service: who else sees the same call, as an instrumentation does, has
 * nothing to add. A key, and no field, because few spans have it.
 */
export const EXIT = Symbol.for("microview.exit");

const OK = 0;
const ERROR = 1;

/** One piece of work that has begun. */
export class Span {
  /** @internal */
  declare [EXIT]?: true;
  /** @internal whether its beginning was recorded, and its end was not */
  isOpen = false;
  /** @internal */
  readonly recorder: Recorder;
  #set: Record<string, unknown> | undefined;

  /** @internal with its number in the ring, and the id of its trace */
  constructor(
    recorder: Recorder,
    /** @internal */
    readonly sequence: number,
    /** @internal how many spans are above it */
    readonly depth: number,
    /** @internal */
    readonly shape: number,
    /** @internal those of its trace */
    readonly flags: number,
    /** @internal */
    readonly trace0: number,
    /** @internal */
    readonly trace1: number,
    /** @internal */
    readonly trace2: number,
    /** @internal */
    readonly trace3: number,
  ) {
    this.recorder = recorder;
  }

  /** Whether its beginning was recorded, and its end was not: its trace is sampled, spans are on, and there was room. */
  get isRecording(): boolean {
    return this.isOpen;
  }

  /** What the work is to others. */
  get kind(): SpanKind {
    return SPAN_KINDS[kindOf(this.shape)]!;
  }

  /** What others need to continue its trace, also where it is not recorded. */
  get context(): SpanContext {
    const { trace0, trace1, trace2, trace3, flags } = this;
    return {
      traceId: hex8(trace0) + hex8(trace1) + hex8(trace2) + hex8(trace3),
      spanId: this.recorder.spanPrefix + hex8(this.sequence),
      flags,
    };
  }

  /** The header of that name for a request that is part of this work. */
  get traceparent(): string {
    return formatTraceparent(this.context);
  }

  /** A property that is recorded with the end; the last value of a key counts. */
  set(key: string, value: unknown): this {
    if (!this.isOpen) return this;
    // Without a prototype, so that any key is one like any other.
    this.#set ??= Object.create(null) as Record<string, unknown>;
    this.#set[String(key)] = value;
    return this;
  }

  /** Gives it another name, as when a route is known later. It has begun with the first, which is seen until its end. */
  rename(name: string): this {
    return this.set(SPAN_NAME_PROPERTY, String(name));
  }

  /** @internal whether a property was set */
  has(key: string): boolean {
    return this.#set !== undefined && key in this.#set;
  }

  /** @internal a property that says why it failed: what the service has set itself stays. @param thrown anything */
  failed(thrown: unknown, type = typeOf(thrown)): this {
    if (!this.has("error.type")) this.set("error.type", type);
    return this.has("error") ? this : this.set("error", thrown);
  }

  /** Ends it; a second time does nothing. @param status "error" when the work has failed */
  end(status: "ok" | "error" = "ok", properties?: Properties): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const number = status === "error" ? ERROR : OK;
    if (this.#set === undefined && properties === undefined) {
      this.recorder.end(this.sequence, number);
    } else {
      this.recorder.endWith(this.sequence, number, this.#set, properties);
    }
  }
}

/** As OpenTelemetry's `error.type`: the name of an error, else of the type of what was thrown. */
function typeOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.name);
  } catch {
    // A getter of its own.
  }
  return typeof thrown;
}

/** A kind of work, made by {@link MicroView.span}. */
export class SpanName {
  readonly #recorder: Recorder;
  readonly #shape: number;
  readonly #asyncShape: number;

  /** @internal */
  constructor(
    recorder: Recorder,
    readonly name: string,
    readonly kind: SpanKind,
    readonly target: string,
    /** @internal */
    readonly place: string,
    /** @internal 0 where it is written out with each span */
    readonly definition: number,
  ) {
    this.#recorder = recorder;
    const number = Math.max(0, SPAN_KINDS.indexOf(kind));
    this.#shape = shapeOf(number, 0);
    this.#asyncShape = shapeOf(number, SPAN_BITS.asynchronous);
  }

  /**
   * Begins below the span that is open here, unless `options` names another one. What begins before its end is not below
   * it: that is what `run` and `withSpan` are for.
   */
  begin(options?: BeginOptions): Span {
    return options === undefined
      ? this.#recorder.begin(this, this.#asyncShape)
      : this.#recorder.beginWith(this, this.#asyncShape, options);
  }

  /**
   * Runs a function as a span, which it is given: what it records until it returns belongs to it. If it throws, the span
   * ends as an error, with what was thrown.
   */
  run<T>(run: (span: Span) => T, options?: BeginOptions): T {
    const span = this.#begin(this.#shape, options);
    let result: T;
    try {
      result = this.#recorder.within(span, run);
    } catch (error) {
      span.failed(error).end("error");
      throw error;
    }
    span.end();
    return result;
  }

  /** Runs an asynchronous function as a span, which ends when its promise does. */
  async runAsync<T>(run: (span: Span) => Promise<T> | T, options?: BeginOptions): Promise<T> {
    const span = this.#begin(this.#asyncShape, options);
    let result: T;
    try {
      result = await this.#recorder.withinAsync(span, () => run(span));
    } catch (error) {
      span.failed(error).end("error");
      throw error;
    }
    span.end();
    return result;
  }

  #begin(shape: number, options: BeginOptions | undefined): Span {
    return options === undefined
      ? this.#recorder.begin(this, shape)
      : this.#recorder.beginWith(this, shape, options);
  }
}
