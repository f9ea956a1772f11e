// What the collector's two sides, main thread and reading thread, say to each other.

import type { StructureNews } from "../layout/index.ts";
import type { Question } from "./agent-client.ts";
import type { Filter } from "./filter.ts";
import type { TransportCounters, TransportName } from "./transport.ts";
import type { VerbsSpec } from "./verbs-transport.ts";

/** How an agent is reached. */
export type TargetSpec =
  /** `uids` are the users whose pools are read. */
  | { transport: "mmap"; poolDir: string | null; uids: number[] }
  | { transport: "tcp"; host: string; port: number; token: string }
  | ({ transport: "verbs" } & VerbsSpec);

/** How the reading thread waits for READs; see Spinner. */
export type PollMode = "adaptive" | "event" | "spin";

export type ToReader =
  | {
      kind: "start";
      filter: Filter;
      intervalNs: number;
      /** How many snapshots of a pool may wait for the main thread. */
      buffers: number;
      poll: PollMode;
      wakeFd: number;
      /** Int32: how many messages were posted. */
      posted: SharedArrayBuffer;
    }
  | { kind: "target"; target: number; spec: TargetSpec }
  /** What an agent answered to an "ask", or why it did not. */
  | { kind: "answer"; target: number; ask: number; answer: unknown; error: string | undefined }
  /** The agent is gone, as the main thread has noticed. */
  | { kind: "lose"; target: number; reason: string }
  | { kind: "stop" };

/** A pool of a target, under a number that the reading thread gives it. */
export interface ReadPool {
  target: number;
  pool: number;
  app: string;
}

/** What a pool's directory has that cannot be read, or is not known. */
export interface DirectoryFlaws {
  /** Damaged places. */
  damageCount: number;
  /** The last of them, in words. */
  damage: string | undefined;
  /** Types of records that are left out. */
  skippedTypes: number;
  /** Which, in words. */
  skipped: string | undefined;
}

/**
 * Why a snapshot was not taken: the consumer is slow, the structure does not stand still, or makes no sense, or the
 * connection to this pool broke. `unreadable` is a file that is not even listed as a pool.
 */
export type SkipReason = "overrun" | "unsettled" | "damaged" | "broken" | "unreadable";

export type FromReader =
  /** What series a pool has from here on. */
  | { kind: "structure"; pool: ReadPool; news: StructureNews; flaws: DirectoryFlaws }
  | {
      kind: "snapshot";
      pool: ReadPool;
      buffer: SharedArrayBuffer;
      /** Int32 at which 0 is stored when the buffer may be used again. */
      state: SharedArrayBuffer;
      index: number;
      generation: number;
      /** Of the structure that it is of. */
      serial: number;
      deadlineNs: number;
      startNs: number;
      endNs: number;
      startUnixMs: number;
      /** What the target's transport has done so far. */
      counters: TransportCounters;
    }
  /** Something that only REST can tell or do. */
  | { kind: "ask"; target: number; ask: number; question: Question }
  /** A snapshot was not taken. */
  | { kind: "skipped"; target: number; app: string; reason: SkipReason; detail: string }
  | { kind: "gone"; target: number; pool: number; app: string }
  /** `pools` are those that the filter wants, at this moment; `apps` all that there are. */
  | { kind: "connected"; target: number; transport: TransportName; pools: number; apps: string[] }
  | { kind: "lost"; target: number; reason: string }
  | { kind: "stopped" };
