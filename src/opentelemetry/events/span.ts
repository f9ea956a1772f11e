// A span of OpenTelemetry's API that is recorded in the ring: its beginning at once, and what it was given since with its
// end. https://opentelemetry.io/docs/specs/otel/trace/api/#span

import type {
  Attributes,
  Exception,
  Link,
  Span as SpanApi,
  SpanContext,
  SpanStatus,
  TimeInput,
} from "@opentelemetry/api";
import type { Recorder, Span } from "../../client/index.ts";
import { OTEL_PROPERTY } from "../../layout/index.ts";
import { cutValue, type Limits, limited } from "./limits.ts";
import { unixNs } from "./time.ts";

/** `SpanStatusCode` of the API, whose values are not loaded. */
const STATUS = { unset: 0, ok: 1, error: 2 } as const;

/** What of a parent goes on as it came. */
type TraceState = SpanContext["traceState"];

/** An event or link, as the lake's receiver of OTLP names its parts. */
interface Part {
  attributes?: Record<string, unknown>;
}

/** What a span has been given besides attributes; few have any of it. */
class Parts {
  events: (Part & { time_ns: string; name: string })[] = [];
  links: (Part & { trace_id: string; span_id: string })[] = [];
  droppedAttributes = 0;
  droppedEvents = 0;
  droppedLinks = 0;
  startNs: string | undefined;
}

export class ApiSpan implements SpanApi {
  #parts: Parts | undefined;
  #status: SpanStatus["code"] = STATUS.unset;
  #message: string | undefined;
  #count: number;

  /** @param count how many attributes it has begun with */
  constructor(
    readonly recorder: Recorder,
    /** @internal as it is recorded */
    readonly own: Span,
    readonly limits: Limits,
    count: number,
    readonly traceState: TraceState,
  ) {
    this.#count = count;
  }

  spanContext(): SpanContext {
    const { traceId, spanId, flags } = this.own.context;
    const context = { traceId, spanId, traceFlags: flags };
    return this.traceState === undefined ? context : { ...context, traceState: this.traceState };
  }

  isRecording(): boolean {
    return this.own.isOpen;
  }

  setAttribute(key: string, value: unknown): this {
    const { own, limits } = this;
    if (!own.isOpen || value === undefined || value === null || typeof key !== "string")
      return this;
    if (!own.has(key)) {
      if (this.#count >= limits.attributeCountLimit) {
        this.#made.droppedAttributes++;
        return this;
      }
      this.#count++;
    }
    own.set(key, cutValue(value, limits.attributeValueLengthLimit));
    return this;
  }

  setAttributes(attributes: Attributes): this {
    if (typeof attributes !== "object" || attributes === null) return this;
    return this.#guarded(() => {
      for (const key in attributes) this.setAttribute(key, attributes[key]);
    });
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    return this.#guarded(() => this.#addEvent(name, attributesOrTime, time));
  }

  #addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): void {
    const { eventCountLimit, attributePerEventCountLimit, attributeValueLengthLimit } = this.limits;
    const parts = this.#made;
    if (parts.events.length >= eventCountLimit) {
      parts.droppedEvents++;
      return;
    }
    const isTime = isTimeInput(attributesOrTime);
    const { attributes, dropped } = limited(
      isTime ? undefined : attributesOrTime,
      attributePerEventCountLimit,
      attributeValueLengthLimit,
    );
    parts.droppedAttributes += dropped;
    const at = unixNs(isTime ? attributesOrTime : time) ?? unixNs(nowMs())!;
    parts.events.push({
      time_ns: at,
      name: String(name),
      ...(attributes === undefined ? {} : { attributes }),
    });
  }

  addLink(link: Link): this {
    return this.#guarded(() => this.#addLink(link));
  }

  #addLink(link: Link): void {
    const { linkCountLimit, attributePerLinkCountLimit, attributeValueLengthLimit } = this.limits;
    const parts = this.#made;
    if (parts.links.length >= linkCountLimit) {
      parts.droppedLinks++;
      return;
    }
    const { traceId, spanId } = link?.context ?? {};
    if (typeof traceId !== "string" || typeof spanId !== "string") return;
    const { attributes, dropped } = limited(
      link.attributes,
      attributePerLinkCountLimit,
      attributeValueLengthLimit,
    );
    parts.droppedAttributes += dropped;
    parts.links.push({
      trace_id: traceId,
      span_id: spanId,
      ...(attributes === undefined ? {} : { attributes }),
    });
  }

  addLinks(links: Link[]): this {
    return this.#guarded(() => {
      for (const link of links) this.addLink(link);
    });
  }

  /** What was set as good stays so, as the specification says. */
  setStatus(status: SpanStatus): this {
    return this.#guarded(() => {
      const { code, message } = status;
      if (this.#status === STATUS.ok || (code !== STATUS.ok && code !== STATUS.error)) return;
      this.#status = code;
      const isTold = code === STATUS.error && message !== undefined && message !== null;
      this.#message = isTold ? String(message) : undefined;
    });
  }

  /** It has begun with the other one: the name that counts is recorded with the end. */
  updateName(name: string): this {
    return this.#guarded(() => {
      this.own.rename(String(name));
    });
  }

  recordException(exception: Exception, time?: TimeInput): void {
    if (!this.own.isOpen) return;
    const { type, message, stacktrace } = described(exception);
    const attributes: Attributes = {
      ...(type === undefined ? {} : { "exception.type": type }),
      ...(message === undefined ? {} : { "exception.message": message }),
      ...(stacktrace === undefined ? {} : { "exception.stacktrace": stacktrace }),
    };
    this.addEvent("exception", attributes, time);
  }

  end(endTime?: TimeInput): void {
    const { own } = this;
    if (!own.isOpen) return;
    const status = this.#status === STATUS.error ? "error" : "ok";
    if (this.#parts === undefined && this.#message === undefined && endTime === undefined) {
      own.end(status);
      return;
    }
    own.end(status, this.#told(endTime));
  }

  /** @internal begun at another time than now */
  startedAt(time: TimeInput): void {
    const ns = unixNs(time);
    if (ns !== undefined) this.#made.startNs = ns;
  }

  /** @internal begun with more attributes than it may have */
  drop(count: number): void {
    this.#made.droppedAttributes += count;
  }

  /** Does what a caller asks while the span is open; whatever he gives, nothing is thrown at him. */
  #guarded(change: () => void): this {
    if (!this.own.isOpen) return this;
    try {
      change();
    } catch {
      this.#made.droppedAttributes++;
    }
    return this;
  }

  get #made(): Parts {
    this.#parts ??= new Parts();
    return this.#parts;
  }

  #told(endTime: TimeInput | undefined): Record<string, unknown> {
    const told: Record<string, unknown> = {};
    const parts = this.#parts;
    if (this.#message !== undefined) told[OTEL_PROPERTY.statusMessage] = this.#message;
    const endNs = endTime === undefined ? undefined : unixNs(endTime);
    if (endNs !== undefined) told[OTEL_PROPERTY.endTimeNs] = endNs;
    if (parts === undefined) return told;
    if (parts.startNs !== undefined) told[OTEL_PROPERTY.startTimeNs] = parts.startNs;
    if (parts.events.length > 0) told[OTEL_PROPERTY.events] = parts.events;
    if (parts.links.length > 0) told[OTEL_PROPERTY.links] = parts.links;
    if (parts.droppedAttributes > 0)
      told[OTEL_PROPERTY.droppedAttributes] = parts.droppedAttributes;
    if (parts.droppedEvents > 0) told[OTEL_PROPERTY.droppedEvents] = parts.droppedEvents;
    if (parts.droppedLinks > 0) told[OTEL_PROPERTY.droppedLinks] = parts.droppedLinks;
    return told;
  }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

function isTimeInput(value: unknown): value is TimeInput {
  return typeof value === "number" || value instanceof Date || Array.isArray(value);
}

/** What an exception says; anything may have been thrown. */
function described(exception: unknown): { type?: string; message?: string; stacktrace?: string } {
  if (typeof exception !== "object" || exception === null) return { message: String(exception) };
  try {
    const { code, name, message, stack } = exception as Record<string, unknown>;
    const type = code ?? name;
    return {
      ...(type == null ? {} : { type: String(type) }),
      ...(message == null ? {} : { message: String(message) }),
      ...(stack == null ? {} : { stacktrace: String(stack) }),
    };
  } catch {
    return { message: "an exception that cannot be read" };
  }
}
