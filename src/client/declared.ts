// What a thread has declared, beyond the life of the modules that did so: `bun --hot` evaluates them again in the same
// thread, with all that they import. What is declared again is the same writer then, with the same handles.

import type { MetricDefinition } from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";
import type { Cell } from "./cells.ts";
import type { Recorder } from "./events/recorder.ts";
import type { Family } from "./family.ts";
import type { ThreadWriter } from "./writer.ts";

/** A metric of one name, and by which evaluation it was declared last. */
export interface DeclaredMetric {
  definition: MetricDefinition;
  metric: Cell | Family<Cell>;
  evaluation: object;
}

/** A writer with its metrics, as the evaluation that declared it last uses it. */
export interface Declared {
  writer: ThreadWriter;
  readonly metrics: Map<string, DeclaredMetric>;
  /** Where the agent keeps the pool, if not in shared memory's own folder: rings belong there too. */
  agentPoolDir?: string | undefined;
  /** Made when the first event is wanted. */
  recorder?: Recorder;
  onWarning: (warning: ApiError) => void;
  evaluation: object;
  /** Who may close it. */
  owner: object;
}

/** Of these modules as they are evaluated now. */
export const EVALUATION = {};

/** In the global object, which is all that is kept. The number goes up when what lies there becomes another thing. */
const KEPT = Symbol.for("microview.declared.1");

const kept = globalThis as { [KEPT]?: Map<string, Declared[]> };

/**
 * What an earlier evaluation has declared under a name, the first of those that were not declared again yet.
 * Two of one name in one evaluation stay two.
 */
export function takeOver(name: string, owner: object): Declared | undefined {
  const found = kept[KEPT]?.get(name)?.find(({ evaluation }) => evaluation !== EVALUATION);
  if (found === undefined) return undefined;
  found.evaluation = EVALUATION;
  found.owner = owner;
  return found;
}

export function keep(name: string, declared: Declared): void {
  kept[KEPT] ??= new Map();
  const ofName = kept[KEPT].get(name) ?? [];
  kept[KEPT].set(name, [...ofName, declared]);
}

/** Of all that this thread has declared and not closed, the last. */
export function lastDeclared(): Declared | undefined {
  return [...(kept[KEPT]?.values() ?? [])].at(-1)?.at(-1);
}

/** It was closed: a later declaration starts from nothing. */
export function forget(name: string, declared: Declared): void {
  const left = kept[KEPT]?.get(name)?.filter((each) => each !== declared) ?? [];
  if (left.length > 0) kept[KEPT]?.set(name, left);
  else kept[KEPT]?.delete(name);
}
