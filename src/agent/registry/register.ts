// Registration: a writer declares metrics and series, and is told where to store them.
// Two commits: names first, so that everything has an id; then places.

import {
  checkDefinition,
  checkLabelValue,
  DefinitionError,
  type DirectoryMetric,
  definitionConflict,
  LIMITS,
  type MetricDefinition,
  sameLabelNames,
  utf8Bytes,
  type Writer,
} from "../../layout/index.ts";
import type {
  Extent,
  PlacedRun,
  RegisterResponse,
  RegisterResult,
  SeriesRelease,
  SeriesRequest,
} from "../../rest/index.ts";
import { counted } from "../../text/index.ts";
import { AgentError, LimitError } from "../errors.ts";
import { Binder } from "./binder.ts";
import { Change, metricKey, type Registry } from "./registry.ts";

/**
 * Registers series for a writer. Asking again for the same gives the same places; an error concerns one metric of
 * the request and not the others.
 * @param mayStore whether a writer is alive, or may still take its lock; asked only where two declarations of a metric
 *   contradict each other
 */
export function register(
  registry: Registry,
  writer: Writer,
  requests: readonly SeriesRequest[],
  mayStore: (writer: Writer) => boolean,
): Omit<RegisterResponse, "turn"> {
  const results = requests.map((): Result => ({ runs: [] }));
  const ids = declare(registry, writer, requests, results, mayStore);
  const change = new Change();
  const binder = new Binder(registry, writer, change);
  for (const [i, series] of ids.entries()) {
    attempt(results[i]!, () => place(binder, series, results[i]!.runs));
  }
  binder.finish();
  registry.commit(change);
  return { results, extents: extentsOf(registry.directory.writers.get(writer.id)!, results) };
}

/**
 * The grants that the places of an answer lie in, also those that were given before: the answer that named them may not
 * have arrived, when the agent died meanwhile.
 */
function extentsOf({ grants }: Writer, results: readonly RegisterResult[]): Extent[] {
  const pages = new Set<number>();
  for (const { runs } of results) for (const [page] of runs) pages.add(page);
  const named = [...pages];
  return grants
    .filter(({ page, pages: count }) => {
      // The shorter way: a writer may have tens of thousands of grants, and ask for as many pages at once.
      if (count > named.length) return named.some((each) => each >= page && each < page + count);
      for (let each = page; each < page + count; each++) if (pages.has(each)) return true;
      return false;
    })
    .map(({ page, pages: count, slot, slots }) => ({ page, pages: count, slot, slots }));
}

/** Ids of the series of a release that the writer has. */
export function boundSeries(
  registry: Registry,
  writer: Writer,
  releases: readonly SeriesRelease[],
): Set<number> {
  const bound = new Set<number>();
  for (const { name, labelNames, series } of releases) {
    const metric = registry
      .metrics(writer.service, name)
      .find(({ definition }) => Bun.deepEquals(definition.labelNames, labelNames));
    if (metric === undefined) continue;
    for (const labelValues of series) {
      if (labelValues.length !== labelNames.length) continue;
      const id = registry.series.find(registry.directory, metric.id, labelValues);
      if (id !== 0 && registry.directory.find(writer, id) !== undefined) bound.add(id);
    }
  }
  return bound;
}

/** Bytes of the directory that a registration takes at most; {@link Registry.reserve} them first. */
export function registrationBytesMax(requests: readonly SeriesRequest[]): number {
  let bytes = 0;
  for (const { name, unit, help, labelNames, bounds, series } of requests) {
    // The metric, the one that it replaces, and per series its record, its binding and a grant.
    bytes += METRIC_BYTES + bounds.length * 8 + textBytes([name, unit, help, ...labelNames]);
    for (const labelValues of series) bytes += SERIES_BYTES + textBytes(labelValues);
  }
  return bytes;
}

/** Of a metric's records without texts and bounds: header, fields, padding; and what retires another. */
const METRIC_BYTES = 80;
/** Of a series' records without texts: header, fields, padding; a binding of 32, a grant of 24. */
const SERIES_BYTES = 24 + 32 + 24;

function textBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + 2 + utf8Bytes(text), 0);
}

/** Names what is new; gives the ids of each request's series. */
function declare(
  registry: Registry,
  writer: Writer,
  requests: readonly SeriesRequest[],
  results: RegisterResult[],
  mayStore: (writer: Writer) => boolean,
): number[][] {
  const change = new Change();
  const declaration = new Declaration(registry, writer, change, mayStore);
  const ids = requests.map((request, i) => {
    const series: number[] = [];
    attempt(results[i]!, () => declaration.add(request, series));
    return series;
  });
  registry.commit(change);
  return ids;
}

/** A metric as a registration goes on with it. */
interface Declared {
  id: number;
  definition: MetricDefinition;
  /** Its series. */
  known: number;
}

/** What a name of the writer's service means. */
interface Name {
  metrics: Declared[];
  /** Whether a request of this registration agrees with it: the others may not contradict. */
  isClaimed: boolean;
}

class Declaration {
  readonly #names = new Map<string, Name>();
  readonly #last;

  constructor(
    readonly registry: Registry,
    readonly writer: Writer,
    readonly change: Change,
    readonly mayStore: (writer: Writer) => boolean,
  ) {
    this.#last = { ...registry.directory.lastId };
  }

  /** Adds the ids of a request's series to `ids`, up to the first that is refused. */
  add(request: SeriesRequest, ids: number[]): void {
    const { registry, change } = this;
    checked(() => checkDefinition(request));
    const name = this.#name(request);
    const metric = this.#metric(name, request);
    for (const labelValues of request.series) {
      checked(() => checkLabels(request, labelValues));
      let id = registry.series.find(registry.directory, metric.id, labelValues);
      if (id === 0) {
        this.#checkLimits(request.name, name);
        id = ++this.#last.series;
        metric.known++;
        change.records.series(id, metric.id, labelValues);
        registry.series.expect(metric.id, labelValues, id);
      }
      ids.push(id);
    }
  }

  /** What the request's name means, unless the request contradicts it. */
  #name(request: SeriesRequest): Name {
    const { registry, change, writer } = this;
    const key = metricKey(writer.service, request.name);
    let name = this.#names.get(key);
    if (name === undefined) {
      const metrics = registry.metrics(writer.service, request.name);
      name = {
        metrics: metrics.map(({ id, definition, series }) => ({
          id,
          definition,
          known: series.length,
        })),
        isClaimed: false,
      };
    }
    const [declared] = name.metrics;
    const conflict = declared && definitionConflict(declared.definition, request);
    if (conflict !== undefined) {
      const metrics = registry.metrics(writer.service, request.name);
      // A rolling update may declare a metric otherwise once nobody alive writes it as it was.
      if (name.isClaimed || metrics.some((metric) => this.#isWritten(metric))) {
        throw new AgentError(
          "metric-conflict",
          `${request.name} is registered otherwise: ${conflict}`,
          "give the metric another name, or stop the writers that use it as it was",
          409,
        );
      }
      for (const { id } of name.metrics) change.records.retire(id);
      name = { metrics: [], isClaimed: false };
    }
    name.isClaimed = true;
    this.#names.set(key, name);
    return name;
  }

  #metric(name: Name, request: SeriesRequest): Declared {
    const known = name.metrics.find(({ definition }) => sameLabelNames(definition, request));
    if (known !== undefined) return known;
    if (name.metrics.length >= LIMITS.labelSetsPerName) {
      throw new LimitError(
        "label-names-full",
        `${request.name} has ${name.metrics.length} sets of label names, at most ${LIMITS.labelSetsPerName} are allowed`,
        "keep what varies out of the names of attributes",
      );
    }
    const id = ++this.#last.metric;
    const { series: _, ...definition } = request;
    this.change.records.metric(id, this.writer.service, definition);
    const metric = { id, definition, known: 0 };
    name.metrics.push(metric);
    return metric;
  }

  #isWritten(metric: DirectoryMetric): boolean {
    for (const writer of this.registry.directory.writers.values()) {
      if (
        !writer.retained &&
        writer.runs.some((run) => run.metric === metric) &&
        this.mayStore(writer)
      ) {
        return true;
      }
    }
    return false;
  }

  #checkLimits(name: string, { metrics }: Name): void {
    const { limits, pool } = this.registry;
    const ofMetric = metrics.reduce((sum, { known }) => sum + known, 0);
    if (ofMetric >= limits.seriesPerMetric) {
      throw new LimitError(
        "label-values-full",
        `${name} has ${ofMetric} series, at most ${limits.seriesPerMetric} are allowed`,
        "keep ids and paths out of labels, or start the agent with a higher --max-series-per-metric",
      );
    }
    if (this.#last.series >= limits.series) {
      throw new LimitError(
        "series-full",
        `${pool.app} has ${this.#last.series} series, at most ${limits.series} are allowed`,
        "start the agent with a higher --max-series",
      );
    }
  }
}

/** A result while its places are found. */
type Result = RegisterResult & { runs: PlacedRun[] };

function place(binder: Binder, series: readonly number[], runs: PlacedRun[]): void {
  for (let i = 0; i < series.length; i++) {
    const id = series[i]!;
    const metric = binder.registry.directory.metricOf(id)!;
    const { page, slot } = binder.placeOf(id, metric, (series.length - i) * metric.slots);
    const last = runs.at(-1);
    if (last !== undefined && last[0] === page && last[1] + last[2] * metric.slots === slot)
      last[2]++;
    else runs.push([page, slot, 1]);
  }
}

/** Runs one metric's part; what goes wrong with it is its result's error. */
function attempt(result: RegisterResult, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    result.error ??= { code: error.code, message: error.message, hint: error.hint };
  }
}

function checkLabels(metric: MetricDefinition, labelValues: readonly string[]): void {
  if (labelValues.length !== metric.labelNames.length) {
    throw new DefinitionError(
      `${metric.name} has the labels [${metric.labelNames.join(", ")}], a series gives ${counted(labelValues.length, "value")}`,
    );
  }
  for (const value of labelValues) checkLabelValue(metric.name, value);
}

/** A broken rule of the layout, as the caller's fault. */
export function checked(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof DefinitionError)) throw error;
    throw new AgentError("invalid-metric", error.message, "docs/metrics.md states the rules", 422);
  }
}
