// Sinks that turn snapshots into text: the live table, NDJSON, CSV and Prometheus's format. A sink is made with a
// function that receives its text, is given every snapshot as it comes, of any number of agents and applications, and is
// closed at the end:
//
//   const sink = new NdjsonSink({ write: (text) => process.stdout.write(text), wanted, perWriter });
//   const sink = new CsvSink({ write, wanted, perWriter });
//   const sink = new PrometheusSink({ write, wanted, labelSource: endpoints.length > 1, terminal: process.stdout.isTTY });
//   const sink = new TableSink({ write, wanted, perWriter, style: styleFor(process.stdout), intervalMs,
//     ...(process.stdout.isTTY ? { terminal: processTerminal(), onQuit: () => stop.abort() } : {}) });
//
//   for await (const snapshot of snapshots) sink.write(snapshot);
//   sink.close();   // in a finally: on a terminal it gives the screen and the keyboard back
//
// `write` copies what it needs: the snapshot's arrays may be reused as soon as it returns. `flush()` may be called
// where a round of pools is complete; without it the sinks that need to know notice when a pool comes again.
// `wanted(service, metric)` must be given wherever the read was filtered: pages are fetched whole, and counters that
// were not fetched read as 0.

export { CsvSink } from "./csv.ts";
export { NdjsonSink } from "./ndjson.ts";
export { type PrometheusOptions, PrometheusSink } from "./prometheus.ts";
export { formatBytes, formatCount, formatQuantity } from "./quantity.ts";
export { type Row, type RowName, Rows } from "./rows.ts";
export { ScrapeServer, type ScrapeServerOptions } from "./scrape/scrape-server.ts";
export type { Sink, SinkOptions } from "./sink.ts";
export { type TableClock, type TableOptions, TableSink } from "./table.ts";
export type { TableStyle } from "./table-view.ts";
export { type Key, keysIn, processTerminal, SCREEN, type Terminal } from "./terminal.ts";
export {
  cutText,
  fitLeft,
  fitRight,
  labelsText,
  printable,
  printableLines,
  safeJson,
  textWidth,
} from "./text.ts";
export { rfc3339 } from "./time.ts";
