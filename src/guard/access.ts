// Who may speak to a server over TCP, and on which addresses it may listen at all.

import { isIP } from "node:net";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import type { HostNames } from "./host-names.ts";
import type { TlsIdentity } from "./tls.ts";
import type { TokenEntry, Tokens } from "./tokens.ts";

export interface AccessOptions {
  host: string;
  /** Of which clients over TCP must send one; undefined when none is asked for. */
  tokens?: readonly TokenEntry[];
  tls?: TlsIdentity;
  insecure: boolean;
  /** Names of this host, besides its own and those of its certificate. */
  allowHosts?: readonly string[];
}

/** A server would listen to strangers. */
export class ExposedError extends Error {
  override readonly name = "ExposedError";

  constructor(
    host: string,
    readonly hint: string,
  ) {
    super(`${host} is reachable from other hosts, and anybody there could read metrics`);
  }
}

/**
 * Whether only this host can reach a listener. Names below `localhost` do not count, though requests to them stay on the
 * host: a resolver may have another address for them.
 */
export function listensOnLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/**
 * @param hint what to do about it, with the server's flags
 * @throws ExposedError when strangers could use the server and nobody has said that they may
 */
export function checkExposure({ host, tokens, tls, insecure }: AccessOptions, hint: string): void {
  if (listensOnLoopback(host) || tokens !== undefined || tls !== undefined || insecure) return;
  throw new ExposedError(host, hint);
}

/** What callers without a token may do, and under which names they may ask. */
export interface Anonymous {
  grant: Grant;
  names: HostNames;
  /** The flag that adds a name. */
  allowHostFlag: string;
}

/**
 * What a request over TCP may see. One that has no right to be answered is refused.
 * @param tokens undefined when none is asked for
 * @throws CallError 401 for a missing or wrong token, 403 for a page of another site in the user's browser
 */
export function checkRequest(
  request: Request,
  tokens: Tokens | undefined,
  { grant: anyone, names, allowHostFlag }: Anonymous,
): Grant {
  if (tokens !== undefined) {
    const sent = request.headers.get("authorization");
    const grant = tokens.identify(sent);
    if (grant !== undefined) return grant;
    throw new CallError(
      "denied",
      (sent ?? "") === ""
        ? "the server asks for a token, and none was sent"
        : "the server does not know the token that was sent",
      "send Authorization: Bearer TOKEN",
      401,
    );
  }
  // Without a token, being on this host is the right. A browser is on this host for any page it shows: a page's
  // own requests carry its origin, and a name that was bound to this address afterwards stands in Host.
  const host = hostName(request.headers.get("host") ?? "");
  const origin = request.headers.get("origin");
  if (origin !== null && hostName(origin.replace(/^https?:\/\//, "")) !== host) {
    throw new CallError(
      "foreign-origin",
      "the request comes from a web page of another site",
      "use the address of the server, or have it ask for tokens",
      403,
    );
  }
  if (!names.has(host)) {
    throw new CallError(
      "foreign-host",
      "the request names a host that is not known to be this one",
      `use its address, or start the server with ${allowHostFlag} and the name, with a certificate that has the name, or with tokens`,
      403,
    );
  }
  return anyone;
}

function hostName(hostAndPort: string): string {
  const inBrackets = /^\[([^\]]*)\]/.exec(hostAndPort);
  return inBrackets?.[1] ?? hostAndPort.replace(/:\d*$/, "");
}
