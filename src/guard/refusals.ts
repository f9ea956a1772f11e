// Takes note of all that a server refuses: counts it, leaves a line, and remembers who was wrong.

import type { Anonymous } from "./access.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import { Audit, type Refusal } from "./audit.ts";
import type { CallError } from "./errors.ts";
import { addressOf, type Grant, grantOf, NOBODY } from "./grants.ts";
import type { Log } from "./log.ts";
import { Buckets } from "./rate.ts";
import { pathOf } from "./request-target.ts";
import type { Tokens } from "./tokens.ts";

/** There were too many connections. */
const BUSY = "too-many-connections";

/** What becomes of an error that says that a caller may not do what it wants, or not so much or so often. */
const REFUSALS: readonly number[] = [401, 403, 413, 429];

/** Lines of what failed. */
const FAILURES_PER_SECOND = 1;
const FAILURES_AT_ONCE = 10;

/** Counts refusals. */
interface RefusalCounts {
  /** A limit was reached. */
  limited(code: string): void;
  /** A caller had no right to call, or not to call this. */
  denied(): void;
}

export interface RefusalsOptions {
  /** Undefined when none is asked for. */
  tokens: Tokens | undefined;
  limits: AdmissionLimits;
  log: Log;
  anonymous: Anonymous;
  /** As what requests to a path are logged; without one, connections. */
  transportOf: (path?: string) => string;
  /** The flag that raises the limit of requests. */
  maxRequestsFlag: string | undefined;
  counts?: RefusalCounts;
}

export class Refusals {
  readonly admission: Admission;
  readonly #audit: Audit;
  readonly #failures = new Buckets(FAILURES_PER_SECOND, FAILURES_AT_ONCE);
  readonly #options: RefusalsOptions;

  constructor(options: RefusalsOptions) {
    const { tokens, limits, log, anonymous, maxRequestsFlag } = options;
    this.#options = options;
    this.admission = new Admission(tokens, limits, anonymous, maxRequestsFlag);
    this.#audit = new Audit(log, (text) => tokens?.has(text) === true);
  }

  /** A request was refused before it came to a route. */
  atTheDoor({ status, code }: CallError, request: Request, grant: Grant, peer: string): void {
    if (status === 413 || status === 429) this.#options.counts?.limited(code);
    if (status === 401 || status === 403) this.#options.counts?.denied();
    this.#note(request, grant, peer, code);
  }

  /** Notes what a route has answered with an error, if it is a refusal: the caller lacks a right, or wants too much. */
  byRoute(error: CallError, request: Request): void {
    if (!REFUSALS.includes(error.status)) return;
    this.atTheDoor(error, request, grantOf(request), addressOf(request));
  }

  /** A request could not be answered, by a fault of ours. A caller who has found one may send many. */
  failed(error: unknown): void {
    if (!this.#failures.take("")) return;
    const { stack = String(error) } = error instanceof Error ? error : {};
    const { log } = this.#options;
    log.error("a request failed", { error: String(error) });
    log.debug("where it failed", { stack });
  }

  /**
   * A connection to a port that is not HTTP's was refused; whoever serves that port counts it.
   * @param hasGuessed it has sent a token that is wrong, which is still to be counted
   */
  connection(refusal: Omit<Refusal, "method" | "path">, hasGuessed = false): void {
    if (hasGuessed) this.admission.wasWrong(refusal.peer);
    this.#audit.refused(refusal);
  }

  /** A connection to an HTTP port, or the Unix socket, was ended: there were too many. */
  ended(peer: string): void {
    const { counts, transportOf } = this.#options;
    counts?.limited(BUSY);
    this.#audit.refused({ transport: transportOf(), code: BUSY, token: NOBODY.name, peer });
  }

  /** Says how many left no line, now and then. */
  count(): void {
    this.#audit.count();
  }

  #note(request: Request, grant: Grant, peer: string, code: string): void {
    const path = pathOf(request);
    const { method } = request;
    const transport = this.#options.transportOf(path);
    this.#audit.refused({ transport, code, token: grant.name, peer, method, path });
  }
}
