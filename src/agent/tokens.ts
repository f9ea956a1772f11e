// The tokens that clients on TCP may send, and what each of them grants. The main thread asks them for REST, the data
// plane's thread for its connections; neither keeps a token, only what it hashes to.

import { timingSafeEqual } from "node:crypto";
import { globs, isAppName } from "../layout/index.ts";
import { everything, type Grant } from "./grants.ts";

/** A token as it is given to the agent. */
export interface TokenEntry {
  token: string;
  /** Stands for the token wherever it is spoken of. */
  name: string;
  /** Globs of the applications that exist for it; all do when there are none. */
  apps?: readonly string[];
}

/** A token as the agent's threads keep it: nothing in it can be sent by a client. */
export interface KnownToken {
  name: string;
  hash: Uint8Array;
  apps?: readonly string[];
}

/** What may be kept of tokens. */
export function hashed(entries: readonly TokenEntry[]): KnownToken[] {
  return entries.map(({ token, ...kept }) => ({ ...kept, hash: hashOf(token) }));
}

/** How two hashes are compared; a parameter so that a test can see that all of them are. */
type Compare = (a: Uint8Array, b: Uint8Array) => boolean;

export class Tokens {
  readonly #known: readonly { hash: Uint8Array; grant: Grant }[];

  constructor(
    known: readonly KnownToken[],
    readonly compare: Compare = timingSafeEqual,
  ) {
    this.#known = known.map((each) => ({ hash: each.hash, grant: grantFor(each) }));
  }

  /** What an Authorization header grants, or undefined when it carries none of the tokens. */
  identify(authorization: string | null): Grant | undefined {
    const [scheme, token] = split(authorization ?? "");
    const grant = this.find(token);
    return scheme === "Bearer " ? grant : undefined;
  }

  /** What a token grants. How long that takes tells nothing of the tokens: each is compared, whichever fits. */
  find(token: string | Uint8Array): Grant | undefined {
    const hash = hashOf(token);
    let found: Grant | undefined;
    for (const { hash: known, grant } of this.#known) {
      if (this.compare(hash, known)) found = grant;
    }
    return found;
  }
}

function split(authorization: string): [scheme: string, token: string] {
  const end = "Bearer ".length;
  return [authorization.slice(0, end), authorization.slice(end)];
}

function grantFor({ name, apps }: KnownToken): Grant {
  if (apps === undefined) return everything(name);
  // A list without globs would fit every name.
  const fits = apps.length === 0 ? () => false : globs(apps);
  return { name, all: false, allows: (app) => isAppName(app) && fits(app) };
}

function hashOf(token: string | Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(token).digest();
}
