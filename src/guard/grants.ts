// The rights of a caller. Listeners attach a grant to each request, and routes read it by `grantOf(request)`. It is kept
// beside the request, so nothing that a client sends can forge it.

import type { Scope } from "../calling/index.ts";
import { DEFAULT_SCOPES } from "./scopes.ts";

/** What the sender of a request, or the peer of a connection, may see and do. */
export interface Grant {
  /** The token's name in logs, lists and limits; `local` on the socket, `anyone` if the server asks for no tokens. */
  readonly name: string;
  /** It may see every application, also future ones. */
  readonly all: boolean;
  /** What it may do with the applications. */
  readonly scopes: ReadonlySet<Scope>;
  /** Advice for each missing scope. Without it, errors point to the token file. */
  readonly hints?: Readonly<Partial<Record<Scope, string>>>;
  /** Whether it may see and use an application. The application need not exist. */
  allows(app: string): boolean;
}

/** Callers on the Unix socket. Its permissions decide who they are. They are services, so they may not administer. */
export const LOCAL: Grant = everything("local");

/** The server's own user, or root, on the Unix socket. */
export const OWNER: Grant = everything("owner", [...DEFAULT_SCOPES, "admin"]);

/** Callers over TCP of a server that asks for no tokens. On a host with several users that is any of them. */
export function anyone(scopes: readonly Scope[], hints?: Grant["hints"]): Grant {
  return { ...everything("anyone", scopes), ...(hints === undefined ? {} : { hints }) };
}

export const ANYONE = anyone(["read"]);

/** Callers that are not identified yet. */
export const NOBODY: Grant = {
  name: "nobody",
  all: false,
  scopes: new Set(),
  allows: () => false,
};

function everything(name: string, scopes: readonly Scope[] = DEFAULT_SCOPES): Grant {
  return { name, all: true, scopes: new Set(scopes), allows: () => true };
}

interface Admission {
  grant: Grant;
  peer: string;
}

const admitted = new WeakMap<Request, Admission>();

/**
 * Attaches a grant to a request. Only listeners do so.
 * @param peer the address it comes from; empty on the Unix socket
 * @returns the request
 */
export function withGrant(request: Request, grant: Grant, peer = ""): Request {
  admitted.set(request, { grant, peer });
  return request;
}

/** The grant of a request. @throws Error for one that did not come through a listener */
export function grantOf(request: Request): Grant {
  return admissionOf(request).grant;
}

/** The address that a request comes from. @throws Error for one that did not come through a listener */
export function addressOf(request: Request): string {
  return admissionOf(request).peer;
}

function admissionOf(request: Request): Admission {
  const admission = admitted.get(request);
  if (admission === undefined) throw new Error("the request came without a grant");
  return admission;
}
