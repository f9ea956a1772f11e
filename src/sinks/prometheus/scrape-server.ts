// Serves the latest snapshot of every pool as Prometheus text, to clients that may scrape.

import {
  type ClashLog,
  type ExposedPool,
  MetricsEndpoint,
  negotiate,
  QueryError,
  type Selection,
  WriterValues,
} from "../../exposition/index.ts";
import {
  ADMISSION_LIMITS,
  ANYONE,
  CallError,
  CONNECTION_LIMITS,
  fitConnections,
  Guard,
  type GuardedServer,
  type GuardFlags,
  grantOf,
  type Log,
  needs,
  Routes,
  responseOf,
  serve,
  type TlsIdentity,
  type TokenEntry,
} from "../../guard/index.ts";
import { type PoolSnapshot, poolKey } from "../../layout/index.ts";
import type { ExportCounters } from "../delivery/export-counters.ts";
import type { Sink, SinkEnd } from "../sink.ts";
import { type ScrapeCounts, SelfPool, type SourceStatistics } from "./self-pool.ts";

/** A pool is no longer shown when it was not read for so many intervals and for so long. */
const STALE_INTERVALS = 10;
const STALE_MS_MIN = 5_000;

const ROUTES = new Routes(() => [{ method: "GET", path: "/metrics", detail: needs("read") }], {
  hint: "GET /metrics",
});

const FAILURE = new CallError(
  "internal",
  "the scrape could not be answered",
  "the collector's log says why",
  500,
);

export interface ScrapeServerOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** A scraper must send one of these; undefined if no token is needed. */
  tokens?: readonly TokenEntry[] | undefined;
  tls?: TlsIdentity | undefined;
  /** Names of this host, besides its own and those of its certificate. */
  allowHosts?: readonly string[] | undefined;
  /** As those who are refused are told of them. */
  flags: GuardFlags;
  /** Long answers that are being taken at once. */
  scrapesAtOnce?: number | undefined;
  intervalMs: number;
  /** Tells agents apart by the label `instance`. */
  labelSource: boolean;
  statistics: () => readonly SourceStatistics[];
  /** The counters of sinks that push the same snapshots. */
  pushes: () => readonly ExportCounters[];
  /** Reports and counts clashes of names, shared by all that show or send them. */
  clashes: ClashLog;
  log: Log;
}

/** The latest snapshot of one pool. */
interface Latest {
  snapshot: Pick<PoolSnapshot, "app" | "source" | "structure" | "monotonicNs">;
  writers: WriterValues;
  values: Float64Array;
  slots: Float64Array;
  /** A scrape still reads these values, so the next snapshot needs other arrays. */
  lent: boolean;
  takenAtMs: number;
}

export class ScrapeServer implements Sink {
  /** Only the latest snapshot is kept, and nothing waits for scrapers. */
  readonly isBehind = false;
  readonly isIdle = true;
  readonly #options: ScrapeServerOptions;
  readonly #endpoint: MetricsEndpoint;
  readonly #counts: ScrapeCounts = { refused: 0, cut: 0, clashes: 0 };
  readonly #latest = new Map<string, Latest>();
  readonly #self: SelfPool;
  readonly #guard: Guard;
  readonly #server: GuardedServer;
  #end: Promise<SinkEnd> | undefined;

  /** @throws Error when the address cannot be listened on */
  constructor(options: ScrapeServerOptions) {
    this.#options = options;
    const { host, port, tokens, tls, allowHosts, flags, scrapesAtOnce: atOnce, log } = options;
    this.#self = new SelfPool(options.statistics, options.pushes, this.#counts);
    this.#guard = new Guard({
      ...{ tokens, allowHosts, flags, log },
      anyone: ANYONE,
      limits: ADMISSION_LIMITS,
      transportOf: () => "listen",
    });
    this.#endpoint = new MetricsEndpoint(atOnce === undefined ? {} : { atOnce }, {
      refused: () => this.#counts.refused++,
      cut: () => this.#counts.cut++,
      failed: (error) => this.#guard.refusals.failed(error),
      clash: (found) => options.clashes.see(found),
    });
    this.#server = serve(this.#guard, {
      ...{ host, port },
      limits: fitConnections(CONNECTION_LIMITS),
      maxBodyBytes: 0,
      routes: ROUTES,
      answer: (request) => this.#answer(request),
      failure: FAILURE,
      ...(tls === undefined ? {} : { tls }),
    });
    this.#server.keepHouse();
  }

  /** Where it is scraped. */
  get url(): string {
    return `${this.#server.url}/metrics`;
  }

  /** Takes other tokens from now on. Each request is asked for its token: nothing is open that would have to end. */
  renewTokens(entries: readonly TokenEntry[]): void {
    this.#guard.renewTokens(entries);
  }

  /** Shows another certificate from now on. @throws TlsError for one that cannot be used */
  renewTls(tls: TlsIdentity): void {
    this.#server.renewTls(tls);
  }

  write({ app, source, structure, monotonicNs, values, slots }: PoolSnapshot): void {
    const key = poolKey({ source, app });
    const before = this.#latest.get(key);
    const isSame = before?.writers.structure === structure;
    const writers = isSame ? before.writers : new WriterValues(structure);
    const free = before?.lent === false ? before : undefined;
    this.#latest.set(key, {
      snapshot: { app, source, structure, monotonicNs },
      writers,
      values: copyInto(free?.values, values),
      slots: copyInto(free?.slots, slots.data),
      lent: false,
      takenAtMs: performance.now(),
    });
  }

  gone(source: string, app?: string): void {
    for (const [key, { snapshot }] of this.#latest) {
      if (snapshot.source === source && (app ?? snapshot.app) === snapshot.app) {
        this.#latest.delete(key);
      }
    }
  }

  close(graceMs: number): Promise<SinkEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinkEnd> {
    await this.#server.stop(graceMs);
    return { summary: "", undelivered: 0 };
  }

  #answer(request: Request): Response {
    const { searchParams: query } = new URL(request.url);
    const { headers } = request;
    const grant = grantOf(request);
    const as = negotiate(headers.get("accept"), ["openmetrics"]);
    const acceptEncoding = headers.get("accept-encoding");
    try {
      return this.#endpoint.answer({ query, as, acceptEncoding }, (selection) =>
        this.#pools(selection, (app) => grant.allows(app)),
      );
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      return responseOf(new CallError("invalid-query", error.message, error.hint));
    }
  }

  #pools({ app, perWriter }: Selection, allows: (app: string) => boolean): ExposedPool[] {
    const { intervalMs, labelSource } = this.#options;
    const oldestMs = performance.now() - Math.max(STALE_INTERVALS * intervalMs, STALE_MS_MIN);
    const isShown = (name: string) => app(name) && allows(name);
    const pools: ExposedPool[] = [];
    for (const latest of this.#latest.values()) {
      const { snapshot, writers, slots } = latest;
      if (!isShown(snapshot.app) || latest.takenAtMs < oldestMs) continue;
      const common = {
        app: snapshot.app,
        structure: snapshot.structure,
        ...(labelSource ? { source: snapshot.source } : {}),
      };
      if (perWriter) {
        pools.push({ ...common, values: writers.of(slots), parts: writers.parts });
      } else {
        latest.lent = true;
        pools.push({ ...common, values: latest.values });
      }
    }
    this.#counts.clashes = this.#options.clashes.count;
    if (isShown(this.#self.app)) pools.push(this.#self.read());
    return pools;
  }
}

function copyInto(known: Float64Array | undefined, values: Float64Array): Float64Array {
  if (known?.length !== values.length) return values.slice();
  known.set(values);
  return known;
}
