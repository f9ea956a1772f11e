// A tracer begins spans, each below the one that its context says.
// https://opentelemetry.io/docs/specs/otel/trace/api/#tracer

import type {
  Attributes,
  Context,
  Span as SpanApi,
  SpanContext,
  SpanOptions,
  Tracer as TracerApi,
} from "@opentelemetry/api";
import { EXIT, type Recorder, type Span, type SpanName } from "../../client/index.ts";
import { SPAN_KINDS } from "../../layout/index.ts";
import { activeContext, contextManager } from "../api.ts";
import { ContextManager, isSuppressed, ROOT, spanIn, withSpan } from "./context.ts";
import { type Limits, limited } from "./limits.ts";
import { ApiSpan } from "./span.ts";

/** Names of spans that a tracer keeps; the specification wants few. More are written out with each span. */
const SPAN_NAMES_MAX = 500;
const CLIENT = SPAN_KINDS.indexOf("client");
const NOTHING: SpanOptions = {};

type Parent = Span | { traceId: string; spanId: string; flags: number } | null | undefined;

export class Tracer implements TracerApi {
  readonly #recorder: Recorder;
  readonly #limits: Limits;
  readonly #scope: string;
  readonly #namesMax: number;
  /** By kind and name. */
  readonly #names = SPAN_KINDS.map(() => new Map<string, SpanName>());
  #nameCount = 0;

  /** @param namesMax 0 for one that is not kept: names are not looked up by it again */
  constructor(recorder: Recorder, limits: Limits, scope: string, namesMax = SPAN_NAMES_MAX) {
    this.#recorder = recorder;
    this.#limits = limits;
    this.#scope = scope;
    this.#namesMax = namesMax;
  }

  startSpan(name: string, options: SpanOptions = NOTHING, context?: Context): SpanApi {
    try {
      return this.#start(name, options ?? NOTHING, context);
    } catch {
      // A name, options or a context that throw when they are looked at.
      return this.#start("", NOTHING, undefined);
    }
  }

  #start(name: string, options: SpanOptions, context: Context | undefined): SpanApi {
    const { root, kind, attributes, links, startTime } = options;
    const active = activeContext();
    const given = context ?? active;
    if (given !== undefined && isSuppressed(given)) return NO_SPAN;
    const above = root || given === undefined ? undefined : spanIn(given);
    const state = above === undefined ? undefined : stateOf(above);
    // Spans of `mv` are in no context: the innermost is known where the context is the one that this code is in.
    const isHere = !root && (given === undefined || given === active);
    const parent = parentOf(above, isHere ? this.#recorder.currentSpan : undefined, isHere);
    // The call that it would be is a span already.
    if (kind === CLIENT && isHere && this.#recorder.currentSpan?.[EXIT]) return NO_SPAN;
    const spanName = this.#named(String(name), kind);
    const span =
      attributes === undefined || attributes === null
        ? this.#begin(spanName, parent, state)
        : this.#beginWith(spanName, parent, attributes, state);
    if (links !== undefined) span.addLinks(links);
    if (startTime !== undefined) span.startedAt(startTime);
    return span;
  }

  #begin(name: SpanName, parent: Parent, state: SpanContext["traceState"]): ApiSpan {
    const own = parent === undefined ? name.begin() : name.begin({ parent });
    return new ApiSpan(this.#recorder, own, this.#limits, 0, state);
  }

  startActiveSpan<F extends (span: SpanApi) => ReturnType<F>>(
    name: string,
    ...rest: [F] | [SpanOptions, F] | [SpanOptions, Context, F]
  ): ReturnType<F> {
    const run = rest[rest.length - 1] as F;
    const options = rest.length > 1 ? (rest[0] as SpanOptions) : undefined;
    const given = rest.length > 2 ? (rest[1] as Context) : undefined;
    const span = this.startSpan(name, options, given);
    const manager = contextManager();
    const context = withSpan(given ?? manager?.active() ?? ROOT, span);
    if (manager instanceof ContextManager && span instanceof ApiSpan) {
      return manager.enter(context, span, run);
    }
    const runIn = () =>
      manager === undefined ? run(span) : manager.with(context, run, undefined, span);
    // Logs and spans of `mv` know of it all the same.
    return span instanceof ApiSpan ? this.#recorder.withinAsync(span.own, runIn) : runIn();
  }

  #beginWith(
    name: SpanName,
    parent: Parent,
    attributes: Attributes,
    state: SpanContext["traceState"],
  ): ApiSpan {
    const { attributeCountLimit, attributeValueLengthLimit } = this.#limits;
    let count = 0;
    for (const _ in attributes) count++;
    if (count <= attributeCountLimit && attributeValueLengthLimit === Number.POSITIVE_INFINITY) {
      const own = name.begin({ parent, properties: attributes });
      return new ApiSpan(this.#recorder, own, this.#limits, count, state);
    }
    const { attributes: properties, dropped } = limited(
      attributes,
      attributeCountLimit,
      attributeValueLengthLimit,
    );
    const own = name.begin({ parent, properties });
    const kept = Math.min(count, attributeCountLimit);
    const span = new ApiSpan(this.#recorder, own, this.#limits, kept, state);
    if (dropped > 0) span.drop(dropped);
    return span;
  }

  #named(name: string, kind: number | undefined): SpanName {
    const index = typeof kind === "number" && SPAN_KINDS[kind] !== undefined ? kind : 0;
    const known = this.#names[index]!;
    return known.get(name) ?? this.#newName(name, index);
  }

  #newName(name: string, index: number): SpanName {
    const options = { kind: SPAN_KINDS[index]!, target: this.#scope };
    if (this.#nameCount >= this.#namesMax) return this.#recorder.spanOnce(name, options);
    this.#nameCount++;
    const made = this.#recorder.span(name, options, () => "");
    this.#names[index]!.set(name, made);
    return made;
  }
}

/** @param current the innermost span of ours where this is called */
function parentOf(above: SpanApi | undefined, current: Span | undefined, isHere: boolean): Parent {
  if (above === undefined) return isHere ? undefined : null;
  if (above instanceof ApiSpan) return current ?? above.own;
  try {
    const { traceId, spanId, traceFlags } = above.spanContext();
    return { traceId, spanId, flags: traceFlags };
  } catch {
    return null;
  }
}

function stateOf(above: SpanApi): SpanContext["traceState"] {
  if (above instanceof ApiSpan) return above.traceState;
  try {
    return above.spanContext().traceState;
  } catch {
    return undefined;
  }
}

const INVALID: SpanContext = { traceId: "0".repeat(32), spanId: "0".repeat(16), traceFlags: 0 };

/** What is begun where spans are not wanted. */
const NO_SPAN: SpanApi = {
  spanContext: () => INVALID,
  isRecording: () => false,
  setAttribute: () => NO_SPAN,
  setAttributes: () => NO_SPAN,
  addEvent: () => NO_SPAN,
  addLink: () => NO_SPAN,
  addLinks: () => NO_SPAN,
  setStatus: () => NO_SPAN,
  updateName: () => NO_SPAN,
  recordException() {},
  end() {},
};
