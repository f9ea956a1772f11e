// Decides who may call one of our programs, on all of its ports: tokens, host names, and a record of what was refused.

import type { X509Certificate } from "node:crypto";
import type { Grant } from "./grants.ts";
import { HostNames } from "./host-names.ts";
import { Refusals, type RefusalsOptions } from "./refusals.ts";
import { CertificateEnd } from "./tls.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { TokenEntry, Tokens } from "./tokens.ts";

/** The server's flags that errors name. */
export interface GuardFlags {
  /** Allows another host name for callers without a token. */
  allowHost: string;
  /** Raises the limit of requests, if there is such a flag. */
  maxRequests?: string;
  cert: string;
  key: string;
  clientCa: string;
}

interface GuardOptions extends Omit<RefusalsOptions, "tokens" | "anonymous" | "maxRequestsFlag"> {
  flags: GuardFlags;
  /** Callers over TCP must send one of these. Undefined: the server asks for no token. */
  tokens: readonly TokenEntry[] | undefined;
  /** The rights of callers over TCP if the server asks for no tokens. */
  anyone: Grant;
  /** More names of this host, besides its own and those in its certificate. */
  allowHosts?: readonly string[] | undefined;
  /** Called when a token may have lost rights. */
  tokensChanged?: () => void;
}

export class Guard {
  readonly refusals: Refusals;
  readonly flags: GuardFlags;
  readonly #keeper: TokenKeeper | undefined;
  readonly #names: HostNames;
  readonly #certificate: CertificateEnd;

  constructor(options: GuardOptions) {
    const { tokens, anyone, allowHosts, tokensChanged = () => {}, flags, ...rest } = options;
    this.flags = flags;
    this.#keeper = tokens && new TokenKeeper(tokens, rest.log, tokensChanged);
    this.#names = new HostNames(allowHosts);
    this.#certificate = new CertificateEnd(rest.log);
    this.refusals = new Refusals({
      ...rest,
      tokens: this.tokens,
      anonymous: { grant: anyone, names: this.#names, allowHostFlag: flags.allowHost },
      maxRequestsFlag: flags.maxRequests,
    });
  }

  /** Undefined if the server asks for none. */
  get tokens(): Tokens | undefined {
    return this.#keeper?.tokens;
  }

  /** Replaces the tokens. @throws Error if the server was started without any */
  renewTokens(entries: readonly TokenEntry[]): void {
    if (this.#keeper === undefined) throw new Error("the server was started without tokens");
    this.#keeper.replace(entries);
  }

  /** Takes note of a new certificate: its names are allowed as host names, and its expiry is watched. */
  certify(certificate: X509Certificate): void {
    this.#names.certify(certificate);
    this.#certificate.set(certificate);
  }

  /** Logs tokens and certificates that expire, and how many refusals were not logged. Call it at intervals. */
  look(nowMs = Date.now()): void {
    this.#keeper?.look(nowMs);
    this.#certificate.look(nowMs);
    this.refusals.count();
  }
}
