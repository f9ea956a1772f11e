// A thread of the lake that writes Parquet, so that ingestion and queries are not held up. Started by `FileThread`.

import { BlockFiles } from "./block-files.ts";
import { joinHalves, mergeFiles, unmatchedStreams } from "./merged-files.ts";
import { ParquetWriter } from "./parquet-writer.ts";
import type { FromThread, Setup, Tasks, ToThread } from "./worker-protocol.ts";

declare const self: Worker;

let setup: Setup | undefined;
let writer: ParquetWriter | undefined;
let blockFiles: BlockFiles | undefined;
/** What was told is done one after the other. */
let work = Promise.resolve();
/** DuckDB keeps what memory it has had: with nothing to do it is closed. */
const IDLE_MS = 10_000;
let idle: Timer | undefined;

self.onmessage = ({ data }: MessageEvent<ToThread>) => {
  if (data.kind === "setup") {
    setup = data;
    return;
  }
  clearTimeout(idle);
  work = work.then(async () => {
    try {
      tell({ id: data.id, done: await handle(data) });
    } catch (error) {
      tell({ id: data.id, failure: (error as Error).message });
      // A database that had such an error may do nothing any more.
      close();
    }
    clearTimeout(idle);
    idle = setTimeout(rest, IDLE_MS);
  });
};

function close(): void {
  blockFiles = undefined;
  writer?.close();
  writer = undefined;
}

/** After what was told meanwhile. */
function rest(): void {
  work = work.then(() => {
    close();
    Bun.gc(true);
  });
}

async function handle(task: Exclude<ToThread, Setup>): Promise<Tasks[keyof Tasks]["done"]> {
  writer ??= await ParquetWriter.open(setup!);
  switch (task.kind) {
    case "blocks":
      blockFiles ??= await BlockFiles.open(writer);
      return await blockFiles.write(task.given.view, task.given.blocks);
    case "merge":
      return await mergeFiles(writer, task.given);
    case "join":
      return await joinHalves(writer, task.given);
    case "unmatched":
      return await unmatchedStreams(writer, task.given);
  }
}

function tell(message: FromThread): void {
  self.postMessage(message);
}
