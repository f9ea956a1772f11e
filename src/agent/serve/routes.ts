// The REST interface: attach, register, detach, look around; and the prototype's three calls.

import { basename, dirname } from "node:path";
import { openapi } from "@elysiajs/openapi";
import { Elysia, t } from "elysia";
import { ValidationError } from "elysia/error";
import type { ScrapeLimits } from "../../exposition/index.ts";
import { ClashLog } from "../../exposition/index.ts";
import { CallError, grantOf, type Log, needs, Routes } from "../../guard/index.ts";
import { LAYOUT_VERSION, SHM_DIR, type Writer } from "../../layout/index.ts";
import {
  ApiError,
  type HealthResponse,
  type Problem,
  type ProcessesResponse,
  type TokenListing,
} from "../../rest/index.ts";
import { AgentError, FAILURE, LimitError } from "../errors.ts";
import type { Rdma } from "../rdma/rdma.ts";
import type { Application } from "../registry/application.ts";
import { GrantedPools } from "../registry/granted-pools.ts";
import type { LocalSnapshots } from "../registry/local-snapshots.ts";
import type { Pools } from "../registry/pools.ts";
import { checkSecret, newSecret, SECRET_HEADER } from "../registry/writer-secrets.ts";
import type { SelfMetrics } from "../self-metrics.ts";
import { Bodies } from "./bodies.ts";
import { contractOf } from "./contract.ts";
import { docsPage } from "./docs-page.ts";
import { eventRoutes, type Follow } from "./event-routes.ts";
import { MetricsPage } from "./metrics-page.ts";
import { registerPrototype } from "./prototype.ts";
import { rdmaRoutes, type Upgrade } from "./rdma-routes.ts";

export interface RoutesContext {
  /** Undefined when the agent was started without RDMA. */
  rdma: Rdma | undefined;
  pools: Pools;
  /** Who the processes of an application are; none while they are not sampled. */
  processesOf(app: string): ProcessesResponse["processes"];
  /** Adds to the agent's own metrics. Like whatever takes note of something, it never throws. */
  count: SelfMetrics["add"];
  snapshots: LocalSnapshots;
  /** What scrapers may hold. */
  scrapes: Partial<ScrapeLimits>;
  log: Log;
  version: string;
  bootId: string;
  startedAtMs: number;
  dataPort(): number;
  /** What keeps the agent from its work. */
  problems(): Problem[];
  upgrade: Upgrade;
  /** Stores in rings of events what services are asked to record. */
  followRules: Follow;
  /** Bytes of a request's body. */
  maxBodyBytes: number;
  /** Takes note of what a request is told that was let in and not answered. */
  refused(error: CallError, request: Request): void;
  /** Takes note of a fault of ours. */
  failed(error: unknown): void;
  tokens(): TokenListing[];
}

const AppParams = t.Object({ app: t.String() });
const WriterParams = t.Object({ app: t.String(), writer: t.Integer({ minimum: 1 }) });

const WriterHeaders = t.Object({
  [SECRET_HEADER]: t.Optional(t.String({ description: "of the answer to attaching" })),
});

/**
 * The application of a writer that has shown its secret.
 * @throws AgentError 404 for one that is not there, 403 for somebody else's
 */
function ownedBy(
  apps: GrantedPools,
  { app, writer }: { app: string; writer: number },
  headers: { [SECRET_HEADER]?: string | undefined },
): Application {
  const application = apps.get(app);
  checkSecret(application.writer(writer), headers[SECRET_HEADER]);
  return application;
}

/** All routes; `handle` is what listeners serve. */
export function createRoutes(context: RoutesContext) {
  const { pools, count } = context;
  const clashes = new ClashLog(
    (text) => context.log.warn(text),
    () => count("nameClashes"),
  );
  const metricsPage = new MetricsPage(context.snapshots, context.scrapes, {
    refused: () => count("limits", 1, "scrapes-full"),
    cut: () => count("scrapesCut"),
    failed: (error) => context.failed(error),
    clash: (found) => clashes.see(found),
  });
  // What is not granted to a caller does not exist for it: no route reaches for `pools` itself.
  const granted = ({ request }: { request: Request }) => ({
    apps: new GrantedPools(pools, grantOf(request)),
  });
  const declared = declaredBy(() => routes.routes);
  const contract = contractOf(new Bodies(context.maxBodyBytes, declared.authorize));
  const routes = new Elysia({ normalize: false })
    // First of all, so that it is asked of each route that follows.
    .onTransform(declared.authorize)
    .use(
      openapi({
        provider: null,
        specPath: "/openapi/json",
        documentation: {
          info: {
            title: "microview agent",
            version: context.version,
            description:
              "Writers attach, register series and learn where in shared memory to store them. Every refusal is an ApiError.",
          },
          components: { schemas: { ApiError: { ...ApiError, additionalProperties: true } } },
        },
      }),
    )
    .use(docsPage())
    .onError(({ error, code, set, request }) => {
      const told = asCallError(error, code, () => declared.refusalOf(request));
      context.refused(told, request);
      if (told instanceof LimitError) count("limits", 1, told.code);
      if (told === FAILURE) context.failed(error);
      set.status = told.status;
      Object.assign(set.headers, told.headers);
      return { code: told.code, message: told.message, hint: told.hint } satisfies ApiError;
    })
    .use(rdmaRoutes(context.rdma, pools, contract, context.upgrade))
    .use(eventRoutes(contract, context.followRules))
    .derive(granted)
    .get("/health", ({ apps }) => health(context, apps), {
      ...contract("GET /health"),
      detail: { summary: "Is the agent well, and where does it serve", ...needs("read") },
    })
    .get("/metrics", ({ request, apps }) => metricsPage.answer(request, apps), {
      detail: {
        summary: "Metrics as Prometheus text or OpenMetrics; as the prototype's registry for JSON",
        ...needs("read"),
        parameters: [
          ...["app", "service", "metric"].map((name) => ({
            name,
            in: "query" as const,
            description: `only these: a glob, as often as needed`,
            schema: { type: "array" as const, items: { type: "string" as const } },
          })),
          ...Object.entries({
            per_writer: "1: each writer by itself instead of their sum",
            created: "0: without the moment when counters and histograms began, in OpenMetrics",
            buckets: "all: all buckets of log-linear histograms instead of powers of two",
          }).map(([name, description]) => ({
            name,
            in: "query" as const,
            description,
            schema: { type: "string" as const },
          })),
        ],
      },
    })
    .post("/metrics", ({ apps, body }) => registerPrototype(apps, body), {
      ...contract("POST /metrics"),
      detail: { summary: "The prototype's call: one metric, one address", ...needs("register") },
    })
    .get("/v1/apps", ({ apps }) => [...apps].map(summary), {
      ...contract("GET /v1/apps"),
      detail: { summary: "Applications", ...needs("read") },
    })
    .get("/v1/apps/:app", ({ apps, params }) => summary(apps.get(params.app)), {
      ...contract("GET /v1/apps/:app"),
      params: AppParams,
      detail: { summary: "One application", ...needs("read") },
    })
    .get("/v1/apps/:app/services", ({ apps, params }) => services(apps.get(params.app)), {
      ...contract("GET /v1/apps/:app/services"),
      params: AppParams,
      detail: { summary: "Services, with their living writers and their series", ...needs("read") },
    })
    .get(
      "/v1/apps/:app/writers",
      ({ apps, params }) => {
        const application = apps.get(params.app);
        return application.writers().map((writer) => describeWriter(application, writer));
      },
      {
        ...contract("GET /v1/apps/:app/writers"),
        params: AppParams,
        detail: { summary: "Writers", ...needs("read") },
      },
    )
    .get(
      "/v1/apps/:app/processes",
      ({ apps, params }) => ({
        processes: context.processesOf(apps.get(params.app).name),
      }),
      {
        ...contract("GET /v1/apps/:app/processes"),
        params: AppParams,
        detail: {
          summary: "Processes that write: container, pod, unit; with --process-metrics",
          ...needs("read"),
        },
      },
    )
    .get(
      "/v1/apps/:app/metrics",
      ({ apps, params, query }) => listMetrics(apps.get(params.app), query.service),
      {
        ...contract("GET /v1/apps/:app/metrics"),
        params: AppParams,
        detail: { summary: "Metrics, by service", ...needs("read") },
      },
    )
    .post(
      "/v1/apps/:app/writers",
      ({ apps, params, headers, body }) => {
        const application = apps.open(params.app);
        const shown = headers[SECRET_HEADER];
        const { previous } = body;
        const known = previous && application.resume(body.service, previous, shown);
        const fresh = newSecret();
        const writer = known ?? application.attach(body, { secretHash: fresh.hash });
        // A writer that has shown a secret keeps it.
        const secret = known === undefined ? fresh.secret : shown!;
        const { pool } = application;
        return {
          writer: writer.id,
          secret,
          pool: {
            path: pool.path,
            poolId: pool.header.poolId,
            lineage: pool.header.lineage,
            replacements: pool.header.replacements,
            pagesOffset: pool.header.pagesOffset,
          },
          ...(previous && known === undefined && application.hasCounted(previous)
            ? { counted: true }
            : {}),
          lock: { offset: writer.lockOffset, bytes: writer.lockBytes },
          extents: writer.grants.map(({ page, pages, slot, slots }) => ({
            page,
            pages,
            slot,
            slots,
          })),
        };
      },
      {
        ...contract("POST /v1/apps/:app/writers"),
        params: AppParams,
        detail: { summary: "Attach a writer", ...needs("register") },
      },
    )
    .put(
      "/v1/apps/:app/writers/:writer/lock",
      ({ apps, params, headers, body }) => {
        ownedBy(apps, params, headers).hold(params.writer, body.poolId);
        return body;
      },
      {
        ...contract("PUT /v1/apps/:app/writers/:writer/lock"),
        params: WriterParams,
        headers: WriterHeaders,
        detail: { summary: "Say that the writer has taken its lock", ...needs("register") },
      },
    )
    .post(
      "/v1/apps/:app/writers/:writer/series",
      ({ apps, params, headers, body }) => {
        const application = ownedBy(apps, params, headers);
        const response = application.register(params.writer, body.metrics);
        for (const { error } of response.results) {
          if (error?.code.endsWith("-full")) count("limits", 1, error.code);
        }
        return response;
      },
      {
        ...contract("POST /v1/apps/:app/writers/:writer/series"),
        params: WriterParams,
        headers: WriterHeaders,
        detail: {
          summary: "Register series in a batch; asking again gives the same places",
          ...needs("register"),
        },
      },
    )
    .delete(
      "/v1/apps/:app/writers/:writer/series",
      ({ apps, params, headers, body }) => ({
        released: ownedBy(apps, params, headers).release(params.writer, body.metrics, body.turn),
      }),
      {
        ...contract("DELETE /v1/apps/:app/writers/:writer/series"),
        params: WriterParams,
        headers: WriterHeaders,
        detail: {
          summary: "Release series that the writer stores into no more, in a batch",
          ...needs("register"),
        },
      },
    )
    .delete(
      "/v1/apps/:app/writers/:writer",
      ({ apps, params, headers }) => {
        ownedBy(apps, params, headers).detach(params.writer);
        return { detached: params.writer };
      },
      {
        ...contract("DELETE /v1/apps/:app/writers/:writer"),
        params: WriterParams,
        headers: WriterHeaders,
        detail: { summary: "Detach a writer; what it counted is kept", ...needs("register") },
      },
    )
    .get("/v1/tokens", () => context.tokens(), {
      ...contract("GET /v1/tokens"),
      detail: { summary: "The agent's tokens by name, with what they grant", ...needs("admin") },
    });
  return routes;
}

/** What routes ask of their callers. The document of them is the plugin's, and declares nothing. */
export function declaredBy(routes: ConstructorParameters<typeof Routes>[0]): Routes {
  return new Routes(routes, {
    hint: "GET /openapi lists them",
    others: { "GET /openapi/json": "known" },
  });
}

/**
 * An error as the caller gets it: no stack, and nothing of what the caller sent.
 * @param nowhere why a request leads to no route
 */
function asCallError(error: unknown, code: unknown, nowhere: () => CallError) {
  if (error instanceof CallError) return error;
  // What the reader of a body throws comes wrapped.
  const { cause } = error as Error;
  if (code === "PARSE" && cause instanceof CallError) return cause;
  if (error instanceof ValidationError) {
    const { path, message } = firstFault(error);
    return new AgentError(
      "invalid-request",
      `${path}: ${message}`,
      "GET /openapi describes every request",
      422,
    );
  }
  return code === "NOT_FOUND" ? nowhere() : FAILURE;
}

function firstFault(error: ValidationError): { path: string; message: string } {
  for (const fault of error.all) {
    if ("path" in fault && typeof fault.path === "string") {
      const where = `${error.type}${fault.path.replaceAll("/", ".")}`;
      return { path: where, message: fault.message ?? "is not what is expected" };
    }
  }
  return { path: error.type, message: "is not what is expected" };
}

function health(
  { pools, version, bootId, startedAtMs, dataPort, problems }: RoutesContext,
  apps: GrantedPools,
): HealthResponse {
  return {
    status: problems().length === 0 ? "healthy" : "unhealthy",
    problems: problems(),
    version,
    layoutVersion: LAYOUT_VERSION,
    pid: process.pid,
    uptimeS: Math.round((Date.now() - startedAtMs) / 1000),
    bootId,
    uid: process.geteuid?.() ?? 0,
    poolDir: pools.options.poolDir ?? null,
    dataPort: dataPort(),
    pools: [...apps].map((application) => {
      const { name: app, pool } = application;
      const lost = pools.troubleOf(application);
      return {
        app,
        path: pool.path,
        poolId: pool.header.poolId,
        ...(lost === undefined ? {} : { lost }),
      };
    }),
  };
}

function summary(application: Application) {
  const { name, pool, directory, pagesUsed } = application;
  return {
    app: name,
    path: pool.path,
    shmName: dirname(pool.path) === SHM_DIR ? basename(pool.path) : null,
    generation: pool.generation,
    services: directory.services.size,
    writers: application.livingWriters().length,
    series: directory.seriesCount,
    pagesUsed,
    directoryBytes: directory.length,
  };
}

function services(application: Application) {
  const { directory } = application;
  const living = application.livingWriters();
  return [...directory.services].map(([id, name]) => ({
    service: name,
    writers: living.filter((writer) => writer.service === id).length,
    metrics: [...directory.metrics.values()].filter((m) => m.service === id && !m.retired).length,
    series: [...directory.metrics.values()]
      .filter((m) => m.service === id && !m.retired)
      .reduce((sum, m) => sum + m.series.length, 0),
  }));
}

function describeWriter(application: Application, writer: Writer) {
  return {
    writer: writer.id,
    service: writer.serviceName,
    pid: writer.pid,
    threadId: writer.threadId,
    startedAt: new Date(writer.startedAtMs).toISOString(),
    alive: application.wasAlive(writer),
    pages: writer.grants.reduce((sum, grant) => sum + grant.pages, 0),
    series: writer.runs.reduce((sum, run) => sum + run.count, 0),
  };
}

function listMetrics({ directory }: Application, service: string | undefined) {
  const metrics = [];
  for (const metric of directory.metrics.values()) {
    const name = directory.services.get(metric.service) ?? "";
    if (metric.retired || (service !== undefined && service !== name)) continue;
    metrics.push({
      service: name,
      ...metric.definition,
      series: metric.series.length,
      slotsPerSeries: metric.slots,
    });
  }
  return metrics;
}
