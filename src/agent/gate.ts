// What every request over TCP passes before anything of it is looked at: how often its address was wrong, who it is,
// and how much it has asked for.

import { checkRequest } from "./access.ts";
import { AgentError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import { Buckets, originOf } from "./rate.ts";
import type { Tokens } from "./tokens.ts";

export interface GateLimits {
  /** Requests that a token, or an address where no token is asked for, may make in a second; twice that at once. */
  requestsPerS: number;
  /** Wrong tokens that an address may send in a second; six times that at once. */
  wrongPerS: number;
}

const REQUESTS_AT_ONCE = 2;
/** Wrong tokens at once, in seconds' worth. */
export const WRONG_AT_ONCE = 6;

/** Somebody comes too often. */
export class TooManyError extends AgentError {
  override readonly name = "TooManyError";

  constructor(
    code: string,
    message: string,
    hint: string,
    readonly retryAfterS: number,
  ) {
    super(code, message, hint, 429);
  }
}

export class Gate {
  readonly #requests: Buckets;
  readonly #wrong: Buckets;

  /** @param tokens undefined when none is asked for */
  constructor(
    readonly tokens: Tokens | undefined,
    { requestsPerS, wrongPerS }: GateLimits,
  ) {
    this.#requests = new Buckets(requestsPerS, requestsPerS * REQUESTS_AT_ONCE);
    this.#wrong = new Buckets(wrongPerS, wrongPerS * WRONG_AT_ONCE);
  }

  /**
   * What a request may see.
   * @param peer the address it comes from
   * @throws AgentError 401, 403 or 429
   */
  admit(request: Request, peer: string): Grant {
    const origin = originOf(peer);
    this.#checkWrong(origin);
    let grant: Grant;
    try {
      grant = checkRequest(request, this.tokens);
    } catch (error) {
      if (error instanceof AgentError && error.status === 401) this.#wrong.take(origin);
      throw error;
    }
    const name = this.tokens === undefined ? `anyone ${origin}` : grant.name;
    if (this.#requests.take(name)) return grant;
    throw new TooManyError(
      "too-many-requests",
      `the token ${grant.name} has made more requests than it may`,
      "ask less often, or start the agent with a higher --max-requests",
      this.#requests.waitS(name),
    );
  }

  /** Whether an address may try a token on another port. */
  mayTry(peer: string): boolean {
    return this.tokens === undefined || this.#wrong.has(originOf(peer));
  }

  /** An address has sent a wrong token on another port. */
  wasWrong(peer: string): void {
    this.#wrong.take(originOf(peer));
  }

  /** Who has guessed too often is not answered whether a token is right, be it so: else guessing would go on. */
  #checkWrong(origin: string): void {
    if (this.tokens === undefined || this.#wrong.has(origin)) return;
    throw new TooManyError(
      "too-many-wrong-tokens",
      "this address has sent too many wrong tokens",
      "wait, and send a right one",
      this.#wrong.waitS(origin),
    );
  }
}
