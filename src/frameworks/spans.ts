// A span for each request, where a program asks for it: begun when the request comes, held on it, and ended once, however
// the request ends. What the program does for the request is within it.

import type { MicroView, Span, SpanKind, SpanName } from "../client/index.ts";
import { methodIndex, methodLabel } from "./options.ts";

/** What part of a program these spans are of. */
const TARGET = "http";
// One for all copies of this package.
const SPAN = Symbol.for("microview.span");

interface Held {
  [SPAN]?: Span;
}

/**
 * The span of a request that a plugin measures: where `mv.currentSpan()` knows none, because Bun has lost the context.
 * @param request as the framework has it, `c.req.raw` of Hono
 */
export function spanOf(request: Request): Span | undefined {
  return (request as Held)[SPAN];
}

/** Names of the spans of one side of HTTP. */
export class Spans {
  readonly #kind: SpanKind;
  /** For requests of which no more is known yet. */
  readonly #byMethod: SpanName[] = [];

  constructor(
    readonly mv: MicroView,
    kind: SpanKind,
  ) {
    this.#kind = kind;
  }

  /** @param place a pattern or a host: never what anybody may choose */
  of(method: string, place: string): SpanName {
    return this.#named(`${method} ${place}`);
  }

  ofMethod(method: string): SpanName {
    const index = methodIndex(method);
    this.#byMethod[index] ??= this.#named(methodLabel(index));
    return this.#byMethod[index];
  }

  /** Where routes are declared is not known here, and this file says nothing to anybody. */
  #named(name: string): SpanName {
    return this.mv.recorder.span(name, { kind: this.#kind, target: TARGET }, () => "");
  }

  /**
   * The span of a request that has come.
   * @param name if its route is known
   * @param nameNow what its name is by now, where it ends without an answer
   */
  serve(
    request: Request,
    name: SpanName | undefined,
    nameNow: () => string | undefined,
  ): ServerSpan {
    const outer = this.mv.currentSpan();
    // Somebody has seen it come already, as an instrumentation of the server itself.
    if (outer?.kind === this.#kind && outer.isRecording)
      return new ServerSpan(request, outer, undefined, nameNow);
    const known = name ?? this.ofMethod(request.method);
    const span = known.begin({ traceparent: request.headers.get("traceparent") });
    (request as Held)[SPAN] = span;
    return new ServerSpan(request, span, known.name, nameNow);
  }
}

export class ServerSpan {
  readonly span: Span;
  readonly #signal: AbortSignal;
  readonly #name: string | undefined;
  readonly #leave: () => void;

  /** @param name that it has begun with; none where it is somebody else's, who ends it */
  constructor(
    request: Request,
    span: Span,
    name: string | undefined,
    nameNow: () => string | undefined,
  ) {
    this.span = span;
    this.#name = name;
    this.#signal = request.signal;
    this.#leave = () => this.end("aborted", undefined, nameNow());
    if (name === undefined) return;
    if (this.#signal.aborted) this.#leave();
    else this.#signal.addEventListener("abort", this.#leave, { once: true });
  }

  /** Ends it once. @param failure why it failed, if it did @param thrown what the handler has thrown */
  end(failure: string | undefined, status?: number, name?: string, thrown?: unknown): void {
    const { span } = this;
    if (name !== undefined && name !== this.#name) span.rename(name);
    if (status !== undefined) span.set("http.response.status_code", status);
    if (failure !== undefined) {
      span.set("error.type", failure);
      if (thrown !== undefined) span.failed(thrown);
    }
    if (this.#name === undefined) return;
    this.#signal.removeEventListener("abort", this.#leave);
    span.end(failure === undefined ? "ok" : "error");
  }
}
