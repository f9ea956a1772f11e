// Does at its pace what a lake does besides storing and answering: files are made of what has come, merged, and dropped
// when they are too old. Each of these goes on when another fails. Started by src/lake/parts.ts.

import type { Log } from "../../guard/index.ts";
import type { ViewState } from "../catalogue/index.ts";
import type { LakeContext } from "../context.ts";
import type { PinnedFiles } from "../tables/index.ts";
import type { FileThread, Materializer } from "../views/index.ts";
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

interface MaintenanceParts extends LakeContext {
  state: ViewState;
  materializer: Materializer;
  /** Merges files, and does nothing else. */
  thread: FileThread;
  pinned: PinnedFiles;
  nowNs: () => bigint;
}

export class LakeMaintenance {
  readonly merger: Merger;
  readonly retainer: Retainer;
  readonly #materializer: Materializer;
  readonly #loops: readonly Loop[];
  /** Blocks have come since the views were last found complete. */
  #hasNews = true;

  private constructor(parts: MaintenanceParts, pace: Pace) {
    const { catalogue, state, blobs, log, retention, thread, pinned, nowNs } = parts;
    const { dir } = parts.folder;
    this.#materializer = parts.materializer;
    this.merger = new Merger({ catalogue, state, thread, log, nowNs });
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
  static async start(parts: MaintenanceParts, pace: Partial<Pace> = {}): Promise<LakeMaintenance> {
    const { folder, catalogue, state } = parts;
    const maintenance = new LakeMaintenance(parts, { ...PACE, ...pace });
    await removeUnfinished(folder.dir);
    await sweepFiles(folder.dir, catalogue, 0);
    await state.forgetSetAside();
    for (const loop of maintenance.#loops) loop.start();
    return maintenance;
  }

  /** Called when there are new blocks. */
  wake(): void {
    this.#hasNews = true;
  }

  /** Ends after what is under way. */
  async stop(): Promise<void> {
    this.merger.stop();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  async #round(): Promise<void> {
    if (!this.#hasNews) return;
    this.#hasNews = false;
    let isDone = false;
    try {
      await this.#materializer.round();
      isDone = this.#materializer.failures.length === 0;
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
