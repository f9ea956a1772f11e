// The parts of a lake behind its server: what makes files, what reads them for queries, and what merges and drops them. lake.ts
// wires them by this, and so do tests of a lake without a server.

import { ViewState } from "./catalogue/index.ts";
import type { LakeContext } from "./context.ts";
import { LakeMaintenance, type Pace } from "./maintenance/index.ts";
import { LakeTables, PinnedFiles } from "./tables/index.ts";
import { wallNs } from "./times.ts";
import { FileThread, Materializer } from "./views/index.ts";

/** Memory of DuckDB in each thread; what does not fit goes to disk. */
const MEMORY_BYTES = 400e6;

export interface LakeParts {
  state: ViewState;
  materializer: Materializer;
  tables: LakeTables;
  maintenance: LakeMaintenance;
  /** Ends after what is under way. */
  stop(): Promise<void>;
}

/** Nobody else may use the folder. */
export async function startParts(
  context: LakeContext,
  pace: Partial<Pace> = {},
  nowNs: () => bigint = wallNs,
): Promise<LakeParts> {
  const { catalogue, blobs, log } = context;
  const { dir } = context.folder;
  // A thread runs when it has something to do.
  const thread = () => new FileThread({ dir, memoryBytes: MEMORY_BYTES });
  const threads = { eager: thread(), asked: thread() };
  const merging = thread();
  const state = new ViewState(catalogue, nowNs);
  const materializer = new Materializer({ catalogue, state, blobs, log, threads });
  const pinned = new PinnedFiles();
  const tables = new LakeTables({ dir, catalogue, state, materializer, pinned });
  const maintenance = await LakeMaintenance.start(
    { ...context, state, materializer, thread: merging, pinned, nowNs },
    pace,
  );
  return {
    ...{ state, materializer, tables, maintenance },
    async stop() {
      await Promise.all([maintenance.stop(), materializer.stop()]);
      for (const each of [threads.eager, threads.asked, merging]) each.stop();
    },
  };
}
