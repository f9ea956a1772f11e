// Merges small files, and halves of spans into whole ones. New files take the place of the old ones in one transaction, so
// that a query sees each row once; a kill before it leaves files that nobody knows.

import type { Log } from "../../guard/index.ts";
import {
  type Catalogue,
  CatalogueConflictError,
  type LiveFile,
  type ViewState,
} from "../catalogue/index.ts";
import { FILE_VIEWS, type FileThread, type FileView } from "../views/index.ts";
import { type PlannedJoin, planJoins, planMerges } from "./merge-plan.ts";

/** Joins that found no pair, and files that cannot be merged, that are remembered. */
const TRIED_MAX = 10_000;

interface MergerParts {
  catalogue: Catalogue;
  state: ViewState;
  thread: FileThread;
  log: Log;
  nowNs: () => bigint;
}

export class Merger {
  readonly #parts: MergerParts;
  /** Halves of which none belong together. */
  readonly #tried = new Set<string>();
  /** Files that cannot be merged, for want of memory for instance: they stay as they are. */
  readonly #unmergeable = new Set<string>();
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
    for (const view of FILE_VIEWS) replaced += await this.#mergeView(view);
    return replaced;
  }

  async #mergeView(view: FileView): Promise<number> {
    const { state, thread, nowNs } = this.#parts;
    const live = await state.liveFiles(view);
    const mergeable = live.filter(({ partitionId }) => !this.#unmergeable.has(partitionId));
    let replaced = 0;
    for (const files of planMerges(mergeable, nowNs())) {
      if (this.#isStopped) break;
      try {
        const partitions = await thread.run("merge", { view, files: files.map(oldFile) });
        replaced += await this.#swap(files, partitions);
      } catch (error) {
        this.#leave(`files of the view ${view} are not merged`, files, error as Error);
      }
    }
    return replaced;
  }

  async #joinSpans(): Promise<number> {
    const { state, nowNs } = this.#parts;
    const halves = async (view: FileView) =>
      (await state.liveFiles(view)).filter(
        ({ partitionId }) => !this.#unmergeable.has(partitionId),
      );
    const opens = await halves("span_opens");
    if (opens.length === 0) return 0;
    const closes = await halves("span_closes");
    const joins = planJoins(opens, closes, nowNs());
    let replaced = 0;
    for (const [i, join] of joins.entries()) {
      if (this.#isStopped) break;
      try {
        replaced += await this.#join(join);
      } catch (error) {
        this.#leave(
          "halves of spans are not joined",
          [...join.opens, ...join.closes],
          error as Error,
        );
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

  /** Queries read these files as well as others; the next lake tries again. */
  #leave(what: string, files: readonly LiveFile[], { message }: Error): void {
    if (this.#isStopped) return;
    this.#parts.log.warn(what, { files: files.length, reason: message });
    if (this.#unmergeable.size >= TRIED_MAX) this.#unmergeable.clear();
    for (const { partitionId } of files) this.#unmergeable.add(partitionId);
  }

  async #swap(
    old: readonly LiveFile[],
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

function oldFile({ file, day, rows }: LiveFile) {
  return { file, day, rows };
}
