// Which applications a caller's grant lets it see, list and open.

import type { Grant } from "../../guard/index.ts";
import { AGENT_APP } from "../../layout/index.ts";
import { AgentError, unknownApp } from "../errors.ts";
import type { Application } from "./application.ts";
import type { Pools } from "./pools.ts";

/** What the grant does not allow does not exist. */
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
