// What a route takes and answers, as the contract of src/rest states it, in the form of Elysia's hooks. Every route of
// the agent that takes or answers JSON has its schemas from here.

import type { TSchema } from "elysia";
import { CALLS, type Call, type CallSchemas } from "../../rest/index.ts";
import type { Bodies } from "./bodies.ts";

/** Part of a route's hooks, by its method and path. */
export type Contract = ReturnType<typeof contractOf>;

export function contractOf(bodies: Bodies) {
  return <C extends Call>(call: C) => {
    const schemas = CALLS[call];
    const { body, response }: CallSchemas = schemas;
    leaveUnchecked(response);
    if (body === undefined) return { ...schemas };
    leaveUnchecked(body);
    return { ...schemas, parse: bodies.json(body) };
  };
}

/**
 * Elysia takes a schema's type, and shows it in the OpenAPI document, but checks nothing by it: the reader of bodies has
 * checked what came in, and what goes out is ours. As a property that is not listed, the mark stays out of the document.
 */
function leaveUnchecked(schema: TSchema): void {
  Object.defineProperty(schema, "noValidate", { value: true });
}
