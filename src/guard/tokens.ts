// The tokens of clients over TCP, and what each grants. The main thread uses them for HTTP, the data plane's thread
// for its connections. Both keep only hashes of the tokens.

import { timingSafeEqual } from "node:crypto";
import type { Scope } from "../calling/index.ts";
import { isAppName } from "../layout/index.ts";
import type { TokenListing } from "../rest/index.ts";
import { globs } from "../text/index.ts";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import { DEFAULT_SCOPES } from "./scopes.ts";

/** A token as a server gets it. */
export interface TokenEntry {
  token: string;
  /** Used instead of the token in logs and messages. */
  name: string;
  /** Globs of the applications that it may see. Undefined: all. */
  apps?: readonly string[];
  /** What it may do. Undefined: {@link DEFAULT_SCOPES}. */
  scopes?: readonly Scope[];
  /** When it expires, in milliseconds of Unix time. Undefined: never. */
  expiresAtMs?: number;
}

/** A token as a server's threads keep it, hashed, so that it cannot be sent. */
export interface KnownToken extends Omit<TokenEntry, "token"> {
  hash: Uint8Array;
}

/** The token is known but has expired. Only a caller that has the token gets this error. */
export class ExpiredTokenError extends CallError {
  override readonly name = "ExpiredTokenError";

  constructor(readonly tokenName: string) {
    super(
      "expired-token",
      `the token ${tokenName} has expired`,
      "have a new one put into the server's token file",
      401,
    );
  }
}

/** Tokens in the form in which they may be kept. */
export function hashed(entries: readonly TokenEntry[]): KnownToken[] {
  return entries.map(({ token, ...kept }) => ({ ...kept, hash: hashOf(token) }));
}

/** Compares two hashes. A parameter, so that a test can check that all are compared. */
type Compare = (a: Uint8Array, b: Uint8Array) => boolean;

interface Entry {
  known: KnownToken;
  grant: Grant;
}

export class Tokens {
  #entries: readonly Entry[];

  constructor(
    known: readonly KnownToken[],
    readonly compare: Compare = timingSafeEqual,
  ) {
    this.#entries = known.map((each) => ({ known: each, grant: grantFor(each) }));
  }

  /** All tokens, hashed. */
  get known(): readonly KnownToken[] {
    return this.#entries.map(({ known }) => known);
  }

  list(): TokenListing[] {
    return this.known.map((known) => ({
      name: known.name,
      apps: known.apps ?? null,
      scopes: [...scopesOf(known)],
      expires: known.expiresAtMs === undefined ? null : new Date(known.expiresAtMs).toISOString(),
    }));
  }

  /** Replaces all tokens. A token whose rights do not change keeps its grant. */
  replace(known: readonly KnownToken[]): void {
    const before = this.#entries;
    this.#entries = known.map((each) => {
      const same = before.find((entry) => hasSameRights(entry.known, each));
      return { known: each, grant: same?.grant ?? grantFor(each) };
    });
  }

  /** Whether a grant is still valid: its token is there with the same rights, and has not expired. */
  holds(grant: Grant, nowMs = Date.now()): boolean {
    const entry = this.#entries.find((each) => each.grant === grant);
    return entry !== undefined && !isExpired(entry.known, nowMs);
  }

  /**
   * The grant for an Authorization header; undefined if it has none of the tokens.
   * @throws ExpiredTokenError
   */
  identify(authorization: string | null): Grant | undefined {
    const [scheme, token] = split(authorization ?? "");
    const entry = this.#find(token);
    return scheme === "Bearer " ? grantOfLiving(entry) : undefined;
  }

  /** The grant of a token; undefined if it is not one of them. @throws ExpiredTokenError */
  find(token: string | Uint8Array): Grant | undefined {
    return grantOfLiving(this.#find(token));
  }

  /** Whether a text is one of the tokens, even an expired one. Such a text must not be shown. */
  has(text: string): boolean {
    return this.#find(text) !== undefined;
  }

  /** Compares all tokens, also after a match, so that the time it takes reveals nothing. */
  #find(token: string | Uint8Array): Entry | undefined {
    const hash = hashOf(token);
    let found: Entry | undefined;
    for (const entry of this.#entries) {
      if (this.compare(hash, entry.known.hash)) found = entry;
    }
    return found;
  }
}

function grantOfLiving(entry: Entry | undefined): Grant | undefined {
  if (entry !== undefined && isExpired(entry.known, Date.now())) {
    throw new ExpiredTokenError(entry.known.name);
  }
  return entry?.grant;
}

export function isExpired({ expiresAtMs }: KnownToken, nowMs: number): boolean {
  return expiresAtMs !== undefined && nowMs >= expiresAtMs;
}

/** The time of expiry is not compared: a grant does not depend on it. */
function hasSameRights(a: KnownToken, b: KnownToken): boolean {
  return (
    a.name === b.name &&
    Buffer.compare(a.hash, b.hash) === 0 &&
    Bun.deepEquals(a.apps, b.apps) &&
    Bun.deepEquals(scopesOf(a), scopesOf(b))
  );
}

function scopesOf({ scopes = DEFAULT_SCOPES }: KnownToken): ReadonlySet<Scope> {
  return new Set(scopes);
}

function split(authorization: string): [scheme: string, token: string] {
  const end = "Bearer ".length;
  return [authorization.slice(0, end), authorization.slice(end)];
}

function grantFor(known: KnownToken): Grant {
  const { name, apps } = known;
  const scopes = scopesOf(known);
  if (apps === undefined) return { name, all: true, scopes, allows: () => true };
  // An empty list of globs would match every name.
  const fits = apps.length === 0 ? () => false : globs(apps);
  return { name, all: false, scopes, allows: (app) => isAppName(app) && fits(app) };
}

function hashOf(token: string | Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(token).digest();
}
