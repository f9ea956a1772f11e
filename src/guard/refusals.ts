// Records what a server refuses: counts it, logs it, and remembers the addresses of wrong tokens.

import type { Anonymous } from "./access.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import { Audit, type Refusal } from "./audit.ts";
import type { CallError } from "./errors.ts";
import { addressOf, type Grant, grantOf, NOBODY } from "./grants.ts";
import type { Log } from "./log.ts";
import { Buckets } from "./rate.ts";
import { pathOf } from "./request-target.ts";
import type { Tokens } from "./tokens.ts";

/** The code for too many connections. */
const BUSY = "too-many-connections";

/** The statuses of refusals: a right is missing, or a limit is reached. Other errors are the caller's mistakes. */
const REFUSALS: readonly number[] = [401, 403, 413, 429];

/** How many failures are logged. */
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
  /** Undefined if the server asks for none. */
  tokens: Tokens | undefined;
  limits: AdmissionLimits;
  log: Log;
  anonymous: Anonymous;
  /** The name of the interface in the log: for requests to a path, or without a path for connections. */
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

  /** Records a request that was refused before a route was called. */
  atTheDoor({ status, code }: CallError, request: Request, grant: Grant, peer: string): void {
    if (status === 413 || status === 429) this.#options.counts?.limited(code);
    if (status === 401 || status === 403) this.#options.counts?.denied();
    this.#note(request, grant, peer, code);
  }

  /** Records the error of a route if it is a refusal. */
  byRoute(error: CallError, request: Request): void {
    if (!REFUSALS.includes(error.status)) return;
    this.atTheDoor(error, request, grantOf(request), addressOf(request));
  }

  /** Logs a failure of ours. The number is limited, since a caller that has found one can cause many. */
  failed(error: unknown): void {
    if (!this.#failures.take("")) return;
    const { stack = String(error) } = error instanceof Error ? error : {};
    const { log } = this.#options;
    log.error("a request failed", { error: String(error) });
    log.debug("where it failed", { stack });
  }

  /**
   * Records a connection to a port without HTTP that was refused. The server of that port counts it.
   * @param hasGuessed it has sent a wrong token, which nobody has counted yet
   */
  connection(refusal: Omit<Refusal, "method" | "path">, hasGuessed = false): void {
    if (hasGuessed) this.admission.wasWrong(refusal.peer);
    this.#audit.refused(refusal);
  }

  /** Records a connection to an HTTP port or the Unix socket that was ended because there were too many. */
  ended(peer: string): void {
    const { counts, transportOf } = this.#options;
    counts?.limited(BUSY);
    this.#audit.refused({ transport: transportOf(), code: BUSY, token: NOBODY.name, peer });
  }

  /** Logs how many refusals were not logged, at intervals. */
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
