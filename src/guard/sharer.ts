// Whom a request counts as where callers share something that is scarce. Used by servers that share turns or memory.

import { ANYONE, addressOf, grantOf } from "./grants.ts";
import { callerOf } from "./wrong-tokens.ts";

/** Its token, wherever it is used from; without one its address. @throws Error for one that did not come through a listener */
export function sharerOf(request: Request): string {
  const { name } = grantOf(request);
  return name === ANYONE.name ? `at ${callerOf(addressOf(request))}` : `token ${name}`;
}
