// Merges small files, and halves of spans into whole ones. New files take the place of the old ones in one transaction, so
// that a query sees each row once; a kill before it leaves files that nobody knows.

import type { Log } from "../../guard/index.ts";
import { type Catalogue, CatalogueConflictError, type PartitionRow } from "../catalogue/index.ts";
import { FILE_VIEWS, type FileThread, type FileView } from "../views/index.ts";
import { type PlannedJoin, planJoins, planMerges } from "./merge-plan.ts";

/** Remembered joins that found no pair. */
const TRIED_MAX = 1_000;

interface MergerParts {
  catalogue: Catalogue;
  thread: FileThread;
  log: Log;
  nowNs: () => bigint;
}

export class Merger {
  readonly #parts: MergerParts;
  /** Halves of which none belong together. */
  readonly #tried = new Set<string>();
  #isStopped = false;

  constructor(parts: MergerParts) {
    this.#parts = parts;
  }

  /** What is under way is finished. */
  stop(): void {
    this.#isStopped = true;
  }

  /** @returns how many files have become fewer or other ones */
  async round(): Promise<number> {
    let replaced = await this.#joinSpans();
    for (const view of FILE_VIEWS) {
      try {
        replaced += await this.#mergeView(view);
      } catch (error) {
        this.#parts.log.error(`files of the view ${view} cannot be merged`, {
          reason: (error as Error).message,
        });
      }
    }
    return replaced;
  }

  async #mergeView(view: FileView): Promise<number> {
    const { catalogue, thread, nowNs } = this.#parts;
    let replaced = 0;
    for (const files of planMerges(await catalogue.livePartitions(view), nowNs())) {
      if (this.#isStopped) break;
      const partitions = await thread.run("merge", { view, files: files.map(oldFile) });
      replaced += await this.#swap(files, partitions);
    }
    return replaced;
  }

  async #joinSpans(): Promise<number> {
    const { catalogue, nowNs, log } = this.#parts;
    const opens = await catalogue.livePartitions("span_opens");
    if (opens.length === 0) return 0;
    const closes = await catalogue.livePartitions("span_closes");
    const joins = planJoins(opens, closes, nowNs());
    let replaced = 0;
    for (const [i, join] of joins.entries()) {
      if (this.#isStopped) break;
      try {
        replaced += await this.#join(join);
      } catch (error) {
        log.error("halves of spans cannot be joined", { reason: (error as Error).message });
      }
      // Ends are left over by the first; the next round sees them.
      if (replaced > 0 && i + 1 < joins.length) break;
    }
    return replaced;
  }

  async #join({ opens, closes }: PlannedJoin): Promise<number> {
    const all = [...opens, ...closes];
    const key = all.map(({ partitionId }) => partitionId).join(" ");
    if (this.#tried.has(key)) return 0;
    const { partitions, pairs } = await this.#parts.thread.run("join", {
      opens: opens.map(oldFile),
      closes: closes.map(oldFile),
    });
    if (pairs > 0) return await this.#swap(all, partitions);
    if (this.#tried.size >= TRIED_MAX) this.#tried.clear();
    this.#tried.add(key);
    return 0;
  }

  async #swap(
    old: readonly PartitionRow[],
    partitions: Parameters<Catalogue["swapPartitions"]>[1],
  ): Promise<number> {
    const { catalogue, log } = this.#parts;
    try {
      await catalogue.swapPartitions(
        old.map(({ partitionId }) => partitionId),
        partitions,
      );
      return old.length;
    } catch (error) {
      if (!(error instanceof CatalogueConflictError)) throw error;
      // Retention took one of them meanwhile. The sweep takes the new ones.
      log.debug("merged files are not used", { reason: error.message });
      return 0;
    }
  }
}

function oldFile({ file, day, rows }: PartitionRow) {
  return { file, day, rows };
}
