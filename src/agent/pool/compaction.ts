// A directory without its history: what still holds, written as a new log. Writers keep their ids, for they know them.

import type { BindRecord, Directory, DirectoryMetric, RecordWriter } from "../../layout/index.ts";

/** Series that a living writer gives back. */
export interface Released {
  writer: number;
  series: ReadonlySet<number>;
}

/**
 * Writes the living part of a directory, with series and metrics numbered again.
 * @param released what to leave out of it: the writer's bindings, and those of the series that nobody else is bound to
 */
export function compactDirectory(
  directory: Directory,
  records: RecordWriter,
  released?: Released,
): RecordWriter {
  const services = new Map<number, number>();
  for (const [id, name] of directory.services) {
    services.set(id, services.size + 1);
    records.service(services.size, name);
  }
  const bound = boundGauges(directory);
  const gone = released === undefined ? NONE : onlyBoundTo(directory, released);
  const newSeries = new Map<number, number>();
  let metrics = 0;
  for (const metric of directory.metrics.values()) {
    if (metric.retired) continue;
    const kept = metric.series.filter((series) => {
      if (gone.has(series)) return false;
      // A counter counts on when its writers are gone; a gauge that nobody holds is history.
      return metric.definition.kind !== "gauge" || bound.has(series);
    });
    // One of many of its name: those that have nothing would fill what a name may have.
    if (metric.definition.dialect !== undefined && kept.length === 0) continue;
    const id = ++metrics;
    records.metric(id, services.get(metric.service)!, metric.definition);
    for (const series of kept) {
      newSeries.set(series, newSeries.size + 1);
      records.series(newSeries.size, id, directory.labelValues(series));
    }
  }
  for (const writer of directory.writers.values()) {
    records.writer({ ...writer, service: services.get(writer.service)! });
    for (const grant of writer.grants) records.grant(grant);
    const except = writer.id === released?.writer ? released.series : NONE;
    let open: (BindRecord & { metric: DirectoryMetric }) | undefined;
    const close = () => open !== undefined && records.bind(open);
    for (const run of writer.runs) {
      if (run.metric.retired) continue;
      for (const part of renumber(run.firstSeries, run.count, newSeries, except)) {
        const slot = run.slot + (part.from - run.firstSeries) * run.metric.slots;
        // A reader cuts runs where values do not follow on; the binding is one where places do.
        if (
          open?.metric === run.metric &&
          open.page === run.page &&
          open.firstSeries + open.count === part.to &&
          open.slot + open.count * run.metric.slots === slot
        ) {
          open.count += part.count;
          continue;
        }
        close();
        const { to: firstSeries, count } = part;
        open = { writer: writer.id, firstSeries, count, page: run.page, slot, metric: run.metric };
      }
    }
    close();
  }
  // Keeps the last id in memory of readers: a writer's id is never given twice.
  if (!directory.writers.has(directory.lastId.writer)) records.release(directory.lastId.writer);
  return records;
}

const NONE: ReadonlySet<number> = new Set();

/** Of released series those that no other writer has, nor keeps for the dead. */
function onlyBoundTo(directory: Directory, { writer, series }: Released): Set<number> {
  const only = new Set(series);
  for (const { id, runs } of directory.writers.values()) {
    if (id === writer) continue;
    for (const { firstSeries, count } of runs) {
      for (let i = 0; i < count; i++) only.delete(firstSeries + i);
    }
  }
  return only;
}

function boundGauges(directory: Directory): Set<number> {
  const bound = new Set<number>();
  for (const writer of directory.writers.values()) {
    for (const run of writer.runs) {
      if (run.metric.definition.kind !== "gauge") continue;
      for (let i = 0; i < run.count; i++) bound.add(run.firstSeries + i);
    }
  }
  return bound;
}

/** The same series by their new numbers, cut where those do not follow on. */
function* renumber(
  first: number,
  count: number,
  newSeries: ReadonlyMap<number, number>,
  except: ReadonlySet<number>,
): Generator<{ from: number; to: number; count: number }> {
  let part: { from: number; to: number; count: number } | undefined;
  for (let series = first; series < first + count; series++) {
    const to = except.has(series) ? undefined : newSeries.get(series);
    if (to === undefined) {
      // What follows a gap has other places, even where the numbers go on.
      if (part !== undefined) yield part;
      part = undefined;
    } else if (part !== undefined && part.to + part.count === to) {
      part.count++;
    } else {
      if (part !== undefined) yield part;
      part = { from: series, to, count: 1 };
    }
  }
  if (part !== undefined) yield part;
}
