// Records snapshots into a Parquet file. The collecting thread finds which values have changed, and a second thread
// writes them. When that thread falls behind, whole snapshots are left out, and the next one that is recorded says so.

import { type PoolSnapshot, poolKey } from "../../layout/index.ts";
import { counted, formatBytes, threadFault } from "../../text/index.ts";
import type { Sink, SinkEnd, SinkOptions } from "../sink.ts";
import { Changes } from "./changes.ts";
import type { FromRecorder, ToRecorder } from "./worker-protocol.ts";

// The compiled binary keeps workers below its root; from sources they lie beside this file.
const WORKER_URL = new URL(
  import.meta.url.includes("/$bunfs/") ? "./src/sinks/recording/worker.ts" : "./worker.ts",
  import.meta.url,
);
/** A block is closed when it has so many rows. It takes about 60 MB of memory while it is written. */
const MAX_BLOCK_ROWS = 500_000;
/** It must also have so many times the rows that it begins with, which are all values. */
const MIN_BLOCK_TO_KEY = 4;
/** How many rows of closed blocks may wait to be written. */
const MAX_WAITING_ROWS = 6_000_000;
const AGE_CHECK_MS = 250;
/**
 * A new recording closes its blocks early: the first after a second, later ones when a block covers a quarter of the time
 * so far. A process that is killed loses no more than that.
 */
const FIRST_BLOCK_MS = 1_000;
const BLOCK_SHARE = 1 / 4;

export interface RecorderOptions extends Pick<SinkOptions, "perWriter"> {
  path: string;
  /** Whether a file of this name may be there, and is replaced. */
  replace: boolean;
  /** A block is closed after this time at the latest, and can be read from then on. */
  blockMs: number;
  /** Rows after which a block is closed; half a million unless told otherwise. */
  blockRows?: number;
  /** Rows that may wait to be written before snapshots are left out; six million unless told otherwise. */
  waitingRows?: number;
  /** Called when writing has failed. Nothing more is recorded then. */
  onFailure: (error: RecordingError) => void;
}

/** A recording cannot be made or continued. */
export class RecordingError extends Error {
  override readonly name = "RecordingError";

  constructor(
    message: string,
    /** The system's error code, e.g. ENOSPC. */
    readonly code: string | undefined,
    /** DuckDB is not installed. */
    readonly isMissing = false,
  ) {
    super(message);
  }
}

/** How a recording has ended. */
interface RecordingEnd extends SinkEnd {
  snapshots: number;
  /** Values of series that the snapshots had, changed or not; a histogram is one. */
  samples: number;
  bytes: number;
  /** Snapshots that were left out because writing fell behind. */
  dropped: number;
  /** Snapshots that were not recorded because the file could not be written on. */
  lost: number;
}

/** What a block has. */
interface BlockCounts {
  snapshots: number;
  samples: number;
}

export class Recorder implements Sink {
  readonly #worker: Worker;
  readonly #changes: Changes;
  readonly #counts: Omit<RecordingEnd, keyof SinkEnd> = {
    ...{ snapshots: 0, samples: 0, bytes: 0, dropped: 0, lost: 0 },
  };
  readonly #timer: Timer;
  /** For each pool: snapshots that were left out since the last one that was recorded. */
  readonly #dropped = new Map<string, { count: number; missed: number; gap: string | undefined }>();
  #waitingRows = 0;
  /** Closed blocks that are not in the file yet, the oldest first. */
  #waiting: BlockCounts[] = [];
  #block: BlockCounts = { snapshots: 0, samples: 0 };
  /** When the first block was begun, and when the open one was. */
  #begunAtMs: number | undefined;
  #openedAtMs = 0;
  #isOpen = false;
  #failure: RecordingError | undefined;
  #settle: (message: FromRecorder) => void = () => {};
  #end: Promise<RecordingEnd> | undefined;
  #isClosed = false;

  private constructor(readonly options: RecorderOptions) {
    this.#worker = new Worker(WORKER_URL.href);
    this.#worker.onmessage = ({ data }: MessageEvent<FromRecorder>) => this.#receive(data);
    this.#worker.onerror = ({ message }) => {
      const said = threadFault(message);
      this.#receive({ kind: "failed", message: said, code: undefined, missing: false });
      // There will be no other message from it.
      this.#settle({ kind: "closed", bytes: this.#counts.bytes });
    };
    this.#changes = new Changes(options, (rows) => {
      this.#waitingRows += rows.count;
      this.#post(rows, [rows.cells.buffer, rows.snapshots.buffer, rows.values.buffer]);
    });
    this.#timer = setInterval(() => this.#closeAged(), Math.min(AGE_CHECK_MS, options.blockMs / 2));
  }

  /** @throws RecordingError when the file cannot be made, or DuckDB is not there */
  static async open(options: RecorderOptions): Promise<Recorder> {
    const recorder = new Recorder(options);
    const opened = recorder.#answer();
    const { path, replace, perWriter = false } = options;
    recorder.#post({ kind: "open", path, replace, perWriter });
    const answer = await opened;
    if (answer.kind === "failed") {
      recorder.#stop();
      throw new RecordingError(answer.message, answer.code, answer.missing);
    }
    recorder.#isOpen = true;
    return recorder;
  }

  get isBehind(): boolean {
    if (this.#failure !== undefined) return false;
    return this.#waitingRows + this.#changes.rowCount > this.#maxWaitingRows / 2;
  }

  get #maxWaitingRows(): number {
    return this.options.waitingRows ?? MAX_WAITING_ROWS;
  }

  /** Some closed blocks are not in the file yet. */
  get isWriting(): boolean {
    return this.#waiting.length > 0;
  }

  get isIdle(): boolean {
    if (this.#isClosed || this.#failure !== undefined) return true;
    return this.#waitingRows === 0 && !this.isWriting && this.#changes.snapshotCount === 0;
  }

  write(snapshot: PoolSnapshot): void {
    if (this.#failure !== undefined) {
      this.#counts.lost++;
      return;
    }
    const key = poolKey(snapshot);
    const dropped = this.#dropped.get(key);
    if (this.#waitingRows > this.#maxWaitingRows) {
      const { count = 0, missed = 0, gap } = dropped ?? {};
      this.#dropped.set(key, {
        count: count + 1,
        missed: missed + 1 + snapshot.missed,
        gap: gap ?? snapshot.gap,
      });
      this.#counts.dropped++;
      return;
    }
    this.#dropped.delete(key);
    const reasons = [
      snapshot.gap,
      dropped?.gap,
      dropped &&
        `${counted(dropped.count, "snapshot was", "snapshots were")} not recorded: writing them fell behind`,
    ].filter((reason) => reason !== undefined);
    const gap = reasons.length === 0 ? undefined : reasons.join("; ");
    if (this.#changes.snapshotCount === 0) {
      this.#openedAtMs = performance.now();
      this.#begunAtMs ??= this.#openedAtMs;
    }
    const missed = snapshot.missed + (dropped?.missed ?? 0);
    const samples = this.#changes.add(snapshot, missed, gap);
    this.#counts.samples += samples;
    this.#counts.snapshots++;
    this.#block.samples += samples;
    this.#block.snapshots++;
    const { rowCount, keyRows } = this.#changes;
    const { blockRows = MAX_BLOCK_ROWS } = this.options;
    if (rowCount >= Math.max(blockRows, keyRows * MIN_BLOCK_TO_KEY)) this.#closeBlock();
  }

  /** The file does not say that an application has ended. The state of a source that is away is kept for its return. */
  gone(source: string, app?: string): void {
    if (app === undefined) return;
    this.#changes.gone(source, app);
    this.#dropped.delete(poolKey({ source, app }));
  }

  /** Writes what is left and completes the file, however long that takes: an incomplete file would have to be repaired. */
  close(): Promise<RecordingEnd> {
    this.#end ??= this.#complete();
    return this.#end;
  }

  async #complete(): Promise<RecordingEnd> {
    clearInterval(this.#timer);
    if (this.#failure === undefined && this.#changes.snapshotCount > 0) this.#closeBlock();
    const closed = this.#answer();
    this.#post({ kind: "close" });
    const answer = await closed;
    if (answer.kind === "closed") this.#counts.bytes = answer.bytes;
    this.#stop();
    const { dropped, lost } = this.#counts;
    return { ...this.#counts, summary: this.#summary(), undelivered: dropped + lost };
  }

  #summary(): string {
    const { path } = this.options;
    const { snapshots, samples, bytes, dropped, lost } = this.#counts;
    if (snapshots + lost === 0) return `${path}: nothing to record, not kept`;
    const each = samples === 0 ? "" : `, ${bytesPerSample(bytes, samples)}`;
    const left =
      dropped === 0 ? "" : `; ${counted(dropped, "snapshot")} left out, writing fell behind`;
    const broken =
      lost === 0 ? "" : `; ${counted(lost, "snapshot")} lost, the file could not be written on`;
    return `${path}: ${counted(snapshots, "snapshot")}, ${counted(samples, "sample")}, ${formatBytes(bytes)}${each}${left}${broken}`;
  }

  #stop(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#worker.terminate();
  }

  #closeAged(): void {
    if (this.#begunAtMs === undefined || this.#changes.snapshotCount === 0) return;
    const nowMs = performance.now();
    const early = Math.max(FIRST_BLOCK_MS, (nowMs - this.#begunAtMs) * BLOCK_SHARE);
    if (nowMs - this.#openedAtMs >= Math.min(this.options.blockMs, early)) this.#closeBlock();
  }

  #closeBlock(): void {
    this.#waiting.push(this.#block);
    this.#block = { snapshots: 0, samples: 0 };
    this.#post(this.#changes.finish());
  }

  /** The answer to the message that is posted next. Only one is awaited at a time. */
  #answer(): Promise<FromRecorder> {
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  #receive(message: FromRecorder): void {
    if (message.kind === "written") {
      this.#waitingRows -= message.rows;
      this.#waiting.shift();
      this.#counts.bytes = message.bytes;
      return;
    }
    if (message.kind === "failed" && this.#isOpen) {
      if (this.#failure !== undefined) return;
      this.#failure = new RecordingError(message.message, message.code, message.missing);
      for (const { snapshots, samples } of [...this.#waiting.splice(0), this.#block]) {
        this.#counts.snapshots -= snapshots;
        this.#counts.samples -= samples;
        this.#counts.lost += snapshots;
      }
      this.options.onFailure(this.#failure);
      return;
    }
    this.#settle(message);
  }

  #post(message: ToRecorder, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}

/** `0.24 bytes per sample`; without decimals where there are three digits before the point. */
export function bytesPerSample(bytes: number, samples: number): string {
  const each = bytes / samples;
  return `${each.toFixed(each < 100 ? 2 : 0)} bytes per sample`;
}
