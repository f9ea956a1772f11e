// Runs one program against prom-client and against ours, and compares all that it shows: returned values, text, errors.

import { expect } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";

/** Either of the two, for programs that also do what the types forbid. */
// biome-ignore lint/suspicious/noExplicitAny: wrong calls are part of what is compared
export type Client = any;

export interface Run {
  client: Client;
  /** A registry of its own, of the content type under test. */
  registry: Client;
  /** Notes something to compare. */
  note(what: unknown): void;
  /** Notes what a call returns or throws. */
  attempt(call: () => unknown): void;
}

export const CONTENT_TYPES = {
  Prometheus: ours.prometheusContentType,
  OpenMetrics: ours.openMetricsContentType,
};

export type Program = (run: Run) => void | Promise<void>;

/** All that a program shows. Its registry's text comes before its objects, whose default labels stay in prom-client's. */
async function outcome(client: Client, contentType: string, program: Program): Promise<unknown[]> {
  const notes: unknown[] = [];
  const registry = new client.Registry(contentType);
  await program({
    client,
    registry,
    note: (what) => notes.push(what),
    attempt: (call) => notes.push(attempted(call)),
  });
  notes.push(await failing(() => registry.metrics()));
  notes.push(await failing(() => registry.getMetricsAsJSON()));
  return notes;
}

/** Holds that a program shows the same with both, in both content types. */
export async function same(program: Program): Promise<void> {
  for (const contentType of Object.values(CONTENT_TYPES)) {
    const expected = await outcome(theirs, contentType, program);
    const received = await outcome(ours, contentType, program);
    expect(plain(received)).toEqual(plain(expected));
    // Not only equal in what they hold, but also in the order of it.
    if (!isDeepStrictEqual(plain(received), plain(expected))) throw new Error("not quite equal");
    expect(JSON.stringify(plain(received))).toBe(JSON.stringify(plain(expected)));
  }
}

function attempted(call: () => unknown): unknown {
  try {
    const returned = call() ?? null;
    // What prom-client's inc() returns beside its declaration.
    const { labelHash } = (returned ?? {}) as { labelHash?: string };
    return { returned: labelHash === undefined ? returned : null };
  } catch (error) {
    return described(error);
  }
}

async function failing(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return described(error);
  }
}

function described(error: unknown): unknown {
  const { name, message } = error as Error;
  return { threw: name, message };
}

/** Objects without their classes, and numbers as text, which JSON would lose. */
function plain(value: unknown): unknown {
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .map(([key, each]) => [key, plain(each)]),
  );
}
