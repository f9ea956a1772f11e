// How many files this process may open, and how many connections that leaves room for.

import { readFileSync } from "node:fs";
import type { ConnectionLimits } from "./connections.ts";

/** What a server has open besides connections: sockets, pools, what it reads at each scan. */
const RESERVED = 40;

/** Numbers beyond are not looked at where they have to be tried. */
export const MAX_TRIED = 1 << 20;

export function openFilesMax(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return Number(soft ?? MAX_TRIED);
}

/**
 * The limits, with as many connections as there are files for: to each of the ports, and as many again that come at the
 * same moment. Without that the files would end first, and nobody would make room for anybody.
 */
export function fitConnections<Limits extends ConnectionLimits>(
  limits: Limits,
  openMax = openFilesMax(),
): Limits {
  const room = Math.max(1, Math.floor((openMax - RESERVED) / 3));
  if (room >= limits.connections) return limits;
  const connectionsEach = Math.min(limits.connectionsEach, room);
  return { ...limits, connections: room, connectionsEach };
}
