// Takes note of all that a server refuses: counts it, leaves a line, and remembers who was wrong.

import { STATUS } from "../layout/index.ts";
import type { Anonymous } from "./access.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import { Audit, type Refusal } from "./audit.ts";
import type { CallError } from "./errors.ts";
import { addressOf, type Grant, grantOf, NOBODY } from "./grants.ts";
import type { Log } from "./log.ts";
import { Buckets } from "./rate.ts";
import { pathOf } from "./request-target.ts";
import type { Tokens } from "./tokens.ts";

/** Why a connection to the data port is refused, in the words that REST has for it. */
const CODES: Readonly<Record<number, string>> = {
  [STATUS.denied]: "denied",
  [STATUS.expired]: "expired-token",
  [STATUS.unscoped]: "needs-read-scope",
  [STATUS.busy]: "too-many-connections",
  [STATUS.tooManyWrong]: "too-many-wrong-tokens",
};

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
  transportOf: (path?: string) => Refusal["transport"];
  counts?: RefusalCounts;
}

export class Refusals {
  readonly admission: Admission;
  readonly #audit: Audit;
  readonly #failures = new Buckets(FAILURES_PER_SECOND, FAILURES_AT_ONCE);
  readonly #options: RefusalsOptions;

  constructor(options: RefusalsOptions) {
    const { tokens, limits, log, anonymous } = options;
    this.#options = options;
    this.admission = new Admission(tokens, limits, anonymous);
    this.#audit = new Audit(log, (text) => tokens?.has(text) === true);
  }

  /** A request was refused before it came to a route. */
  atTheDoor({ status, code }: CallError, request: Request, grant: Grant, peer: string): void {
    if (status === 413 || status === 429) this.#options.counts?.limited(code);
    if (status === 401 || status === 403) this.#options.counts?.denied();
    this.#note(request, grant, peer, code);
  }

  /** A route refused a request: the caller lacks a right, or the request is too large. */
  byRoute(error: CallError, request: Request): void {
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
   * A connection to the data port was refused; its own thread counts it.
   * @param status by STATUS, or OpenSSL's word for what a certificate is
   * @param isTunnelled the thread does not know who it was
   */
  connection(status: number | string, token: string, peer: string, isTunnelled: boolean): void {
    const isWrong = status === STATUS.denied || status === STATUS.expired;
    if (isWrong && isTunnelled) this.admission.wasWrong(peer);
    const code = typeof status === "string" ? `tls ${status}` : (CODES[status] ?? String(status));
    this.#audit.refused({ transport: "data", code, token, peer });
  }

  /** A connection to an HTTP port, or the Unix socket, was ended: there were too many. */
  ended(peer: string): void {
    const code = CODES[STATUS.busy]!;
    const { counts, transportOf } = this.#options;
    counts?.limited(code);
    this.#audit.refused({ transport: transportOf(), code, token: NOBODY.name, peer });
  }

  /** Somebody came by rdma_cm whom nobody expects. */
  stranger(code: string, peer: string): void {
    this.#audit.refused({ transport: "rdma", code, token: NOBODY.name, peer });
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
