// What a caller may see: every listener gives each request its grant, and routes ask for it by `grantOf(request)`.
// It travels beside the request and not in it, so nothing that a client sends can forge one.

import { AGENT_APP } from "../layout/index.ts";
import type { Application } from "./application.ts";
import { AgentError, unknownApp } from "./errors.ts";
import type { Pools } from "./pools.ts";
import { DEFAULT_SCOPES, type Scope } from "./scopes.ts";

/** What whoever has sent a request, or opened a connection, may see. */
export interface Grant {
  /** Stands for the token in logs, listings and limits; `local` on the socket, `anyone` when no token is asked for. */
  readonly name: string;
  /** It may see every application, also those that are to come. */
  readonly all: boolean;
  /** What it may do with them. */
  readonly scopes: ReadonlySet<Scope>;
  /** Whether an application, which need not exist, may be seen and used. */
  allows(app: string): boolean;
}

/** Of those who may open the Unix socket: its permissions are their right. Services do, so it is no right to manage. */
export const LOCAL: Grant = everything("local");

/** Of those who come over TCP while no token is asked for: on a host with several users that is each of them. */
export const ANYONE: Grant = everything("anyone", ["read"]);

/** Of the same, where the prototype's clients are to be served, which have no token to send. */
export const ANYONE_REGISTERING: Grant = everything("anyone");

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
export function peerOf(request: Request): string {
  return admissionOf(request).peer;
}

function admissionOf(request: Request): Admission {
  const admission = admitted.get(request);
  if (admission === undefined) throw new Error("the request came without a grant");
  return admission;
}

/** The applications of a host as a grant shows them: what it does not allow does not exist. */
export class GrantedPools {
  constructor(
    readonly pools: Pools,
    readonly grant: Grant,
  ) {}

  *[Symbol.iterator](): Generator<Application> {
    for (const application of this.pools) {
      if (this.grant.allows(application.name)) yield application;
    }
  }

  /** @throws AgentError 404 when there is no such application, or the grant does not allow it */
  get(app: string): Application {
    if (!this.grant.allows(app)) throw unknownApp(app);
    return this.pools.get(app);
  }

  /** The application, made if there is none. @throws AgentError 403 when the grant does not allow it */
  open(app: string): Application {
    if (!this.grant.allows(app)) {
      throw new AgentError(
        "denied-app",
        `the token ${this.grant.name} is not for application ${JSON.stringify(app.slice(0, 80))}`,
        "see apps= in the agent's --token-file, or attach through the agent's Unix socket",
        403,
      );
    }
    if (app === AGENT_APP) {
      throw new AgentError(
        "reserved-app",
        `application ${AGENT_APP} is the agent's own, for its metrics and those of processes`,
        "give the application another name",
        403,
      );
    }
    return this.pools.open(app, this.grant);
  }
}
