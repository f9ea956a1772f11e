// What an operator asks services to record, by an agent: `microview events set`.

import { type Static, Type } from "@sinclair/typebox";
import { LEVELS } from "../layout/index.ts";
import { Count, oneOf, readonlyList } from "./schemas.ts";

const Globs = readonlyList(Type.String({ maxLength: 256 }), {
  description: "globs over names; none stands for all",
});

const SCOPE = { apps: Globs, services: Globs } as const;

const ASKED = {
  level: Type.Optional(
    oneOf([...LEVELS, "off"], { description: "the least level that is recorded" }),
  ),
  spans: Type.Optional(Type.Boolean()),
  measures: Type.Optional(Type.Boolean()),
  sample: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      description: "share of the traces that are recorded",
    }),
  ),
} as const;

/** What is not given stays as it was set before, or as the service has set it. */
export const EventSettingsRequest = Type.Object({
  ...SCOPE,
  ...ASKED,
  forMs: Type.Number({ minimum: 0, description: "how long it holds; 0 for ever" }),
});
export type EventSettingsRequest = Static<typeof EventSettingsRequest>;

/** Which settings are taken back: those that were made for the same names; all where none is given. */
export const EventScope = Type.Object(SCOPE);
export type EventScope = Static<typeof EventScope>;

export const EventSettingsResponse = Type.Object({
  rings: Type.Integer({
    minimum: 0,
    description:
      "threads of services that record now: those that were set, and after something was taken back those to which a setting still applies",
  }),
});

export const EventSetting = Type.Object({
  ...SCOPE,
  ...ASKED,
  until: Type.Union([Type.String({ format: "date-time" }), Type.Null()], {
    description: "null for ever",
  }),
});
export type EventSetting = Static<typeof EventSetting>;

export const EventSettings = Type.Object({
  settings: readonlyList(EventSetting),
  rings: Count,
});
