// Spans: a piece of work with a beginning and an end, each recorded when it happens.

/** Where beginnings and ends go, and who knows which span is open. */
interface Recorder {
  begin(name: SpanName): Span;
  end(sequence: number, status: number): void;
  within<T>(span: Span, run: () => T): T;
  withinAsync<T>(span: Span, run: () => T): T;
}

const OK = 0;
const ERROR = 1;

/** One piece of work that has begun. */
export class Span {
  /** @internal whether its beginning was recorded, and its end was not */
  isOpen = false;
  /** @internal */
  readonly shape = 0;
  readonly #recorder: Recorder;

  /** @internal with its number in the ring, and the id of its trace */
  constructor(
    recorder: Recorder,
    readonly sequence: number,
    readonly depth: number,
    readonly trace0: number,
    readonly trace1: number,
    readonly trace2: number,
    readonly trace3: number,
  ) {
    this.#recorder = recorder;
  }

  /** Ends it; a second time does nothing. @param status "error" when the work has failed */
  end(status: "ok" | "error" = "ok"): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#recorder.end(this.sequence, status === "error" ? ERROR : OK);
  }
}

/** A kind of work, made by {@link MicroView.span}. */
export class SpanName {
  readonly #recorder: Recorder;

  /** @internal */
  constructor(
    recorder: Recorder,
    readonly name: string,
    /** @internal */
    readonly definition: number,
  ) {
    this.#recorder = recorder;
  }

  /** Begins below the span that is open here. What begins before its end is not below it: that is what `run` is for. */
  begin(): Span {
    return this.#recorder.begin(this);
  }

  /** Runs a function as a span: what it records until it returns belongs to it. It ends as an error if that throws. */
  run<T>(run: () => T): T {
    const span = this.#recorder.begin(this);
    let status: "ok" | "error" = "error";
    try {
      const result = this.#recorder.within(span, run);
      status = "ok";
      return result;
    } finally {
      span.end(status);
    }
  }

  /** Runs an asynchronous function as a span, which ends when its promise does. */
  async runAsync<T>(run: () => Promise<T> | T): Promise<T> {
    const span = this.#recorder.begin(this);
    let status: "ok" | "error" = "error";
    try {
      const result = await this.#recorder.withinAsync(span, run);
      status = "ok";
      return result;
    } finally {
      span.end(status);
    }
  }
}
