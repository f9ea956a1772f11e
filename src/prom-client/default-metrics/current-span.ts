// The span that is active now, if the service uses OpenTelemetry: asked of its registered API, without depending on it.
// https://github.com/open-telemetry/opentelemetry-js, api/src/internal/global-utils.ts and api/src/trace/context-utils.ts

interface Api {
  context?: {
    active(): { getValue(key: symbol): { spanContext(): SpanContext } | undefined };
  };
}

interface SpanContext {
  traceId: string;
  spanId: string;
}

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

/** Labels of an exemplar for it; none without a span. */
export function currentSpan(): { traceId?: string; spanId?: string } {
  const api = (globalThis as Record<symbol, unknown>)[API] as Api | undefined;
  const span = api?.context?.active().getValue(SPAN);
  if (span === undefined) return {};
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId };
}
