// What each route asks of its caller. A route says so where it is defined, by `detail: { ...needs(…) }`; one that says
// nothing is refused to everybody. The scopes themselves are in src/calling, with the contract.

import type { Scope } from "../calling/index.ts";

/** What a token has whose line names no scopes: all that there was before there were scopes. */
export const DEFAULT_SCOPES: readonly Scope[] = ["read", "register"];

/** What a route asks of its caller; `known`: any token that is right. */
export type Need = Scope | "known";

const NEED = "x-microview-scope";

/** Part of a route's `detail`: what it asks for, as the OpenAPI document shows it too. */
export function needs(need: Need): { [NEED]: Need } {
  return { [NEED]: need };
}

/** A route, with its `detail` as it was written or as Elysia keeps it. */
export interface Declared {
  detail?: object;
  hooks?: { detail?: object };
}

/** What a route asks for; undefined for one that does not say. */
export function needOf({ detail, hooks }: Declared): Need | undefined {
  return ((detail ?? hooks?.detail) as { [NEED]?: Need } | undefined)?.[NEED];
}
