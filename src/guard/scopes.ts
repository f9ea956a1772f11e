// What a token may do, and what each route asks for. A route says so where it is defined, by `detail: { ...needs(…) }`;
// one that says nothing is refused to everybody.

import type { Scope } from "../calling/index.ts";

/** What a token has whose line says nothing: all that there was before there were scopes. */
export const DEFAULT_SCOPES: readonly Scope[] = ["read", "register"];

/** What a route asks of its caller; `known`: nothing but a token that is right. */
export type Need = Scope | "known";

const NEED = "x-microview-scope";

/** Part of a route's `detail`: what it asks for, as the OpenAPI document shows it too. */
export function needs(need: Need): { [NEED]: Need } {
  return { [NEED]: need };
}

/** Routes of plugins, which are not defined here. */
const OTHERS: Readonly<Record<string, Need>> = { "GET /openapi/json": "known" };

interface Route {
  method: string;
  path: string;
  hooks?: { detail?: object };
}

/** What each of some routes asks for, by method and pattern; undefined for one that does not say. */
export function needsOf(routes: Iterable<Route>): Map<string, Need | undefined> {
  const found = new Map<string, Need | undefined>();
  for (const { method, path, hooks } of routes) {
    const key = `${method} ${path}`;
    const declared = (hooks?.detail as { [NEED]?: Need } | undefined)?.[NEED];
    found.set(key, declared ?? OTHERS[key]);
  }
  return found;
}
