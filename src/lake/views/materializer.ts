// Turns blocks into files of views: logs and measures as they come, spans for the range that somebody asks for. Files are
// made in threads; here it is decided of which blocks, and the catalogue is told of files and blocks in one transaction,
// so that a kill in between leaves files that nobody knows, and blocks that are done again.

import type { Log } from "../../guard/index.ts";
import { BlobMissingError, type Blobs } from "../blobs/index.ts";
import {
  type BlockRow,
  type BlockView,
  type Catalogue,
  CatalogueConflictError,
  rowsFor,
  type TimeRange,
  type ViewState,
} from "../catalogue/index.ts";
import { FOREVER_NS, laterOf } from "../times.ts";
import type { BlockBytes, WrittenBlocks } from "./block-files.ts";
import { type FileThread, FileThreadError } from "./file-thread.ts";

/** What one transaction and one file of each day is made of, at most; a block may have more by itself. */
const BATCH_ROWS = 200_000;
const BATCH_BYTES = 32e6;
const BATCH_BLOCKS = 1_000;
/** After a fault of the host, such as a full disk, a view is tried again. */
const RETRY_MS = 5_000;
/** Ends of spans are looked for in so much time after a range, then in four times as much, and so on. */
const FIRST_WINDOW_NS = 2_000_000_000n;

/** A block in memory of its own, which a thread may take. */
type OwnBytes = BlockBytes & { bytes: Uint8Array<ArrayBuffer> };
type Runner = Pick<FileThread, "run">;

/** A view that cannot be made at the moment. */
export class ViewFailedError extends Error {
  override readonly name = "ViewFailedError";
}

/** A view as it is made, one batch at a time: one that fails does not hold up another. */
class Lane {
  /** Blocks that a batch may have: fewer after a failure, until the one that fails is found. */
  batchBlocks = BATCH_BLOCKS;
  failure: { message: string; untilMs: number } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly view: BlockView,
    readonly thread: Runner,
  ) {}

  /** Runs after what was asked for before. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  get idle(): Promise<unknown> {
    return this.#last;
  }
}

export interface MaterializerParts {
  catalogue: Catalogue;
  state: ViewState;
  blobs: Blobs;
  log: Log;
  /** A thread for what is made as it comes, and another for what somebody waits for. */
  threads: { eager: Runner; asked: Runner };
}

export class Materializer {
  readonly #parts: MaterializerParts;
  readonly #eager: readonly Lane[];
  readonly #spans: Lane;
  #isStopped = false;

  constructor(parts: MaterializerParts) {
    this.#parts = parts;
    const { eager, asked } = parts.threads;
    const views = ["log_entries", "measures", "metrics"] as const;
    this.#eager = views.map((view) => new Lane(view, eager));
    this.#spans = new Lane("spans", asked);
  }

  /** Views that fail at the moment, and why. */
  get failures(): { view: BlockView; message: string }[] {
    return this.#lanes.flatMap(({ view, failure }) =>
      failure === undefined ? [] : [{ view, message: failure.message }],
    );
  }

  /** Makes files of all logs and measures that have come. @returns whether there was anything to do */
  async round(): Promise<boolean> {
    const done = await Promise.all(
      this.#eager.map(async (lane) => {
        if ((lane.failure?.untilMs ?? 0) > performance.now()) return false;
        try {
          return await this.#drain(lane, undefined, undefined);
        } catch (error) {
          if (error instanceof ViewFailedError) return false;
          throw error;
        }
      }),
    );
    return done.includes(true);
  }

  /**
   * Makes what is missing of a view for a range. Several who ask at once wait for the same batches.
   * @throws ViewFailedError, or the signal's reason when the caller has gone
   */
  async ensure(view: BlockView, range: TimeRange, signal: AbortSignal): Promise<void> {
    const lane = this.#lanes.find((each) => each.view === view)!;
    // Who misses nothing does not wait for what is being made of other ranges.
    if ((await this.#waiting(lane, range, 1)).length > 0) await this.#drain(lane, range, signal);
    if (view === "spans") await this.#ensureEnds(lane, range, signal);
    if (this.#isStopped) throw new ViewFailedError("the lake stops");
  }

  /** What is under way is finished first. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#lanes.map(({ idle }) => idle));
  }

  get #lanes(): readonly Lane[] {
    return [...this.#eager, this.#spans];
  }

  async #drain(
    lane: Lane,
    range: TimeRange | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    let any = false;
    for (;;) {
      signal?.throwIfAborted();
      if (this.#isStopped) return any;
      const isDone = await lane.run(async () => {
        const blocks = await this.#waiting(lane, range, lane.batchBlocks);
        if (blocks.length === 0) return true;
        await this.#batch(lane, blocks);
        return false;
      });
      if (isDone) return any;
      any = true;
    }
  }

  async #waiting(lane: Lane, range: TimeRange | undefined, limit: number): Promise<BlockRow[]> {
    const { catalogue, state } = this.#parts;
    const { fromNs, toNs } = range ?? { fromNs: 0n, toNs: FOREVER_NS };
    const from = laterOf(fromNs, await state.retiredBefore());
    return await catalogue.blocksWithout(lane.view, {
      range: { fromNs: from, toNs },
      limit,
    });
  }

  /** Spans that began in a range may end in later blocks of their stream: these are looked at until no end is missing. */
  async #ensureEnds(lane: Lane, range: TimeRange, signal: AbortSignal): Promise<void> {
    const { state, catalogue } = this.#parts;
    let fromNs = laterOf(range.toNs, await state.retiredBefore());
    if (!(await state.hasLaterCloses(fromNs))) return;
    let streams = await catalogue.streamsWithOpens(range);
    for (let windowNs = FIRST_WINDOW_NS; streams.length > 0; windowNs *= 4n) {
      if (!(await state.hasLaterCloses(fromNs))) return;
      const toNs = fromNs + windowNs;
      const later = await state.closesOf(streams, { fromNs, toNs });
      fromNs = toNs;
      if (later.length === 0) continue;
      for (let done = 0; done < later.length; ) {
        signal.throwIfAborted();
        if (this.#isStopped) return;
        const some = later.slice(done, done + lane.batchBlocks);
        done += await lane.run(() => this.#batch(lane, some));
      }
      streams = await this.#streamsWithoutEnds(lane, range);
    }
  }

  async #streamsWithoutEnds(lane: Lane, range: TimeRange): Promise<string[]> {
    const files = await this.#parts.state.filesOf([
      { view: "span_opens", ...range },
      { view: "span_closes", fromNs: range.fromNs, toNs: FOREVER_NS },
    ]);
    const of = (view: string) =>
      files.flatMap(({ viewName, file }) => (viewName === view ? [file] : []));
    return await lane.thread.run("unmatched", {
      ...range,
      ...{ opens: of("span_opens"), closes: of("span_closes") },
    });
  }

  /** @returns how many of the first blocks are done with */
  async #batch(lane: Lane, blocks: readonly BlockRow[]): Promise<number> {
    const { view } = lane;
    const batch = someOf(blocks, (block) => rowsFor(view, block));
    let failure: WrittenBlocks["failure"];
    try {
      const given = await this.#read(lane, batch);
      if (given.length > 0) {
        const written = await lane.thread.run(
          "blocks",
          { view, blocks: given },
          given.map(({ bytes }) => bytes.buffer),
        );
        if (written.damaged.length > 0) await this.#setAside(view, written.damaged);
        failure = written.failure;
        if (failure === undefined) await this.#commit(view, written);
      }
    } catch (error) {
      // What kills a thread may be in a block.
      const isOfSystem = !(error instanceof FileThreadError);
      failure = { message: (error as Error).message, isOfSystem };
    }
    if (failure === undefined) {
      lane.failure = undefined;
      lane.batchBlocks = Math.min(BATCH_BLOCKS, lane.batchBlocks * 2);
      return batch.length;
    }
    return await this.#failed(lane, batch, failure);
  }

  /**
   * Looks for the block that cannot be written, by halves; what the host lacks is no block's fault.
   * @throws ViewFailedError when the host lacks something
   */
  async #failed(
    lane: Lane,
    batch: readonly BlockRow[],
    { message, isOfSystem }: NonNullable<WrittenBlocks["failure"]>,
  ): Promise<number> {
    const { view } = lane;
    if (isOfSystem || this.#isStopped) {
      if (lane.failure?.message !== message && !this.#isStopped) {
        this.#parts.log.error(`the view ${view} cannot be made`, { reason: message });
      }
      lane.failure = { message, untilMs: performance.now() + RETRY_MS };
      throw new ViewFailedError(`the view ${view} cannot be made: ${message}`);
    }
    if (batch.length > 1) {
      lane.batchBlocks = Math.ceil(batch.length / 2);
      return 0;
    }
    await this.#setAside(view, [{ blockId: batch[0]!.blockId, reason: message }]);
    return 1;
  }

  async #setAside(
    view: BlockView,
    blocks: readonly { blockId: string; reason: string }[],
  ): Promise<void> {
    const { state, log } = this.#parts;
    await state.setAside(view, blocks);
    for (const { blockId, reason } of blocks) {
      log.warn(`a block was set aside: the view ${view} goes without it`, {
        block: blockId,
        reason,
      });
    }
  }

  async #commit(view: BlockView, { blockIds, partitions }: WrittenBlocks): Promise<void> {
    try {
      await this.#parts.catalogue.addPartitions(view, blockIds, partitions);
    } catch (error) {
      if (!(error instanceof CatalogueConflictError)) throw error;
      // Retention took a block meanwhile. The files are nobody's, and the sweep takes them.
      this.#parts.log.debug(`files of the view ${view} are made again`, { reason: error.message });
    }
  }

  /** The bytes of blocks. Those of one segment that lie near each other are read at once. */
  async #read(lane: Lane, batch: readonly BlockRow[]): Promise<OwnBytes[]> {
    const { blobs } = this.#parts;
    const byBlob = Map.groupBy(batch, ({ blob }) => blob);
    const bytesOf = new Map<string, Uint8Array<ArrayBuffer>>();
    const missing: { blockId: string; reason: string }[] = [];
    for (const [blob, blocks] of byBlob) {
      const offset = Math.min(...blocks.map(({ blobOffset }) => blobOffset));
      const end = Math.max(...blocks.map(({ blobOffset, blobBytes }) => blobOffset + blobBytes));
      try {
        const bytes = await blobs.get(blob, { offset, bytes: end - offset });
        for (const { blockId, blobOffset, blobBytes } of blocks) {
          const from = blobOffset - offset;
          bytesOf.set(blockId, new Uint8Array(bytes.subarray(from, from + blobBytes)));
        }
      } catch (error) {
        if (!(error instanceof BlobMissingError)) throw error;
        missing.push(...blocks.map(({ blockId }) => ({ blockId, reason: error.message })));
      }
    }
    if (missing.length > 0) await this.#setAside(lane.view, missing);
    return batch.flatMap(({ blockId, streamId, processId }) => {
      const bytes = bytesOf.get(blockId);
      return bytes === undefined ? [] : [{ blockId, own: { streamId, processId }, bytes }];
    });
  }
}

/** The first blocks, as far as they make a batch; one at least. */
function someOf(blocks: readonly BlockRow[], rowsOf: (block: BlockRow) => number): BlockRow[] {
  let rows = 0;
  let bytes = 0;
  const end = blocks.findIndex((block) => {
    rows += rowsOf(block);
    bytes += block.blobBytes;
    return rows > BATCH_ROWS || bytes > BATCH_BYTES;
  });
  return blocks.slice(0, end < 0 ? blocks.length : Math.max(1, end));
}
