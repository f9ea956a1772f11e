// The tokens that clients on TCP may send, and what each of them grants. The main thread asks them for REST, the data
// plane's thread for its connections; neither keeps a token, only what it hashes to.

import { timingSafeEqual } from "node:crypto";
import type { Scope } from "../calling/index.ts";
import { isAppName } from "../layout/index.ts";
import type { TokenListing } from "../rest/index.ts";
import { globs } from "../text/index.ts";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import { DEFAULT_SCOPES } from "./scopes.ts";

/** A token as it is given to a server. */
export interface TokenEntry {
  token: string;
  /** Stands for the token wherever it is spoken of. */
  name: string;
  /** Globs of the applications that exist for it; all do when it has none. */
  apps?: readonly string[];
  /** What it may do; {@link DEFAULT_SCOPES} when it has none. */
  scopes?: readonly Scope[];
  /** From when on it is worth nothing, in milliseconds of Unix time; never when it has none. */
  expiresAtMs?: number;
}

/** A token as a server's threads keep it: nothing in it can be sent by a client. */
export interface KnownToken extends Omit<TokenEntry, "token"> {
  hash: Uint8Array;
}

/** A token that was right, and has expired. Only who has it is told. */
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

/** What may be kept of tokens. */
export function hashed(entries: readonly TokenEntry[]): KnownToken[] {
  return entries.map(({ token, ...kept }) => ({ ...kept, hash: hashOf(token) }));
}

/** How two hashes are compared; a parameter so that a test can see that all of them are. */
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

  /** What is known of them, hashes and all. */
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

  /** Takes others in their place. A token that stays with the rights that it had keeps its grant. */
  replace(known: readonly KnownToken[]): void {
    const before = this.#entries;
    this.#entries = known.map((each) => {
      const same = before.find((entry) => hasSameRights(entry.known, each));
      return { known: each, grant: same?.grant ?? grantFor(each) };
    });
  }

  /** Whether a grant that was given is still worth something: its token stands, as it stood, and has not expired. */
  holds(grant: Grant, nowMs = Date.now()): boolean {
    const entry = this.#entries.find((each) => each.grant === grant);
    return entry !== undefined && !isExpired(entry.known, nowMs);
  }

  /**
   * What an Authorization header grants, or undefined when it carries none of the tokens.
   * @throws ExpiredTokenError
   */
  identify(authorization: string | null): Grant | undefined {
    const [scheme, token] = split(authorization ?? "");
    const entry = this.#find(token);
    return scheme === "Bearer " ? grantOfLiving(entry) : undefined;
  }

  /** What a token grants, or undefined for none of them. @throws ExpiredTokenError */
  find(token: string | Uint8Array): Grant | undefined {
    return grantOfLiving(this.#find(token));
  }

  /** Whether a text is one of them, be it expired, and so may not be shown. */
  has(text: string): boolean {
    return this.#find(text) !== undefined;
  }

  /** How long it takes tells nothing of the tokens: each is compared, whichever fits. */
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

/** An end that moved changes no right that a grant carries. */
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
  // A list without globs would fit every name.
  const fits = apps.length === 0 ? () => false : globs(apps);
  return { name, all: false, scopes, allows: (app) => isAppName(app) && fits(app) };
}

function hashOf(token: string | Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(token).digest();
}
