// GET /metrics: the pools of this host as Prometheus text, and as the prototype's registry.

import {
  type ExposedPool,
  MetricsEndpoint,
  negotiate,
  QueryError,
  type Selection,
  WriterValues,
} from "../exposition/index.ts";
import {
  type Directory,
  Gather,
  mappedPlan,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  SLOTS_PER_PAGE,
} from "../layout/index.ts";
import type { Application } from "./application.ts";
import { AgentError } from "./errors.ts";

/** How an application's values are found, for one state of its structure. */
class Reading {
  readonly #length: number;
  readonly #gather: Gather;
  readonly #writers: WriterValues;

  constructor(readonly directory: Directory) {
    const plan = mappedPlan(directory);
    this.#length = directory.length;
    this.#gather = new Gather(plan);
    this.#writers = new WriterValues(plan);
  }

  fits(directory: Directory): boolean {
    return directory === this.directory && directory.length === this.#length;
  }

  /** The values now. The agent alone changes the structure, so nothing moves meanwhile; afterwards they are apart. */
  of({ name, pool }: Application, perWriter: boolean): ExposedPool {
    const { directory } = this;
    const slots = pool.slots.subarray(pool.header.pagesOffset / 8);
    if (perWriter) {
      const { parts } = this.#writers;
      return { app: name, directory, parts, values: this.#writers.of(slots) };
    }
    const values = new Float64Array(directory.valueCount);
    this.#gather.into(slots, values);
    return { app: name, directory, values };
  }
}

/** Answers scrapes of one agent. */
export class MetricsRoute {
  readonly #endpoint = new MetricsEndpoint();
  readonly #readings = new WeakMap<Application, Reading>();

  /**
   * @param applications those that the caller may see
   * @throws AgentError 400 for a query that cannot be
   */
  answer(request: Request, applications: Iterable<Application>): Response {
    const { headers, url } = request;
    const format = negotiate(headers.get("accept"), ["json", "openmetrics"]);
    if (format === "json") return Response.json(legacyRegistry(applications));
    const query = new URL(url).searchParams;
    const acceptEncoding = headers.get("accept-encoding");
    try {
      return this.#endpoint.answer({ query, format, acceptEncoding }, (selection) =>
        this.#read(applications, selection),
      );
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      throw new AgentError("invalid-query", error.message, error.hint);
    }
  }

  #read(applications: Iterable<Application>, { app, perWriter }: Selection): ExposedPool[] {
    const pools: ExposedPool[] = [];
    for (const application of applications) {
      if (!app(application.name)) continue;
      const { directory } = application;
      let reading = this.#readings.get(application);
      if (reading === undefined || !reading.fits(directory)) {
        reading = new Reading(directory);
        this.#readings.set(application, reading);
      }
      pools.push(reading.of(application, perWriter));
    }
    return pools;
  }
}

/** What the prototype answered: pages by microservice. */
export function legacyRegistry(
  applications: Iterable<Application>,
): Record<string, { page_offset: number; num_entries: number; max_metrics: number }> {
  const registry: ReturnType<typeof legacyRegistry> = {};
  for (const { pool, directory } of applications) {
    for (const writer of directory.writers.values()) {
      const grant = writer.grants[0];
      if (writer.retained || grant === undefined) continue;
      const known = registry[writer.serviceName];
      const entries = writer.runs.reduce((sum, run) => sum + run.count, 0);
      registry[writer.serviceName] = {
        page_offset:
          known?.page_offset ??
          pool.header.pagesOffset + grant.page * PAGE_BYTES + PAGE_HEADER_BYTES,
        num_entries: (known?.num_entries ?? 0) + entries,
        max_metrics: SLOTS_PER_PAGE,
      };
    }
  }
  return registry;
}
