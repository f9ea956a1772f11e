// The label `instance` of remote write.

import { hostname } from "node:os";
import { LOCAL_SOURCE } from "../../layout/index.ts";

/** An agent's name, which tells its series from those of others; this host's has none but the host's. */
export function instanceOf(source: string): string {
  return source === LOCAL_SOURCE ? hostname() : source;
}
