// Collects snapshots of many agents: finds them, hands them to the reading thread, and turns what comes back into
// values. An agent that goes away is looked for with backoff, and the gap is marked.

import { jittered } from "../calling/index.ts";
import { WakeEvent } from "../ffi/index.ts";
import { startTunnel, type Tunnel } from "../guard/index.ts";
import {
  Gather,
  type PoolSnapshot,
  planBytes,
  SHM_DIR,
  type Structure,
  StructureReceiver,
} from "../layout/index.ts";
import { printable, threadFault } from "../text/index.ts";
import {
  AgentClient,
  type ClientTls,
  type Credentials,
  namedTwice,
  type Target,
  targetAddress,
  targetName,
} from "./agent-client.ts";
import {
  type Discovered,
  DiscoveryError,
  type DiscoveryOptions,
  discover,
  type MappedSpec,
  mappedNow,
  RefusedError,
  VERBS_DEFAULTS,
} from "./discovery.ts";
import { EVERYTHING, type Filter } from "./filter.ts";
import { SNAPSHOT_LEAD_BYTES } from "./pool-reader.ts";
import { DurationStatistics, type TargetStatistics } from "./statistics.ts";
import { newCounters } from "./transport.ts";
import { VerbsSession } from "./verbs-session.ts";
import type {
  DirectoryFlaws,
  FromReader,
  PollMode,
  ReadPool,
  TargetSpec,
  ToReader,
} from "./worker-protocol.ts";

// The compiled binary keeps workers below its root; from sources they lie beside this file.
const WORKER_URL = new URL(
  import.meta.url.includes("/$bunfs/") ? "./src/collector/worker.ts" : "./worker.ts",
  import.meta.url,
);
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
const DEFAULT_BUFFERS = 16;
/** How long another way is taken after RDMA did not work where one may choose. */
const AVOID_VERBS_MS = 60_000;
/** After this long, a connected agent without anything to read is reported. */
const EMPTY_AFTER_MS = 1_000;
/** So many applications that have ended are remembered, for when they come again. */
const ENDED_MAX = 1_000;
/** How often this host's agent is asked where its pools are, while they are mapped. */
const FOLLOW_MS = 1_000;

/** Something about an agent that its reader should know. */
export interface CollectorEvent {
  source: string;
  kind: "connected" | "agentless" | "away" | "empty" | "found" | "gone" | "damaged" | "partial";
  message: string;
  /** Trying again will not help, e.g. a wrong token. */
  fatal: boolean;
  /** With "connected": how many pools the filter wants there now. */
  pools?: number;
  /** With "connected": the applications there, wanted or not. */
  apps?: readonly string[];
  /** With "gone": the application that has ended. */
  app?: string;
  /** With "damaged": the application of which nothing can be read, until a snapshot comes. */
  unread?: string;
}

export interface CollectorOptions extends Partial<DiscoveryOptions> {
  targets: readonly Target[];
  /** Time between two snapshots, from 1. */
  intervalMs: number;
  filter?: Filter;
  /** Asked for what agents are shown whenever one is connected to; goes before `token` and `tls`. */
  credentials?: () => Credentials;
  /** Snapshots of a pool that may wait for `onSnapshot`; more are dropped and counted. */
  buffers?: number;
  /** How READs are waited for: "adaptive" spins where they take a few microseconds, "spin" always, "event" never. */
  poll?: PollMode;
  /** Receives each snapshot. Its `slots` and `values` are used again afterwards: copy what you keep. */
  onSnapshot: (snapshot: PoolSnapshot) => void;
  /** Default writes what a person has to know to stderr: that nothing can be read and why, and that it can again. */
  onEvent?: (event: CollectorEvent) => void;
}

interface TargetState {
  target: Target;
  name: string;
  /** How it is looked for and asked, since it was connected to last. */
  discovery: DiscoveryOptions;
  statistics: TargetStatistics;
  retryMs: number;
  timer: Timer | undefined;
  /** Why the agent is away; marks the first snapshots after. */
  gap: string | undefined;
  /** Carries the stream over TLS when the agent asks for it. */
  tunnel: Tunnel | undefined;
  /** Holds the queue pairs at the agent while it is read by RDMA. */
  session: VerbsSession | undefined;
  /** What speaks against a better way to read it. */
  note: string | undefined;
  /** Why, and until when, RDMA is not tried. */
  avoidVerbs: { reason: string; untilMs: number } | undefined;
  /** A snapshot came since it was reached last: only then all is well, and the next failure is a new one. */
  works: boolean;
  /** Where pools are looked for, for people. */
  where: string;
  /** It was reported that there is nothing to read. */
  isLacking: boolean;
  /** Reports an agent that has nothing to read. */
  emptyTimer: Timer | undefined;
  /** Asks where the pools are that are mapped. */
  followTimer: Timer | undefined;
  /** Why it was away last, as it was told. */
  lastReason: string | undefined;
  /** Ids of its pools while it is read: whoever else has them is the same agent by another name. */
  poolIds: ReadonlySet<number>;
  /** By application. */
  sequences: Map<string, Sequence>;
}

interface PoolState {
  /** Index of the agent that it is read from. */
  target: number;
  receiver: StructureReceiver;
  gather: Gather;
  values: Float64Array;
  /** Damaged places of its directory, as last told. */
  damageCount: number;
}

/** What is remembered of a pool over reconnections. */
interface Sequence {
  app: string;
  count: number;
  deadlineNs: number;
  gap: string | undefined;
  /** Why it could not be read, as last reported. */
  told: string | undefined;
  /** How many types of records were left out of it, as last reported. */
  leftOut: number;
}

export class Collector {
  readonly #options: CollectorOptions;
  readonly #intervalNs: number;
  readonly #targets: TargetState[];
  readonly #pools = new Map<number, PoolState>();
  /** Of applications that have ended, with where they were: the one that ended first is the first. */
  readonly #ended = new Map<Sequence, TargetState>();
  readonly #posted = new Int32Array(new SharedArrayBuffer(4));
  #worker: Worker | undefined;
  #wake: WakeEvent | undefined;
  #stopped = false;
  /** The reading thread has ended by an error. */
  #failed = false;
  #onStopped: () => void = () => {};

  /** @throws RangeError for an interval below 1 ms, and for an agent that is named twice */
  constructor(options: CollectorOptions) {
    if (!(options.intervalMs >= 1)) {
      throw new RangeError(`the interval is at least 1 ms, got ${options.intervalMs}`);
    }
    const twice = namedTwice(options.targets);
    if (twice !== undefined) throw new RangeError(`the agent ${twice} is named twice`);
    this.#options = options;
    this.#intervalNs = Math.round(options.intervalMs * 1e6);
    this.#targets = options.targets.map((target) => ({
      target,
      name: targetName(target),
      discovery: discoveryBy(options, {}),
      statistics: newStatistics(targetName(target)),
      retryMs: FIRST_RETRY_MS,
      timer: undefined,
      gap: undefined,
      tunnel: undefined,
      session: undefined,
      note: undefined,
      avoidVerbs: undefined,
      works: false,
      where: "",
      isLacking: false,
      emptyTimer: undefined,
      followTimer: undefined,
      lastReason: undefined,
      poolIds: new Set(),
      sequences: new Map(),
    }));
  }

  get statistics(): TargetStatistics[] {
    return this.#targets.map(({ statistics }) => statistics);
  }

  /** Starts to read. Agents that are not there yet are waited for. */
  start(): void {
    // First, for where the native part cannot be loaded no thread must be left that keeps the process.
    this.#wake = WakeEvent.create();
    const worker = new Worker(WORKER_URL.href);
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromReader>) => this.#receive(data);
    worker.onerror = ({ message }) => {
      // It ends by that, and says nothing any more.
      this.#failed = true;
      for (const state of this.#targets)
        this.#away(state, `the reading thread failed: ${threadFault(message)}`, true);
      this.#onStopped();
    };
    this.#post({
      kind: "start",
      filter: this.#options.filter ?? EVERYTHING,
      intervalNs: this.#intervalNs,
      buffers: this.#options.buffers ?? DEFAULT_BUFFERS,
      poll: this.#options.poll ?? "adaptive",
      wakeFd: this.#wake.fd,
      posted: this.#posted.buffer as SharedArrayBuffer,
    });
    for (const state of this.#targets) void this.#connect(state);
  }

  /** Ends reading; resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const { timer, emptyTimer, followTimer, tunnel } of this.#targets) {
      clearTimeout(timer);
      clearTimeout(emptyTimer);
      clearTimeout(followTimer);
      tunnel?.stop();
    }
    if (this.#worker === undefined) return this.#endSessions();
    if (!this.#failed) {
      const stopped = new Promise<void>((resolve) => {
        this.#onStopped = resolve;
      });
      this.#post({ kind: "stop" });
      await stopped;
    }
    this.#worker.terminate();
    this.#wake?.close();
    // Only now: queue pairs at the agent end with the session, and reads that were under way would have failed.
    this.#endSessions();
  }

  #endSessions(): void {
    for (const { session } of this.#targets) session?.close();
  }

  async #connect(state: TargetState): Promise<void> {
    try {
      const { spec, note, where, agentless, poolIds } = await this.#discover(state);
      if (this.#stopped || this.#failed) return this.#endSession(state);
      this.#claim(state, poolIds ?? []);
      if (agentless !== undefined) this.#tell(state, "agentless", agentless, false);
      state.note = note;
      state.where = where;
      if (spec.transport === "mmap" && state.target.poolDir === undefined) {
        this.#follow(state, spec, agentless !== undefined);
      }
      const target = this.#targets.indexOf(state);
      this.#post({ kind: "target", target, spec: this.#overTls(state, spec) });
      if (state.session !== undefined) {
        state.session.onLost = (reason) => this.#post({ kind: "lose", target, reason });
      }
    } catch (error) {
      // Who was answered before may be again: tokens and certificates are exchanged while both sides run.
      const wasRead = error instanceof RefusedError && state.statistics.snapshots > 0;
      const fatal = error instanceof DiscoveryError && error.fatal && !wasRead;
      this.#away(state, (error as Error).message, fatal);
    }
  }

  /** @throws DiscoveryError when another target is this agent: what it has would be counted twice */
  #claim(state: TargetState, poolIds: readonly number[]): void {
    const isSame = (other: TargetState) => poolIds.some((id) => other.poolIds.has(id));
    const other = this.#targets.find((each) => each !== state && isSame(each));
    if (other !== undefined) {
      throw new DiscoveryError(`it is the agent that is read as ${other.name}: name it once`, true);
    }
    state.poolIds = new Set(poolIds);
  }

  /** How an agent is read, with a session open when that is by RDMA. */
  async #discover(state: TargetState): Promise<Discovered> {
    const { target, avoidVerbs } = state;
    const options = discoveryBy(this.#options, this.#options.credentials?.() ?? {});
    state.discovery = options;
    if (avoidVerbs !== undefined && Date.now() < avoidVerbs.untilMs) {
      options.avoidVerbs = avoidVerbs.reason;
    }
    this.#endSession(state);
    const discovered = await discover(target, options);
    if (discovered.spec.transport !== "verbs") return discovered;
    try {
      state.session = await VerbsSession.open(new AgentClient(target, options));
      return { ...discovered, spec: { ...discovered.spec, session: state.session.id } };
    } catch (error) {
      const { message } = error as Error;
      if (options.transport === "verbs") throw error;
      return discover(target, { ...options, avoidVerbs: message });
    }
  }

  #endSession(state: TargetState): void {
    state.session?.close();
    state.session = undefined;
  }

  /** Asks an agent what the reading thread cannot. */
  async #ask({ target, ask, question }: Extract<FromReader, { kind: "ask" }>) {
    const state = this.#targets[target]!;
    let answer: unknown;
    let error: string | undefined;
    try {
      answer = await new AgentClient(state.target, state.discovery).ask(question);
    } catch (thrown) {
      error = (thrown as Error).message;
    }
    if (!this.#stopped) this.#post({ kind: "answer", target, ask, answer, error });
  }

  /** The same agent through a tunnel, when the stream to it is TLS. */
  #overTls(state: TargetState, spec: TargetSpec): TargetSpec {
    const { tls } = state.discovery;
    if (tls === undefined || spec.transport !== "tcp") return spec;
    const { host = "localhost" } = state.target;
    state.tunnel?.stop();
    state.tunnel = startTunnel(
      { hostname: "127.0.0.1", port: 0 },
      { hostname: spec.host, port: spec.port, tls: tlsOptions(tls, host) },
    );
    return { ...spec, host: "127.0.0.1", port: state.tunnel.port };
  }

  /**
   * Pools that are mapped are read whether the agent lives or not; so it is asked, now and then, where they are: it may
   * come later, or again, and keep them elsewhere.
   */
  #follow(state: TargetState, spec: MappedSpec, isAgentless: boolean): void {
    clearTimeout(state.followTimer);
    const { discovery } = state;
    state.followTimer = setTimeout(async () => {
      const now = await mappedNow(state.target, discovery);
      // Somebody else has connected to it meanwhile, or it is away.
      if (this.#stopped || state.discovery !== discovery) return;
      if (now === undefined) return this.#follow(state, spec, isAgentless);
      if (Bun.deepEquals(now, spec)) {
        if (isAgentless) {
          const text = `the agent at ${targetAddress(state.target)} answers now; its pools are those that are read`;
          this.#tell(state, "found", text, false);
        }
        return this.#follow(state, spec, false);
      }
      const reason = `the agent at ${targetAddress(state.target)} keeps its pools in ${now.poolDir ?? SHM_DIR}`;
      this.#post({ kind: "lose", target: this.#targets.indexOf(state), reason });
    }, FOLLOW_MS);
  }

  /** Reports an agent that has nothing to read some time after connecting. */
  #watchEmpty(state: TargetState): void {
    clearTimeout(state.emptyTimer);
    state.emptyTimer = setTimeout(() => {
      if (state.works || state.statistics.transport === undefined) return;
      const { apps } = this.#options.filter ?? EVERYTHING;
      const which = apps.length === 0 ? "" : ` that matches ${apps.join(", ")}`;
      const text = `there is no application${which} in ${state.where}; it is read when it comes`;
      this.#tell(state, "empty", text, false);
    }, EMPTY_AFTER_MS);
  }

  #away(state: TargetState, reason: string, fatal: boolean): void {
    if (this.#stopped) return;
    clearTimeout(state.emptyTimer);
    clearTimeout(state.followTimer);
    // RDMA that never worked is not tried again at once where there is another way.
    if (state.session !== undefined && !state.works && state.discovery.transport === "auto") {
      state.avoidVerbs = { reason, untilMs: Date.now() + AVOID_VERBS_MS };
    }
    this.#endSession(state);
    state.poolIds = new Set();
    const isNews = state.lastReason !== reason;
    state.lastReason = reason;
    if (state.statistics.transport !== undefined) state.statistics.gaps++;
    state.statistics.transport = undefined;
    state.statistics.away = reason;
    state.gap = reason;
    if (isNews) this.#tell(state, "away", reason, fatal);
    clearTimeout(state.timer);
    if (this.#failed) return;
    state.timer = setTimeout(() => void this.#connect(state), jittered(state.retryMs));
    state.retryMs = Math.min(state.retryMs * 2, LAST_RETRY_MS);
  }

  #receive(message: FromReader): void {
    if (message.kind === "stopped") return this.#onStopped();
    if (this.#stopped) return;
    if (message.kind === "structure") return this.#takeStructure(message);
    if (message.kind === "snapshot") return this.#takeSnapshot(message);
    const state = this.#targets[message.target]!;
    switch (message.kind) {
      case "ask":
        void this.#ask(message);
        return;
      case "connected":
        state.works = false;
        state.statistics.transport = message.transport;
        state.statistics.away = undefined;
        this.#resume(state, message.apps);
        if (message.pools === 0) this.#watchEmpty(state);
        this.#options.onEvent?.({
          source: state.name,
          kind: "connected",
          message: `read by ${message.transport}${state.note === undefined ? "" : ` (not by RDMA: ${state.note})`}`,
          fatal: false,
          pools: message.pools,
          apps: message.apps,
        });
        return;
      case "lost":
        // When it is read again its pools have other numbers.
        for (const [id, { target }] of this.#pools) {
          if (target === message.target) this.#pools.delete(id);
        }
        this.#away(state, message.reason, false);
        return;
      case "gone":
        this.#pools.delete(message.pool);
        this.#end(state, message.app);
        return;
      case "skipped":
        if (message.reason === "overrun") state.statistics.overruns++;
        else if (message.reason === "broken") this.#broken(state, message.app, message.detail);
        else if (message.reason === "unsettled") state.statistics.unsettled++;
        else this.#unreadable(state, message);
        return;
    }
  }

  /** Said once for as long as it does not change: the pool is tried again and again. */
  #unreadable(
    state: TargetState,
    { app, reason, detail }: Extract<FromReader, { kind: "skipped" }>,
  ): void {
    const message = `${app}: ${detail}`;
    if (reason === "unreadable") return this.#tell(state, "damaged", message, false);
    const sequence = this.#sequenceOf(state, app);
    if (sequence.told === detail) return;
    sequence.told = detail;
    this.#options.onEvent?.({
      source: state.name,
      kind: "damaged",
      message,
      fatal: false,
      unread: app,
    });
  }

  /** The connection to one pool broke: the pools beside it are read on. */
  #broken(state: TargetState, app: string, reason: string): void {
    this.#sequenceOf(state, app).gap = reason;
    state.statistics.gaps++;
    this.#tell(state, "damaged", reason, false);
  }

  #takeStructure({ pool, news, flaws }: Extract<FromReader, { kind: "structure" }>): void {
    const known = this.#pools.get(pool.pool);
    const receiver = known?.receiver ?? new StructureReceiver();
    const structure = receiver.take(news);
    // Of a pool that is gone: it tells what has changed, and nobody knows of what.
    if (structure === undefined) return;
    this.#pools.set(pool.pool, {
      target: pool.target,
      receiver,
      gather: new Gather(structure),
      values: new Float64Array(structure.valueCount),
      damageCount: flaws.damageCount,
    });
    // Another directory has damage of its own.
    this.#tellFlaws(pool, flaws, news.isWhole ? 0 : (known?.damageCount ?? 0));
  }

  /** Reports skipped records once per set of types, not once per record. */
  #tellFlaws(
    { target, app }: ReadPool,
    { damageCount, damage, skippedTypes, skipped }: DirectoryFlaws,
    damageBefore: number,
  ): void {
    const state = this.#targets[target]!;
    if (damageCount > damageBefore) this.#tell(state, "damaged", `${app}: ${damage}`, false);
    const sequence = this.#sequenceOf(state, app);
    if (sequence.leftOut === skippedTypes) return;
    sequence.leftOut = skippedTypes;
    if (skipped !== undefined) this.#tell(state, "partial", `${app}: ${skipped}`, false);
  }

  #takeSnapshot(message: Extract<FromReader, { kind: "snapshot" }>): void {
    const { pool, buffer, state: flags, index } = message;
    const known = this.#pools.get(pool.pool);
    try {
      // A structure is told before the snapshots of it.
      const structure = known?.receiver.current(message.serial);
      if (known === undefined || structure === undefined) return;
      const slots = new Float64Array(buffer, SNAPSHOT_LEAD_BYTES, planBytes(structure.plan) / 8);
      known.gather.into(slots, known.values);
      this.#deliver(pool, structure, known.values, slots, message);
    } finally {
      Atomics.store(new Int32Array(flags), index, 0);
    }
  }

  #deliver(
    pool: ReadPool,
    structure: Structure,
    values: Float64Array,
    slots: Float64Array,
    message: Extract<FromReader, { kind: "snapshot" }>,
  ): void {
    const state = this.#targets[pool.target]!;
    const { statistics } = state;
    const sequence = this.#sequenceOf(state, pool.app);
    // Nothing, of the first and of the first after an end, is NaN.
    const passed = (message.deadlineNs - sequence.deadlineNs) / this.#intervalNs;
    const missed = Math.max(0, Math.round(passed) - 1) || 0;
    const latenessUs = Math.max(0, message.startNs - message.deadlineNs) / 1e3;
    const readUs = (message.endNs - message.startNs) / 1e3;
    sequence.count++;
    if (this.#ended.delete(sequence))
      this.#tell(state, "found", `${pool.app} is read again`, false);
    sequence.told = undefined;
    sequence.deadlineNs = message.deadlineNs;
    statistics.snapshots++;
    statistics.transfer = message.counters;
    if (!state.works) {
      state.works = true;
      if (state.isLacking) {
        const text = `${pool.app} is read by ${statistics.transport}, from ${state.where}`;
        this.#tell(state, "found", text, false);
      }
      state.lastReason = undefined;
      state.retryMs = FIRST_RETRY_MS;
    }
    statistics.missed += missed;
    statistics.lateness.add(latenessUs);
    statistics.read.add(readUs);
    const gap = sequence.gap;
    sequence.gap = undefined;
    this.#options.onSnapshot({
      source: state.name,
      app: pool.app,
      sequence: sequence.count,
      takenAtMs: message.startUnixMs,
      monotonicNs: message.startNs,
      readMs: readUs / 1e3,
      latenessMs: latenessUs / 1e3,
      missed,
      gap,
      generation: message.generation,
      structure,
      slots: { kind: "copy", data: slots },
      values,
    });
  }

  /** What is still there has the gap before its next snapshot; what is not has ended while the agent was away. */
  #resume(state: TargetState, apps: readonly string[]): void {
    const there = new Set(apps);
    for (const sequence of state.sequences.values()) {
      if (this.#ended.has(sequence)) continue;
      if (there.has(sequence.app)) sequence.gap = state.gap;
      else this.#end(state, sequence.app);
    }
    state.gap = undefined;
  }

  #end(state: TargetState, app: string): void {
    this.#endSequence(state, app);
    this.#options.onEvent?.({
      source: state.name,
      kind: "gone",
      message: `the application ${app} has ended, or its pool was replaced`,
      fatal: false,
      app,
    });
  }

  /** While an application is not there no deadline of it is missed: if it comes again, that is what the gap says. */
  #endSequence(state: TargetState, app: string): void {
    const sequence = this.#sequenceOf(state, app);
    sequence.deadlineNs = Number.NaN;
    sequence.gap = "the application had ended: its pool is a new one";
    const ended = this.#ended;
    ended.delete(sequence);
    ended.set(sequence, state);
    if (ended.size <= ENDED_MAX) return;
    const [oldest] = ended;
    ended.delete(oldest![0]);
    oldest![1].sequences.delete(oldest![0].app);
  }

  #sequenceOf(state: TargetState, app: string): Sequence {
    let sequence = state.sequences.get(app);
    if (sequence === undefined) {
      sequence = {
        app,
        count: 0,
        deadlineNs: Number.NaN,
        gap: undefined,
        told: undefined,
        leftOut: 0,
      };
      state.sequences.set(app, sequence);
    }
    return sequence;
  }

  #tell(state: TargetState, kind: CollectorEvent["kind"], message: string, fatal: boolean): void {
    if (kind === "away" || kind === "empty") state.isLacking = true;
    if (kind === "found") state.isLacking = false;
    const event: CollectorEvent = { source: state.name, kind, message, fatal };
    if (this.#options.onEvent === undefined) tellOnStderr(event);
    else this.#options.onEvent(event);
  }

  #post(message: ToReader): void {
    Atomics.add(this.#posted, 0, 1);
    this.#worker!.postMessage(message);
    this.#wake!.set();
  }
}

function tellOnStderr({ source, message }: CollectorEvent): void {
  process.stderr.write(`microview: ${source}: ${printable(message)}\n`);
}

/** What was asked for, with what agents are shown from now on. */
function discoveryBy(options: CollectorOptions, shown: Credentials): DiscoveryOptions {
  const { transport = "auto", verbs = VERBS_DEFAULTS, token, tls } = options;
  return {
    transport,
    verbs,
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...shown,
  };
}

/** Certificates are checked against the name that the user gave, which was resolved meanwhile. */
function tlsOptions(tls: ClientTls, serverName: string): Bun.TLSOptions {
  return { serverName, rejectUnauthorized: true, ...tls };
}

function newStatistics(source: string): TargetStatistics {
  return {
    source,
    transport: undefined,
    away: undefined,
    snapshots: 0,
    missed: 0,
    overruns: 0,
    unsettled: 0,
    gaps: 0,
    lateness: new DurationStatistics(),
    read: new DurationStatistics(),
    transfer: newCounters(),
  };
}
