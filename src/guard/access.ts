// Decides who may call a server over TCP, and on which addresses a server may listen at all.

import { isIP } from "node:net";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import type { HostNames } from "./host-names.ts";
import type { TlsIdentity } from "./tls.ts";
import type { TokenEntry, Tokens } from "./tokens.ts";

export interface AccessOptions {
  host: string;
  /** Clients over TCP must send one of these. Undefined: the server asks for no token. */
  tokens?: readonly TokenEntry[];
  tls?: TlsIdentity;
  insecure: boolean;
  /** More names of this host, besides its own and those in its certificate. */
  allowHosts?: readonly string[];
}

/** The server would be open to other hosts. */
export class ExposedError extends Error {
  override readonly name = "ExposedError";

  constructor(
    host: string,
    readonly hint: string,
    could: string,
  ) {
    super(`${host} is reachable from other hosts, and anybody there could ${could}`);
  }
}

/**
 * Whether only this host can reach a listener. Names below `localhost` do not count: a resolver may have another address
 * for them.
 */
export function listensOnLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/**
 * @param hint what to do about it; names the server's flags
 * @param could what anybody could do then
 * @throws ExposedError when other hosts could use the server and nothing allows that
 */
export function checkExposure(
  { host, tokens, tls, insecure }: AccessOptions,
  hint: string,
  could = "read metrics",
): void {
  if (listensOnLoopback(host) || tokens !== undefined || tls !== undefined || insecure) return;
  throw new ExposedError(host, hint, could);
}

/** What callers without a token may do, and which host names their requests may have. */
export interface Anonymous {
  grant: Grant;
  names: HostNames;
  /** The flag that allows another name. */
  allowHostFlag: string;
}

/**
 * The rights of a request over TCP.
 * @param tokens undefined when the server asks for none
 * @throws CallError 401 for a missing or wrong token, 403 when a page of another site sends it through a browser
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
  // Without tokens, any caller on this host may read. A browser on this host also runs pages of other sites. Their
  // requests carry the page's Origin. After DNS rebinding, they carry the site's name in Host.
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
