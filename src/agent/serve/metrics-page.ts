// GET /metrics: the pools of this host as Prometheus text, and as the prototype's registry.

import {
  type ExposedPool,
  MetricsEndpoint,
  negotiate,
  QueryError,
  type ScrapeEvents,
  type ScrapeLimits,
  type Selection,
} from "../../exposition/index.ts";
import { PAGE_BYTES, PAGE_HEADER_BYTES, SLOTS_PER_PAGE } from "../../layout/index.ts";
import { AgentError } from "../errors.ts";
import type { Application } from "../registry/application.ts";
import type { LocalSnapshots } from "../registry/local-snapshots.ts";

/** Answers scrapes of one agent. */
export class MetricsPage {
  readonly #endpoint: MetricsEndpoint;

  /**
   * @param limits what scrapers may hold
   * @param events told of those who wanted more
   */
  constructor(
    readonly snapshots: LocalSnapshots,
    limits: Partial<ScrapeLimits>,
    events: ScrapeEvents,
  ) {
    this.#endpoint = new MetricsEndpoint(limits, events);
  }

  /**
   * @param applications those that the caller may see
   * @throws AgentError 400 for a query that cannot be
   */
  answer(request: Request, applications: Iterable<Application>): Response {
    const { headers, url } = request;
    const as = negotiate(headers.get("accept"), ["json", "openmetrics"]);
    if (as.format === "json") return Response.json(prototypeRegistry(applications));
    const query = new URL(url).searchParams;
    const acceptEncoding = headers.get("accept-encoding");
    try {
      return this.#endpoint.answer(
        { query, as: { ...as, format: as.format }, acceptEncoding },
        (selection) => this.#read(applications, selection),
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
      pools.push(this.snapshots.exposed(application, perWriter));
    }
    return pools;
  }
}

/** What the prototype answered: pages by microservice. */
function prototypeRegistry(
  applications: Iterable<Application>,
): Record<string, { page_offset: number; num_entries: number; max_metrics: number }> {
  const registry: ReturnType<typeof prototypeRegistry> = {};
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
