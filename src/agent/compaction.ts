// A directory without its history: what still holds, written as a new log. Writers keep their ids, for they know them.

import type { BindRecord, Directory, Metric, RecordWriter } from "../layout/index.ts";

/** Writes the living part of a directory, with series and metrics numbered anew. */
export function compactDirectory(directory: Directory, records: RecordWriter): RecordWriter {
  const services = new Map<number, number>();
  for (const [id, name] of directory.services) {
    services.set(id, services.size + 1);
    records.service(services.size, name);
  }
  const bound = boundSeries(directory);
  const newSeries = new Map<number, number>();
  let metrics = 0;
  for (const metric of directory.metrics.values()) {
    if (metric.retired) continue;
    const id = ++metrics;
    records.metric(id, services.get(metric.service)!, metric.definition);
    for (const series of metric.series) {
      // A counter counts on when its writers are gone; a gauge that nobody holds is history.
      if (metric.definition.kind === "gauge" && !bound.has(series)) continue;
      newSeries.set(series, newSeries.size + 1);
      records.series(newSeries.size, id, directory.labelValues(series));
    }
  }
  for (const writer of directory.writers.values()) {
    records.writer({ ...writer, service: services.get(writer.service)! });
    for (const grant of writer.grants) records.grant(grant);
    let open: (BindRecord & { metric: Metric }) | undefined;
    const close = () => open !== undefined && records.bind(open);
    for (const run of writer.runs) {
      if (run.metric.retired) continue;
      for (const part of renumber(run.firstSeries, run.count, newSeries)) {
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

function boundSeries(directory: Directory): Set<number> {
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
): Generator<{ from: number; to: number; count: number }> {
  let part: { from: number; to: number; count: number } | undefined;
  for (let series = first; series < first + count; series++) {
    const to = newSeries.get(series);
    if (to === undefined) continue;
    if (part !== undefined && part.to + part.count === to) {
      part.count++;
    } else {
      if (part !== undefined) yield part;
      part = { from: series, to, count: 1 };
    }
  }
  if (part !== undefined) yield part;
}
