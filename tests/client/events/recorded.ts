// What a client of a test has recorded so far, read from the files of its rings.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RingEvent } from "../../../src/layout/index.ts";
import type { TestHost } from "../../support/host.ts";
import { readAll, readerOf } from "../../support/rings.ts";

export function ringPaths(host: TestHost, app = "shop"): string[] {
  const folder = join(host.poolDir, app);
  return readdirSync(folder)
    .filter((name) => name.startsWith("events."))
    .map((name) => join(folder, name));
}

/** The only ring of a host. */
export function ringPath(host: TestHost): string {
  const [path, ...others] = ringPaths(host);
  if (path === undefined || others.length > 0) throw new Error(`${others.length} rings more`);
  return path;
}

/** All events of a host's rings. */
export function eventsOf(host: TestHost): RingEvent[] {
  return ringPaths(host).flatMap((path) => readAll(readerOf(new Uint8Array(readFileSync(path)))));
}

export function messagesOf(host: TestHost): string[] {
  return eventsOf(host).flatMap((event) => (event.kind === "log" ? [event.message] : []));
}
