// `const fetch = microview({ app, service })`: fetch() that counts what a service asks of others.

import { type ClientSource, EXIT, type Span } from "../client/index.ts";
import { type Failure, Meters } from "./meters.ts";
import type { HttpOptions } from "./options.ts";
import type { Spans } from "./spans.ts";

export type FetchOptions = ClientSource &
  HttpOptions & {
    /** What does the asking. Default: the global fetch. */
    fetch?: typeof globalThis.fetch;
    /**
     * Hosts that have a label value of their own; all others share "(other)".
     * @default 100
     */
    maxHosts?: number;
  };

type Input = string | URL | Request;
type Init = RequestInit | BunFetchRequestInit;

const MAX_HOSTS = 100;
/** Hosts by the beginning of what was asked for; more are worked out again each time. */
const MAX_REMEMBERED = 1000;

/**
 * Gives a fetch() that counts requests, errors and those in flight, and measures the time until the answer's headers,
 * by host and method.
 */
export function microview(options: FetchOptions): typeof globalThis.fetch {
  const meters = new Meters(options, {
    kind: "client",
    prefix: "http_client",
    place: "host",
    maxPlaces: options.maxHosts ?? MAX_HOSTS,
    firstError: 400,
    help: {
      requests: "Requests sent, by the status of their answer.",
      errors: "Requests that were answered with 4xx or 5xx, or not at all.",
      inFlight: "Requests that wait for their answer's headers.",
      duration: "From a request to the headers of its answer.",
    },
  });
  const ask = options.fetch ?? globalThis.fetch;
  const hosts = new Hosts();

  async function measured(input: Input, init?: Init): Promise<Response> {
    const method = init?.method?.toUpperCase() ?? (input instanceof Request ? input.method : "GET");
    const meter = meters.of(hosts.of(input), method);
    const startMs = performance.now();
    meter.inFlight.inc();
    try {
      const response = await ask(input, init);
      meter.count(response.status, (performance.now() - startMs) / 1000);
      return response;
    } catch (error) {
      meter.countUnanswered((performance.now() - startMs) / 1000, reasonOf(error, input, init));
      throw error;
    } finally {
      meter.inFlight.dec();
    }
  }

  /** As above, as a span whose context goes along. */
  async function spanned(spans: Spans, input: Input, init?: Init): Promise<Response> {
    const method = init?.method?.toUpperCase() ?? (input instanceof Request ? input.method : "GET");
    const meter = meters.of(hosts.of(input), method);
    const span = meter.spanName!.begin();
    span[EXIT] = true;
    try {
      const response = await spans.mv.withSpan(span, () =>
        measured(input, withContext(span, input, init)),
      );
      span.set("http.response.status_code", response.status);
      const failure = meter.failureOf(response.status, undefined);
      if (failure !== undefined) span.set("error.type", failure);
      span.end(failure === undefined ? "ok" : "error");
      return response;
    } catch (error) {
      span.failed(error, reasonOf(error, input, init)).end("error");
      throw error;
    }
  }

  const { spans } = meters;
  const called =
    spans === undefined ? measured : (input: Input, init?: Init) => spanned(spans, input, init);
  return Object.assign(called, { preconnect: ask.preconnect });
}

/** What is asked, with the header of a span; one that is there already is of somebody else's span. */
function withContext({ traceparent }: Span, input: Input, init: Init | undefined): Init {
  const given = init?.headers ?? (input instanceof Request ? input.headers : undefined);
  const headers = new Headers(given as ConstructorParameters<typeof Headers>[0]);
  headers.set("traceparent", traceparent);
  return { ...init, headers };
}

/** Which host is asked. */
class Hosts {
  readonly #remembered = new Map<string, string>();

  of(input: string | URL | Request): string {
    if (input instanceof URL) return input.host;
    const url = typeof input === "string" ? input : input.url;
    const origin = url.slice(0, endOfOrigin(url));
    let host = this.#remembered.get(origin);
    if (host === undefined) {
      host = URL.parse(origin)?.host || INVALID;
      if (this.#remembered.size < MAX_REMEMBERED) this.#remembered.set(origin, host);
    }
    return host;
  }
}

/** The label value of what is no URL with a host: fetch() refuses it, or reads a file. */
const INVALID = "(none)";

/** Where a URL's path, query or fragment begins (RFC 3986, section 3). */
function endOfOrigin(url: string): number {
  for (let i = url.indexOf("://") + 3; i < url.length; i++) {
    const code = url.charCodeAt(i);
    if (code === 0x2f || code === 0x3f || code === 0x23 || code === 0x5c) return i;
  }
  return url.length;
}

function reasonOf(error: unknown, input: unknown, init: RequestInit | undefined): Failure {
  const name = (error as { name?: unknown } | null)?.name;
  if (name === "TimeoutError") return "timeout";
  const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
  // Who aborts may give a reason of his own.
  return name === "AbortError" || signal?.aborted === true ? "aborted" : "network";
}
