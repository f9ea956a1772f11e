// What collectors ask of an agent's RDMA: what there is, and setting queue pairs up.

import { type Static, Type } from "@sinclair/typebox";
import { PATH_MTUS_BYTES, RDMA_SESSION_PATH } from "../calling/index.ts";
import { Count, nullOr, PoolId, readonlyList, wholeNumber } from "./schemas.ts";

const U16 = wholeNumber({ minimum: 0, maximum: 0xffff });
const U24 = wholeNumber({ minimum: 0, maximum: 0xff_ffff });
const LinkLayer = Type.Union([Type.Literal("InfiniBand"), Type.Literal("Ethernet")]);

/** The agent's end of RDMA: what a collector has to match. */
export const RdmaEndpoint = Type.Object({
  device: Type.String(),
  port: Count,
  linkLayer: LinkLayer,
  gid: Type.String({
    description: "32 hexadecimal digits, or empty on InfiniBand without a GID",
  }),
  gidType: Type.String({ description: "RoCE v2, RoCE v1, or empty on InfiniBand" }),
  lid: Count,
  mtu: Type.Integer({ minimum: 0, description: "path MTU in bytes" }),
  managerPort: nullOr(Count, {
    description: "port of the RDMA connection manager, where the agent listens there too",
  }),
});
export type RdmaEndpoint = Static<typeof RdmaEndpoint>;

export const RdmaResponse = Type.Object({
  endpoint: nullOr(RdmaEndpoint),
  reason: nullOr(Type.String(), { description: "why there is no endpoint" }),
  pools: readonlyList(
    Type.Object({ id: PoolId, app: Type.String(), poolId: PoolId, fileBytes: Count }),
    { description: "those that may be read" },
  ),
  queuePairs: Type.Integer({ minimum: 0, description: "of the caller's token" }),
  pinnedBytes: Type.Integer({ minimum: 0, description: "pinned for them now" }),
});
export type RdmaResponse = Static<typeof RdmaResponse>;

/** First message on the WebSocket of a session: queue pairs last as long as this WebSocket. */
export const RdmaSessionMessage = Type.Object({ session: Type.String() });
export type RdmaSessionMessage = Static<typeof RdmaSessionMessage>;

export const QueuePairSummary = Type.Object({
  id: Count,
  token: Type.String(),
  app: Type.String(),
  number: Count,
  remoteNumber: Count,
  openedAt: Type.String({ format: "date-time" }),
  regions: Count,
  pinnedBytes: Count,
});
export type QueuePairSummary = Static<typeof QueuePairSummary>;

export const QueuePairRequest = Type.Object({
  session: Type.String({ description: `from the WebSocket ${RDMA_SESSION_PATH}` }),
  app: Type.String(),
  /** The pool that the collector means; one that took its name is another. */
  poolId: wholeNumber({ minimum: 0 }),
  /** The collector's queue pair. */
  number: U24,
  /** First packet sequence number that it sends. */
  psn: U24,
  linkLayer: LinkLayer,
  gid: Type.String({ pattern: "^([0-9a-f]{32})?$", description: "32 hexadecimal digits" }),
  lid: U16,
  mtu: Type.Union(PATH_MTUS_BYTES.map((bytes: number) => Type.Literal(bytes))),
  reads: wholeNumber({ minimum: 1, maximum: 255, description: "READs under way at once" }),
  /** Number, address and path are the manager's then. */
  manager: Type.Optional(
    Type.Boolean({ description: "connect by rdma_cm, with the ticket of the answer" }),
  ),
});
export type QueuePairRequest = Static<typeof QueuePairRequest>;

/** Part of a pool's file that can be read. */
export const RdmaRegion = Type.Object({
  offset: Count,
  bytes: Count,
  key: Type.Integer({ minimum: 0, description: "good on this queue pair's domain alone" }),
});
export type RdmaRegion = Static<typeof RdmaRegion>;

export const QueuePairResponse = Type.Object({
  id: Count,
  number: Count,
  psn: Count,
  gid: Type.String(),
  lid: Count,
  mtu: Type.Integer({ minimum: 0, description: "what both sides can do" }),
  reads: Type.Integer({ minimum: 0, description: "what both sides can do" }),
  regions: readonlyList(RdmaRegion),
  manager: Type.Optional(
    Type.Object(
      { port: Count, ticket: Type.String() },
      { description: "where to connect by rdma_cm, and what to show there" },
    ),
  ),
});
export type QueuePairResponse = Static<typeof QueuePairResponse>;

export const RegionsResponse = Type.Object({ regions: readonlyList(RdmaRegion) });
export type RegionsResponse = Static<typeof RegionsResponse>;

export const DisconnectResponse = Type.Object({ disconnected: Count });
