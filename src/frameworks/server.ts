// A request that a server answers, from its arrival until the last byte of the answer was taken.

import type { ClientSource } from "../client/index.ts";
import { type Failure, type Meter, Meters } from "./meters.ts";
import type { HttpOptions } from "./options.ts";
import type { ServerSpan } from "./spans.ts";
import { isStreamed, watched } from "./streams.ts";

export type ServerOptions = ClientSource & HttpOptions;

/** The label value of all requests that no route answers: their paths are anybody's choice. */
export const UNMATCHED = "(unmatched)";

/** Patterns are as many as a program declares, unless it declares them at run time. */
const MAX_ROUTES = 1000;

/** Status that Bun and the frameworks answer with when a handler has thrown. */
const THROWN = 500;

export function serverMeters(options: ServerOptions): Meters {
  return new Meters(options, {
    kind: "server",
    prefix: "http_server",
    place: "route",
    maxPlaces: MAX_ROUTES,
    firstError: 500,
    help: {
      requests: "Requests answered, by status.",
      errors: "Requests answered with 5xx, and answers that broke off.",
      inFlight: "Requests being answered.",
      duration: "From the arrival of a request to the end of its answer.",
    },
  });
}

export class Exchange {
  /** Told by whoever knows that the answer's body is whole; otherwise it is looked at. */
  whole = false;
  #meter: Meter | undefined;
  #thrown: unknown;
  readonly #meters: Meters;
  readonly #request: Request;
  readonly #startMs = performance.now();
  readonly #span: ServerSpan | undefined;

  /**
   * @param guess the meter that it will be of, most likely
   * @param isSure whether it can be of no other
   */
  constructor(meters: Meters, request: Request, guess: Meter | undefined, isSure = false) {
    this.#meters = meters;
    this.#request = request;
    this.#span = meters.spans?.serve(
      request,
      isSure ? guess?.spanName : undefined,
      () => this.#meter?.spanName?.name,
    );
    this.#meter = guess;
    if (guess !== undefined) guess.inFlight.inc();
  }

  get hasSpan(): boolean {
    return this.#span !== undefined;
  }

  /** Does what answers the request, as its span if it has one. */
  within<T>(answer: () => T): T {
    const { spans } = this.#meters;
    return spans === undefined ? answer() : spans.mv.withSpan(this.#span!.span, answer);
  }

  get meter(): Meter | undefined {
    return this.#meter;
  }

  /** The route is known now. */
  matched(route: string): void {
    const meter = this.#meters.of(route, this.#request.method);
    if (meter === this.#meter) return;
    this.#meter?.inFlight.dec();
    this.#meter = meter;
    meter.inFlight.inc();
  }

  /** No route takes it. */
  unmatched(): void {
    this.matched(UNMATCHED);
  }

  /** There will be no answer, as when it becomes a WebSocket: it counts as nothing. */
  drop(): void {
    this.#meter?.inFlight.dec();
    this.#span?.end(undefined, undefined, this.#meter?.spanName?.name);
    this.#meter = undefined;
  }

  /**
   * Whether the request has become a WebSocket: frameworks then make an answer of nothing, which nobody sends. An answer
   * with content is none of these, so that its request is not looked at.
   */
  upgraded({ status }: Response): boolean {
    if (this.whole || status !== 200) return false;
    return this.#request.headers.get("upgrade")?.toLowerCase() === "websocket";
  }

  /** A handler has thrown: why, for the span, whether or not somebody makes an answer of it. */
  caught(thrown: unknown): void {
    this.#thrown ??= thrown;
  }

  /** The handler threw, and nobody made an answer of it. */
  threw(thrown: unknown): void {
    this.caught(thrown);
    this.#end(THROWN);
  }

  /** @returns the answer to send in its place: the same, unless its body has to be watched */
  answered(response: Response): Response {
    if (this.whole || !isStreamed(response) || hasNoBody(this.#request, response)) {
      this.#end(response.status);
      return response;
    }
    return watched(response, this.#request, (failure) => this.#end(response.status, failure));
  }

  #end(status: number, failure?: Failure): void {
    if (this.#meter === undefined) this.unmatched();
    const meter = this.#meter!;
    meter.inFlight.dec();
    meter.count(status, (performance.now() - this.#startMs) / 1000, failure);
    this.#span?.end(meter.failureOf(status, failure), status, meter.spanName?.name, this.#thrown);
  }
}

/** Whether the body of an answer is never read (RFC 9110, sections 9.3.2, 15.3.5, 15.4.5). */
function hasNoBody({ method }: Request, { status }: Response): boolean {
  return method === "HEAD" || status === 204 || status === 304;
}
