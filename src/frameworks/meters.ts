// Counts of HTTP exchanges, by where they go (a route, a host) and method. Children are found by the identity of what
// is at hand, without making a string or an object; what costs is done when a label value is seen first.

import {
  type ClientSource,
  type Counter,
  clientOf,
  type Family,
  type Gauge,
  type Histogram,
  type SpanName,
} from "../client/index.ts";
import { type HttpOptions, methodIndex, methodLabel, OTHER } from "./options.ts";
import { Spans } from "./spans.ts";

/** Why an exchange counts as failed. */
export type Failure = "status" | "stream" | "aborted" | "timeout" | "network";

interface Names {
  /** What a span of it is to others. */
  kind: "server" | "client";
  /** Before each metric's name, e.g. "http_server". */
  prefix: string;
  /** The label beside `method`: "route", or "host". */
  place: string;
  /** Place values above this many share one. */
  maxPlaces: number;
  /** The least status that is an error. */
  firstError: number;
  help: { requests: string; errors: string; inFlight: string; duration: string };
}

/** The metrics of one side of HTTP. */
export class Meters {
  readonly close: () => Promise<void>;
  /** Where spans are asked for. */
  readonly spans: Spans | undefined;
  readonly #places = new Map<string, Meter[]>();
  readonly #names: Names;
  readonly #families: Families;

  constructor(options: ClientSource & HttpOptions, names: Names) {
    const { mv, close } = clientOf(options);
    const { prefix, place, help } = names;
    const labels = ["method", place];
    this.close = close;
    this.spans = options.spans ? new Spans(mv, names.kind) : undefined;
    this.#names = names;
    this.#families = {
      byCode: options.status === "code",
      requests: mv.counter(`${prefix}_requests_total`, {
        help: help.requests,
        labels: [...labels, "status"],
      }),
      errors: mv.counter(`${prefix}_request_errors_total`, {
        help: help.errors,
        labels: [...labels, "reason"],
      }),
      inFlight: mv.gauge(`${prefix}_requests_in_flight`, { help: help.inFlight, labels }),
      duration: mv.histogram(`${prefix}_request_duration_seconds`, {
        help: help.duration,
        unit: "seconds",
        labels,
        ...options.duration,
      }),
    };
  }

  /** The meter of a place and method. */
  of(place: string, method: string): Meter {
    const meters = this.#places.get(place) ?? this.#add(place);
    const index = methodIndex(method);
    return meters[index] ?? this.#make(meters, place, index);
  }

  #add(place: string): Meter[] {
    // The value for all the rest has its place beside them.
    if (this.#places.size >= this.#names.maxPlaces && place !== OTHER) {
      return this.#places.get(OTHER) ?? this.#add(OTHER);
    }
    const meters: Meter[] = [];
    this.#places.set(place, meters);
    return meters;
  }

  #make(meters: Meter[], place: string, index: number): Meter {
    const known = meters === this.#places.get(OTHER) ? OTHER : place;
    const method = methodLabel(index);
    const label = known.slice(0, MAX_PLACE_LENGTH);
    const spanName = this.spans?.of(method, label);
    const meter = new Meter(this.#families, method, label, this.#names.firstError, spanName);
    meters[index] = meter;
    return meter;
  }
}

/** Characters of a label value, well below the limit of 1024 bytes. */
const MAX_PLACE_LENGTH = 250;

interface Families {
  byCode: boolean;
  requests: Family<Counter>;
  errors: Family<Counter>;
  inFlight: Family<Gauge>;
  duration: Family<Histogram>;
}

/** What is counted of one place and method. */
export class Meter {
  readonly inFlight: Gauge;
  readonly #duration: Histogram;
  /** By status, or by its class. Only what occurs takes a slot. */
  readonly #requests: Counter[] = [];
  readonly #errors = new Map<Failure, Counter>();
  readonly #families: Families;
  readonly #method: string;
  readonly #place: string;
  readonly #firstError: number;

  /** @param spanName of its spans, where they are asked for */
  constructor(
    families: Families,
    method: string,
    place: string,
    firstError: number,
    readonly spanName: SpanName | undefined,
  ) {
    this.#families = families;
    this.#method = method;
    this.#place = place;
    this.#firstError = firstError;
    this.inFlight = families.inFlight.labels(method, place);
    this.#duration = families.duration.labels(method, place);
  }

  /** An exchange has ended with an answer, which may have broken off. */
  count(status: number, seconds: number, failure?: Failure): void {
    const index = this.#families.byCode ? status : (status / 100) | 0;
    const counter = this.#requests[index];
    if (counter === undefined) this.#requestsWith(index).inc();
    else counter.inc();
    this.#duration.observe(seconds);
    const reason = this.failureOf(status, failure);
    if (reason !== undefined) this.fail(reason);
  }

  /** Why an answer of a status is an error, if it is one. */
  failureOf(status: number, failure: Failure | undefined): Failure | undefined {
    return failure ?? (status >= this.#firstError ? "status" : undefined);
  }

  fail(reason: Failure): void {
    let counter = this.#errors.get(reason);
    if (counter === undefined) {
      counter = this.#families.errors.labels(this.#method, this.#place, reason);
      this.#errors.set(reason, counter);
    }
    counter.inc();
  }

  /** An exchange has ended without an answer. */
  countUnanswered(seconds: number, reason: Failure): void {
    this.#requestsWith(0).inc();
    this.#duration.observe(seconds);
    this.fail(reason);
  }

  #requestsWith(index: number): Counter {
    const { byCode, requests } = this.#families;
    const label = index === 0 ? "none" : byCode ? String(index) : `${index}xx`;
    const counter = requests.labels(this.#method, this.#place, label);
    this.#requests[index] = counter;
    return counter;
  }
}
