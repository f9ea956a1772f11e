// The call of the prototype's Python client: one metric, and where in shared memory its value goes.

import { type Static, Type } from "@sinclair/typebox";

export const PrototypeRequest = Type.Object({
  microservice_id: Type.String(),
  name: Type.String(),
  type: Type.Union([Type.Boolean(), Type.Number()], {
    description: "true or 1 for a gauge, else a counter",
  }),
  value: Type.Number(),
});
export type PrototypeRequest = Static<typeof PrototypeRequest>;

export const PrototypeResponse = Type.Object({
  shm_name: Type.String({ description: "a file in /dev/shm" }),
  addr: Type.Integer({ minimum: 0, description: "the byte in it at which an f64 stands" }),
});
export type PrototypeResponse = Static<typeof PrototypeResponse>;
