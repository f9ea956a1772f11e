// Each call that takes or answers JSON, by method and path. The agent's routes are made from this table, and the client
// and the collector get the types of what they send and receive from it.

import type { Static, TSchema } from "@sinclair/typebox";
import {
  EventScope,
  EventSettings,
  EventSettingsRequest,
  EventSettingsResponse,
} from "./events.ts";
import {
  AppSummary,
  HealthResponse,
  MetricSummary,
  MetricsQuery,
  ProcessesResponse,
  ServiceSummary,
  TokenListing,
  WriterSummary,
} from "./lists.ts";
import { PrototypeRequest, PrototypeResponse } from "./prototype.ts";
import {
  DisconnectResponse,
  QueuePairRequest,
  QueuePairResponse,
  QueuePairSummary,
  RdmaResponse,
  RegionsResponse,
} from "./rdma.ts";
import { readonlyList } from "./schemas.ts";
import {
  AttachRequest,
  AttachResponse,
  DetachResponse,
  HoldRequest,
  RegisterRequest,
  RegisterResponse,
  ReleaseRequest,
  ReleaseResponse,
} from "./writers.ts";

export interface CallSchemas {
  body?: TSchema;
  query?: TSchema;
  /** Of a success. Every other answer is an ApiError. */
  response: TSchema;
}

export const CALLS = {
  "GET /health": { response: HealthResponse },
  "POST /metrics": { body: PrototypeRequest, response: PrototypeResponse },
  "GET /v1/apps": { response: readonlyList(AppSummary) },
  "GET /v1/apps/:app": { response: AppSummary },
  "GET /v1/apps/:app/services": { response: readonlyList(ServiceSummary) },
  "GET /v1/apps/:app/writers": { response: readonlyList(WriterSummary) },
  "GET /v1/apps/:app/processes": { response: ProcessesResponse },
  "GET /v1/apps/:app/metrics": { query: MetricsQuery, response: readonlyList(MetricSummary) },
  "POST /v1/apps/:app/writers": { body: AttachRequest, response: AttachResponse },
  "PUT /v1/apps/:app/writers/:writer/lock": { body: HoldRequest, response: HoldRequest },
  "POST /v1/apps/:app/writers/:writer/series": {
    body: RegisterRequest,
    response: RegisterResponse,
  },
  "DELETE /v1/apps/:app/writers/:writer/series": {
    body: ReleaseRequest,
    response: ReleaseResponse,
  },
  "DELETE /v1/apps/:app/writers/:writer": { response: DetachResponse },
  "GET /v1/rdma": { response: RdmaResponse },
  "GET /v1/rdma/queue-pairs": { response: readonlyList(QueuePairSummary) },
  "POST /v1/rdma/queue-pairs": { body: QueuePairRequest, response: QueuePairResponse },
  "POST /v1/rdma/queue-pairs/:id/regions": { response: RegionsResponse },
  "DELETE /v1/rdma/queue-pairs/:id": { response: DisconnectResponse },
  "GET /v1/events/settings": { response: EventSettings },
  "POST /v1/events/settings": { body: EventSettingsRequest, response: EventSettingsResponse },
  "DELETE /v1/events/settings": { body: EventScope, response: EventSettingsResponse },
  "GET /v1/tokens": { response: readonlyList(TokenListing) },
} satisfies Record<`${"GET" | "POST" | "PUT" | "DELETE"} /${string}`, CallSchemas>;

export type Call = keyof typeof CALLS;

/** What a call takes; undefined for one that takes no body. */
export type Body<C extends Call> = (typeof CALLS)[C] extends { body: infer B extends TSchema }
  ? Static<B>
  : undefined;

type NameIn<Path extends string> = Path extends `${string}/:${infer Name}/${infer Rest}`
  ? Name | NameIn<`/${Rest}`>
  : Path extends `${string}/:${infer Name}`
    ? Name
    : never;

/** What stands in a call's path, by the names there. */
export type PathValues<C extends Call> = Readonly<Record<NameIn<C>, string | number>>;

/** What a call that succeeds is answered. */
export type Answer<C extends Call> = Static<(typeof CALLS)[C]["response"]>;
