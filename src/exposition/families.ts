// What an exposition consists of, in its order: metrics of one name, of whichever pool and service, are one family.
// Found once per structure and selection; a scrape goes through it.

import { countingSince, type Directory, type Metric, prometheusNames } from "../layout/index.ts";
import {
  type FamilyHead,
  type FamilyType,
  type Format,
  openMetricsHeads,
  textHead,
  typeOf,
} from "./format.ts";
import { Block, HOME_LABELS, type Home, type Run, SERIES_PER_BLOCK } from "./templates.ts";
import type { WriterPart } from "./writer-values.ts";

/** A pool's part in an exposition. */
export interface ExposedPool {
  app: string;
  /** Where it was read, for a label `instance` that tells pools of one name apart. */
  source?: string;
  directory: Directory;
  /** As a `Gather` filled them, or, with `parts`, as `WriterValues` did. They must not change before the end. */
  values: Float64Array;
  /** Each writer by itself instead of their sum. */
  parts?: readonly WriterPart[];
  /** Leaves out metrics that were not read, always the same ones. */
  wants?: Wants;
}

/** Leaves out metrics of services. */
export type Wants = (service: string, metric: Metric) => boolean;

export interface Family extends FamilyHead {
  blocks: Block[];
}

/** The lines before a family's samples, and the name of the sample that tells when a series began. */
export interface EncodedHead {
  head: Uint8Array;
  created: Uint8Array | undefined;
}

/** A metric that is left out, because its name has another type already. */
export interface TypeConflict {
  name: string;
  type: FamilyType;
  left: FamilyType;
}

/** A metric of one service in one pool. */
interface Member {
  /** Index of its pool among those exposed. */
  pool: number;
  metric: Metric;
  home: Home;
  /** When its service began to count, as text. */
  created: Uint8Array | undefined;
}

export class Families {
  readonly all: readonly Family[];
  readonly conflicts: TypeConflict[] = [];
  /** Bytes that the last scrape came to. */
  lastBytes = 0;
  readonly #structure: readonly unknown[];
  readonly #heads: Partial<Record<Format, ReadonlyMap<string, EncodedHead>>> = {};

  /** @param before families of the same selection, whose texts may still be good */
  constructor(pools: readonly ExposedPool[], wants: Wants, before?: Families) {
    this.#structure = structureOf(pools);
    const parts = pools.map((pool) => pool.parts && byMetric(pool.parts));
    const known = new Map(before?.all.map((family) => [family.name, family]));
    this.all = [...membersByName(pools, wants)].map(([name, members]) => {
      const { definition } = members[0]!.metric;
      const type = typeOf(definition);
      const same = members.filter(({ metric }) => typeOf(metric.definition) === type);
      const others = new Set(members.map(({ metric }) => typeOf(metric.definition)));
      others.delete(type);
      // One name has one type in an exposition.
      for (const left of others) this.conflicts.push({ name, type, left });
      const blocks = blocksOf(
        distinguish(qualify(same)).flatMap((member) => runsOf(member, pools, parts[member.pool])),
        type === "histogram",
      );
      for (const [i, block] of (known.get(name)?.blocks ?? []).entries()) blocks[i]?.inherit(block);
      const { unit } = prometheusNames(definition);
      return { name, type, help: definition.help, unit, blocks };
    });
    this.lastBytes = before?.lastBytes ?? 0;
  }

  /** Bytes of names and labels that are kept. */
  get keptBytes(): number {
    let sum = 0;
    for (const { blocks } of this.all) for (const { keptBytes } of blocks) sum += keptBytes;
    return sum;
  }

  /** Whether these pools have the structure that the families were found in. */
  fits(pools: readonly ExposedPool[]): boolean {
    const structure = structureOf(pools);
    return (
      structure.length === this.#structure.length &&
      structure.every((each, i) => each === this.#structure[i])
    );
  }

  /** The lines before a family's samples, by name; a family that the format cannot have is missing. */
  heads(format: Format): ReadonlyMap<string, EncodedHead> {
    let heads = this.#heads[format];
    if (heads === undefined) {
      const texts =
        format === "openmetrics"
          ? openMetricsHeads(this.all)
          : new Map(this.all.map((family) => [family.name, textHead(family)]));
      const encoder = new TextEncoder();
      heads = new Map(
        [...texts].map(([name, { head, created }]) => [
          name,
          {
            head: encoder.encode(head),
            created: created === undefined ? undefined : encoder.encode(created),
          },
        ]),
      );
      this.#heads[format] = heads;
    }
    return heads;
  }

  forgetTexts(): void {
    for (const { blocks } of this.all) for (const block of blocks) block.forget();
  }
}

function structureOf(pools: readonly ExposedPool[]): unknown[] {
  return pools.flatMap(({ app, source, directory, parts }) => [
    app,
    source,
    directory,
    directory.length,
    parts,
  ]);
}

function membersByName(pools: readonly ExposedPool[], wants: Wants): Map<string, Member[]> {
  const byName = new Map<string, Member[]>();
  for (const [pool, { app, source: instance, directory, wants: has }] of pools.entries()) {
    const created = new Map(
      [...countingSince(directory)].map(([service, atMs]) => [service, createdText(atMs)]),
    );
    for (const metric of directory.metrics.values()) {
      const service = directory.services.get(metric.service) ?? "";
      if (metric.retired || !wants(service, metric) || has?.(service, metric) === false) continue;
      const home = { app, service, instance, qualified: false };
      const member = { pool, metric, home, created: created.get(metric.service) };
      const { name } = prometheusNames(metric.definition);
      const members = byName.get(name);
      if (members === undefined) byName.set(name, [member]);
      else members.push(member);
    }
  }
  return byName;
}

function byMetric(parts: readonly WriterPart[]): Map<Metric, WriterPart[]> {
  const found = new Map<Metric, WriterPart[]>();
  for (const part of parts) {
    const known = found.get(part.metric);
    if (known === undefined) found.set(part.metric, [part]);
    else known.push(part);
  }
  return found;
}

/** Where a metric's own labels hide ours, members of a family may look alike: then ours come under other names. */
function qualify(members: readonly Member[]): readonly Member[] {
  if (members.length === 1) return members;
  const isHidden = ({ metric }: Member) =>
    HOME_LABELS.some((name) => prometheusNames(metric.definition).labelNames.includes(name));
  if (!members.some(isHidden)) return members;
  const shown = ({ metric, home }: Member) => {
    const { labelNames } = prometheusNames(metric.definition);
    const visible = HOME_LABELS.map((name) => (labelNames.includes(name) ? null : home[name]));
    return JSON.stringify([visible, [...labelNames].sort()]);
  };
  const alike = new Map<string, number>();
  for (const each of members) alike.set(shown(each), (alike.get(shown(each)) ?? 0) + 1);
  return members.map((each) =>
    alike.get(shown(each)) === 1 ? each : { ...each, home: { ...each.home, qualified: true } },
  );
}

/** Metrics of one service that look alike under Prometheus's names, as `a.b` and `a-b` do, say what they are called. */
function distinguish(members: readonly Member[]): readonly Member[] {
  const isTranslated = ({ metric }: Member) => metric.definition.dialect !== undefined;
  if (members.length === 1 || !members.some(isTranslated)) return members;
  const shown = ({ pool, metric }: Member) =>
    JSON.stringify([
      pool,
      metric.service,
      [...prometheusNames(metric.definition).labelNames].sort(),
    ]);
  const alike = new Map<string, number>();
  for (const each of members) alike.set(shown(each), (alike.get(shown(each)) ?? 0) + 1);
  return members.map((each) => {
    if (alike.get(shown(each)) === 1 || !isTranslated(each)) return each;
    const { name, labelNames } = each.metric.definition;
    const original = labelNames.length === 0 ? name : `${name}{${labelNames.join(",")}}`;
    return { ...each, home: { ...each.home, original } };
  });
}

/** A run that does not yet know its block's pool. */
type PooledRun = [pool: number, run: Run];

function runsOf(
  { pool, metric, home, created }: Member,
  pools: readonly ExposedPool[],
  parts: ReadonlyMap<Metric, readonly WriterPart[]> | undefined,
): PooledRun[] {
  const { directory } = pools[pool]!;
  const common = { directory, metric, home };
  if (parts === undefined) {
    const to = metric.series.length;
    return [[pool, { ...common, writer: undefined, from: 0, to, index: -1, created }]];
  }
  return (parts.get(metric) ?? []).map(({ writer, firstSeries, count, index }) => {
    const from = placeOf(metric.series, firstSeries);
    const own = createdText(writer.startedAtMs);
    return [pool, { ...common, writer, from, to: from + count, index, created: own }];
  });
}

/** Whoever reads a pool of another host may have a clock that is behind. What is further ahead is no start. */
const AHEAD_MS_MAX = 3_600_000;

/** A moment as OpenMetrics has it, and the line's end. */
function createdText(atMs: number): Uint8Array | undefined {
  if (!(atMs > 0 && atMs < Date.now() + AHEAD_MS_MAX)) return undefined;
  return new TextEncoder().encode(`${Math.round(atMs) / 1000}\n`);
}

/** Cuts runs into blocks of a size; what is short shares one, unless each has bounds of its own. */
function blocksOf(runs: readonly PooledRun[], isHistogram: boolean): Block[] {
  const blocks: Block[] = [];
  let block: Block | undefined;
  for (const [pool, run] of runs) {
    if (isHistogram || block?.pool !== pool) block = undefined;
    for (let from = run.from; from < run.to; ) {
      if (block === undefined || block.count >= SERIES_PER_BLOCK) {
        block = new Block(pool, isHistogram);
        blocks.push(block);
      }
      const to = Math.min(run.to, from + SERIES_PER_BLOCK - block.count);
      const index = run.index < 0 ? -1 : run.index + (from - run.from) * run.metric.slots;
      block.add({ ...run, from, to, index });
      from = to;
    }
  }
  return blocks;
}

/** Where a series stands among a metric's, which are ascending. */
function placeOf(series: readonly number[], id: number): number {
  let low = 0;
  let high = series.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (series[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
