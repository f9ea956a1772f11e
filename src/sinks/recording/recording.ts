// Reads a recording back as the snapshots that it was made of. A file may come from anywhere: what it says is checked
// before it is used, and it is opened here, so that no name of it ever stands in a query.

import { closeSync, constants, openSync } from "node:fs";
import { Database } from "../../duckdb/index.ts";
import {
  type MetricDefinition,
  type PoolSnapshot,
  poolKey,
  type Wants,
} from "../../layout/index.ts";
import {
  BlockReader,
  type BlockRows,
  type SeriesName,
  type SeriesRow,
  type SnapshotRow,
} from "./block-reader.ts";
import type { Definition } from "./format.ts";
import { checkParquet, completeParquet, ParquetFileError } from "./parquet-file.ts";
import { type Place, RecordedPool, type RecordedSeries } from "./recorded-pool.ts";
import { RecordingError } from "./recorder.ts";

const MEMORY_BYTES = 2e9;
const MAX_SERIES = 1 << 24;
/** What the system says of a file that cannot be opened. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no directory",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ELOOP: "its symbolic links go round in circles",
};

/** What of a recording is wanted. */
interface RecordingRange {
  /** Unix times in ms; the first is part of it, the last too. */
  fromMs?: number;
  toMs?: number;
  app?: (name: string) => boolean;
}

interface KnownSeries {
  place: Place;
  pool: RecordedPool;
}

/** A recorded run, opened. */
export class Recording {
  /** Of all that it holds. */
  readonly firstMs: number;
  readonly lastMs: number;
  readonly snapshotCount: number;
  /** Values of series that the snapshots so far had. */
  sampleCount = 0;
  readonly #pools = new Map<string, RecordedPool>();
  readonly #series = new Map<number, KnownSeries>();

  private constructor(
    readonly path: string,
    /** What was repaired, in words. */
    readonly repaired: string | undefined,
    readonly reader: BlockReader,
    readonly fd: number,
    readonly wants: Wants | undefined,
  ) {
    const { blocks } = reader;
    this.firstMs = Math.min(...blocks.map(({ firstUs }) => firstUs)) / 1000;
    this.lastMs = Math.max(...blocks.map(({ lastUs }) => lastUs)) / 1000;
    this.snapshotCount = blocks.reduce((sum, { snapshots }) => sum + snapshots, 0);
  }

  /**
   * @param wants leaves out metrics of snapshots
   * @throws RecordingError when there is no recording, or it cannot be read
   */
  static async open(path: string, wants?: Wants): Promise<Recording> {
    const repaired = complete(path);
    const fd = openFile(path);
    try {
      const file = `/proc/self/fd/${fd}`;
      const database = await Database.open({
        threads: 1,
        memoryBytes: MEMORY_BYTES,
        paths: [file],
      });
      const reader = await BlockReader.open(database, file);
      return new Recording(path, repaired, reader, fd, wants);
    } catch (error) {
      closeSync(fd);
      throw asRecordingError(path, error as Error);
    }
  }

  /** Writers were recorded by themselves; otherwise there are only their sums. */
  get isPerWriter(): boolean {
    return this.reader.perWriter;
  }

  /** Pools that it has snapshots of. */
  get pools(): readonly { source: string; app: string }[] {
    return this.reader.pools;
  }

  /** Its snapshots in the order in which they were recorded. The arrays of one are used again for the next. */
  async *snapshots(range: RecordingRange): AsyncGenerator<PoolSnapshot, void, void> {
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = range;
    try {
      for (const block of this.reader.blocks) {
        if (block.lastUs / 1000 < fromMs || block.firstUs / 1000 > toMs) continue;
        const rows = await this.reader.read(block, (series) => this.#series.has(series));
        for (const snapshot of this.#replay(rows, range)) {
          if (snapshot.takenAtMs < fromMs || snapshot.takenAtMs > toMs) continue;
          this.sampleCount += this.#poolOf(snapshot).seriesCount;
          yield snapshot;
        }
      }
    } catch (error) {
      throw asRecordingError(this.path, error as Error);
    }
  }

  [Symbol.dispose](): void {
    this.reader.close();
    closeSync(this.fd);
  }

  *#replay(block: BlockRows, { app: wantsApp }: RecordingRange): Generator<PoolSnapshot> {
    const { snapshots, series, rows } = block;
    const begun = new Set<RecordedPool>();
    const present = new Set(series.map((each) => each.series));
    // Where the place of a series' slots is, by number, for the loop over the rows.
    const places: (KnownSeries | undefined)[] = [];
    let nextSeries = 0;
    for (const [number, row] of snapshots.entries()) {
      if (wantsApp !== undefined && !wantsApp(row.app)) continue;
      const pool = this.#poolOf(row);
      if (!begun.has(pool)) {
        begun.add(pool);
        this.#begin(pool, present);
      }
      while (nextSeries < series.length && series[nextSeries]!.snapshot <= number) {
        this.#appear(series[nextSeries++]!, places, wantsApp);
      }
      this.#apply(rows, number, pool, places);
      pool.gather();
      yield snapshotOf(row, pool);
    }
  }

  #poolOf({ source, app }: Pick<SnapshotRow, "source" | "app">): RecordedPool {
    const key = poolKey({ source, app });
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new RecordedPool(source, app, this.wants);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** A block begins with what is there; all else has ended. */
  #begin(pool: RecordedPool, present: ReadonlySet<number>): void {
    pool.clear();
    for (const [id, known] of this.#series) {
      if (known.pool !== pool || present.has(id)) continue;
      pool.end(known.place);
      this.#series.delete(id);
    }
  }

  #appear(
    row: SeriesRow,
    places: (KnownSeries | undefined)[],
    wantsApp: RecordingRange["app"],
  ): void {
    const { series, named } = row;
    let known = this.#series.get(series);
    if (known === undefined) {
      if (named === undefined || series < 0 || series > MAX_SERIES) {
        throw new RangeError(`series ${series}`);
      }
      if (wantsApp !== undefined && !wantsApp(named.app)) return;
      const pool = this.#poolOf(named);
      known = { place: pool.add(recordedSeries(series, named)), pool };
      this.#series.set(series, known);
    }
    const { place, pool } = known;
    if (place.isHistogram) pool.slots.fill(0, place.at, place.at + place.slots);
    places[series] = known;
  }

  #apply(
    { starts, series, slots, values }: BlockRows["rows"],
    snapshot: number,
    pool: RecordedPool,
    places: readonly (KnownSeries | undefined)[],
  ): void {
    for (let i = starts[snapshot]!; i < starts[snapshot + 1]!; i++) {
      const known = places[series[i]!];
      const slot = slots[i]!;
      if (known === undefined || known.pool !== pool || slot < 0 || slot >= known.place.slots) {
        throw new RangeError(`a value of slot ${slot} of series ${series[i]}, which is not there`);
      }
      const value = values[i]!;
      pool.slots[known.place.at + slot] = value;
    }
  }
}

function snapshotOf(row: SnapshotRow, pool: RecordedPool): PoolSnapshot {
  const { structure, slots, values } = pool;
  return {
    source: row.source,
    app: row.app,
    sequence: row.sequence,
    takenAtMs: row.timeUs / 1000,
    monotonicNs: row.monotonicNs,
    readMs: row.readMs,
    latenessMs: row.latenessMs,
    missed: row.missed,
    gap: row.gap,
    generation: row.generation,
    structure,
    slots: { kind: "copy", data: slots },
    values,
  };
}

function recordedSeries(series: number, row: SeriesName): RecordedSeries {
  const said = JSON.parse(row.definition) as Partial<Definition>;
  const { help, combine, labelNames, labelValues, bounds, logLinear, dialect } = said;
  if (typeof help !== "string" || !isTexts(labelNames) || !isTexts(labelValues)) {
    throw new RangeError(`series ${series} has no definition`);
  }
  const { service, writer, pid, thread, metric: name, kind, unit } = row;
  const definition = {
    ...{ name, kind, unit, help, labelNames, combine, bounds: bounds ?? [] },
    ...(logLinear === undefined ? {} : { logLinear }),
    ...(dialect === undefined ? {} : { dialect }),
  } as MetricDefinition;
  const sinceMs = typeof said.since === "number" ? said.since : 0;
  const retained = said.retained === true;
  return {
    ...{ series, service, definition, labelValues, sinceMs },
    writer:
      writer === undefined
        ? undefined
        : { id: writer, pid: pid ?? 0, threadId: thread ?? 0, retained },
  };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

/** Completes a file that was left behind. */
function complete(path: string): string | undefined {
  try {
    const completed = completeParquet(path);
    if (completed === undefined) return undefined;
    return `its recording was interrupted: completed with ${completed.rows} rows`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EROFS") {
      throw new RecordingError(
        `${path}: its recording was interrupted, and this user may not write there to complete it`,
        code,
      );
    }
    throw asRecordingError(path, error as Error);
  }
}

/** Opens a file that looks like a whole Parquet file. What waits for others, such as a FIFO, is not waited for. */
function openFile(path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    checkParquet(fd);
    return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw asRecordingError(path, error as Error);
  }
}

function asRecordingError(path: string, error: Error & { code?: string }): Error {
  if (error instanceof RecordingError) return error;
  if (error.name === "DuckDbMissingError")
    return new RecordingError(error.message, undefined, true);
  const { code } = error;
  const reason = REASONS[code ?? ""];
  if (reason !== undefined) return new RecordingError(`${path}: ${reason}`, code);
  if (error instanceof ParquetFileError)
    return new RecordingError(`${path}: ${error.message}`, code);
  // DuckDB begins with the kind of its error, and knows the file by its descriptor.
  const [line = ""] = error.message.split("\n");
  const said = line
    .replace(/^(\w+ )+Error: /, "")
    .replace(/(of |in )?file '\/proc\/self[^']*'/i, "");
  return new RecordingError(`${path}: cannot be read as a recording: ${said.trim()}`, code);
}
