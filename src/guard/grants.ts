// What a caller may see: every listener gives each request its grant, and routes ask for it by `grantOf(request)`.
// It travels beside the request and not in it, so nothing that a client sends can forge one.

import type { Scope } from "../calling/index.ts";
import { DEFAULT_SCOPES } from "./scopes.ts";

/** What whoever has sent a request, or opened a connection, may see. */
export interface Grant {
  /** Stands for the token in logs, listings and limits; `local` on the socket, `anyone` when no token is asked for. */
  readonly name: string;
  /** It may see every application, also those that are to come. */
  readonly all: boolean;
  /** What it may do with them. */
  readonly scopes: ReadonlySet<Scope>;
  /** What to do about a scope that it lacks, where the server knows better than to name the token file. */
  readonly hints?: Readonly<Partial<Record<Scope, string>>>;
  /** Whether an application, which need not exist, may be seen and used. */
  allows(app: string): boolean;
}

/** Of those who may open the Unix socket: its permissions are their right. Services do, so it is no right to manage. */
export const LOCAL: Grant = everything("local");

/** Of those who come over TCP while no token is asked for: on a host with several users that is each of them. */
export function anyone(scopes: readonly Scope[], hints?: Grant["hints"]): Grant {
  return { ...everything("anyone", scopes), ...(hints === undefined ? {} : { hints }) };
}

export const ANYONE = anyone(["read"]);

/** Of those who have not said yet who they are. */
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
 * Says what a request may see; only listeners do.
 * @param peer the address it comes from; empty on the Unix socket
 * @returns the request
 */
export function withGrant(request: Request, grant: Grant, peer = ""): Request {
  admitted.set(request, { grant, peer });
  return request;
}

/** What a request may see. @throws Error for one that no listener has taken in */
export function grantOf(request: Request): Grant {
  return admissionOf(request).grant;
}

/** The address that a request comes from. @throws Error for one that no listener has taken in */
export function addressOf(request: Request): string {
  return admissionOf(request).peer;
}

function admissionOf(request: Request): Admission {
  const admission = admitted.get(request);
  if (admission === undefined) throw new Error("the request came without a grant");
  return admission;
}
