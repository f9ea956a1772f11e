// One application: who writes, what is registered, and what happens to the counts of those who die.
// Knows nothing of HTTP. The registry holds what follows from the directory; register.ts and fold.ts do the two long jobs.

import {
  checkServiceName,
  type Directory,
  isUnlocked,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
  WRITER_FLAGS,
  type Writer,
} from "../../layout/index.ts";
import type {
  AttachRequest,
  PreviousPlace,
  RegisterResponse,
  SeriesRelease,
  SeriesRequest,
} from "../../rest/index.ts";
import { counted } from "../../text/index.ts";
import { AgentError, LimitError } from "../errors.ts";
import type { Pool } from "../pool/pool.ts";
import { fold } from "./fold.ts";
import type { Limits } from "./limits.ts";
import { LostPoolWriters } from "./lost-pool-writers.ts";
import { boundSeries, checked, register, registrationBytesMax } from "./register.ts";
import { Change, Registry } from "./registry.ts";
import type { AllocationStrategy } from "./strategies/index.ts";
import { WorkBudget } from "./work-budget.ts";
import { hasSecret } from "./writer-secrets.ts";

/** How long a writer may take to lock the place that it was given. It has no series before that. */
const LOCK_GRACE_MS = 5_000;
/** Writers whose pool was lost under an agent that died may take this long to find the one in its place. */
const MOVE_GRACE_MS = 30_000;

/** Bytes of the directory that an attachment takes at most: a service, a writer, a grant. */
const ATTACH_BYTES_MAX = 1024;

/** Share of the agent's time that releases of one application may take, and what they may take at once. */
const RELEASE_SHARE = 0.05;
const RELEASE_BURST_MS = 1_000;

/** What an application tells of itself, for the agent's own metrics and log. */
export interface ApplicationEvents {
  attached(): void;
  registered(series: number): void;
  /** A writer died or left; the counts of so many series are in the retained page now. */
  folded(app: string, writer: Writer, series: number): void;
  /** There is no room for a dead writer's counts: it stays, is counted as before, and is tried again. */
  foldPostponed(app: string, writer: Writer, reason: LimitError): void;
  /** Values of a dead writer that no counter can have were left out. */
  valuesRefused(count: number): void;
  /** No writer stores into a lost pool any more: the receiver closes it. */
  abandoned(lost: Pool): void;
}

interface AttachOptions {
  /** For the prototype's clients, which hold no lock: such a writer lives as long as its pool. */
  unlocked?: boolean;
  /** Of what the writer shows with each call; without one it is nobody's but the agent's. */
  secretHash?: Uint8Array;
}

export class Application {
  #pool: Pool;
  #registry: Registry;
  readonly #living = new Set<number>();
  /** Until when writers that hold no lock yet may come to take it. */
  readonly #awaited = new Map<number, { sinceMs: number; graceMs: number }>();
  readonly #lostPoolWriters = new LostPoolWriters();
  /** Pools that were lost and are still open. */
  readonly #lost = new Set<Pool>();
  /** Registrations of each writer that this agent has answered. */
  readonly #turns = new Map<number, number>();
  /** Of releases: each writes the whole directory again, and every reader fetches it. */
  readonly releasing = new WorkBudget(RELEASE_SHARE, RELEASE_BURST_MS);

  constructor(
    pool: Pool,
    readonly limits: Limits,
    readonly strategy: AllocationStrategy,
    readonly events: ApplicationEvents,
  ) {
    this.#pool = pool;
    this.#registry = new Registry(pool, limits, strategy);
    // Only the previous agent had the lost pool open: this one cannot tell which writers live there.
    if (pool.elsewhere === 0) return;
    for (const { id, lockOffset, lockBytes } of this.writers()) {
      if (!pool.file.locked(lockOffset, lockBytes)) this.#await(id, MOVE_GRACE_MS);
    }
  }

  get pool(): Pool {
    return this.#pool;
  }

  get name(): string {
    return this.pool.app;
  }

  get directory(): Directory {
    return this.pool.directory;
  }

  get pagesUsed(): number {
    return this.#registry.pagesUsed;
  }

  /** How many writers held their lock, or need none, when they were looked at last. */
  get living(): number {
    return this.#living.size;
  }

  /** The same of one writer. To ask the kernel for each of thousands takes it a second, in which nothing else is done. */
  wasAlive({ id }: Writer): boolean {
    return this.#living.has(id);
  }

  /** Writers that were alive when they were looked at last. */
  livingWriters(): Writer[] {
    return this.writers().filter((writer) => this.wasAlive(writer));
  }

  /** Writers that were not released, without the agent's own that keep the counts of the dead. */
  writers(): Writer[] {
    return [...this.directory.writers.values()].filter((writer) => !writer.retained);
  }

  /** Whether nobody writes here, and nobody who did has left anything. */
  get isEmpty(): boolean {
    for (const { retained, runs } of this.directory.writers.values()) {
      if (!retained || runs.length > 0) return false;
    }
    return true;
  }

  /** @throws AgentError 404 when it was never there, has died or was detached */
  writer(id: number): Writer {
    const writer = this.directory.writers.get(id);
    if (writer === undefined || writer.retained) {
      throw new AgentError(
        "unknown-writer",
        `${this.name} has no writer ${id}`,
        "attach again: POST /v1/apps/:app/writers",
        404,
      );
    }
    return writer;
  }

  /** Whether a writer holds its lock, here or in a lost pool, or needs none. */
  isAlive(writer: Writer): boolean {
    return (
      isUnlocked(writer) ||
      this.pool.file.locked(writer.lockOffset, writer.lockBytes) ||
      this.#lostPoolWriters.holds(writer)
    );
  }

  /** Whether a writer is alive, or may still come to take its lock. */
  mayStore(writer: Writer): boolean {
    return this.#awaited.has(writer.id) || this.isAlive(writer);
  }

  /**
   * The writer that has a place already, in this pool or in one that it has replaced, under the number it had there.
   * @param secret that it shows
   */
  resume(
    service: string,
    { lineage, poolId, writer: id }: PreviousPlace,
    secret: string | undefined,
  ): Writer | undefined {
    if (lineage !== this.pool.header.lineage) return undefined;
    const writer = this.directory.writers.get(id);
    if (writer === undefined || writer.retained || writer.serviceName !== service) return undefined;
    if (!hasSecret(writer, secret)) return undefined;
    if (poolId !== this.pool.header.poolId) this.#lostPoolWriters.stay(id);
    return writer;
  }

  /** Whether what a writer that is not here any more has stored in its place is in the totals of this pool. */
  hasCounted({ lineage, replacements, writer }: PreviousPlace): boolean {
    const { header } = this.pool;
    return (
      lineage === header.lineage &&
      replacements <= header.replacements &&
      !this.directory.writers.has(writer)
    );
  }

  /**
   * A writer says that it holds its lock, and stores into this pool from now on.
   * @throws AgentError 404 for an unknown writer, 409 when another pool has taken the place of the one that it means, or
   *   when it does not hold the lock
   */
  hold(id: number, poolId: number): void {
    const writer = this.writer(id);
    if (poolId !== this.pool.header.poolId) throw this.#replaced(id);
    // It is not waited for any more: without its lock it is dead by now.
    this.#awaited.delete(id);
    if (!this.pool.file.locked(writer.lockOffset, writer.lockBytes)) throw this.#notLocked(id);
    this.#living.add(id);
    this.#lostPoolWriters.move(id);
  }

  /**
   * Goes on in a pool that has taken the place of this one.
   * @param pool made by {@link Pool.replace} from the one that was lost, which is kept until nobody stores into it
   */
  replace(pool: Pool): void {
    this.#lost.add(this.#pool);
    this.#lostPoolWriters.add(this.#pool, this.writers());
    this.#pool = pool;
    this.#registry = new Registry(pool, this.limits, this.strategy);
  }

  /** Lets go of all files; what writers have stored into lost ones is in the pool. */
  close(): void {
    for (const writer of this.writers()) this.#lostPoolWriters.look(writer, this.pool);
    for (const pool of [...this.#lost, this.#pool]) pool.close();
  }

  /**
   * A new writer of a service, with room for its first series.
   */
  attach(request: AttachRequest, { unlocked = false, secretHash }: AttachOptions = {}): Writer {
    checked(() => checkServiceName(request.service));
    this.#registry.reserve(ATTACH_BYTES_MAX);
    const { directory } = this;
    const writers = this.writers().length;
    if (writers >= this.limits.writers) {
      throw new LimitError(
        "writers-full",
        `${this.name} has ${counted(writers, "writer")}, at most ${this.limits.writers} are allowed`,
        "start the agent with a higher --max-writers",
      );
    }
    const change = new Change();
    let service = this.#registry.service(request.service);
    if (service === undefined) {
      service = directory.lastId.service + 1;
      change.records.service(service, request.service);
    }
    const writer: Writer = {
      id: directory.lastId.writer + 1,
      service,
      serviceName: request.service,
      flags: unlocked ? WRITER_FLAGS.unlocked : 0,
      retained: false,
      pid: request.pid,
      threadId: request.threadId,
      startedAtMs: this.#startOf(service, request.since),
      lockOffset: 0,
      lockBytes: 0,
      ...(secretHash === undefined ? {} : { secretHash }),
      grants: [],
      runs: [],
    };
    // The writer's record names the bytes it locks, so it follows the choice of its page, and precedes its grant.
    const choice = new Change();
    const grant = this.#registry.grant(writer, 1, choice);
    writer.lockOffset = this.pool.slotIndexOf(grant.page, grant.slot) * SLOT_BYTES;
    writer.lockBytes = (grant.slots || SLOTS_PER_PAGE) * SLOT_BYTES;
    change.records.writer(writer).grant(grant);
    this.#registry.commit(change);
    if (unlocked) this.#living.add(writer.id);
    else this.#await(writer.id, LOCK_GRACE_MS);
    this.events.attached();
    return this.writer(writer.id);
  }

  /** See {@link register}. @throws AgentError 404 for an unknown writer, 409 for one that has not taken its lock yet */
  register(writerId: number, requests: readonly SeriesRequest[]): RegisterResponse {
    const writer = this.writer(writerId);
    if (this.#lostPoolWriters.has(writerId)) throw this.#replaced(writerId);
    if (this.#awaited.get(writerId)?.graceMs === LOCK_GRACE_MS) {
      // What it gets would be shown until the grace is over, if it died before it takes the lock.
      if (!this.isAlive(writer)) throw this.#notLocked(writerId);
      this.#awaited.delete(writerId);
      this.#living.add(writerId);
    }
    this.#registry.reserve(registrationBytesMax(requests));
    const before = this.directory.seriesCount;
    const response = register(this.#registry, this.writer(writerId), requests, (w) =>
      this.mayStore(w),
    );
    this.events.registered(this.directory.seriesCount - before);
    const turn = (this.#turns.get(writerId) ?? 0) + 1;
    this.#turns.set(writerId, turn);
    return { ...response, turn };
  }

  /**
   * Takes series back from a living writer, which stores into them no more: what they hold is dropped, their slots are
   * the writer's for other series, and a series that nobody else has is forgotten.
   * @param turn of the writer's last registration, as far as the caller knows
   * @returns how many it had; those that it has not are none
   * @throws AgentError 404 for an unknown writer, 409 when a registration has overtaken the call or the pool was replaced, 429 when releases have
   *   taken more than their share of the agent's time, LimitError when the directory cannot be rewritten
   */
  release(writerId: number, releases: readonly SeriesRelease[], turn: number): number {
    const writer = this.writer(writerId);
    if (this.#lostPoolWriters.has(writerId)) throw this.#replaced(writerId);
    if (turn !== this.#turns.get(writerId)) {
      throw new AgentError(
        "release-overtaken",
        `writer ${writerId} of ${this.name} has registered series since turn ${turn}`,
        "register, with no metrics if there are none, and release by the turn of the answer",
        409,
      );
    }
    const series = boundSeries(this.#registry, writer, releases);
    if (series.size === 0) return 0;
    const waitS = this.releasing.waitS();
    if (waitS > 0) {
      throw new AgentError(
        "release-busy",
        `releases of ${this.name} have taken more than ${RELEASE_SHARE * 100} % of the agent's time`,
        `release many series at once, and these in ${waitS} s`,
        429,
      );
    }
    const startMs = performance.now();
    // Not by a record of its own: a directory that stays has the series' names in it for ever.
    if (!this.pool.compact({ writer: writerId, series })) {
      throw new LimitError(
        "directory-full",
        `the directory of ${this.name} cannot be rewritten without ${series.size} series`,
        "make room in the file system of the pools, then release them again",
      );
    }
    this.#registry.follow();
    this.releasing.spent(performance.now() - startMs);
    return series.size;
  }

  /**
   * Ends a writer that let go of its lock: its counts are kept, its gauges expire, its pages return.
   * @throws AgentError 409 while it holds its lock, for it would go on storing into pages that are others' by then
   */
  detach(id: number): void {
    const writer = this.writer(id);
    const holds =
      this.#lostPoolWriters.look(writer, this.pool) ||
      this.pool.file.locked(writer.lockOffset, writer.lockBytes);
    if (holds && !isUnlocked(writer)) {
      throw new AgentError(
        "writer-alive",
        `writer ${id} of ${this.name} is alive: pid ${writer.pid} of ${writer.serviceName}`,
        "stop the process; a writer detaches by itself when it closes",
        409,
      );
    }
    if (this.#fold(writer)) this.#tidy();
  }

  /**
   * Looks for writers whose lock is gone and folds them.
   * @returns how many were folded
   */
  scan(nowMs = Date.now()): number {
    const { file } = this.pool;
    let folded = 0;
    this.#living.clear();
    for (const writer of this.writers()) {
      if (this.#lostPoolWriters.look(writer, this.pool) || isUnlocked(writer)) {
        this.#living.add(writer.id);
        continue;
      }
      if (file.locked(writer.lockOffset, writer.lockBytes)) {
        this.#awaited.delete(writer.id);
        this.#living.add(writer.id);
        continue;
      }
      const awaited = this.#awaited.get(writer.id);
      // A clock that was set back must not keep a writer for ever.
      if (awaited !== undefined && Math.abs(nowMs - awaited.sinceMs) < awaited.graceMs) continue;
      // Whoever takes the lock now, writer or agent, decides: a late writer finds it held and attaches again.
      if (!file.lock(writer.lockOffset, writer.lockBytes)) continue;
      try {
        if (this.#fold(writer)) folded++;
      } finally {
        file.unlock(writer.lockOffset, writer.lockBytes);
      }
    }
    if (folded > 0) this.#tidy();
    this.#tellElsewhere();
    return folded;
  }

  #await(writer: number, graceMs: number): void {
    this.#awaited.set(writer, { sinceMs: Date.now(), graceMs });
  }

  /** Notes for the next agent whether writers are elsewhere, and lets go of pools that nobody stores into any more. */
  #tellElsewhere(): void {
    const moving = [...this.#awaited.values()].filter(({ graceMs }) => graceMs === MOVE_GRACE_MS);
    const elsewhere = this.#lostPoolWriters.size + moving.length;
    if (this.pool.elsewhere !== elsewhere) this.pool.elsewhere = elsewhere;
    if (this.#lost.size === 0) return;
    const { pools } = this.#lostPoolWriters;
    for (const lost of this.#lost) {
      if (pools.has(lost)) continue;
      this.#lost.delete(lost);
      this.events.abandoned(lost);
    }
  }

  #notLocked(writer: number): AgentError {
    return new AgentError(
      "not-locked",
      `writer ${writer} of ${this.name} does not hold its lock`,
      "take the lock that attaching has named, and hold it as long as the writer lives",
      409,
    );
  }

  #replaced(writer: number): AgentError {
    return new AgentError(
      "pool-replaced",
      `another pool has taken the place of the one that writer ${writer} of ${this.name} stores into`,
      "attach again, and name the previous pool and writer",
      409,
    );
  }

  /**
   * When a writer began to count. The first of a service knows best: it may bring what it has counted before. What the
   * service has reported since stays true: others begin now or, if the clock was set back, not before its dead.
   */
  #startOf(service: number, since = Number.POSITIVE_INFINITY): number {
    const nowMs = Date.now();
    let isFirst = true;
    for (const { retained, service: its, startedAtMs } of this.directory.writers.values()) {
      if (its !== service) continue;
      if (retained) return Math.max(nowMs, startedAtMs);
      isFirst = false;
    }
    return isFirst && since > 0 ? Math.min(nowMs, since) : nowMs;
  }

  #tidy(): void {
    this.pool.compactIfWorthwhile();
    this.#registry.follow();
  }

  #fold(writer: Writer): boolean {
    try {
      const { series, refused } = fold(this.#registry, writer.id);
      this.#awaited.delete(writer.id);
      this.#living.delete(writer.id);
      this.#lostPoolWriters.forget(writer.id);
      this.#turns.delete(writer.id);
      this.events.folded(this.name, writer, series);
      if (refused > 0) this.events.valuesRefused(refused);
      return true;
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      this.events.foldPostponed(this.name, writer, error);
      return false;
    }
  }
}
