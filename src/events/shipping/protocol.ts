// What the agent's main thread and its thread for events tell each other.

import type { ProcessIdentity } from "../../layout/index.ts";
import type { RulesChange } from "../settings.ts";
import type { LossCause } from "./spool.ts";

export interface ShippingOptions {
  /** Address of the lake. */
  lake: string;
  /** File with the token to show it, read again for each request. */
  tokenFile?: string;
  /** Certificates to trust there instead of the system's, PEM. */
  ca?: string;
  spool: string;
  spoolBytes: number;
  spoolAgeMs: number;
  /** Where rings are; undefined for the usual place. */
  poolDir?: string;
  /** What this host is called in rows. */
  host: string;
  /** Ships rings of all users. */
  isForAll: boolean;
  /** For tests: how long a lake may be silent, and how long pauses are. */
  timeoutMs?: number;
  backoffMs?: { first: number; last: number };
}

/** Tells who a process is: its container and pod. @param pid as the agent sees it */
export type Identify = (pid: number) => Promise<ProcessIdentity | undefined>;

/** What became of events so far. Counters but for what waits. */
export interface ShippingStatus {
  rings: number;
  /** Events that the lake has taken. */
  shipped: number;
  requests: number;
  bytes: number;
  retries: number;
  lost: Record<LossCause, number>;
  /** Bytes of rings that could not be read. */
  unreadBytes: number;
  /** Records of types that this version does not know, and has left out. */
  skippedRecords: number;
  waiting: number;
  spoolBytes: number;
  /** How long the oldest has waited. */
  lagMs: number;
  /** Why the spool cannot be written. */
  trouble?: string;
  /** Why the lake takes nothing with the token that it is shown. */
  denied?: string;
  /** Segments that it has refused since this agent has begun, and that still lie aside. */
  aside: number;
}

export type ToShipper =
  | { kind: "start"; options: ShippingOptions }
  /** The answer to `who`. */
  | { kind: "identity"; id: number; identity: ProcessIdentity | undefined }
  | { kind: "follow"; id: number; change: RulesChange }
  | { kind: "stop"; graceMs: number };

export type FromShipper =
  | { kind: "started" }
  | { kind: "failed"; message: string; hint?: string }
  | { kind: "status"; status: ShippingStatus }
  | {
      kind: "log";
      level: "info" | "warn";
      message: string;
      fields: Record<string, string | number>;
    }
  /** Asks who a process is: the main thread knows the names of pods. */
  | { kind: "who"; id: number; pid: number }
  | { kind: "followed"; id: number; rings: number }
  | { kind: "stopped"; left: number };
