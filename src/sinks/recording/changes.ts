// Finds which values a snapshot changes, by comparing them bit by bit with the ones before. It runs in the collecting
// thread at every snapshot, so that only changed values go to the thread that writes.

import {
  exposedBounds,
  type Metric,
  type PoolSnapshot,
  poolKey,
  type Structure,
} from "../../layout/index.ts";
import { type Row, Rows } from "../rows.ts";
import type { SinkOptions } from "../sink.ts";
import type { Definition } from "./format.ts";
import type { Block, ChangedValues, PoolNews, SeriesNews } from "./worker-protocol.ts";

const CHUNK_ROWS = 1 << 16;
/** No value is like this: a NaN that nobody stores. */
const UNSET_LOW = 0x6d76_0001;
const UNSET_HIGH = 0x7ff8_dead;

/** A series of a pool, as it goes into the file. */
interface Series {
  id: number;
  firstCell: number;
  slots: number;
  /** Kind and definition. A series for which they change is recorded as another one. */
  key: string;
  metric: Metric;
  isHistogram: boolean;
  /** Where its values begin among the pool's. */
  index: number;
}

/** What the recorder keeps of a row. */
interface Part {
  labels: readonly string[];
  retained: boolean;
  series: Series | undefined;
}

interface Pool {
  id: number;
  rows: Rows<Part>;
  /** The version of `rows` that `cells`, `before` and `series` were made for. */
  version: number;
  /** Cell of each value; −1 for one that is not recorded. */
  cells: Int32Array;
  /** The values that were recorded last. */
  before: Float64Array;
  series: Series[];
  /** All of its values are in the block that is open. */
  isKeyed: boolean;
  /** It is forgotten with the end of the block, unless it comes again before. */
  isGone: boolean;
}

/** A block without its rows. */
type Open = Omit<Block, "kind">;

/** Turns snapshots into rows and blocks. */
export class Changes {
  readonly #pools = new Map<string, Pool>();
  #poolCount = 0;
  #seriesCount = 0;
  #cellCount = 0;
  /** Where cells of series that have ended begin, by how many there are of each. Later blocks use them again. */
  readonly #freeCells = new Map<number, number[]>();
  /** Series that have ended in the block that is open. */
  #ended: Series[] = [];
  #open = emptyBlock();
  #rows = emptyRows();
  /** Rows of the block so far. */
  rowCount = 0;
  /** How many of these rows are the values that the block begins with. */
  keyRows = 0;

  constructor(
    readonly options: Pick<SinkOptions, "perWriter">,
    /** Receives rows in chunks. */
    readonly onRows: (rows: ChangedValues) => void,
  ) {}

  /** Snapshots of the block so far. */
  get snapshotCount(): number {
    return this.#open.snapshots.pool.length;
  }

  /**
   * @param missed deadlines that passed without a snapshot in the file, since the one before
   * @param gap why they passed, if that is known
   * @returns how many series the snapshot has
   */
  add(snapshot: PoolSnapshot, missed: number, gap: string | undefined): number {
    const pool = this.#poolOf(snapshot);
    const number = this.snapshotCount;
    const { snapshots } = this.#open;
    snapshots.pool.push(pool.id);
    snapshots.timeUs.push(Math.round(snapshot.takenAtMs * 1000));
    snapshots.missed.push(missed);
    snapshots.latenessMs.push(snapshot.latenessMs);
    snapshots.detail.push({
      sequence: snapshot.sequence,
      generation: snapshot.generation,
      monotonicNs: snapshot.monotonicNs,
      readMs: snapshot.readMs,
      ...(gap === undefined ? {} : { gap }),
    });

    const rows = pool.rows.follow(snapshot);
    const data = pool.rows.data(snapshot);
    const isKey = !pool.isKeyed;
    if (pool.version !== pool.rows.version || pool.before.length !== data.length) {
      this.#restructure(pool, snapshot.structure, rows, data.length, number);
    }
    if (isKey) this.#begin(pool, number);
    const rowsBefore = this.rowCount;
    this.#compare(pool, data, number);
    if (isKey) this.keyRows += this.rowCount - rowsBefore;
    return rows.length;
  }

  /** Ends the block. The next one begins with all values again. */
  finish(): Block {
    this.#hand();
    const block: Block = { kind: "block", ...this.#open };
    this.#open = emptyBlock();
    this.rowCount = 0;
    this.keyRows = 0;
    for (const [key, pool] of this.#pools) {
      pool.isKeyed = false;
      if (pool.isGone) this.#forget(key, pool, block);
    }
    for (const series of this.#ended) {
      block.ended.series.push(series.id);
      const free = this.#freeCells.get(series.slots);
      if (free === undefined) this.#freeCells.set(series.slots, [series.firstCell]);
      else free.push(series.firstCell);
    }
    this.#ended = [];
    return block;
  }

  #forget(key: string, pool: Pool, { ended }: Open): void {
    this.#pools.delete(key);
    for (const series of pool.series) this.#ended.push(series);
    ended.pools.push(pool.id);
  }

  /** How many pools are known: those that are there, and those that have ended during the block. */
  get poolCount(): number {
    return this.#pools.size;
  }

  /**
   * An application has ended. If it comes again it has other series. Within the same block its first snapshot then says
   * that the earlier ones have ended: only a snapshot of a pool can say that of its series.
   */
  gone(source: string, app: string): void {
    const key = poolKey({ source, app });
    const pool = this.#pools.get(key);
    if (pool === undefined) return;
    if (!pool.isKeyed) return this.#forget(key, pool, this.#open);
    pool.isGone = true;
    pool.rows = this.#newRows();
    pool.version = -1;
  }

  #poolOf(snapshot: PoolSnapshot): Pool {
    const { source, app } = snapshot;
    const key = poolKey(snapshot);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const id = this.#poolCount++;
      pool = {
        id,
        rows: this.#newRows(),
        version: -1,
        cells: new Int32Array(),
        before: new Float64Array(),
        series: [],
        isKeyed: false,
        isGone: false,
      };
      this.#pools.set(key, pool);
      this.#open.pools.push({ pool: id, source, app } satisfies PoolNews);
    }
    pool.isGone = false;
    return pool;
  }

  #newRows(): Rows<Part> {
    return new Rows(this.options, ({ labelValues, writer }) => ({
      labels: labelValues,
      retained: writer?.retained === true,
      series: undefined,
    }));
  }

  /** A block begins with all values of a pool. */
  #begin(pool: Pool, snapshot: number): void {
    pool.before.fill(0);
    for (const series of pool.series) this.#appear(series, pool.before, snapshot);
    pool.isKeyed = true;
  }

  /** A series is present from a snapshot on. Slots of a histogram that are zero are not recorded. */
  #appear(series: Series, before: Float64Array, snapshot: number): void {
    this.#open.present.series.push(series.id);
    this.#open.present.snapshots.push(snapshot);
    if (series.isHistogram) return;
    const words = new Int32Array(before.buffer, series.index * 8, series.slots * 2);
    for (let i = 0; i < words.length; i += 2) {
      words[i] = UNSET_LOW;
      words[i + 1] = UNSET_HIGH;
    }
  }

  /** Makes the cells for changed rows. A series that stays keeps the value that was recorded last. */
  #restructure(
    pool: Pool,
    structure: Structure,
    rows: readonly Row<Part>[],
    length: number,
    snapshot: number,
  ): void {
    const known = new Map(pool.series.map((series) => [series, series.index]));
    const before = new Float64Array(length);
    const cells = new Int32Array(length).fill(-1);
    const starts = structure.startsMs;
    pool.series = rows.map((row) => {
      const series = this.#seriesOf(pool, row, starts);
      series.index = row.index;
      for (let i = 0; i < series.slots; i++) cells[row.index + i] = series.firstCell + i;
      const index = known.get(series);
      if (index !== undefined) {
        before.set(pool.before.subarray(index, index + series.slots), row.index);
        known.delete(series);
      } else if (pool.isKeyed) {
        this.#appear(series, before, snapshot);
      }
      return series;
    });
    for (const series of known.keys()) {
      this.#ended.push(series);
      // A value that is absent is how the file says that a series has ended since the block began.
      if (pool.isKeyed) this.#push(series.firstCell, snapshot, Number.NaN);
    }
    pool.cells = cells;
    pool.before = before;
    pool.version = pool.rows.version;
  }

  /** A row keeps its part also when its metric is declared again in another shape; that is recorded as another series. */
  #seriesOf(pool: Pool, row: Row<Part>, starts: ReadonlyMap<number, number>): Series {
    const { metric, part, service, writer } = row;
    if (part.series?.metric === metric) return part.series;
    const { name, kind, unit, labelNames, help, combine, bounds, logLinear, dialect } =
      metric.definition;
    const definition: Definition = {
      help,
      combine,
      labelNames,
      labelValues: part.labels,
      ...(bounds.length === 0 ? {} : { bounds }),
      ...(logLinear === undefined ? {} : { logLinear }),
      ...(dialect === undefined ? {} : { dialect }),
      ...(part.retained ? { retained: true } : {}),
    };
    const key = JSON.stringify([kind, definition]);
    if (part.series?.key === key) {
      part.series.metric = metric;
      return part.series;
    }
    const since = writer?.startedAtMs ?? starts.get(metric.service);
    const isHistogram = kind === "histogram" || kind === "loglinear";
    const series: Series = {
      id: this.#seriesCount++,
      firstCell: this.#freeCells.get(metric.slots)?.pop() ?? this.#newCells(metric.slots),
      slots: metric.slots,
      key,
      metric,
      isHistogram,
      index: -1,
    };
    part.series = series;
    this.#open.series.push({
      series: series.id,
      pool: pool.id,
      service,
      metric: name,
      kind,
      unit,
      labels: JSON.stringify(
        Object.fromEntries(labelNames.map((label, i) => [label, part.labels[i]])),
      ),
      writer: writer?.id ?? null,
      pid: writer?.pid ?? null,
      thread: writer?.threadId ?? null,
      definition: JSON.stringify({ ...definition, ...(since === undefined ? {} : { since }) }),
      firstCell: series.firstCell,
      bounds: isHistogram ? Float64Array.from(exposedBounds(metric)) : undefined,
      slots: metric.slots,
    } satisfies SeriesNews);
    return series;
  }

  #newCells(count: number): number {
    const first = this.#cellCount;
    this.#cellCount += count;
    return first;
  }

  /** The hot loop: compares the two words of each value with those recorded last. */
  #compare({ before, cells }: Pool, data: Float64Array, snapshot: number): void {
    const now = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
    const then = new Int32Array(before.buffer);
    const { length } = data;
    for (let i = 0; i < length; i++) {
      const at = i << 1;
      if (now[at] === then[at] && now[at + 1] === then[at + 1]) continue;
      const cell = cells[i]!;
      if (cell < 0) continue;
      const value = data[i]!;
      const isUnset = then[at] === UNSET_LOW && then[at + 1] === UNSET_HIGH;
      before[i] = value;
      // It has been absent from the beginning.
      if (isUnset && Number.isNaN(value)) continue;
      this.#push(cell, snapshot, value);
    }
  }

  #push(cell: number, snapshot: number, value: number): void {
    const rows = this.#rows;
    const at = rows.count;
    rows.cells[at] = cell;
    rows.snapshots[at] = snapshot;
    rows.values[at] = value;
    rows.count = at + 1;
    this.rowCount++;
    if (rows.count === CHUNK_ROWS) this.#hand();
  }

  #hand(): void {
    if (this.#rows.count === 0) return;
    this.onRows(this.#rows);
    this.#rows = emptyRows();
  }
}

function emptyRows(): ChangedValues {
  return {
    kind: "rows",
    count: 0,
    cells: new Int32Array(CHUNK_ROWS),
    snapshots: new Int32Array(CHUNK_ROWS),
    values: new Float64Array(CHUNK_ROWS),
  };
}

function emptyBlock(): Open {
  return {
    pools: [],
    series: [],
    snapshots: { pool: [], timeUs: [], missed: [], latenessMs: [], detail: [] },
    present: { series: [], snapshots: [] },
    ended: { pools: [], series: [] },
  };
}
