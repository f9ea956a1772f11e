// What an exposition consists of, in its order: metrics of one name, of whichever pool and service, are one family.
// Found once per structure and filter; a scrape goes through it.

import type { Directory, Metric } from "../layout/index.ts";
import {
  type FamilyHead,
  type FamilyType,
  type Format,
  openMetricsHeads,
  textHead,
  typeOf,
} from "./format.ts";
import { HOME_LABELS, type Home, type MetricText, type PoolTexts } from "./templates.ts";
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
}

/** Leaves out metrics of services. */
export type Wants = (service: string, metric: Metric) => boolean;

/** A metric of one service in one pool. */
export interface Member {
  /** Index of its pool among those exposed. */
  pool: number;
  metric: Metric;
  text: MetricText;
  /** Where each writer is shown by itself. */
  parts: { part: WriterPart; labels: Uint8Array }[] | undefined;
}

export interface Family extends FamilyHead {
  members: Member[];
}

/** A metric that is left out, because its name has another type already. */
export interface TypeConflict {
  name: string;
  type: FamilyType;
  left: FamilyType;
}

interface Candidate {
  pool: number;
  metric: Metric;
  home: Home;
}

export class Families {
  readonly all: readonly Family[];
  readonly conflicts: TypeConflict[] = [];
  /** Bytes that the last scrape came to. */
  lastBytes = 0;
  readonly #structure: readonly unknown[];
  readonly #heads: Partial<Record<Format, Map<string, Uint8Array>>> = {};

  constructor(pools: readonly ExposedPool[], texts: readonly PoolTexts[], wants: Wants) {
    this.#structure = structureOf(pools);
    const byName = new Map<string, Candidate[]>();
    for (const [pool, { app, source: instance, directory }] of pools.entries()) {
      for (const metric of directory.metrics.values()) {
        const service = directory.services.get(metric.service) ?? "";
        if (metric.retired || !wants(service, metric)) continue;
        const home = { app, service, instance, qualified: false };
        const known = byName.get(metric.definition.name);
        if (known === undefined) byName.set(metric.definition.name, [{ pool, metric, home }]);
        else known.push({ pool, metric, home });
      }
    }
    const parts = pools.map((pool) => pool.parts && partsByMetric(pool.parts));
    this.all = [...byName].map(([name, candidates]) => {
      const { definition } = candidates[0]!.metric;
      const type = typeOf(definition);
      const { help, unit } = definition;
      const same = candidates.filter((each) => typeOf(each.metric.definition) === type);
      this.#noteConflicts(name, type, candidates);
      const members = qualify(same).map(({ pool, metric, home }): Member => {
        const text = texts[pool]!.of(metric, home);
        const own = parts[pool] && (parts[pool].get(metric) ?? []);
        return {
          pool,
          metric,
          text,
          parts: own?.map((part) => ({ part, labels: text.writerLabels(part.writer) })),
        };
      });
      return { name, type, help, unit, members };
    });
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
  heads(format: Format): ReadonlyMap<string, Uint8Array> {
    let heads = this.#heads[format];
    if (heads === undefined) {
      const texts =
        format === "openmetrics"
          ? openMetricsHeads(this.all)
          : new Map(this.all.map((family) => [family.name, textHead(family)]));
      const encoder = new TextEncoder();
      heads = new Map([...texts].map(([name, text]) => [name, encoder.encode(text)]));
      this.#heads[format] = heads;
    }
    return heads;
  }

  #noteConflicts(name: string, type: FamilyType, candidates: readonly Candidate[]): void {
    const others = new Set(candidates.map(({ metric }) => typeOf(metric.definition)));
    others.delete(type);
    for (const left of others) this.conflicts.push({ name, type, left });
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

function partsByMetric(parts: readonly WriterPart[]): Map<Metric, WriterPart[]> {
  const byMetric = new Map<Metric, WriterPart[]>();
  for (const part of parts) {
    const known = byMetric.get(part.metric);
    if (known === undefined) byMetric.set(part.metric, [part]);
    else known.push(part);
  }
  return byMetric;
}

/** Where a metric's own labels hide ours, members of a family may look alike: then ours come under other names. */
function qualify(candidates: readonly Candidate[]): readonly Candidate[] {
  if (candidates.length === 1) return candidates;
  const isHidden = ({ metric }: Candidate) =>
    HOME_LABELS.some((name) => metric.definition.labelNames.includes(name));
  if (!candidates.some(isHidden)) return candidates;
  const seen = new Map<string, number>();
  const shown = ({ metric, home }: Candidate) => {
    const { labelNames } = metric.definition;
    const visible = HOME_LABELS.map((name) => (labelNames.includes(name) ? null : home[name]));
    return JSON.stringify([visible, [...labelNames].sort()]);
  };
  for (const each of candidates) seen.set(shown(each), (seen.get(shown(each)) ?? 0) + 1);
  return candidates.map((each) =>
    seen.get(shown(each)) === 1 ? each : { ...each, home: { ...each.home, qualified: true } },
  );
}
