// The agent: owns the pools of a host, serves REST on a Unix socket and TCP, and the data plane beside it.

import { readFileSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import {
  EventShipping,
  RingKeeper,
  type ShippingOptions,
  type ShippingStatus,
} from "../events/index.ts";
import {
  type AccessOptions,
  anyone,
  checkExposure,
  checkPort,
  checkSocketPath,
  checkTls,
  DEFAULT_SCOPES,
  fitConnections,
  type Grant,
  Guard,
  type GuardedServer,
  LOCAL,
  type Log,
  NOBODY,
  OwnerSecret,
  Recurring,
  serve,
  type TlsIdentity,
  type TokenEntry,
} from "../guard/index.ts";
import { identityOf, type PodWatch } from "../identity/index.ts";
import {
  AGENT_APP,
  LAYOUT_VERSION,
  type LiveSlots,
  LOCAL_SOURCE,
  type PoolSnapshot,
  type ProcessIdentity,
} from "../layout/index.ts";
import type { Problem, ProcessesResponse } from "../rest/index.ts";
import type { ExportCounters } from "../sinks/index.ts";
import { counted } from "../text/index.ts";
import { ErrorBoundary } from "./error-boundary.ts";
import { FAILURE } from "./errors.ts";
import { DATA_FLAGS, FLAGS, HINTS, REST_FLAGS } from "./flags.ts";
import { Garbage } from "./garbage.ts";
import { Health } from "./health.ts";
import { InstanceLock } from "./instance-lock.ts";
import { LocalWriters } from "./local-writer.ts";
import { PoolPlace } from "./pool/place.ts";
import type { Pool } from "./pool/pool.ts";
import { type KubernetesOptions, watchPods } from "./processes/pod-names.ts";
import { Processes } from "./processes/processes.ts";
import { Rdma, type RdmaOptions } from "./rdma/rdma.ts";
import type { Limits } from "./registry/limits.ts";
import { LocalSnapshots } from "./registry/local-snapshots.ts";
import { Pools } from "./registry/pools.ts";
import { STRATEGIES, type StrategyName } from "./registry/strategies/index.ts";
import { SelfMetrics } from "./self-metrics.ts";
import { DATA_COUNTERS } from "./serve/data-protocol.ts";
import { codeOfRefusal, hasGuessed } from "./serve/data-refusals.ts";
import { DataServer } from "./serve/data-server.ts";
import { sessionSockets } from "./serve/rdma-routes.ts";
import { createRoutes } from "./serve/routes.ts";

const SPOOL_HINT =
  "make room there: meanwhile events wait in their rings, which refuse when they are full";

/** How soon is noticed that the agent cannot work any more, or that its heap has garbage. */
const LOOK_INTERVAL_MS = 1_000;
/** How long the agent's end waits for the lake: together with its own second it is within two. */
const SHIPPING_GRACE_MS = 1_000;
/** How long the names of a pod are waited for, before its events are shipped without. */
const NAMES_WITHIN_MS = 800;

function lakeProblem({ denied, aside }: ShippingStatus): Problem | undefined {
  if (denied !== undefined) {
    const hint =
      "give --lake-token-file a token of the lake with scopes=ingest: events wait until then";
    return { message: denied, hint };
  }
  if (aside === 0) return undefined;
  return {
    message: `the lake has refused ${counted(aside, "segment")} for good`,
    hint: "the log says why; they are in the folder refused of the spool: move them back and restart the agent to send them again, or remove them",
  };
}

export interface AgentOptions extends AccessOptions {
  /** Callers over TCP without a token may register too, where no token is required. */
  allowRegister?: boolean;
  socketPath: string;
  port: number;
  dataPort: number;
  poolDir?: string;
  poolMode: number;
  /** Group of the socket and the pools. */
  gid?: number;
  strategy: StrategyName;
  limits: Limits;
  scanIntervalMs: number;
  /** How long a long answer of /metrics may be taken, where that is not as usual. */
  scrapeDeadlineMs?: number;
  /** Lets collectors read by RDMA where this host has a device; undefined does not look for one. */
  rdma?: RdmaOptions;
  /** How often the processes of services are sampled; undefined does not. */
  processIntervalMs?: number;
  /** How often their private and proportional memory is looked at as well; undefined does not. */
  processMemoryIntervalMs?: number;
  /** Names the pods of sampled processes by this API server. */
  kubernetes?: KubernetesOptions;
  /** Tells who a process is, instead of its cgroup: for tests, which cannot choose one. */
  identityOf?: (pid: number) => ProcessIdentity | undefined;
  /** Ships the events of services to a lake; undefined only keeps room in their rings. */
  shipping?: Omit<ShippingOptions, "poolDir">;
  version: string;
  log: Log;
}

export class Agent {
  /** Of the agent's own application: its metrics, and those of processes. */
  readonly #own = new LocalWriters(AGENT_APP);
  readonly metrics = new SelfMetrics(this.#own);
  readonly pools: Pools;
  readonly #options: AgentOptions;
  readonly #lock: InstanceLock;
  readonly #place: PoolPlace;
  readonly #health: Health;
  readonly #scans: Recurring;
  readonly #samplings: Recurring;
  /** Dead writers for whose counts there is no room, by application and service. */
  readonly #postponed: Recurring;
  readonly #ownMetrics: Recurring;
  readonly #snapshots = new LocalSnapshots();
  readonly #garbage = new Garbage();
  readonly #guard: Guard;
  /** What the data port shows; undefined without TLS, and where a renewal has failed half-way. */
  #dataTls: TlsIdentity | undefined;
  readonly #boundary: ErrorBoundary;
  /** Counts in the agent's own metrics what was done. */
  readonly #count: SelfMetrics["add"];
  #rest: GuardedServer | undefined;
  #data: DataServer | undefined;
  #rdma: Rdma | undefined;
  #processes: Processes | undefined;
  #podNames: PodWatch | undefined;
  /** Pools that were lost, until nobody reads them through the agent. */
  readonly #unserved = new WeakMap<Pool, Promise<void>>();
  #scan: Timer | undefined;
  readonly #rings: RingKeeper;
  #keeping: Timer | undefined;
  #shipping: EventShipping | undefined;
  #owner: OwnerSecret | undefined;
  #scanCount = 0;
  /** What may be noticed a second later is looked at less often than writers are. */
  readonly #scansPerLook: number;
  #sampling: Timer | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(given: AgentOptions) {
    const options = { ...given, limits: fitConnections(given.limits) };
    if (options.limits.connections < given.limits.connections) {
      given.log.warn("fewer connections than --max-connections are accepted", {
        accepted: options.limits.connections,
        reason: "the limit of open files is too low",
        hint: "raise it: `ulimit -n`, or LimitNOFILE= in the unit",
      });
    }
    this.#options = options;
    this.#scansPerLook = Math.max(1, Math.floor(LOOK_INTERVAL_MS / options.scanIntervalMs));
    this.#lock = InstanceLock.take(options.socketPath);
    const { poolMode, gid, limits, strategy, log, tokens } = options;
    // Services and collectors get its path, and their working directories are others.
    const poolDir = options.poolDir === undefined ? undefined : resolve(options.poolDir);
    this.#place = new PoolPlace(poolDir, poolMode, gid);
    this.#health = new Health(log);
    this.#rings = new RingKeeper(options.poolDir, (path, reason) => {
      log.warn("a ring of events is left alone", { path, reason });
    });
    this.#scans = new Recurring(log, "a scan failed", "scans work again");
    this.#samplings = new Recurring(
      log,
      "the processes could not be sampled",
      "processes are sampled again",
    );
    this.#ownMetrics = new Recurring(
      log,
      "some of the agent's own metrics have no place",
      "the agent's own metrics have their places again",
      "warn",
    );
    this.#postponed = new Recurring(
      log,
      "a dead writer stays for now",
      "dead writers of the service are folded again",
      "warn",
    );
    this.#dataTls = options.tls;
    this.#boundary = new ErrorBoundary(log);
    this.#count = this.#boundary.safely("counts", (...of) => this.metrics.add(...of));
    this.#guard = new Guard({
      tokens,
      anyone:
        options.allowRegister === true
          ? anyone(DEFAULT_SCOPES)
          : anyone(["read"], { register: HINTS.register }),
      flags: FLAGS,
      allowHosts: options.allowHosts,
      limits,
      log,
      transportOf: (path) => (path?.startsWith("/v1/rdma") === true ? "rdma" : "rest"),
      counts: {
        limited: (code) => this.#count("limits", 1, code),
        denied: () => this.#count("denied"),
      },
      tokensChanged: () => this.#dropRights(),
    });
    this.pools = new Pools(
      {
        mode: poolMode,
        limits,
        strategy: STRATEGIES[strategy],
        ...(poolDir === undefined ? {} : { poolDir }),
        ...(gid === undefined ? {} : { gid }),
      },
      log,
      this.#events(),
    );
  }

  /**
   * Adopts what pools there are and starts to serve.
   * @throws ListenError, ExposedError, AgentRunningError, PlaceError, SystemError when a port or path cannot be used
   */
  static async start(options: AgentOptions): Promise<Agent> {
    checkSocketPath(options.socketPath, HINTS.socket);
    checkPort(options.host, 0, REST_FLAGS);
    checkExposure(options, HINTS.exposed);
    const agent = new Agent(options);
    try {
      await agent.#start();
      return agent;
    } catch (error) {
      await agent.stop();
      throw error;
    }
  }

  /** TCP port of the REST interface. */
  get port(): number {
    return this.#rest?.port ?? this.#options.port;
  }

  /** TCP port of the data plane. */
  get dataPort(): number {
    return this.#data?.port ?? 0;
  }

  /** Takes other tokens from now on; what was opened by one that is gone, or grants something else, ends. */
  renewTokens(entries: readonly TokenEntry[]): void {
    this.#guard.renewTokens(entries);
  }

  /** Shows another certificate to those who connect from now on. @throws TlsError for one that cannot be used */
  renewTls(tls: TlsIdentity): void {
    this.#rest?.renewTls(tls);
    // The same one again is no reason to cut handshakes.
    if (Bun.deepEquals(tls, this.#dataTls)) return;
    this.#dataTls = undefined;
    this.#data?.renewTls(tls);
    this.#dataTls = tls;
    this.#options.log.info("the certificate was read again");
  }

  /** Answers what it has taken on, then lets go of everything. Pools and writers live on. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#scan);
    clearTimeout(this.#keeping);
    this.#rings.close();
    clearInterval(this.#sampling);
    const shipped = this.#shipping?.stop(SHIPPING_GRACE_MS);
    await this.#rest?.stop();
    await this.#data?.stop();
    await shipped;
    this.#rdma?.close();
    this.#own.close();
    await this.#podNames?.[Symbol.asyncDispose]();
    this.pools.close();
    this.#owner?.remove();
    rmSync(this.#options.socketPath, { force: true });
    this.#lock.release();
  }

  async #ship(options: NonNullable<AgentOptions["shipping"]>): Promise<void> {
    const { log, poolDir } = this.#options;
    const place = poolDir === undefined ? {} : { poolDir: resolve(poolDir) };
    this.#shipping = await EventShipping.start(
      { ...options, ...place },
      {
        identify: (pid) => this.#identify(pid),
        log: (level, message, fields) => log[level](message, fields),
        status: this.#boundary.safely("shipping", (status) => this.#tellShipping(status)),
        failed: (reason) => {
          this.#health.set("events", {
            message: `the thread that ships events has failed: ${reason}`,
            hint: "restart the agent: what is in rings and in the spool is not lost",
          });
        },
      },
    );
  }

  /** With the names of its pod, which the API server may tell a moment later. */
  async #identify(pid: number): Promise<ProcessIdentity | undefined> {
    const found = (this.#options.identityOf ?? identityOf)(pid);
    if (found === undefined || found.podUid === "" || this.#podNames === undefined) return found;
    const endMs = performance.now() + NAMES_WITHIN_MS;
    for (;;) {
      const named = this.#podNames.complete(found);
      if (named.podName !== "" || performance.now() > endMs) return named;
      await Bun.sleep(50);
    }
  }

  #tellShipping(status: ShippingStatus): void {
    const { metrics } = this;
    metrics.set("eventRings", status.rings);
    metrics.set("eventsShipped", status.shipped);
    for (const [cause, events] of Object.entries(status.lost)) {
      metrics.set("eventsLost", events, cause);
    }
    metrics.set("eventsUnreadBytes", status.unreadBytes);
    metrics.set("eventsSkipped", status.skippedRecords);
    metrics.set("eventRequests", status.requests);
    metrics.set("eventRetries", status.retries);
    metrics.set("eventBytes", status.bytes);
    metrics.set("eventsWaiting", status.waiting);
    metrics.set("spoolBytes", status.spoolBytes);
    metrics.set("eventLag", status.lagMs / 1000);
    const { trouble } = status;
    const problem = trouble === undefined ? undefined : { message: trouble, hint: SPOOL_HINT };
    // The thread has said it.
    this.#health.set("events", problem, true);
    this.#health.set("lake", lakeProblem(status), true);
  }

  #keepRings(): void {
    this.#scans.attempt("rings", () => this.#rings.round());
    this.#keeping = setTimeout(() => this.#keepRings(), this.#rings.everyMs);
  }

  async #start(): Promise<void> {
    const { host, port, dataPort, tls, limits, log, socketPath, gid } = this.#options;
    checkPort(host, port, REST_FLAGS);
    checkPort(host, dataPort, DATA_FLAGS);
    const { scrapeDeadlineMs, shipping } = this.#options;
    const { refusals, tokens } = this.#guard;
    const boundary = this.#boundary;
    if (tls !== undefined) checkTls(tls, FLAGS);
    this.#place.tryOut();
    this.#owner = OwnerSecret.make(socketPath);
    this.metrics.set("startTime", Date.now() / 1000);
    this.pools.adoptAll();
    this.#settleOwn();
    this.#data = await DataServer.start({
      host,
      port: dataPort,
      maxConnections: limits.connections,
      maxConnectionsEach: limits.connectionsEach,
      idleMs: limits.idleMs,
      wrongPerS: limits.wrongPerS,
      mayTry: (address) => refusals.admission.mayTry(address),
      refused: (status, token, peer) => {
        const refusal = { transport: "data", code: codeOfRefusal(status), token, peer };
        // The port's thread does not know who has come through the tunnel.
        refusals.connection(refusal, tls !== undefined && hasGuessed(status));
      },
      failed: (reason) => {
        this.#health.set("data-port", {
          message: `the thread of the data port has failed: ${reason}`,
          hint: "restart the agent: services lose nothing",
        });
      },
      ...(tokens === undefined ? {} : { tokens: tokens.known }),
      ...(tls === undefined ? {} : { tls }),
    });
    for (const application of this.pools) this.#data.add(application.pool);

    const { rdma } = this.#options;
    if (rdma !== undefined) {
      this.#rdma = new Rdma(rdma, log, {
        refused: () => this.#count("rdmaRefused"),
        strange: (code, peer) => {
          refusals.connection({ transport: "rdma", code, token: NOBODY.name, peer });
        },
      });
    }

    const routes = createRoutes({
      pools: this.pools,
      rdma: this.#rdma,
      processesOf: (app) => this.processesOf(app),
      count: this.#count,
      snapshots: this.#snapshots,
      scrapes: {
        atOnce: limits.scrapes,
        ...(scrapeDeadlineMs === undefined ? {} : { deadlineMs: scrapeDeadlineMs }),
      },
      log,
      version: this.#options.version,
      bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      startedAtMs: Date.now(),
      dataPort: () => this.dataPort,
      problems: () => this.#health.problems,
      followRules: (change) => this.#shipping?.follow(change) ?? this.#rings.follow(change),
      upgrade: (request, data) => this.#rest?.upgrade(request, data) === true,
      tokens: () => tokens?.list() ?? [],
      maxBodyBytes: limits.bodyBytes,
      refused: boundary.safely("refusals", (...refusal) => refusals.byRoute(...refusal)),
      failed: boundary.safely("failures", (error: unknown) => refusals.failed(error)),
    });
    this.#rest = serve(this.#guard, {
      host,
      port,
      socket: {
        path: socketPath,
        made: () => log.warn("the socket was removed, and is there again", { path: socketPath }),
        meanwhile: "services that are attached go on",
        grantOf: (request) => this.#owner?.grantOf(request) ?? LOCAL,
        ...(gid === undefined ? {} : { gid }),
      },
      limits,
      called: { server: "the agent", port: "the REST port" },
      answer: (request) => routes.handle(request),
      websocket: sessionSockets(() => this.#rdma),
      failure: FAILURE,
      problems: () => this.#health.ownProblems,
      answered: (status) => this.#count("requests", 1, String(status)),
      ...(tls === undefined ? {} : { tls }),
    });
    this.#scan = setInterval(() => this.scan(), this.#options.scanIntervalMs);
    if (shipping === undefined) this.#keepRings();
    const { processIntervalMs, kubernetes } = this.#options;
    if (processIntervalMs !== undefined) {
      if (kubernetes !== undefined) this.#podNames = watchPods(kubernetes, this.metrics, log);
      const who = {
        identityOf: this.#options.identityOf ?? identityOf,
        complete: (identity: ProcessIdentity) => this.#podNames?.complete(identity) ?? identity,
      };
      this.#processes = new Processes(this.#own, who, this.#options.processMemoryIntervalMs);
      this.#sampling = setInterval(() => this.sampleProcesses(), processIntervalMs);
    }
    if (shipping !== undefined) await this.#ship(shipping);
    log.info("the agent serves", {
      socket: socketPath,
      rest: `${tls ? "https" : "http"}://${host}:${this.port}`,
      dataPort: this.dataPort,
      layout: LAYOUT_VERSION,
      ...(shipping === undefined ? {} : { lake: shipping.lake, spool: shipping.spool }),
    });
  }

  /**
   * A snapshot of every application now, as a collector on this host would read it. Each is taken when it is asked for;
   * its slots are the pool itself, which goes on.
   */
  *snapshots(): Generator<PoolSnapshot<LiveSlots>> {
    for (const application of this.pools) yield this.#snapshots.snapshot(application, LOCAL_SOURCE);
  }

  /** Tells in the agent's own metrics what becomes of the snapshots that somebody pushes. */
  reportPush(counters: ExportCounters): void {
    const { protocol } = counters;
    this.metrics.set("pushSamples", counters.items, protocol);
    this.metrics.set("pushRequests", counters.requests, protocol);
    this.metrics.set("pushBytes", counters.bytes, protocol);
    this.metrics.set("pushRetries", counters.retries, protocol);
    this.metrics.set("pushRefused", counters.refused, protocol);
    this.metrics.set("pushDropped", counters.dropped, protocol);
    this.metrics.set("pushWaiting", counters.waitingItems, protocol);
    this.metrics.set("pushWaitingBytes", counters.waitingBytes, protocol);
  }

  /** Who the processes of an application are; none while they are not sampled. */
  processesOf(app: string): ProcessesResponse["processes"] {
    return this.#processes?.of(app) ?? [];
  }

  /** Looks at the processes of services, if it was asked to. */
  sampleProcesses(): void {
    if (this.#processes === undefined) return;
    const start = performance.now();
    const processes = this.#processes;
    this.#samplings.attempt("", () => processes.sample(this.pools));
    this.#settleOwn();
    this.#count("processSeconds", (performance.now() - start) / 1000);
  }

  /** Looks for dead writers in every pool, and brings the agent's own gauges up to date. */
  scan(nowMs = Date.now()): void {
    const start = performance.now();
    this.#scans.attempt("", () => {
      for (const application of [...this.pools.dropDamaged(), ...this.pools.dropEmpty(nowMs)]) {
        this.metrics.forget(application.name);
        void this.#stopServing(application.pool).then(() => application.close());
      }
      this.pools.restoreLost();
    });
    this.#settleOwn();
    for (const application of this.pools) {
      const { name } = application;
      this.#scans.attempt(name, () => application.scan(nowMs), { app: name });
    }
    if (this.#scanCount % this.#scansPerLook === 0) {
      this.#look();
      this.#garbage.look();
    }
    this.#scanCount++;
    this.#rdma?.scan(nowMs);
    this.#scans.attempt("connections", () => this.#rest?.sweep());
    this.#guard.look(nowMs);
    this.#count("scans");
    this.#count("scanSeconds", (performance.now() - start) / 1000);
    this.#scans.attempt("numbers", () => this.#measure());
  }

  #serve(pool: Pool): void {
    this.#data?.add(pool);
    // RDMA readers see it in the header that they read anyway.
    for (const application of this.pools) application.pool.notify();
  }

  /** Resolves when nobody reads a pool's memory through the agent any more. */
  async #stopServing(pool: Pool): Promise<void> {
    this.#rdma?.drop(pool);
    await this.#data?.drop(pool);
  }

  /** Looks whether the agent can still do its work. */
  #look(): void {
    const trouble = this.#place.trouble();
    this.#health.set("pools", trouble);
    // Where none can be made, those that are lost cannot be put back; the log has them, each by itself.
    this.#health.set("lost-pools", trouble === undefined ? this.#lostPools() : undefined, true);
    this.#health.set("socket", this.#rest?.lookAtSocket());
    this.#health.set("rest-port", this.#rest?.lookAtPort());
  }

  #lostPools(): Problem | undefined {
    const lost = [...this.pools].flatMap((application) => {
      const reason = this.pools.troubleOf(application);
      return reason === undefined ? [] : [`${application.pool.path}: ${reason}`];
    });
    if (lost.length === 0) return undefined;
    return {
      message: `pools whose files were removed or replaced cannot be put back: ${lost.join("; ")}`,
      hint: "free the paths, and make room for the pools",
    };
  }

  /** Ends what was opened by tokens that are gone, grant something else or have expired. */
  #dropRights(): void {
    const { tokens } = this.#guard;
    if (tokens === undefined) return;
    this.#data?.renewTokens(tokens.known);
    this.#rdma?.endSessions((grant: Grant) => grant !== LOCAL && !tokens.holds(grant));
  }

  #settleOwn(): void {
    this.#ownMetrics.attempt("", () => this.#own.settle(this.pools));
  }

  #measure(): void {
    const { metrics } = this;
    let apps = 0;
    for (const application of this.pools) {
      const { name, directory } = application;
      apps++;
      metrics.set("writers", application.living, name);
      metrics.set("pages", application.pagesUsed, name);
      metrics.set("series", directory.seriesCount, name);
      metrics.set("directoryBytes", directory.length, name);
    }
    metrics.set("apps", apps);
    if (this.#podNames !== undefined) metrics.set("kubernetesPods", this.#podNames.size);
    if (this.#rdma !== undefined) {
      metrics.set("rdmaQueuePairs", this.#rdma.pairCount);
      metrics.set("rdmaPinned", this.#rdma.pinnedBytes);
    }
    const data = this.#data?.counters;
    if (data === undefined) return;
    metrics.set("dataConnections", data[DATA_COUNTERS.connections]!);
    metrics.set("dataRefused", data[DATA_COUNTERS.refused]!);
    metrics.set("dataYielded", data[DATA_COUNTERS.yielded]!);
    metrics.set("dataDenied", data[DATA_COUNTERS.denied]!);
    metrics.set("dataMalformed", data[DATA_COUNTERS.malformed]!);
    metrics.set("dataReads", data[DATA_COUNTERS.requests]!);
    metrics.set("dataBytes", data[DATA_COUNTERS.bytesSent]!);
  }

  #events(): Pools["events"] {
    const { log } = this.#options;
    return {
      attached: () => this.#count("attached"),
      registered: (series) => this.#count("registered", series),
      folded: (app, { serviceName: service, pid }, series) => {
        this.#count("folded");
        this.#postponed.worked(`${app} ${service}`, { app, service });
        log.debug("writer folded", { app, service, pid, series });
      },
      foldPostponed: (app, { serviceName: service, pid }, { message, hint, code }) => {
        this.#count("foldsPostponed");
        this.#postponed.failed(`${app} ${service}`, message, { app, service, pid, hint }, code);
      },
      valuesRefused: (count) => this.#count("valuesRefused", count),
      abandoned: (lost) => {
        void (this.#unserved.get(lost) ?? Promise.resolve()).then(() => lost.close());
        this.#unserved.delete(lost);
      },
      opened: (application) => this.#serve(application.pool),
      restored: (application, lost) => {
        if (lost !== undefined) {
          this.#unserved.set(lost, this.#stopServing(lost));
          this.#serve(application.pool);
        }
        this.#count("poolsLost");
      },
      setAside: (path, reason) => {
        this.#count("setAside");
        log.error("a pool is not used", { path, reason: reason.message });
      },
      leftAlone: (path, reason) => {
        this.#count("leftAlone");
        log.error("a pool is not used", { path, reason: reason.message });
      },
    };
  }
}
