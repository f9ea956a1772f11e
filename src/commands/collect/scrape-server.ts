// `microview collect --listen`: serves the latest snapshot of every pool that is read, as Prometheus text.

import type { TargetStatistics } from "../../collector/index.ts";
import { CliError, UsageError } from "../../command-line/index.ts";
import {
  type ExposedPool,
  MetricsEndpoint,
  negotiate,
  QueryError,
  type Selection,
  type Wants,
  WriterValues,
} from "../../exposition/index.ts";
import {
  ANYONE,
  Audit,
  addressed,
  CallError,
  checkPort,
  checkScope,
  checkTls,
  createLog,
  GATE_LIMITS,
  Gate,
  type Grant,
  HostNames,
  LIVENESS_PATH,
  ListenError,
  type Log,
  listensOnLoopback,
  MethodError,
  pathOf,
  serverTls,
  TokenKeeper,
  TooManyError,
} from "../../guard/index.ts";
import {
  type ApiError,
  type ClashLog,
  type ExportCounters,
  formatEndpoint,
  type PoolSnapshot,
} from "../../layout/index.ts";
import { Renewal } from "../support/renewal.ts";
import { readServerTls } from "../support/tls-files.ts";
import { readTokens } from "../support/token-file.ts";
import type { ListenOptions } from "./listen-flags.ts";
import { type ScrapeCounts, SelfPool } from "./self-pool.ts";

/** A pool that was not read for so many intervals, and for so long, is not shown any more. */
const STALE_INTERVALS = 10;
const STALE_MS_MIN = 5_000;
/** How long scrapes that were begun may take while the command ends. */
const DRAIN_MS = 1_000;
/** How often is looked whether a token ends, and whether there is more to say of those refused. */
const LOOK_MS = 10_000;

/** Least time between two lines about faults of ours. */
const FAILURE_MS = 10_000;

const PATHS: readonly string[] = ["/metrics", LIVENESS_PATH];
const METHODS: readonly string[] = ["GET", "HEAD"];

const TOKEN_FLAG = "--listen-token-file";
const TLS_FLAGS = {
  cert: "--listen-tls-cert",
  key: "--listen-tls-key",
  clientCa: "--listen-tls-client-ca",
};

interface ScrapeServerOptions extends Partial<ListenOptions> {
  intervalMs: number;
  /** Leaves out what is not read. */
  wants: Wants;
  /** Tells agents apart by the label `instance`. */
  labelSource: boolean;
  statistics: () => readonly TargetStatistics[];
  /** What becomes of what is pushed besides. */
  pushes: () => readonly ExportCounters[];
  /** Reports and counts clashes of names, shared by all that show or send them. */
  clashes: ClashLog;
  /** Takes lines that are for whoever runs it. */
  say: (line: string) => void;
}

/** The latest of one pool. */
interface Latest {
  snapshot: Pick<PoolSnapshot, "app" | "source" | "directory" | "monotonicNs">;
  writers: WriterValues;
  values: Float64Array;
  slots: Float64Array;
  /** A scrape that goes on has these values: the next snapshot takes others. */
  lent: boolean;
  takenAtMs: number;
}

export class ScrapeServer {
  readonly #options: ScrapeServerOptions;
  readonly #endpoint: MetricsEndpoint;
  readonly #counts: ScrapeCounts = { refused: 0, cut: 0, clashes: 0 };
  readonly #latest = new Map<string, Latest>();
  readonly #keeper: TokenKeeper | undefined;
  readonly #gate: Gate;
  readonly #names: HostNames;
  readonly #audit: Audit;
  readonly #looking: Timer;
  readonly #renewal: Renewal;
  readonly #self: SelfPool;
  readonly #port: number;
  readonly #log: Log;
  #nextFailureMs = 0;
  #server: Bun.Server<undefined>;

  /** @throws UsageError when strangers could read and nobody has said that they may; CliError when the port is taken */
  constructor(options: ScrapeServerOptions) {
    this.#options = options;
    this.#self = new SelfPool(options.statistics, options.pushes, this.#counts);
    const { listenMaxScrapes: atOnce } = options;
    this.#endpoint = new MetricsEndpoint(atOnce === undefined ? {} : { atOnce }, {
      refused: () => this.#counts.refused++,
      cut: () => this.#counts.cut++,
      failed: (error) => void this.#failed(error),
      clash: (found) => options.clashes.see(found),
    });
    const { listenTokenFile, listenInsecure = false, listen } = options;
    const { host, port } = listen!;
    const log = createLog("info", false, (line) => options.say(line.trimEnd()));
    this.#log = log;
    const tokens = readTokens(listenTokenFile, TOKEN_FLAG);
    const tls = this.#readTls();
    // Each request is asked for its token: nothing is open that would have to end with one.
    this.#keeper = tokens && new TokenKeeper(tokens, log, () => {});
    this.#names = new HostNames(options.listenAllowHost);
    if (tls !== undefined) this.#names.certify(checkTls(tls));
    const anonymous = { grant: ANYONE, names: this.#names };
    this.#gate = new Gate(this.#keeper?.tokens, GATE_LIMITS, anonymous);
    this.#audit = new Audit(log, (text) => this.#keeper?.tokens.has(text) === true);
    this.#looking = setInterval(() => {
      this.#keeper?.look();
      this.#audit.count();
    }, LOOK_MS);
    this.#looking.unref();
    const isKnown = tokens !== undefined || tls?.clientCa !== undefined;
    if (!listensOnLoopback(host) && !isKnown && !listenInsecure) {
      throw new UsageError(
        `--listen: ${host} is reachable from other hosts, and anybody there could read`,
        `give ${TOKEN_FLAG} FILE or ${TLS_FLAGS.clientCa} FILE, listen on 127.0.0.1, or say --listen-insecure`,
      );
    }
    try {
      checkPort(host, port, { host: "--listen", port: "--listen" });
      this.#server = this.#serve(port, tls);
      this.#port = this.#server.port!;
    } catch (error) {
      if (error instanceof ListenError) throw new CliError(error);
      throw new CliError({
        message: `--listen: cannot listen on ${formatEndpoint({ host, port })}: ${(error as Error).message}`,
        hint: "something listens there already, or the address is not this host's",
        cause: error,
      });
    }
    this.#renewal = new Renewal(
      [
        {
          what: "the tokens of scrapers",
          paths: [listenTokenFile],
          take: () => this.#keeper?.replace(readTokens(listenTokenFile, TOKEN_FLAG)!),
        },
        {
          what: "the certificates shown to scrapers",
          paths: [options.listenTlsCert, options.listenTlsKey, options.listenTlsClientCa],
          take: () => this.#renewTls(),
        },
      ],
      (message, reason) => log.error(message, { reason }),
    );
  }

  #readTls() {
    const { listenTlsCert, listenTlsKey, listenTlsClientCa } = this.#options;
    const files = { cert: listenTlsCert, key: listenTlsKey, clientCa: listenTlsClientCa };
    return readServerTls(files, TLS_FLAGS);
  }

  #serve(port: number, tls: ReturnType<typeof readServerTls>): Bun.Server<undefined> {
    return Bun.serve({
      hostname: this.#options.listen!.host,
      port,
      // Bun shares ports unless told otherwise: two collectors would answer in turns.
      reusePort: false,
      maxRequestBodySize: 0,
      idleTimeout: 30,
      development: false,
      ...(tls === undefined ? {} : { tls: serverTls(tls) }),
      fetch: (request, server) => this.#answer(request, server.requestIP(request)?.address ?? ""),
      // Bun would write the error to stderr, with its stack and the source around it.
      error: (error) => this.#failed(error),
    });
  }

  /** Bun takes no other certificate for a server that listens, so another one takes its place. */
  #renewTls(): void {
    const tls = this.#readTls();
    void this.#server.stop();
    this.#server = this.#serve(this.#port, tls);
    if (tls !== undefined) this.#names.certify(checkTls(tls));
  }

  /** Where it is scraped. */
  get url(): string {
    const { host } = this.#options.listen!;
    const scheme = this.#options.listenTlsCert === undefined ? "http" : "https";
    return `${scheme}://${formatEndpoint({ host, port: this.#port })}/metrics`;
  }

  /** Takes a snapshot in; its arrays may be used again afterwards. */
  write({ app, source, directory, monotonicNs, plan, values, slots }: PoolSnapshot): void {
    const key = `${source} ${app}`;
    const before = this.#latest.get(key);
    // Which writer has what is taken down while the plan is that of the directory.
    const writers = before?.writers.plan === plan ? before.writers : new WriterValues(plan);
    const free = before?.lent === false ? before : undefined;
    this.#latest.set(key, {
      snapshot: { app, source, directory, monotonicNs },
      writers,
      values: copyInto(free?.values, values),
      slots: copyInto(free?.slots, slots),
      lent: false,
      takenAtMs: performance.now(),
    });
  }

  /** An application of a source has ended, or all that is read of it. */
  gone(source: string, app?: string): void {
    for (const [key, { snapshot }] of this.#latest) {
      if (snapshot.source === source && (app ?? snapshot.app) === snapshot.app) {
        this.#latest.delete(key);
      }
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    this.#renewal.stop();
    const stopped = this.#server.stop();
    await Promise.race([stopped, Bun.sleep(DRAIN_MS)]);
    await this.#server.stop(true);
  }

  #answer(given: Request, peer: string): Response {
    try {
      const request = addressed(given);
      const { searchParams: query } = new URL(request.url);
      const path = pathOf(request);
      if (!PATHS.includes(path)) {
        throw new CallError("no-such-route", "there is no such route", "GET /metrics", 404);
      }
      if (!METHODS.includes(request.method)) throw new MethodError(METHODS);
      // It reveals nothing, so a health check needs no token.
      if (path === LIVENESS_PATH) return new Response("ok\n");
      const grant = this.#admit(request, peer);
      const as = negotiate(request.headers.get("accept"), ["openmetrics"]);
      const acceptEncoding = request.headers.get("accept-encoding");
      return this.#endpoint.answer({ query, as, acceptEncoding }, (selection) =>
        this.#pools(selection, (app) => grant.allows(app)),
      );
    } catch (error) {
      if (error instanceof QueryError) {
        const { message, hint } = error;
        return errorResponse(400, { code: "invalid-query", message, hint });
      }
      return error instanceof CallError ? refusal(error) : this.#failed(error);
    }
  }

  /** A fault of ours. A caller who has found such a request may send many. */
  #failed(error: unknown): Response {
    const nowMs = performance.now();
    if (nowMs >= this.#nextFailureMs) {
      this.#nextFailureMs = nowMs + FAILURE_MS;
      this.#log.error("a scrape failed", { error: String(error) });
    }
    const [message, hint] = ["the scrape could not be answered", "the collector's log says why"];
    return errorResponse(500, { code: "internal", message, hint });
  }

  /** What a request may see; one that may see nothing leaves a line. @throws CallError */
  #admit(request: Request, peer: string): Grant {
    let token = "nobody";
    try {
      const grant = this.#gate.admit(request, peer);
      token = grant.name;
      checkScope(grant, "read");
      return grant;
    } catch (error) {
      if (error instanceof CallError) {
        const { method } = request;
        const path = pathOf(request);
        this.#audit.refused({ transport: "listen", code: error.code, token, peer, method, path });
      }
      throw error;
    }
  }

  #pools({ app, perWriter }: Selection, allows: (app: string) => boolean): ExposedPool[] {
    const { intervalMs, labelSource, wants } = this.#options;
    const oldestMs = performance.now() - Math.max(STALE_INTERVALS * intervalMs, STALE_MS_MIN);
    const isShown = (name: string) => app(name) && allows(name);
    const pools: ExposedPool[] = [];
    for (const latest of this.#latest.values()) {
      const { snapshot, writers, slots } = latest;
      if (!isShown(snapshot.app) || latest.takenAtMs < oldestMs) continue;
      const { directory } = snapshot;
      const common = {
        app: snapshot.app,
        directory,
        wants,
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

/** A refusal as the caller gets it. */
function refusal(error: CallError): Response {
  const { status, code, message, hint } = error;
  const headers: Record<string, string> = {};
  if (error instanceof TooManyError) headers["retry-after"] = String(error.retryAfterS);
  if (error instanceof MethodError) headers["allow"] = error.allowed.join(", ");
  return errorResponse(status, { code, message, hint }, headers);
}

function errorResponse(
  status: number,
  error: ApiError,
  headers: Record<string, string> = {},
): Response {
  return Response.json(error, { status, headers });
}
