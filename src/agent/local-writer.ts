// Series that the agent itself writes: its own metrics, and what it sees of others. They lie in an application's pool and
// obey the rules for writers, each with a lock that tells the next agent that this one is gone.
//
// A value is kept in private memory and stored in the pool too. So counting never fails, and a pool that is cut short,
// dropped or replaced takes no count with it: the writer stores what it has in the next one.

import { SharedFile } from "../ffi/index.ts";
import {
  definitionConflict,
  initialValue,
  type MetricDefinition,
  type Writer,
} from "../layout/index.ts";
import type { PreviousPlace, RegisterResponse, SeriesRequest } from "../rest/index.ts";
import { AgentError } from "./errors.ts";
import type { Pool } from "./pool/pool.ts";
import type { Application } from "./registry/application.ts";
import type { Pools } from "./registry/pools.ts";

/** Series are released in batches of this size: each release makes readers fetch the directory again. */
const RELEASED_AT_ONCE = 100;

/** Writers that have ended while there was no place for their counts, and that are kept until there is one. */
const ENDED_MAX = 1_000;

/** Where a series is stored that has no place: nobody reads it. A pool that was unmapped is the same. */
const NOWHERE = new Float64Array();

/** A counter or gauge of a {@link LocalWriter}. */
export class LocalSeries {
  #value: number;
  /** The slots of the pool, and which one it is. */
  #slots: Float64Array = NOWHERE;
  #at = 0;

  constructor(
    readonly definition: MetricDefinition,
    readonly labelValues: string[],
  ) {
    this.#value = initialValue(definition);
  }

  add(amount: number): void {
    this.set(this.#value + amount);
  }

  set(value: number): void {
    this.#value = value;
    this.#slots[this.#at] = value;
  }

  /** Back to where it began. */
  reset(): void {
    this.set(initialValue(this.definition));
  }

  get isCounter(): boolean {
    return this.definition.kind === "counter";
  }

  /** Whether it is a counter that has counted. */
  get hasCounted(): boolean {
    return this.isCounter && this.#value > 0;
  }

  /** @internal has its place in a pool from now on */
  place(slots: Float64Array, at: number): void {
    this.#slots = slots;
    this.#at = at;
    slots[at] = this.#value;
  }

  /** @internal has the same place in another pool; what was stored before would be counted twice, were its file to come back */
  moveTo(slots: Float64Array): void {
    if (this.#slots === NOWHERE) return;
    const before = this.#slots;
    this.place(slots, this.#at);
    before[this.#at] = 0;
  }

  /** @internal */
  displace(): void {
    this.#slots = NOWHERE;
  }
}

/** Where the agent's own writers of an application are. */
interface Home {
  application: Application;
  /** The one in which they are; the application may have another by now. */
  pool: Pool;
  /** Holds their locks. An opening of its own: the agent does not see those of the pool's own opening. */
  file: SharedFile;
}

/** One writer: its series are in private memory alone until {@link LocalWriters.settle} has found a place for them. */
export class LocalWriter {
  readonly #group: LocalWriters;
  readonly #sinceMs = Date.now();
  readonly #series = new Map<string, LocalSeries>();
  /** Of its metrics, by name. */
  readonly #definitions = new Map<string, MetricDefinition>();
  readonly #waiting = new Set<LocalSeries>();
  /** What was removed and still has a place. */
  readonly #removed = new Map<string, LocalSeries>();
  /** How many there have to be for the next release. */
  #releaseAt = RELEASED_AT_ONCE;
  /** Of the last registration. */
  #turn = 0;
  #home: Home | undefined;
  /** The last place in which it has stored anything. */
  #previous: PreviousPlace | undefined;
  /** A place in which it only lacks the lock. */
  #reserved: PreviousPlace | undefined;
  #hasEnded = false;

  /** @internal see {@link LocalWriters.writer} */
  constructor(
    group: LocalWriters,
    readonly service: string,
    readonly pid: number,
  ) {
    this.#group = group;
  }

  /** Whether it has a place in a pool. */
  get isPlaced(): boolean {
    return this.#home !== undefined;
  }

  /**
   * The series of a metric with label values, made when it is asked for first.
   * @throws Error when the writer has a metric of this name that is defined otherwise
   */
  series(definition: MetricDefinition, labelValues: string[]): LocalSeries {
    const key = keyOf(definition, labelValues);
    let series = this.#series.get(key);
    if (series?.definition !== definition) this.#checkDefinition(definition);
    if (series === undefined) {
      series = new LocalSeries(definition, labelValues);
      this.#series.set(key, series);
      this.#removed.delete(key);
      this.#waiting.add(series);
      this.#placeSoon(series);
    }
    return series;
  }

  #checkDefinition(definition: MetricDefinition): void {
    const { name } = definition;
    const known = this.#definitions.get(name);
    if (known === undefined) {
      this.#definitions.set(name, definition);
      return;
    }
    const conflict = definitionConflict(known, definition);
    if (conflict === undefined) return;
    throw new Error(
      `the agent's metric ${name} is defined twice, and differently: ${conflict}; give one of them another name`,
    );
  }

  /** Forgets a series; its place is given up later, together with others. */
  remove(series: LocalSeries): void {
    const key = keyOf(series.definition, series.labelValues);
    if (this.#series.get(key) !== series) return;
    this.#series.delete(key);
    if (this.#waiting.delete(series)) return;
    series.set(series.isCounter ? 0 : Number.NaN);
    series.displace();
    this.#removed.set(key, series);
    if (this.#removed.size >= this.#releaseAt) this.#group.look(this);
  }

  /** Forgets the series that meet a condition. */
  removeWhere(condition: (series: LocalSeries) => boolean): void {
    for (const series of this.#series.values()) if (condition(series)) this.remove(series);
  }

  /** Ends the writer: what it has counted is kept as a dead one's, and its gauges expire. */
  end(): void {
    this.#hasEnded = true;
    if (this.#home !== undefined) return this.#end(this.#home);
    // Its counts are still to be stored.
    this.removeWhere((series) => !series.hasCounted);
    if (this.#series.size === 0 || this.#group.endedCount > ENDED_MAX) this.#group.forget(this);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /**
   * @internal finds a place for what has none, and gives up what is not needed
   * @returns whether nothing is left to do
   * @throws Error when there is no room, or the lock cannot be had; it may be called again
   */
  settle(home: Home): boolean {
    if (this.#home === undefined) this.#attach(home);
    this.#register([...this.#waiting]);
    if (this.#hasEnded) this.#end(home);
    else if (this.#removed.size >= this.#releaseAt) this.#release(home);
    return this.#waiting.size === 0;
  }

  /** @internal takes its lock in the pool that it is to move to. @throws Error when somebody else has it */
  lock({ application, file }: Home): void {
    const writer = application.directory.writers.get(this.#previous!.writer);
    if (writer !== undefined) takeLock(application, file, writer);
  }

  /** @internal goes on in a pool that has taken the place of its own, with its lock there */
  follow(home: Home): void {
    const { writer } = this.#previous!;
    try {
      home.application.hold(writer, home.pool.header.poolId);
    } catch {
      // It is not known there. The next look finds another place.
      return this.displace();
    }
    this.#arrive(home, writer);
    for (const series of this.#series.values()) series.moveTo(home.pool.slots);
  }

  /** @internal has no place any more, and goes on in private memory */
  displace(): void {
    this.#home = undefined;
    this.#removed.clear();
    for (const series of this.#series.values()) {
      series.displace();
      this.#waiting.add(series);
    }
    this.#group.look(this);
  }

  #attach(home: Home): void {
    const { application, file } = home;
    const writer = this.#known(application) ?? this.#attachAnew(application);
    takeLock(application, file, writer);
    application.hold(writer.id, home.pool.header.poolId);
    this.#arrive(home, writer.id);
  }

  /** The writer that it is there already. */
  #known({ pool, directory }: Application): Writer | undefined {
    const place = this.#reserved ?? this.#previous;
    return place?.lineage === pool.header.lineage ? directory.writers.get(place.writer) : undefined;
  }

  #attachAnew(application: Application): Writer {
    if (this.#previous !== undefined && application.hasCounted(this.#previous)) {
      for (const series of this.#series.values()) if (series.isCounter) series.reset();
    }
    this.#previous = undefined;
    const { service, pid } = this;
    const writer = application.attach({ service, pid, threadId: 0, since: this.#sinceMs });
    this.#reserved = placeOf(application.pool, writer.id);
    return writer;
  }

  #arrive(home: Home, writer: number): void {
    this.#previous = placeOf(home.pool, writer);
    this.#reserved = undefined;
    this.#home = home;
  }

  /** Counting must not fail for lack of room: a series that is refused waits for the next look. */
  #placeSoon(series: LocalSeries): void {
    try {
      if (this.#home !== undefined) this.#register([series]);
    } catch {
      // The next look tells it.
    }
    if (this.#waiting.has(series)) this.#group.look(this);
  }

  #register(all: readonly LocalSeries[]): void {
    if (this.#home === undefined || all.length === 0) return;
    const { application, pool } = this.#home;
    const { results, turn } = this.#ask(
      application,
      all.map(({ definition, labelValues }) => ({ ...definition, series: [labelValues] })),
    );
    this.#turn = turn;
    for (const [i, series] of all.entries()) {
      const place = results[i]?.runs[0];
      if (place === undefined) continue;
      series.place(pool.slots, pool.slotIndexOf(place[0], place[1]));
      this.#waiting.delete(series);
    }
    const refused = results.find(({ error }) => error !== undefined)?.error;
    if (refused === undefined) return;
    throw new AgentError(refused.code, refused.message, refused.hint);
  }

  #ask(application: Application, requests: readonly SeriesRequest[]): RegisterResponse {
    try {
      return application.register(this.#previous!.writer, requests);
    } catch (error) {
      // Somebody has ended it, and its counts are kept.
      if (error instanceof AgentError && error.code === "unknown-writer") this.displace();
      throw error;
    }
  }

  #release({ application }: Home): void {
    const releases = [...this.#removed.values()].map(({ definition, labelValues }) => {
      const { name, labelNames } = definition;
      return { name, labelNames, series: [labelValues] };
    });
    try {
      application.release(this.#previous!.writer, releases, this.#turn);
      this.#removed.clear();
      this.#releaseAt = RELEASED_AT_ONCE;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      // It is too soon, or there is no room for it: later, when it brings more.
      this.#releaseAt = this.#removed.size + RELEASED_AT_ONCE;
    }
  }

  #end({ application, file }: Home): void {
    const { writer: id } = this.#previous!;
    this.#home = undefined;
    for (const series of this.#series.values()) series.displace();
    this.#waiting.clear();
    this.#group.forget(this);
    const writer = application.directory.writers.get(id);
    if (writer === undefined) return;
    file.unlock(writer.lockOffset, writer.lockBytes);
    try {
      application.detach(id);
    } catch (error) {
      // The next look for dead writers finds it.
      if (!(error instanceof AgentError)) throw error;
    }
  }
}

/** The agent's own writers of one application. Their locks are held on one opening of its pool. */
export class LocalWriters {
  readonly #writers = new Set<LocalWriter>();
  /** Those that have something to do at the next look. */
  readonly #unsettled = new Set<LocalWriter>();
  #home: Home | undefined;

  constructor(readonly app: string) {}

  /** @param pid of the process that it stands for */
  writer(service: string, pid: number): LocalWriter {
    const writer = new LocalWriter(this, service, pid);
    this.#writers.add(writer);
    this.#unsettled.add(writer);
    return writer;
  }

  /**
   * Sees to it that all writers and series have their place: also after the pool is gone, or another one is there. Call
   * it at each scan; where nothing has changed it costs nothing.
   * @throws Error when some have got none, with the first reason
   */
  settle(pools: Pick<Pools, "find" | "open">): void {
    const application = pools.find(this.app);
    if (this.#home !== undefined && this.#home.application !== application) this.close();
    const home = this.#home ?? openHome(application ?? pools.open(this.app));
    this.#home = home.pool === home.application.pool ? home : this.#follow(home);
    let failure: unknown;
    for (const writer of this.#unsettled) {
      // Where one finds no room, the others find none.
      if (failure !== undefined && !writer.isPlaced) continue;
      try {
        if (writer.settle(this.#home)) this.#unsettled.delete(writer);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Lets go of the pool. Its writers go on in private memory; what they have stored is kept as a dead one's. */
  close(): void {
    for (const writer of this.#writers) writer.displace();
    this.#home?.file.close();
    this.#home = undefined;
  }

  /** @internal a writer has something to do at the next look */
  look(writer: LocalWriter): void {
    this.#unsettled.add(writer);
  }

  /** @internal */
  forget(writer: LocalWriter): void {
    this.#writers.delete(writer);
    this.#unsettled.delete(writer);
  }

  /** @internal how many have ended without a place for their counts */
  get endedCount(): number {
    let count = 0;
    for (const { hasEnded } of this.#unsettled) if (hasEnded) count++;
    return count;
  }

  /** Nobody leaves the pool that was lost before all can go: the agent copies what they store there meanwhile. */
  #follow(from: Home): Home {
    const to = openHome(from.application);
    const placed = [...this.#writers].filter(({ isPlaced }) => isPlaced);
    try {
      for (const writer of placed) writer.lock(to);
    } catch (error) {
      to.file.close();
      throw error;
    }
    for (const writer of placed) writer.follow(to);
    from.file.close();
    return to;
  }
}

/** @throws Error when the pool's file cannot be opened, or another one has its name */
function openHome(application: Application): Home {
  const { pool } = application;
  const file = SharedFile.open(pool.path, true);
  const [there, own] = [file.stat(), pool.file.stat()];
  if (there.inode === own.inode && there.device === own.device) return { application, pool, file };
  file.close();
  throw new Error(`${pool.path} is another file than the agent's pool`);
}

/** @throws Error when somebody else holds it */
function takeLock({ name }: Application, file: SharedFile, writer: Writer): void {
  if (file.lock(writer.lockOffset, writer.lockBytes)) return;
  throw new Error(`somebody else holds the lock of writer ${writer.id} of ${name}`);
}

function placeOf({ header }: Pool, writer: number): PreviousPlace {
  const { poolId, lineage, replacements } = header;
  return { writer, poolId, lineage, replacements };
}

/** Nothing that a kernel tells has the character that parts them. A name of OpenTelemetry may have several sets of labels. */
function keyOf({ name, labelNames }: MetricDefinition, labelValues: readonly string[]): string {
  return labelValues.length === 0
    ? name
    : `${name}\0${labelNames.join("\0")}\0${labelValues.join("\0")}`;
}
