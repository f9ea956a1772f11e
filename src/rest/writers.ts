// What a writer says and is told: attaching, its lock, registering and releasing series.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { WRITER_SECRET_HEADER } from "../calling/index.ts";
import { COMBINES, DIALECT, KINDS, type MetricDefinition } from "../layout/index.ts";
import { ApiError } from "./errors.ts";
import { Count, oneOf, PoolId, readonlyList, U32, wholeNumber } from "./schemas.ts";

/** A writer's place in a pool, as its attachment was answered. */
export const PreviousPlace = Type.Object(
  {
    writer: wholeNumber({ minimum: 1 }),
    poolId: PoolId,
    lineage: PoolId,
    replacements: U32,
  },
  { description: "where a writer that looks for its pool stores now" },
);
export type PreviousPlace = Static<typeof PreviousPlace>;

export const AttachRequest = Type.Object({
  service: Type.String({ description: "name of the microservice" }),
  pid: U32,
  threadId: U32,
  since: Type.Optional(
    Type.Number({
      minimum: 0,
      description: "unix ms at which the writer began to count, maybe before it found an agent",
    }),
  ),
  /** Given when the pool found under the name is another one. */
  previous: Type.Optional(PreviousPlace),
});
export type AttachRequest = Static<typeof AttachRequest>;

/** Part of the pool handed to a writer: whole pages, or slots of one. */
export const Extent = Type.Object({
  page: Count,
  pages: Count,
  slot: Type.Integer({
    minimum: 0,
    description: "first slot, when the page is shared; 0 for whole pages",
  }),
  slots: Type.Integer({
    minimum: 0,
    description: "number of slots, when the page is shared; 0 for whole pages",
  }),
});
export type Extent = Static<typeof Extent>;

export const AttachResponse = Type.Object({
  writer: Count,
  secret: Type.String({
    description: `sent with each call about this writer, in the header ${WRITER_SECRET_HEADER}; nobody else gets it`,
  }),
  pool: Type.Object({
    path: Type.String(),
    poolId: PoolId,
    lineage: Type.Integer({
      minimum: 0,
      description:
        "id of the first of the pools that took each other's place with all that was in them",
    }),
    replacements: Type.Integer({ minimum: 0, description: "how many of those came before" }),
    pagesOffset: Count,
  }),
  counted: Type.Optional(
    Type.Boolean({
      description:
        "what the writer has stored in its previous place is counted: do not add it again; absent for false",
    }),
  ),
  lock: Type.Object(
    { offset: Count, bytes: Count },
    {
      description: "bytes of the pool's file whose lock the writer takes and holds while it lives",
    },
  ),
  extents: readonlyList(Extent),
});
export type AttachResponse = Static<typeof AttachResponse>;

/** The writer has taken its lock in this pool, and will store into it. */
export const HoldRequest = Type.Object({ poolId: PoolId });
export type HoldRequest = Static<typeof HoldRequest>;

/** A metric as it is declared: what the layout calls a MetricDefinition. */
export const DEFINITION = {
  name: Type.String(),
  kind: oneOf(KINDS),
  unit: Type.String(),
  help: Type.String(),
  labelNames: readonlyList(Type.String()),
  combine: oneOf(COMBINES),
  bounds: readonlyList(Type.Number()),
  logLinear: Type.Optional(
    Type.Object({ min: Type.Number(), max: Type.Number(), error: Type.Number() }),
  ),
  dialect: Type.Optional(
    Type.Literal(DIALECT, {
      description:
        "names as OpenTelemetry has them; the name may have a metric for each set of labelNames",
    }),
  ),
} satisfies Record<keyof MetricDefinition, TSchema>;

/** A metric with series of it. */
export const SeriesRequest = Type.Object({
  ...DEFINITION,
  series: readonlyList(readonlyList(Type.String()), {
    description: "label values, in the order of labelNames",
  }),
});
export type SeriesRequest = Static<typeof SeriesRequest>;

export const RegisterRequest = Type.Object({ metrics: readonlyList(SeriesRequest) });
export type RegisterRequest = Static<typeof RegisterRequest>;

/** Places of consecutive series of the request: [page, slot, count]. */
export const PlacedRun = Type.Tuple([Count, Count, Count], {
  description: "page, slot and count of consecutive series of the request",
});
export type PlacedRun = Static<typeof PlacedRun>;

/** Series are placed up to an error. */
export const RegisterResult = Type.Object({
  runs: readonlyList(PlacedRun),
  error: Type.Optional(ApiError),
});
export type RegisterResult = Static<typeof RegisterResult>;

export const RegisterResponse = Type.Object({
  results: readonlyList(RegisterResult, {
    description: "one for each metric of the request, in its order",
  }),
  /** Also of places that an earlier answer has named: that one may not have arrived. */
  extents: readonlyList(Extent, { description: "what the places lie in" }),
  turn: Type.Integer({
    minimum: 0,
    description: "how many registrations of the writer this agent has answered",
  }),
});
export type RegisterResponse = Static<typeof RegisterResponse>;

export const SeriesRelease = Type.Object({
  name: Type.String(),
  labelNames: readonlyList(Type.String()),
  series: readonlyList(readonlyList(Type.String())),
});
export type SeriesRelease = Static<typeof SeriesRelease>;

/** What the writer stores into no more. */
export const ReleaseRequest = Type.Object({
  turn: wholeNumber({
    minimum: 0,
    description:
      "of the last registration's answer; the release is refused when there was another since",
  }),
  metrics: readonlyList(SeriesRelease),
});
export type ReleaseRequest = Static<typeof ReleaseRequest>;

export const ReleaseResponse = Type.Object({
  released: Type.Integer({ minimum: 0, description: "how many series the writer had of those" }),
});
export type ReleaseResponse = Static<typeof ReleaseResponse>;

export const DetachResponse = Type.Object({ detached: Count });
