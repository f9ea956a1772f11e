// Where snapshots go, a folder for each kind of sink. This index has the interface `Sink`, sets of sinks, and the sinks
// that print snapshots: the table, NDJSON and CSV. All others have an index of their own, so that they are loaded only
// when they are asked for. A sink that prints is made with a function that receives its text. A sink takes the snapshots
// of any number of agents and applications, is told which of them have gone, and is closed at the end:
//
//   const sink = new NdjsonSink({ write: (text) => process.stdout.write(text), perWriter });
//   const sink = new CsvSink({ write, perWriter });
//   const sink = new TableSink({ write, perWriter, style: styleFor(process.stdout), intervalMs,
//     ...(process.stdout.isTTY ? { terminal: processTerminal(), onQuit: () => stop.abort() } : {}) });
//
//   for await (const snapshot of snapshots) sink.write(snapshot);
//   sink.gone(source, app);
//   await sink.close(0);   // in a finally: on a terminal it gives the screen and the keyboard back
//
// `write` copies what it needs: the snapshot's arrays may be reused as soon as it returns.

export type { ExportCounters } from "./delivery/export-counters.ts";
export { type Row, Rows } from "./rows.ts";
export type { Sink, SinkEnd, SinkOptions } from "./sink.ts";
export { type Member, Sinks, type SinksEnd } from "./sinks.ts";
export { type TableOptions, TableSink } from "./table/table.ts";
export { type Key, keysIn, processTerminal, SCREEN, type Terminal } from "./table/terminal.ts";
export { CsvSink } from "./text/csv.ts";
export { NdjsonSink } from "./text/ndjson.ts";
export { rfc3339 } from "./text/time.ts";
