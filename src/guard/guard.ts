// Who may call a program of ours, on whichever of its ports: its tokens, its names, and note of all that it refuses.

import type { X509Certificate } from "node:crypto";
import type { Grant } from "./grants.ts";
import { HostNames } from "./host-names.ts";
import { Refusals, type RefusalsOptions } from "./refusals.ts";
import { CertificateEnd } from "./tls.ts";
import { TokenKeeper } from "./token-keeper.ts";
import type { TokenEntry, Tokens } from "./tokens.ts";

/** The flags of the server, as those who are refused, and whoever starts it, are told of them. */
export interface GuardFlags {
  /** Adds a name under which callers without a token may ask. */
  allowHost: string;
  /** Raises the limit of requests; undefined where there is none. */
  maxRequests?: string;
  cert: string;
  key: string;
  clientCa: string;
}

interface GuardOptions extends Omit<RefusalsOptions, "tokens" | "anonymous" | "maxRequestsFlag"> {
  flags: GuardFlags;
  /** Of which callers over TCP must send one; undefined when none is asked for. */
  tokens: readonly TokenEntry[] | undefined;
  /** What callers over TCP may do where no token is asked for. */
  anyone: Grant;
  /** Names of this host, besides its own and those of its certificate. */
  allowHosts?: readonly string[] | undefined;
  /** A token that was worth something may be no more. */
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

  /** Undefined when none is asked for. */
  get tokens(): Tokens | undefined {
    return this.#keeper?.tokens;
  }

  /** Takes other tokens from now on. @throws Error when none was asked for at the start */
  renewTokens(entries: readonly TokenEntry[]): void {
    if (this.#keeper === undefined) throw new Error("the server was started without tokens");
    this.#keeper.replace(entries);
  }

  /** Another certificate is shown from now on: this host may be asked by its names, and its end is watched. */
  certify(certificate: X509Certificate): void {
    this.#names.certify(certificate);
    this.#certificate.set(certificate);
  }

  /** Says which tokens and certificates end, and how many refusals left no line. To be called now and then. */
  look(nowMs = Date.now()): void {
    this.#keeper?.look(nowMs);
    this.#certificate.look(nowMs);
    this.refusals.count();
  }
}
