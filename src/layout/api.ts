// The agent's REST contract, stated once: what the client sends and the agent answers.

import type { MetricDefinition } from "./metrics/metric.ts";

/** POST /v1/apps/:app/writers */
export interface AttachRequest {
  service: string;
  pid: number;
  threadId: number;
  /** Unix ms at which the writer began to count, which may be before it found an agent. */
  since?: number;
  /** Where the writer stores now, when its pool is not the one any more that it finds under the name. */
  previous?: PreviousPlace;
}

/** A writer's place in a pool, as its attachment was answered. */
export interface PreviousPlace {
  writer: number;
  poolId: number;
  lineage: number;
  replacements: number;
}

/** Part of the pool handed to a writer: whole pages, or slots of one. */
export interface Extent {
  page: number;
  pages: number;
  /** First slot and number of slots when the page is shared; 0 and 0 for whole pages. */
  slot: number;
  slots: number;
}

export interface AttachResponse {
  writer: number;
  /** Sent with each call about this writer, in the header Microview-Secret; nobody else gets it. */
  secret: string;
  pool: {
    path: string;
    poolId: number;
    /** Id of the first of the pools that took each other's place with all that was in them. */
    lineage: number;
    /** How many of those came before this one. */
    replacements: number;
    pagesOffset: number;
  };
  /** What the writer has stored in its previous place is counted: it must not bring it along. Absent for false. */
  counted?: boolean;
  /** The bytes of the pool's file whose lock the writer takes and holds while it lives. */
  lock: { offset: number; bytes: number };
  extents: Extent[];
}

/** PUT /v1/apps/:app/writers/:writer/lock: the writer has taken its lock in this pool, and will store into it. */
export interface HoldRequest {
  poolId: number;
}

/** A metric with series of it, as label values in the order of the label names. */
export interface SeriesRequest extends MetricDefinition {
  series: string[][];
}

/** POST /v1/apps/:app/writers/:writer/series */
export interface RegisterRequest {
  metrics: SeriesRequest[];
}

/** Places of consecutive series of the request: [page, slot, count]. */
export type PlacedRun = [page: number, slot: number, count: number];

/** One answer per metric of the request, in its order. Series are placed up to an error. */
export interface RegisterResult {
  runs: PlacedRun[];
  error?: ApiError;
}

export interface RegisterResponse {
  results: RegisterResult[];
  /** What the places lie in, also what an earlier answer has named: that one may not have arrived. */
  extents: Extent[];
  /** How many registrations of the writer this agent has answered. */
  turn: number;
}

/** Series of a metric, as label values in the order of the label names. */
export interface SeriesRelease {
  name: string;
  labelNames: readonly string[];
  series: string[][];
}

/** DELETE /v1/apps/:app/writers/:writer/series: what the writer stores into no more. */
export interface ReleaseRequest {
  /** Of the last registration: a release that another has overtaken is refused. */
  turn: number;
  metrics: SeriesRelease[];
}

export interface ReleaseResponse {
  /** How many series the writer had of those. */
  released: number;
}

/** Every error of the agent: a code for programs, a sentence and a hint for people. */
export interface ApiError {
  code: string;
  message: string;
  hint: string;
}

/** GET /health */
/** What keeps an agent from its work, and what to do about it. */
export interface Problem {
  message: string;
  hint: string;
}

export interface HealthResponse {
  /** An agent that is not healthy still answers, and what it has can be read. */
  status: "healthy" | "unhealthy";
  /** Empty when it is healthy. */
  problems: Problem[];
  version: string;
  layoutVersion: number;
  pid: number;
  uptimeS: number;
  /** Tells whether a collector is on the same host: /proc/sys/kernel/random/boot_id. */
  bootId: string;
  /** The user whose files the pools are, as the agent sees him; agents before 0.1.0 do not say. */
  uid?: number;
  /** Where the pools lie when that is not /dev/shm. */
  poolDir: string | null;
  /** TCP port of the binary read protocol; 0 when it is not served. */
  dataPort: number;
  pools: {
    app: string;
    path: string;
    poolId: number;
    /** Why the pool is not under its path, while it is not: its file was removed or replaced and cannot be put back. */
    lost?: string;
  }[];
}

/** The agent's end of RDMA: what a collector has to match. */
export interface RdmaEndpoint {
  device: string;
  port: number;
  linkLayer: "InfiniBand" | "Ethernet";
  /** 32 hexadecimal digits, or empty on InfiniBand without a GID. */
  gid: string;
  /** "RoCE v2", "RoCE v1", or empty on InfiniBand. */
  gidType: string;
  lid: number;
  /** Path MTU in bytes. */
  mtu: number;
  /** Port of the RDMA connection manager, where the agent listens there too; or null. */
  managerPort: number | null;
}

/** GET /v1/rdma: the agent's end, or why it has none, and the pools that may be read. */
export interface RdmaResponse {
  endpoint: RdmaEndpoint | null;
  /** Why there is none. */
  reason: string | null;
  pools: { id: number; app: string; poolId: number; fileBytes: number }[];
  /** Of the caller's token. */
  queuePairs: number;
  /** Pinned for them now. */
  pinnedBytes: number;
}

/** First message on the WebSocket /v1/rdma/session, which holds what the session makes: its end ends them. */
export interface RdmaSessionMessage {
  session: string;
}

/** POST /v1/rdma/queue-pairs */
export interface QueuePairRequest {
  session: string;
  app: string;
  /** The pool that the collector means; one that took its name is another. */
  poolId: number;
  /** The collector's queue pair. */
  number: number;
  /** First packet sequence number that it sends. */
  psn: number;
  linkLayer: "InfiniBand" | "Ethernet";
  gid: string;
  lid: number;
  mtu: number;
  /** READs that the collector can have under way at once. */
  reads: number;
  /** Connects by rdma_cm instead: number, address and path are the manager's then. */
  manager?: boolean;
}

export interface QueuePairResponse {
  id: number;
  number: number;
  psn: number;
  gid: string;
  lid: number;
  /** What both sides can do. */
  mtu: number;
  reads: number;
  regions: RdmaRegion[];
  /** Where to connect by rdma_cm, and what to show there. */
  manager?: { port: number; ticket: string };
}

/** Part of a pool's file that can be read, under a key that is good on this queue pair's domain alone. */
export interface RdmaRegion {
  offset: number;
  bytes: number;
  key: number;
}

/** POST /v1/rdma/queue-pairs/:id/regions */
export interface RegionsResponse {
  regions: RdmaRegion[];
}
