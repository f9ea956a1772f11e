// The LoggerProvider that a program registers with `@opentelemetry/api-logs`: `logs.setGlobalLoggerProvider(…)`.
// Of that package not even types are used: who has spans alone need not have it.

import type { Context, Span } from "@opentelemetry/api";
import { NAMES_MAX, type Recorder } from "../../client/index.ts";
import { LEVELS, levelOfSeverity, OTEL_PROPERTY } from "../../layout/index.ts";
import { activeContext } from "../api.ts";
import { type EventsProviderOptions, type ProviderClient, providerClient } from "./client.ts";
import { spanIn } from "./context.ts";
import { ApiSpan } from "./span.ts";
import { unixNs } from "./time.ts";

/** As the package's own of that name. */
export interface LogRecord {
  eventName?: string | undefined;
  timestamp?: unknown;
  observedTimestamp?: unknown;
  severityNumber?: number | undefined;
  severityText?: string | undefined;
  body?: unknown;
  attributes?: unknown;
  exception?: unknown;
  context?: Context | undefined;
}

export interface Logger {
  emit(record: LogRecord): void;
  enabled(options?: {
    severityNumber?: number | undefined;
    context?: Context | undefined;
  }): boolean;
}

export type LoggerProviderOptions = EventsProviderOptions & {
  /** Taken so that a changed import is enough, and not used: the agent is what ships. */
  processors?: readonly unknown[];
};

/** A time that differs by more from now says something by itself. */
const LATE_MS = 1000;

export class LoggerProvider implements AsyncDisposable {
  readonly #client: ProviderClient;
  readonly #loggers = new Map<string, Logger>();
  #shutdown: Promise<void> | undefined;

  /** As that of {@link TracerProvider}. */
  constructor(options: LoggerProviderOptions = {}) {
    this.#client = providerClient(options);
    if ((options.processors?.length ?? 0) > 0) {
      this.#client.diagnostics.warn("processors of a provider are not used: the agent ships logs");
    }
  }

  getLogger(name: string, _version?: string, _options?: unknown): Logger {
    const scope = String(name ?? "");
    let logger = this.#loggers.get(scope);
    if (logger === undefined) {
      const { recorder } = this.#client.mv;
      if (this.#loggers.size >= NAMES_MAX) {
        return new ScopeLogger(recorder, recorder.targetOnce(scope));
      }
      logger = new ScopeLogger(recorder, recorder.target(scope));
      this.#loggers.set(scope, logger);
    }
    return logger;
  }

  /** Nothing has to be flushed: what was recorded is read from outside. */
  async forceFlush(): Promise<void> {}

  /** Lets go of the ring, if it was made here. */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#client.close();
    return this.#shutdown;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

class ScopeLogger implements Logger {
  readonly #recorder: Recorder;
  readonly #target: ReturnType<Recorder["target"]>;

  constructor(recorder: Recorder, target: ReturnType<Recorder["target"]>) {
    this.#recorder = recorder;
    this.#target = target;
  }

  enabled({ severityNumber }: Parameters<Logger["enabled"]>[0] = {}): boolean {
    return !this.#recorder.gate.hidesLog(levelOfSeverity(severityNumber, undefined));
  }

  emit(record: LogRecord): void {
    try {
      this.#emit(record);
    } catch {
      // What is no record, or one that throws when it is looked at: nobody is to notice.
    }
  }

  #emit(record: LogRecord): void {
    const level = levelOfSeverity(record.severityNumber, record.severityText);
    if (this.#recorder.gate.hidesLog(level)) return;
    const context = record.context ?? activeContext();
    const span = context === undefined ? undefined : spanIn(context);
    const own = span instanceof ApiSpan && span.recorder === this.#recorder ? span.own : undefined;
    const foreign = own === undefined && span !== undefined ? idsOf(span) : undefined;
    const { attributes } = record;
    const more = told(record, level, foreign);
    const properties =
      more === undefined ? attributes : { ...(attributes as object | undefined), ...more };
    this.#recorder.write(
      level,
      this.#target,
      messageOf(record),
      properties as Record<string, unknown> | undefined,
      own,
    );
  }
}

function messageOf({ body, exception }: LogRecord): string {
  if (typeof body === "string") return body;
  if (typeof body === "object" || body === undefined) {
    const { message } = (exception ?? {}) as { message?: unknown };
    return body == null && typeof message === "string" ? message : "";
  }
  return String(body);
}

/** What of a record is neither its message nor an attribute. */
function told(
  { body, eventName, severityText, exception, timestamp }: LogRecord,
  level: number,
  foreign: Record<string, string> | undefined,
): Record<string, unknown> | undefined {
  const found: Record<string, unknown> = { ...foreign };
  if (typeof body === "object" && body !== null) found["body"] = body;
  if (eventName !== undefined && eventName !== "") found[OTEL_PROPERTY.eventName] = eventName;
  if (typeof severityText === "string" && severityText.toLowerCase() !== LEVELS[level]) {
    found[OTEL_PROPERTY.severityText] = severityText;
  }
  if (exception !== undefined && exception !== null) found["error"] = exception;
  const timeNs = timestamp === undefined ? undefined : unixNs(timestamp);
  if (timeNs !== undefined && Math.abs(Number(timeNs) / 1e6 - Date.now()) > LATE_MS) {
    found[OTEL_PROPERTY.timeNs] = timeNs;
  }
  for (const _ in found) return found;
  return undefined;
}

/** Of a span that is not of this ring. */
function idsOf(span: Span): Record<string, string> | undefined {
  try {
    const { traceId, spanId } = span.spanContext();
    return { trace_id: traceId, span_id: spanId };
  } catch {
    return undefined;
  }
}
