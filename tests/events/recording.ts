// A service that records in a process of its own until it is killed, and the rings of an application. Tests of followers
// and of shipping use them.

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SharedFile } from "../../src/ffi/index.ts";
import type { TestHost } from "../support/host.ts";

/** A service that logs numbered lines, and how many of its calls have returned. */
export function recordingService(host: TestHost, load: { burst: number; restMs: number }) {
  const countPath = join(host.folder, `count-${crypto.randomUUID()}`);
  writeFileSync(countPath, new Uint8Array(4096));
  const told = { poolDir: host.poolDir, countPath, ...load };
  const child = host.run("tests/events/fixtures/service.ts", told);
  const mapping = SharedFile.open(countPath, false).map(0, 4096, false);
  host.onEnd(() => mapping.unmap());
  const returned = () => new Int32Array(mapping.bytes(0, 4).slice().buffer)[0]!;
  return { child, returned };
}

/** Paths of an application's rings; none where it has no folder. */
export function ringsOf(host: TestHost, app = "shop"): string[] {
  const folder = join(host.poolDir, app);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith("events."))
    .map((name) => join(folder, name));
}
