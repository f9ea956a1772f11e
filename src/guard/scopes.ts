// The scope that each route needs. A route declares it by `detail: { ...needs(…) }`. A route without a declaration
// refuses every caller. The scopes themselves are in src/calling.

import type { Scope } from "../calling/index.ts";

/** The scopes of a token whose line names none: what every token could do before there were scopes. */
export const DEFAULT_SCOPES: readonly Scope[] = ["read", "register"];

/** What a route needs. `known`: any valid token. */
export type Need = Scope | "known";

const NEED = "x-microview-scope";

/** Part of a route's `detail`. The OpenAPI document shows it too. */
export function needs(need: Need): { [NEED]: Need } {
  return { [NEED]: need };
}

/** A route with its `detail`, either written by hand or as Elysia keeps it. */
export interface Declared {
  detail?: object;
  hooks?: { detail?: object };
}

/** What a route needs; undefined if it declares nothing. */
export function needOf({ detail, hooks }: Declared): Need | undefined {
  return ((detail ?? hooks?.detail) as { [NEED]?: Need } | undefined)?.[NEED];
}
