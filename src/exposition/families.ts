// What an exposition consists of, in its order: metrics of one name, of whichever pool and service, are one family.
// Found once per structure and selection; a scrape goes through it.

import {
  type Metric,
  type MetricDefinition,
  placeOf,
  type Structure,
  type StructureMetric,
  type Wants,
} from "../layout/index.ts";
import { type FamilyHead, type Format, introduce } from "./format.ts";
import type { NameScheme } from "./naming/names.ts";
import type { Origin } from "./naming/sample-labels.ts";
import { SampleNames } from "./naming/sample-names.ts";
import { familyTypeOf, type NameClash, type Shown } from "./naming/shown.ts";
import { Block, type Part, type Run, SERIES_PER_BLOCK } from "./templates.ts";
import type { WriterPart } from "./writer-values.ts";

/** A pool's part in an exposition. */
export interface ExposedPool {
  app: string;
  /** Where it was read, for a label `instance` that tells pools of one name apart. */
  source?: string;
  structure: Structure;
  /** As a `Gather` filled them, or, with `parts`, as `WriterValues` did. They must not change before the end. */
  values: Float64Array;
  /** Each writer by itself instead of their sum. */
  parts?: readonly WriterPart[];
}

export interface Family extends FamilyHead {
  blocks: Block[];
}

/** The lines before a family's samples, and what those begin with that tell when a series began. */
export interface EncodedHead {
  head: Uint8Array;
  created: Uint8Array | undefined;
}

/** A metric of one service in one pool. */
interface Member {
  /** Index of its pool among those exposed. */
  pool: number;
  entry: StructureMetric;
  definition: MetricDefinition;
  origin: Origin;
  /** When its service began to count, as text. */
  created: Uint8Array | undefined;
}

/** What goes into one family. */
interface Gathered {
  name: string;
  members: { member: Member; shown: Shown; part: Part }[];
}

export class Families {
  readonly all: readonly Family[];
  /** Metrics that are shown otherwise than they were declared, the first thousand. */
  readonly clashes: readonly NameClash[];
  /** Bytes that the last scrape came to. */
  lastBytes = 0;
  readonly #structure: readonly unknown[];
  readonly #members: readonly Member[];
  readonly #names: SampleNames;
  readonly #heads: Partial<Record<Format, ReadonlyMap<string, EncodedHead>>> = {};

  /** @param before families of the same selection, whose texts may still be good */
  constructor(
    pools: readonly ExposedPool[],
    wants: Wants,
    scheme: NameScheme = "underscores",
    before?: Families,
  ) {
    this.#structure = structureOf(pools);
    const parts = pools.map((pool) => pool.parts && byMetric(pool.parts));
    const known = new Map(before?.all.map((family) => [family.name, family]));
    const members = membersOf(pools, wants);
    // Mostly there are more series, and the same metrics.
    const names =
      before !== undefined && isSame(members, before.#members)
        ? before.#names
        : new SampleNames(members, scheme);
    this.#members = members;
    this.#names = names;
    this.clashes = names.clashes;
    this.all = gather(members, names.shown).map(({ name, members: own }) => {
      const { definition } = own.map(({ member }) => member).reduce(firstByOrigin);
      const isUntyped = own.some(({ shown }) => shown.type === "unknown");
      const runs = own.flatMap(({ member, shown, part }) =>
        runsOf(member, shown, scheme, part, pools, parts[member.pool]),
      );
      const blocks = blocksOf(runs);
      for (const [i, block] of (known.get(name)?.blocks ?? []).entries()) blocks[i]?.inherit(block);
      return {
        name,
        type: isUntyped ? "unknown" : own[0]!.shown.type,
        help: definition.help,
        unit: own[0]!.shown.names.unit,
        blocks,
      };
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

  /** The lines before a family's samples, by name. */
  heads(format: Format): ReadonlyMap<string, EncodedHead> {
    let heads = this.#heads[format];
    if (heads === undefined) {
      const encoder = new TextEncoder();
      heads = new Map(
        this.all.map((family) => {
          const { head, created } = introduce(family, format);
          return [
            family.name,
            {
              head: encoder.encode(head),
              created: created === undefined ? undefined : encoder.encode(created),
            },
          ];
        }),
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
  return pools.flatMap(({ app, source, structure, parts }) => [app, source, structure, parts]);
}

function membersOf(pools: readonly ExposedPool[], wants: Wants): Member[] {
  const members: Member[] = [];
  for (const [pool, { app, source: instance, structure }] of pools.entries()) {
    const created = new Map(
      [...structure.startsMs].map(([service, atMs]) => [service, createdText(atMs)]),
    );
    for (const entry of structure.metrics) {
      const { metric, service } = entry;
      if (!wants(service, metric)) continue;
      const { definition } = metric;
      const origin = { app, service, instance };
      members.push({ pool, entry, definition, origin, created: created.get(metric.service) });
    }
  }
  return members;
}

/** Whether all are the same metrics, from the same places. */
function isSame(members: readonly Member[], before: readonly Member[]): boolean {
  return (
    members.length === before.length &&
    members.every(({ entry, origin: { app, service, instance } }, i) => {
      const { entry: other, origin } = before[i]!;
      return (
        entry.metric === other.metric &&
        app === origin.app &&
        service === origin.service &&
        instance === origin.instance
      );
    })
  );
}

/** Metrics by the family that they are shown in; of a histogram without type each name of samples is one. */
function gather(members: readonly Member[], all: readonly Shown[]): Gathered[] {
  const families = new Map<string, Gathered>();
  for (const [i, member] of members.entries()) {
    const shown = all[i]!;
    for (const part of partsOf(member, shown)) {
      const { name: own } = shown.names;
      const name = part.startsWith("_") ? own + part : own;
      const family = families.get(name);
      if (family === undefined) families.set(name, { name, members: [{ member, shown, part }] });
      else family.members.push({ member, shown, part });
    }
  }
  return [...families.values()];
}

function partsOf({ definition }: Member, { type }: Shown): readonly Part[] {
  if (familyTypeOf(definition) !== "histogram") return ["value"];
  return type === "histogram" ? ["histogram"] : ["_bucket", "_sum", "_count"];
}

/** Whose help is shown must not depend on who came first. */
function firstByOrigin(a: Member, b: Member): Member {
  for (const label of ["app", "service", "instance"] as const) {
    const [one = "", other = ""] = [a.origin[label], b.origin[label]];
    if (one !== other) return one < other ? a : b;
  }
  return b.definition.name < a.definition.name ? b : a;
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

/** A run that does not yet know its block. */
type LooseRun = [pool: number, part: Part, run: Run];

function runsOf(
  { pool, entry, created }: Member,
  shown: Shown,
  scheme: NameScheme,
  part: Part,
  pools: readonly ExposedPool[],
  parts: ReadonlyMap<Metric, readonly WriterPart[]> | undefined,
): LooseRun[] {
  const { log } = pools[pool]!.structure;
  const { metric } = entry;
  const common = { log, entry, metric, shown, scheme };
  if (parts === undefined) {
    const to = entry.series.length;
    return [[pool, part, { ...common, writer: undefined, from: 0, to, index: -1, created }]];
  }
  return (parts.get(metric) ?? []).map(({ writer, firstSeries, count, index }) => {
    const from = placeOf(entry.series, firstSeries);
    const own = createdText(writer.startedAtMs);
    return [pool, part, { ...common, writer, from, to: from + count, index, created: own }];
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
function blocksOf(runs: readonly LooseRun[]): Block[] {
  const blocks: Block[] = [];
  let block: Block | undefined;
  for (const [pool, part, run] of runs) {
    if (part !== "value" || block?.part !== part || block.pool !== pool) block = undefined;
    for (let from = run.from; from < run.to; ) {
      if (block === undefined || block.count >= SERIES_PER_BLOCK) {
        block = new Block(pool, part);
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
