// What a lake does besides storing and answering: it makes files of what has come, merges them, and drops what is too old.
// Each of these goes on when another fails.

import type { Log } from "../../guard/index.ts";
import { ViewState } from "../catalogue/index.ts";
import type { LakeContext, Maintenance } from "../context.ts";
import { wallNs } from "../times.ts";
import { FileThread, LakeTables, Materializer, PinnedFiles } from "../views/index.ts";
import { Merger } from "./merging.ts";
import { Retainer } from "./retention.ts";
import { removeUnfinished, sweepFiles } from "./sweep.ts";

/** How often each is done, and how long files stay, in ms. Tests have less time. */
export interface Pace {
  round: number;
  merge: number;
  retain: number;
  sweep: number;
  grace: number;
  /** Files that nobody knows go when they are so old. */
  orphan: number;
}

const PACE: Pace = {
  round: 1_000,
  merge: 5_000,
  retain: 60_000,
  sweep: 3_600_000,
  grace: 900_000,
  orphan: 3_600_000,
};

/** Memory of DuckDB in each thread; what does not fit goes to disk. */
const MEMORY_BYTES = 400e6;

export class LakeMaintenance implements Maintenance {
  readonly tables: LakeTables;
  readonly materializer: Materializer;
  readonly state: ViewState;
  readonly merger: Merger;
  readonly retainer: Retainer;
  readonly #threads: readonly FileThread[];
  readonly #loops: readonly Loop[];
  /** Blocks have come since the views were last found complete. */
  #hasNews = true;

  private constructor(context: LakeContext, pace: Pace, nowNs: () => bigint) {
    const { catalogue, blobs, log, retention } = context;
    const { dir } = context.folder;
    const thread = () => new FileThread({ dir, memoryBytes: MEMORY_BYTES });
    const [eager, asked, merging] = [thread(), thread(), thread()];
    this.#threads = [eager, asked, merging];
    const state = new ViewState(catalogue, nowNs);
    this.state = state;
    const threads = { eager, asked };
    this.materializer = new Materializer({ catalogue, state, blobs, log, threads });
    const pinned = new PinnedFiles();
    const { materializer } = this;
    this.tables = new LakeTables({ dir, catalogue, state, materializer, pinned });
    this.merger = new Merger({ catalogue, state, thread: merging, log, nowNs });
    const graceMs = pace.grace;
    this.retainer = new Retainer({
      ...{ dir, catalogue, state, blobs, log, retention, pinned, graceMs, nowNs },
    });
    this.#loops = [
      new Loop("files of views are not made", pace.round, log, () => this.#round()),
      new Loop("files are not merged", pace.merge, log, () => this.merger.round()),
      new Loop("old events are not dropped", pace.retain, log, () => this.retainer.round()),
      new Loop("unknown files are not removed", pace.sweep, log, () =>
        sweepFiles(dir, catalogue, pace.orphan),
      ),
    ];
  }

  /** Removes what a killed lake has left, and begins. Nobody else may use the folder. */
  static async start(
    context: LakeContext,
    pace: Partial<Pace> = {},
    nowNs: () => bigint = wallNs,
  ): Promise<LakeMaintenance> {
    const { folder, catalogue } = context;
    const maintenance = new LakeMaintenance(context, { ...PACE, ...pace }, nowNs);
    await removeUnfinished(folder.dir);
    await sweepFiles(folder.dir, catalogue, 0);
    await maintenance.state.forgetSetAside();
    for (const loop of maintenance.#loops) loop.start();
    return maintenance;
  }

  wake(): void {
    this.#hasNews = true;
  }

  async stop(): Promise<void> {
    this.merger.stop();
    const loops = this.#loops.map((loop) => loop.stop());
    await this.materializer.stop();
    await Promise.all(loops);
    for (const thread of this.#threads) thread.stop();
  }

  async #round(): Promise<void> {
    if (!this.#hasNews) return;
    this.#hasNews = false;
    let isDone = false;
    try {
      await this.materializer.round();
      isDone = this.materializer.failures.length === 0;
    } finally {
      if (!isDone) this.#hasNews = true;
    }
  }
}

/** Does something again and again, with a pause after each time. */
class Loop {
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #lastFailure = "";

  constructor(
    readonly failing: string,
    readonly pauseMs: number,
    readonly log: Log,
    readonly work: () => Promise<unknown>,
  ) {}

  start(): void {
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#run();
    }, this.pauseMs);
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    try {
      await this.work();
      this.#lastFailure = "";
    } catch (error) {
      const { message } = error as Error;
      // Once for as long as it lasts.
      if (message !== this.#lastFailure) this.log.error(this.failing, { reason: message });
      this.#lastFailure = message;
    }
    this.#running = undefined;
    this.#schedule();
  }
}
