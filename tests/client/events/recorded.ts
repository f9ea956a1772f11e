// What a client of a test has recorded so far, read from the files of its rings.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RingEvent } from "../../../src/layout/index.ts";
import type { TestHost } from "../../support/host.ts";
import { readAll, readerOf } from "../../support/rings.ts";

export function ringPaths(host: TestHost, app = "shop"): string[] {
  return ringsIn(join(host.poolDir, app));
}

function ringsIn(folder: string): string[] {
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
  return eventsIn(join(host.poolDir, "shop"));
}

export function messagesOf(host: TestHost): string[] {
  return messagesIn(join(host.poolDir, "shop"));
}

/** Messages in all rings of an application's folder. */
export function messagesIn(folder: string): string[] {
  return eventsIn(folder).flatMap((event) => (event.kind === "log" ? [event.message] : []));
}

function eventsIn(folder: string): RingEvent[] {
  return ringsIn(folder).flatMap((path) => readAll(readerOf(new Uint8Array(readFileSync(path)))));
}
