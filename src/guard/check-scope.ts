// Checks that a caller has the scope of a route, and says what to do if it has not.

import type { Scope } from "../calling/index.ts";
import { CallError } from "./errors.ts";
import type { Grant } from "./grants.ts";
import type { Need } from "./scopes.ts";

/** @throws CallError 403 whose code names the missing scope */
export function checkScope(grant: Grant, need: Need | undefined): void {
  if (need === "known") return;
  if (need === undefined) {
    throw new CallError(
      "no-scope-declared",
      "nobody may call this: it does not say which scope it is for",
      "tell the maintainers: it is a fault of this version",
      403,
    );
  }
  if (grant.scopes.has(need)) return;
  throw new CallError(
    `needs-${need}-scope`,
    `${callerOf(grant)} the scope ${need}`,
    hintFor(grant, need),
    403,
  );
}

function callerOf({ name }: Grant): string {
  if (name === "anyone") return "callers without a token lack";
  return name === "local" ? "callers on the socket lack" : `the token ${name} lacks`;
}

function hintFor({ name, hints }: Grant, need: Scope): string {
  const known = hints?.[need];
  if (known !== undefined) return known;
  return name === "local" || name === "anyone"
    ? `call over TCP with a token that has scopes=${need} in the server's token file`
    : "see scopes= in the server's token file";
}
