// Snapshots as OTLP's metrics: one resource for each service, sums with their start, histograms of both kinds. What can
// be known of a series beforehand is worked out and written once; a snapshot then costs going over its values.

import {
  LOCAL_SOURCE,
  type Metric,
  type PoolSnapshot,
  poolKey,
  type Structure,
  type StructureMetric,
} from "../../layout/index.ts";
import type { ExponentialMap } from "../encoding/exponential.ts";
import { Block, scopeOf } from "./block.ts";
import { addGauges, Filling, runs } from "./filling.ts";
import type { Attributes, OtlpForm, Part, Scope, Temporality } from "./model.ts";

export interface OtlpEncoderOptions {
  /** What a resource says beside the names of service and application. Always the same of a source. */
  resourceOf: (source: string) => Attributes;
  temporality: Temporality;
  version: string;
}

/** What the encoder takes of a snapshot. The values are its own. */
export type Taken = Pick<PoolSnapshot, "source" | "app" | "structure" | "takenAtMs" | "values">;

interface Pool<Table> {
  source: string;
  app: string;
  structure: Structure | undefined;
  /** By what they are, in the order of a request. */
  blocks: Map<string, Block<Table>>;
  /** The values as they were exported last. */
  before: Float64Array;
  /** Those of before that, for the next snapshot's: new memory costs more than copying. */
  spare: Float64Array | undefined;
  round: number;
  /** When it was exported last. */
  lastMs: number;
  /** Sums that have ended with something in them, by a hash of what they are; undefined when there were too many. */
  ended: Set<number | bigint> | undefined;
}

/** Pools that have ended and may come back, as those of an agent that was away; the first of more are forgotten. */
const MAX_AWAY = 16;
/** Ended sums of a pool that are remembered. */
const MAX_ENDED = 100_000;

/** A series that has ended. */
interface Ended<Table> {
  block: Block<Table>;
  index: number;
}

/** A metric of a service, as a snapshot has it. */
interface Wanted {
  name: string;
  structure: Structure;
  entry: StructureMetric;
  scope: Scope;
  /** Of its series, among all of the metric. */
  places: readonly number[];
  /** When its service began to count. */
  startMs: number;
}

const OURS = "microview";

export class OtlpEncoder<Table> {
  readonly #pools = new Map<string, Pool<Table>>();
  /** Those of them that have ended, the first to end first. */
  readonly #away = new Set<string>();
  readonly #maps = new Map<string, ExponentialMap>();
  readonly #beganMs = Date.now();

  /** @param maxPoints data points after which a request is full; large histograms count more than once */
  constructor(
    readonly options: OtlpEncoderOptions,
    readonly form: OtlpForm<Table>,
    readonly maxPoints: number,
  ) {}

  /** Takes in what there is to encode of a snapshot, whose arrays may be used again afterwards. */
  take({ source, app, structure, takenAtMs, values }: Omit<PoolSnapshot, "slots">): Taken {
    const pool = this.#pools.get(poolKey({ source, app }));
    const { spare } = pool ?? {};
    if (spare?.length !== values.length) {
      return { source, app, structure, takenAtMs, values: values.slice() };
    }
    pool!.spare = undefined;
    spare.set(values);
    return { source, app, structure, takenAtMs, values: spare };
  }

  /** All that a snapshot has, request by request. The next one is begun when this one has been gone through. */
  *parts(taken: Taken): Generator<Part<Table>> {
    const { values, takenAtMs } = taken;
    const pool = this.#poolOf(taken);
    pool.round++;
    // A clock was put back.
    pool.lastMs = Math.min(pool.lastMs, takenAtMs);
    const ended = this.#follow(pool, taken);
    const isDelta = this.options.temporality === "delta";
    const shown = isDelta ? values.slice() : values;
    const filling = new Filling<Table>(this.maxPoints, this.#partOf(pool, shown, takenAtMs));
    const resource = this.options.resourceOf(pool.source);
    for (const block of pool.blocks.values()) {
      if (block.metric.definition.kind === "gauge") {
        yield* addGauges(filling, block, resource, values);
      } else if (!isDelta) {
        count(block, values, pool);
        yield* filling.add(block, resource, 0, block.count, false);
      } else if (pool.round > 1) {
        subtract(block, shown, pool);
        yield* filling.add(block, resource, 0, block.count, false);
      } else if (this.#isOurs(pool, block, takenAtMs)) {
        block.present.fill(1, 0, block.count);
        yield* filling.add(block, resource, 0, block.count, false);
      }
    }
    for (const { block, index } of ended) {
      yield* filling.add(block, resource, index, index + 1, true);
    }
    yield* filling.finish();
    pool.spare = pool.before;
    pool.before = values;
    pool.lastMs = takenAtMs;
  }

  /**
   * Says that an application's series have ended. What was counted is remembered: when it is back, as an agent that was
   * away, its sums go on where they were.
   */
  *end(source: string, app: string, nowMs: number): Generator<Part<Table>> {
    const key = poolKey({ source, app });
    const pool = this.#pools.get(key);
    if (pool?.structure === undefined || this.#away.has(key)) return;
    this.#away.add(key);
    for (const oldest of this.#away) {
      if (this.#away.size <= MAX_AWAY) break;
      this.#away.delete(oldest);
      this.#pools.delete(oldest);
    }
    const filling = new Filling<Table>(this.maxPoints, this.#partOf(pool, pool.before, nowMs));
    const resource = this.options.resourceOf(source);
    for (const block of pool.blocks.values()) {
      for (const [from, to, present] of runs(block.present, block.count)) {
        if (present === 1) yield* filling.add(block, resource, from, to, true);
      }
      block.present.fill(0);
    }
    yield* filling.finish();
    pool.lastMs = Math.max(pool.lastMs, nowMs);
  }

  /**
   * Whether all that was counted before the first export is to be told as a delta. Another may have exported it, unless
   * its service began since this one did, by the same clock; it has not if that was put back meanwhile.
   */
  #isOurs({ source }: Pool<Table>, { count, startsMs }: Block<Table>, takenAtMs: number): boolean {
    if (source !== LOCAL_SOURCE || count === 0) return false;
    return startsMs[0]! >= this.#beganMs && startsMs[0]! < takenAtMs;
  }

  /** Brings the blocks up to a snapshot's structure. @returns series that are there no more */
  #follow(pool: Pool<Table>, taken: Taken): Ended<Table>[] {
    const { structure, values } = taken;
    if (structure === pool.structure) return [];
    const before = new Float64Array(values.length);
    if (structure.continues(pool.structure)) before.set(pool.before.subarray(0, values.length));
    const blocks = new Map<string, Block<Table>>();
    const ended: Ended<Table>[] = [];
    const gone = new Set(pool.blocks.values());
    for (const entry of structure.metrics) {
      const { metric, service } = entry;
      const sinceMs = structure.startsMs.get(metric.service) ?? Number.POSITIVE_INFINITY;
      // When its service began says a pool, which may say anything.
      const startMs = Math.min(sinceMs, taken.takenAtMs);
      for (const { scope, places } of this.#scopes(entry, structure)) {
        const name = nameOf(service, scope, metric);
        const old = pool.blocks.get(name);
        if (old !== undefined) gone.delete(old);
        const one = { name, structure, entry, scope, places, startMs };
        blocks.set(name, this.#blockOf(pool, old, one, before, ended));
      }
    }
    for (const block of gone) {
      for (let index = 0; index < block.count; index++) {
        if (block.present[index] === 1) ended.push({ block, index });
      }
    }
    remember(pool, ended);
    pool.blocks = inOrder(blocks);
    pool.structure = structure;
    pool.before = before;
    return ended;
  }

  /** Places of a metric's series among them, by what made them. */
  #scopes(entry: StructureMetric, structure: Structure): { scope: Scope; places: number[] }[] {
    const ours = { name: OURS, version: this.options.version };
    const { metric, series } = entry;
    const all = [...series.keys()];
    if (metric.definition.dialect === undefined) return [{ scope: ours, places: all }];
    const scopes = new Map<string, { scope: Scope; places: number[] }>();
    for (const at of all) {
      const scope = scopeOf(metric, structure.labelValues(entry, at), ours);
      const key = JSON.stringify(scope);
      const known = scopes.get(key);
      if (known === undefined) scopes.set(key, { scope, places: [at] });
      else known.places.push(at);
    }
    return [...scopes.values()];
  }

  /** The block of a metric: the one that was, with what is new, or another when series have gone from it. */
  #blockOf(
    pool: Pool<Table>,
    old: Block<Table> | undefined,
    { name, structure, entry, scope, places, startMs }: Wanted,
    before: Float64Array,
    ended: Ended<Table>[],
  ): Block<Table> {
    const { metric, service, series, indexes } = entry;
    const isAnew = metric !== old?.metric;
    const labelsNow = (i: number) => structure.labelValues(entry, places[i]!);
    const labelsBefore = (i: number) => pool.structure!.labelValuesOf(old!.metric, old!.ids[i]!);
    const isSame = isAnew
      ? (i: number) => i < places.length && Bun.deepEquals(labelsNow(i), labelsBefore(i))
      : (i: number) => i < places.length && series[places[i]!] === old!.ids[i];
    if (old !== undefined && every(old.count, isSame)) {
      for (let i = 0; isAnew && i < old.count; i++) {
        const at = places[i]!;
        move(pool.before, old.valueAt[i]!, before, indexes[at]!, metric.slots);
        old.valueAt[i] = indexes[at]!;
        old.ids[i] = series[at]!;
      }
      old.metric = metric;
      for (let i = old.count; i < places.length; i++) {
        old.append(structure, entry, places[i]!, startOf(pool, name, labelsNow, i, startMs));
      }
      return old;
    }
    const block = new Block(service, scope, metric, this.form, this.#maps);
    for (let i = 0; i < places.length; i++) {
      block.append(structure, entry, places[i]!, startOf(pool, name, labelsNow, i, startMs));
    }
    if (old !== undefined) {
      const known = new Map(places.map((_, i) => [JSON.stringify(labelsNow(i)), i]));
      for (let i = 0; i < old.count; i++) {
        const place = known.get(JSON.stringify(labelsBefore(i)));
        if (place === undefined) {
          if (old.present[i] === 1) ended.push({ block: old, index: i });
          continue;
        }
        block.startsMs[place] = old.startsMs[i]!;
        block.present[place] = old.present[i]!;
        move(pool.before, old.valueAt[i]!, before, block.valueAt[place]!, metric.slots);
      }
    }
    return block;
  }

  #partOf(pool: Pool<Table>, values: Float64Array, timeMs: number): Omit<Part<Table>, "sections"> {
    const { temporality } = this.options;
    return { points: 0, app: pool.app, temporality, values, timeMs };
  }

  #poolOf({ source, app }: Taken): Pool<Table> {
    const key = poolKey({ source, app });
    let pool = this.#pools.get(key);
    this.#away.delete(key);
    if (pool === undefined) {
      pool = {
        source,
        app,
        structure: undefined,
        blocks: new Map(),
        before: new Float64Array(),
        spare: undefined,
        round: 0,
        lastMs: 0,
        ended: new Set(),
      };
      this.#pools.set(key, pool);
    }
    return pool;
  }
}

/**
 * When a series that was not there the last time began to count: with its service, so that another exporter of it, as
 * after a restart, says the same; or, when it has ended meanwhile with something in it, after the last time.
 */
function startOf<Table>(
  { ended, lastMs }: Pool<Table>,
  name: string,
  labelsOf: (i: number) => readonly string[],
  i: number,
  serviceMs: number,
): number {
  if (ended === undefined) return lastMs;
  return ended.size > 0 && ended.delete(hashOf(name, labelsOf(i))) ? lastMs : serviceMs;
}

/** Takes note of series that have ended with something in them. */
function remember<Table>(pool: Pool<Table>, series: readonly Ended<Table>[]): void {
  const { before, structure } = pool;
  let last: Block<Table> | undefined;
  let name = "";
  for (const { block, index } of series) {
    const at = block.valueAt[index]!;
    const isNothing = before.subarray(at, at + block.slots).every((value) => value === 0);
    if (block.head.kind === "gauge" || isNothing) continue;
    if (block !== last) name = nameOf(block.service, block.scope, block.metric);
    last = block;
    pool.ended?.add(hashOf(name, structure!.labelValuesOf(block.metric, block.ids[index]!)));
  }
  if (pool.ended !== undefined && pool.ended.size > MAX_ENDED) pool.ended = undefined;
}

/** @param name of its metric, as {@link nameOf} has it */
function hashOf(name: string, labelValues: readonly string[]): number | bigint {
  return Bun.hash(name + JSON.stringify(labelValues));
}

/** Counts that went back were reset since the last time that they were seen. */
function count<Table>(block: Block<Table>, values: Float64Array, pool: Pool<Table>): void {
  const { valueAt, startsMs, slots } = block;
  for (let i = 0; i < block.count; i++) {
    if (wentBack(values, pool.before, valueAt[i]!, slots)) startsMs[i] = pool.lastMs;
  }
  block.present.fill(1, 0, block.count);
}

/** Turns counts into what was added since the last time. A count that was reset begins at zero. */
function subtract<Table>(block: Block<Table>, values: Float64Array, pool: Pool<Table>): void {
  const { valueAt, slots } = block;
  const { before } = pool;
  for (let i = 0; i < block.count; i++) {
    const at = valueAt[i]!;
    if (wentBack(values, before, at, slots)) continue;
    for (let slot = at; slot < at + slots; slot++) values[slot]! -= before[slot]!;
  }
  // A delta begins where the one before ended, also that of a series which was not there yet.
  block.startsMs.fill(pool.lastMs, 0, block.count);
  block.present.fill(1, 0, block.count);
}

/** The sum, which is a histogram's last slot, may go either way. */
function wentBack(now: Float64Array, before: Float64Array, at: number, slots: number): boolean {
  const end = at + (slots === 1 ? 1 : slots - 1);
  for (let slot = at; slot < end; slot++) if (now[slot]! < before[slot]!) return true;
  return false;
}

function every(count: number, holds: (i: number) => boolean): boolean {
  for (let i = 0; i < count; i++) if (!holds(i)) return false;
  return true;
}

function move(
  from: Float64Array,
  source: number,
  to: Float64Array,
  target: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) to[target + i] = from[source + i]!;
}

/** Tells blocks apart, also those of two directories. */
function nameOf(service: string, scope: Scope, { definition }: Metric): string {
  const { name, kind, unit, combine, bounds, logLinear, labelNames, dialect } = definition;
  const shape = [kind, unit, combine, bounds, logLinear, labelNames, dialect];
  return JSON.stringify([service, scope.name, scope.version, name, ...shape]);
}

/** Blocks of a service together, in them those of a scope, and in them those of a metric: they share a head each. */
function inOrder<Table>(blocks: ReadonlyMap<string, Block<Table>>): Map<string, Block<Table>> {
  type Entry = [string, Block<Table>];
  const groups = new Map<string, Map<string, Map<string, Entry[]>>>();
  for (const entry of blocks) {
    const { service, scope, head } = entry[1];
    const scopes = ensure(groups, service, () => new Map<string, Map<string, Entry[]>>());
    const key = `${scope.name} ${scope.version}`;
    const metrics = ensure(scopes, key, () => new Map<string, Entry[]>());
    ensure(metrics, `${head.kind} ${head.name}`, (): Entry[] => []).push(entry);
  }
  const scopes = [...groups.values()].flatMap((each) => [...each.values()]);
  return new Map(scopes.flatMap((metrics) => [...metrics.values()].flat()));
}

function ensure<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
