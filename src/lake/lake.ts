// A lake: its folder, ingestion, views and queries, behind one guarded server. `microview lake` and the demo start it.

import {
  type AccessOptions,
  ADMISSION_LIMITS,
  anyone,
  CallError,
  CONNECTION_LIMITS,
  checkExposure,
  checkPort,
  fitConnections,
  Guard,
  type GuardedServer,
  type GuardFlags,
  grantOf,
  type Log,
  type Need,
  needs,
  Routes,
  serve,
  type TlsIdentity,
  type TokenEntry,
} from "../guard/index.ts";
import { FolderBlobs } from "./blobs/index.ts";
import { Catalogue } from "./catalogue/index.ts";
import type { LakeContext, Retention } from "./context.ts";
import { LakeCounters } from "./counters.ts";
import { LakeFolder } from "./folder.ts";
import { Disk, Ingestion } from "./ingestion/index.ts";
import type { OtlpReceiver } from "./otlp/index.ts";
import { type LakeParts, startParts } from "./parts.ts";
import type { QueryLimits } from "./query/index.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "./serve/metrics-text.ts";
import { QUERY_BYTES_MAX, Queries } from "./serve/queries.ts";
import { StatusReport } from "./serve/status.ts";
import { DAY_NS, NS_PER_MS } from "./times.ts";

/** What stays free of the disk, so that old files can be merged and dropped. */
const RESERVE_BYTES = 1 << 26;
const BODY_BYTES_MAX = 1 << 25;

const SEGMENTS = "/v1/segments/";

/** A call that is answered, and the scope that it needs. */
interface Call {
  need: Need;
  answer(request: Request): Promise<Response>;
}

/** The flags as refusals name them. */
export const LAKE_GUARD_FLAGS: GuardFlags = {
  ...{ allowHost: "--allow-host", maxRequests: "--max-requests" },
  ...{ cert: "--tls-cert", key: "--tls-key", clientCa: "--tls-client-ca" },
};

const FAILURE = new CallError("internal", "the lake failed to answer", "its log says why", 500);

export interface LakeOptions extends AccessOptions {
  /** Made if need be. */
  dir: string;
  /** 0 takes any free port. */
  port: number;
  version: string;
  log: Log;
  retention?: Retention;
  queries?: Partial<QueryLimits>;
  /** Of one segment or request. */
  bodyBytesMax?: number;
  /** Of bodies that have arrived and are not stored yet. */
  underWayBytesMax?: number;
  requestsPerS?: number;
  /** What stays free of the disk, in bytes. */
  reserveBytes?: number;
}

/**
 * Starts a lake, which goes on with what is in its folder.
 * @throws LakeFolderError when another lake has the folder, ListenError, ExposedError
 */
export async function startLake(options: LakeOptions): Promise<Lake> {
  const { tls, ...others } = options;
  checkExposure(
    // A certificate of the lake's own keeps nobody out.
    tls?.clientCa === undefined ? others : options,
    "give --token-file FILE or --tls-client-ca FILE, listen on 127.0.0.1, or give --insecure",
    "read and write events",
  );
  checkPort(options.host, options.port, { host: "--host", port: "--port" });
  const folder = LakeFolder.take(options.dir);
  const opened: { close(): unknown }[] = [];
  try {
    const catalogue = await Catalogue.open(folder.cataloguePath);
    opened.push(catalogue);
    const blobs = await FolderBlobs.open(folder.blobsDir);
    await removeOrphans(catalogue, blobs);
    const { log, retention = { ageMs: undefined, bytes: undefined } } = options;
    const context = { folder, catalogue, blobs, log, retention };
    const parts = await startParts(context);
    opened.push({ close: () => parts.stop() });
    return new Lake(options, context, parts);
  } catch (error) {
    for (const each of opened.reverse()) await each.close();
    folder.release();
    throw error;
  }
}

export class Lake {
  readonly #options: LakeOptions;
  readonly #context: LakeContext;
  readonly #counters = new LakeCounters();
  readonly #status: StatusReport;
  readonly #ingestion: Ingestion;
  readonly #guard: Guard;
  readonly #server: GuardedServer;
  readonly #parts: LakeParts;
  readonly #queries: Queries;
  #receiver: Promise<OtlpReceiver> | undefined;
  #stopped: Promise<void> | undefined;

  /** @internal by {@link startLake} */
  constructor(options: LakeOptions, context: LakeContext, parts: LakeParts) {
    const { host, port, tls, tokens, allowHosts, log, version } = options;
    this.#options = options;
    this.#context = context;
    this.#parts = parts;
    const { catalogue, blobs, folder } = context;
    const { bodyBytesMax = BODY_BYTES_MAX } = options;
    const about = { version, startedAt: new Date().toISOString() };
    const { materializer, tables, maintenance } = parts;
    this.#status = new StatusReport(catalogue, this.#counters, about, () =>
      materializer.failures.map(({ view, message }) => `${view}: ${message}`),
    );
    this.#ingestion = new Ingestion({
      ...{ catalogue, blobs, counters: this.#counters, log },
      underWayBytesMax: options.underWayBytesMax,
      disk: new Disk(folder.dir, options.reserveBytes ?? RESERVE_BYTES),
      added: () => maintenance.wake(),
    });
    this.#queries = new Queries({
      ...{ tables, folder: folder.viewsDir, log, limits: options.queries },
      isShared: !this.#isOnlyForItsUser,
    });
    this.#guard = new Guard({
      ...{ tokens, allowHosts, log, flags: LAKE_GUARD_FLAGS },
      anyone: anyone(["read", "ingest", "events:read"]),
      limits: {
        ...ADMISSION_LIMITS,
        ...(options.requestsPerS === undefined ? {} : { requestsPerS: options.requestsPerS }),
      },
      transportOf: () => "lake",
    });
    this.#server = serve(this.#guard, {
      ...{ host, port, failure: FAILURE, routes: this.#routes() },
      called: { server: "the lake", port: "its port" },
      limits: fitConnections(CONNECTION_LIMITS),
      maxBodyBytes: (request) => {
        const { need } = this.#callOf(request) ?? {};
        if (need === "ingest") return bodyBytesMax;
        return need === "events:read" ? QUERY_BYTES_MAX : 0;
      },
      answer: (request) => this.#answer(request),
      // Everybody may see these: which view it is, and not why.
      problems: () =>
        materializer.failures.map(({ view }) => ({
          message: `the table ${view} cannot be made at the moment`,
          hint: "`microview lake status` says why",
        })),
      ...(tls === undefined ? {} : { tls }),
    });
    this.#server.keepHouse();
  }

  get port(): number {
    return this.#server.port;
  }

  /** Where agents send to, and people ask. */
  get url(): string {
    return this.#server.url;
  }

  /** Below which everything lies. */
  get dir(): string {
    return this.#context.folder.dir;
  }

  renewTokens(entries: readonly TokenEntry[]): void {
    this.#guard.renewTokens(entries);
  }

  /** @throws TlsError for one that cannot be used */
  renewTls(tls: TlsIdentity): void {
    this.#server.renewTls(tls);
  }

  /** Answers what it has taken on, ends what makes views, then lets go of the folder. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await this.#server.stop();
    await this.#queries.stop();
    await this.#parts.stop();
    await this.#context.catalogue.close();
    this.#context.folder.release();
  }

  #routes(): Routes {
    const all = Object.entries(this.#calls).map(([call, { need }]) => {
      const [method, path] = call.split(" ") as [string, string];
      return { method, path, detail: needs(need) };
    });
    return new Routes(() => all, { hint: "docs/lake.md lists the calls of a lake" });
  }

  readonly #calls: Readonly<Record<string, Call>> = {
    "PUT /v1/segments/:id": { need: "ingest", answer: (request) => this.#put(request) },
    "POST /v1/logs": { need: "ingest", answer: (request) => this.#otlp("logs", request) },
    "POST /v1/traces": { need: "ingest", answer: (request) => this.#otlp("traces", request) },
    "POST /v1/metrics": { need: "ingest", answer: (request) => this.#otlp("metrics", request) },
    "POST /v1/query": { need: "events:read", answer: (request) => this.#queries.answer(request) },
    "GET /v1/tables": { need: "events:read", answer: async () => this.#queries.describe() },
    "GET /v1/status": { need: "read", answer: () => this.#statusAnswer() },
    "GET /metrics": { need: "read", answer: () => this.#metrics() },
  };

  /** The guard has found that there is such a call. */
  async #answer(request: Request): Promise<Response> {
    const call = this.#callOf(request)!;
    if (call.need === "events:read" && this.#isOnlyForItsUser) this.#checkUser(request);
    return call.answer(request);
  }

  #callOf(request: Request): Call | undefined {
    const { pathname } = new URL(request.url);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const path = pathname.startsWith(SEGMENTS) ? `${SEGMENTS}:id` : pathname;
    return this.#calls[`${method} ${path}`];
  }

  /** Whether callers are not known, though they are on this host. */
  get #isOnlyForItsUser(): boolean {
    const { tokens, tls, insecure } = this.#options;
    return tokens === undefined && tls?.clientCa === undefined && !insecure;
  }

  /** Rings of events are files of their users alone; what they held must not be everybody's here. @throws CallError 403 */
  #checkUser(request: Request): void {
    const user = this.#server.userOf(request);
    const own = process.getuid?.();
    if (user !== undefined && (user === own || user === 0)) return;
    throw new CallError(
      "another-user",
      `the lake asks for no token, and then shows events to its own user alone, ${own}; this is ${user ?? "unknown"}`,
      "ask as that user, or start the lake with --token-file; --insecure shows them to everybody",
      403,
    );
  }

  async #put(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const id = pathname.slice(SEGMENTS.length);
    const { isNew, blocks, known } = await this.#ingestion.withBody(request, (body) =>
      this.#ingestion.put(id, body, grantOf(request)),
    );
    return Response.json({ segment: id, blocks, known }, { status: isNew ? 201 : 200 });
  }

  async #otlp(signal: "logs" | "traces" | "metrics", request: Request): Promise<Response> {
    // Its messages take a while to be made, and a lake of agents alone has none.
    this.#receiver ??= import("./otlp/index.ts").then(
      ({ OtlpReceiver }) => new OtlpReceiver(this.#ingestion, this.#counters, this.#options.log),
    );
    return (await this.#receiver).answer(signal, request);
  }

  async #statusAnswer(): Promise<Response> {
    return Response.json(await this.#status.now());
  }

  async #metrics(): Promise<Response> {
    const headers = { "content-type": METRICS_CONTENT_TYPE };
    return new Response(metricsText(await this.#status.now()), { headers });
  }
}

/**
 * Removes blobs that a killed lake has stored and told nobody of. Those before were removed when it was started, so that
 * none of them is older than a day before the last segment.
 */
async function removeOrphans(catalogue: Catalogue, blobs: FolderBlobs): Promise<void> {
  const last = await catalogue.lastSegmentNs();
  const sinceMs = last === undefined ? 0 : Number((last - DAY_NS) / NS_PER_MS);
  const since = new Date(sinceMs).toISOString().slice(0, 10);
  for (const day of await blobs.folders()) {
    if (day < since) continue;
    const keys = (await Array.fromAsync(blobs.list(`${day}/`))).map(({ key }) => key);
    // By their ids, and not by when they came: a clock may have been set meanwhile.
    const known = await catalogue.blobsOf(keys.map((key) => key.slice(day.length + 1)));
    for (const key of keys) if (!known.has(key)) await blobs.delete(key);
  }
}
