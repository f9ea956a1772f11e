// What an agent tells of itself and of what it has: health, applications, services, writers, processes, metrics, tokens.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { SCOPES } from "../calling/index.ts";
import type { ProcessIdentity } from "../layout/index.ts";
import { Problem } from "./errors.ts";
import { Count, nullOr, oneOf, PoolId, readonlyList } from "./schemas.ts";
import { DEFINITION } from "./writers.ts";

export const HealthResponse = Type.Object({
  status: oneOf(["healthy", "unhealthy"], {
    description: "an agent that is not healthy still answers, and what it has can be read",
  }),
  problems: readonlyList(Problem, { description: "empty when it is healthy" }),
  version: Type.String(),
  layoutVersion: Count,
  pid: Count,
  uptimeS: Count,
  bootId: Type.String({
    description: "/proc/sys/kernel/random/boot_id: tells whether a collector is on the same host",
  }),
  /** Agents before 0.1.0 do not say. */
  uid: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: "the owner of the pool files, as a user id in the agent's namespace",
    }),
  ),
  poolDir: nullOr(Type.String(), {
    description: "where the pools lie when that is not /dev/shm",
  }),
  dataPort: Type.Integer({
    minimum: 0,
    description: "TCP port of the binary read protocol; 0 when it is not served",
  }),
  pools: readonlyList(
    Type.Object({
      app: Type.String(),
      path: Type.String(),
      poolId: PoolId,
      lost: Type.Optional(
        Type.String({
          description:
            "why the pool is not under its path, while it is not: its file was removed or replaced and cannot be put back",
        }),
      ),
    }),
  ),
});
export type HealthResponse = Static<typeof HealthResponse>;

export const AppSummary = Type.Object({
  app: Type.String(),
  path: Type.String(),
  shmName: nullOr(Type.String(), { description: "the pool's name in /dev/shm, if it is there" }),
  generation: Count,
  services: Count,
  writers: Type.Integer({ minimum: 0, description: "those that live" }),
  series: Count,
  pagesUsed: Count,
  directoryBytes: Count,
});
export type AppSummary = Static<typeof AppSummary>;

export const ServiceSummary = Type.Object({
  service: Type.String(),
  writers: Type.Integer({ minimum: 0, description: "those that live" }),
  metrics: Count,
  series: Count,
});
export type ServiceSummary = Static<typeof ServiceSummary>;

export const WriterSummary = Type.Object({
  writer: Count,
  service: Type.String(),
  pid: Count,
  threadId: Count,
  startedAt: Type.String({ format: "date-time" }),
  alive: Type.Boolean(),
  pages: Count,
  series: Count,
});
export type WriterSummary = Static<typeof WriterSummary>;

/** Which metrics of an application are listed. */
export const MetricsQuery = Type.Object(
  { service: Type.Optional(Type.String()) },
  { additionalProperties: false },
);

export const MetricSummary = Type.Object({
  service: Type.String(),
  ...DEFINITION,
  series: Count,
  slotsPerSeries: Count,
});
export type MetricSummary = Static<typeof MetricSummary>;

/** Who a process is: what the layout calls a ProcessIdentity. */
const Identity = Type.Object({
  runtime: Type.String(),
  containerId: Type.String(),
  containerName: Type.String(),
  podUid: Type.String(),
  podName: Type.String(),
  namespace: Type.String(),
  nodeName: Type.String(),
  workloadKind: Type.String(),
  workloadName: Type.String(),
  workloadGuessed: Type.Boolean({
    description: "the workload was not told but follows from the name of what it has made",
  }),
  unit: Type.String(),
} satisfies Record<keyof ProcessIdentity, TSchema>);

/** It has no processes while the agent runs with `--process-metrics off`. */
export const ProcessesResponse = Type.Object({
  processes: readonlyList(
    Type.Object({
      service: Type.String(),
      pid: Type.Integer({
        minimum: 0,
        description: "as the process's own writers have it, in its own pid namespace",
      }),
      hostPid: Type.Integer({ minimum: 0, description: "as the agent sees it" }),
      identity: Identity,
    }),
  ),
});
export type ProcessesResponse = Static<typeof ProcessesResponse>;

/** A token as those who manage a server see it. */
export const TokenListing = Type.Object({
  name: Type.String(),
  apps: nullOr(readonlyList(Type.String()), { description: "null for all" }),
  scopes: readonlyList(oneOf(SCOPES)),
  expires: nullOr(Type.String({ format: "date-time" })),
});
export type TokenListing = Static<typeof TokenListing>;
