// The thread that writes a recording: gathers the rows of a block, sorts them by series, lets DuckDB make a row group of
// them in memory, and puts that into the file. Started by `Recorder`.

import { BlockWriter } from "./block-writer.ts";
import { ParquetFile } from "./parquet-file.ts";
import type { ChangedValues, FromRecorder, ToRecorder } from "./worker-protocol.ts";

declare const self: Worker;

let file: ParquetFile | undefined;
let writer: BlockWriter | undefined;
let rows: ChangedValues[] = [];
let hasFailed = false;
/** What was told is done one after the other. */
let work = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<ToRecorder>) => {
  work = work.then(async () => {
    if (hasFailed && data.kind !== "close") return;
    try {
      await handle(data);
    } catch (error) {
      fail(error as Error & { code?: string });
    }
  });
};

async function handle(message: ToRecorder): Promise<void> {
  switch (message.kind) {
    case "open":
      // DuckDB first: without it there is to be no file.
      writer = await BlockWriter.open(message.perWriter);
      file = ParquetFile.create(message.path, message.replace);
      return tell({ kind: "opened" });
    case "rows":
      rows.push(message);
      return;
    case "block": {
      const taken = rows;
      rows = [];
      const part = await writer!.write(message, taken);
      file!.append(part);
      const count = taken.reduce((sum, each) => sum + each.count, 0);
      return tell({ kind: "written", rows: count, bytes: file!.bytes });
    }
    case "close":
      try {
        // Also after a failure: what is closed is completed as far as there is room for it.
        file?.close();
      } catch (error) {
        file?.abandon();
        // After the last message nobody would hear it.
        fail(error as Error);
      } finally {
        writer?.close();
        tell({ kind: "closed", bytes: file?.bytes ?? 0 });
      }
  }
}

function fail(error: Error & { code?: string }): void {
  hasFailed = true;
  const isMissing = error.name === "DuckDbMissingError";
  tell({ kind: "failed", message: error.message, code: error.code, missing: isMissing });
}

function tell(message: FromRecorder): void {
  self.postMessage(message);
}
