// Routes by which an operator says what services record: levels, spans, measures and sampling, for a time.

import { Elysia } from "elysia";
import {
  type EventRule,
  EventRules,
  type RuleScope,
  type RulesChange,
} from "../../events/index.ts";
import { type Grant, grantOf, needs } from "../../guard/index.ts";
import type { EventScope, EventSetting, EventSettingsRequest } from "../../rest/index.ts";
import { AgentError, LimitError } from "../errors.ts";
import type { Contract } from "./contract.ts";

/** Stores rules in rings, those that are held now and those that come. @returns in how many of now */
export type Follow = (change: RulesChange) => number | Promise<number>;

/** A name that is no pattern. */
const PLAIN = /^[^*?[\]{}\\]+$/;

export function eventRoutes(contract: Contract, follow: Follow) {
  const rules = new EventRules();
  return new Elysia({ normalize: false })
    .get(
      "/v1/events/settings",
      async () => ({
        settings: rules.all().map(listed),
        rings: await follow({ rules: rules.all() }),
      }),
      {
        ...contract("GET /v1/events/settings"),
        detail: { summary: "What services were asked to record", ...needs("admin") },
      },
    )
    .post(
      "/v1/events/settings",
      async ({ body, request }) => {
        checkScope(body, grantOf(request));
        if (!rules.set(ruleOf(body, Date.now()))) {
          throw new LimitError(
            "settings-full",
            "there are too many settings of events already",
            "take some back: DELETE /v1/events/settings",
          );
        }
        return { rings: await follow({ rules: rules.all(), counted: body }) };
      },
      {
        ...contract("POST /v1/events/settings"),
        detail: { summary: "Ask services to record more or less, for a time", ...needs("admin") },
      },
    )
    .delete(
      "/v1/events/settings",
      async ({ body, request }) => {
        checkScope(body, grantOf(request));
        rules.reset(body);
        return { rings: await follow({ rules: rules.all(), cleared: body }) };
      },
      {
        ...contract("DELETE /v1/events/settings"),
        detail: { summary: "Take back what was asked for", ...needs("admin") },
      },
    );
}

/** @throws AgentError for applications that the caller may not see: a pattern could fit some of them */
function checkScope({ apps }: EventScope, grant: Grant): void {
  if (grant.all) return;
  const denied = apps.find((app) => !PLAIN.test(app) || !grant.allows(app));
  if (apps.length > 0 && denied === undefined) return;
  throw new AgentError(
    "denied-app",
    `the token ${grant.name} may not change ${denied === undefined ? "every application" : JSON.stringify(denied.slice(0, 80))}`,
    "name the applications of its apps= one by one",
    403,
  );
}

function ruleOf(
  { forMs, apps, services, ...asked }: EventSettingsRequest,
  nowMs: number,
): EventRule {
  return { apps, services, ...asked, untilMs: forMs === 0 ? 0 : nowMs + forMs };
}

function listed({ untilMs, ...rule }: EventRule & RuleScope): EventSetting {
  return { ...rule, until: untilMs === 0 ? null : new Date(untilMs).toISOString() };
}
