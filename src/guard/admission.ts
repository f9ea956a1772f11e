// The checks that every request over TCP passes first: how many wrong tokens came from its address, whose it is, and how
// often that caller asks.

import { type Anonymous, checkRequest } from "./access.ts";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import { Buckets } from "./rate.ts";
import type { Tokens } from "./tokens.ts";
import { placeOf, WrongTokens } from "./wrong-tokens.ts";

export interface AdmissionLimits {
  /** Requests per second of a token, or of an address if the server asks for no tokens. Twice as many at once. */
  requestsPerS: number;
  /** Wrong tokens per second from an address; this host counts as one. Six times as many at once. */
  wrongPerS: number;
}

export const ADMISSION_LIMITS: Readonly<AdmissionLimits> = { requestsPerS: 1000, wrongPerS: 5 };

const REQUESTS_AT_ONCE = 2;

/** A caller asks too often. */
export class TooManyError extends CallError {
  override readonly name = "TooManyError";
  override readonly headers: Readonly<Record<string, string>>;

  constructor(code: string, message: string, hint: string, retryAfterS: number) {
    super(code, message, hint, 429);
    this.headers = { "retry-after": String(retryAfterS) };
  }
}

export class Admission {
  readonly #requests: Buckets;
  readonly #wrong: WrongTokens;

  /**
   * @param tokens undefined when the server asks for none
   * @param maxRequestsFlag the flag that raises the limit of requests, if there is one
   */
  constructor(
    readonly tokens: Tokens | undefined,
    { requestsPerS, wrongPerS }: AdmissionLimits,
    readonly anonymous: Anonymous,
    readonly maxRequestsFlag?: string,
  ) {
    this.#requests = new Buckets(requestsPerS, requestsPerS * REQUESTS_AT_ONCE);
    this.#wrong = new WrongTokens(wrongPerS);
  }

  /**
   * The rights of a request.
   * @param peer the address it comes from
   * @throws CallError 401, 403 or 429
   */
  admit(request: Request, peer: string): Grant {
    this.#checkWrong(peer);
    let grant: Grant;
    try {
      grant = checkRequest(request, this.tokens, this.anonymous);
    } catch (error) {
      if (error instanceof CallError && error.status === 401) this.#wrong.note(peer);
      throw error;
    }
    const name = this.tokens === undefined ? `anyone ${placeOf(peer)}` : grant.name;
    if (this.#requests.take(name)) return grant;
    const flag = this.maxRequestsFlag;
    const raise = flag === undefined ? "" : `, or start the server with a higher ${flag}`;
    throw new TooManyError(
      "too-many-requests",
      `the token ${grant.name} has made more requests than it may`,
      `ask less often${raise}`,
      this.#requests.waitS(name),
    );
  }

  /** Whether an address may send a token to another port. */
  mayTry(peer: string): boolean {
    return this.tokens === undefined || this.#wrong.mayTry(peer);
  }

  /** Counts a wrong token that an address has sent to another port. */
  wasWrong(peer: string): void {
    this.#wrong.note(peer);
  }

  /** After too many wrong tokens, even a right one is refused for a while. Otherwise guessing could go on. */
  #checkWrong(peer: string): void {
    if (this.tokens === undefined || this.#wrong.mayTry(peer)) return;
    throw new TooManyError(
      "too-many-wrong-tokens",
      "this address has sent too many wrong tokens, or the network around it has",
      "wait, and send a right one",
      this.#wrong.waitS(peer),
    );
  }
}
