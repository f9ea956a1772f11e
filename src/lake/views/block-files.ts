// Blocks of events become files of views. Blocks of one batch share files, and rows of several days are in several. Spans
// whose two halves lie in different blocks of the batch are joined here; what is left over waits in files of its own.

import { zstdDecompressSync } from "node:zlib";
import {
  blockId as blockIdOf,
  DamageError,
  type DecodedBlock,
  decodeBlock,
  LEVELS,
  SPAN_KINDS,
  SPAN_STATUSES,
  type SpanColumns,
} from "../../layout/index.ts";
import { type BlockView, isOwnIdOf, type NewPartition } from "../catalogue/index.ts";
import { orderByDay } from "./day-order.ts";
import { FILES, type FileView, spanName } from "./files.ts";
import type { ParquetWriter } from "./parquet-writer.ts";
import { joinSpans } from "./span-halves.ts";
import { BatchTexts, type PartColumn, Staging, type StagingColumns } from "./staging.ts";

/** A day is a file: otherwise a block could have a file made for each of its rows. */
const DAYS_PER_BATCH = 64;
/** Texts of one file. What has more is divided, and what would make too many files is refused. */
const FILE_TEXT_BYTES = 1 << 27;
const FILES_PER_DAY = 32;
/** What is wrong with the host and not with a block, in DuckDB's words. */
const OF_SYSTEM = /^IO Error|max_temp_directory_size/i;

export interface BlockBytes {
  blockId: string;
  /** Ids that the catalogue has it under, where they may not be those that it says itself. */
  own?: { streamId: string; processId: string };
  bytes: Uint8Array;
}

/** What became of a batch of blocks. */
export interface WrittenBlocks {
  /** Blocks whose rows are all in `partitions`. */
  blockIds: string[];
  partitions: NewPartition[];
  /** Blocks that cannot be read. */
  damaged: { blockId: string; reason: string }[];
  /** Nothing was written, and why. */
  failure?: { message: string; isOfSystem: boolean };
}

const SPAN_COLUMNS = {
  begin_ns: "long",
  block: "int",
  trace: "trace",
  span: "id",
  parent: "id",
  depth: "short",
  kind: "byte",
  is_async: "byte",
  name: "text",
  target: "text",
  place: "text",
  properties: "properties",
} as const satisfies StagingColumns;

const MEASURE_COLUMNS = {
  ...{ time_ns: "long", block: "int", target: "text", name: "text", unit: "text" },
  ...{ value: "double", properties: "properties" },
} as const satisfies StagingColumns;

const SOURCE = "s.app, s.service, s.host, s.process_id, s.stream_id";
const IDS = "nullif(trace, ''), nullif(span, ''), nullif(parent, '')";

function time(column: string): string {
  return `make_timestamptz(${column} // 1000)`;
}

/** An index as one of a few texts. */
function named(column: string, names: readonly string[]): string {
  return `CASE ${column} ${names.map((name, i) => `WHEN ${i} THEN '${name}'`).join(" ")} END`;
}

const KIND = named("kind", SPAN_KINDS);
const STATUS = named("status", SPAN_STATUSES);

/** How the rows of a kind of file are gathered, and what is selected of them. */
const STAGED: Readonly<
  Record<FileView, { view: BlockView; time: string; columns: StagingColumns; select: string }>
> = {
  log_entries: {
    view: "log_entries",
    time: "time_ns",
    columns: {
      ...{ time_ns: "long", block: "int", level: "byte", target: "text", message: "text" },
      ...{ span: "id", properties: "properties" },
    },
    select: `${time("time_ns")}, time_ns, ${SOURCE}, s.pid, s.thread, ${named("level", LEVELS)},
      level::INTEGER + 1, target, message, nullif(span, ''), properties`,
  },
  measures: {
    view: "measures",
    time: "time_ns",
    columns: MEASURE_COLUMNS,
    select: `${time("time_ns")}, time_ns, ${SOURCE}, target, name, unit, value, properties`,
  },
  // Points of metrics are measures in blocks of their own: their target is the kind, their properties are the labels.
  metrics: {
    view: "metrics",
    time: "time_ns",
    columns: MEASURE_COLUMNS,
    select: `${time("time_ns")}, time_ns, ${SOURCE}, name, target, unit, value, properties`,
  },
  spans: {
    view: "spans",
    time: "begin_ns",
    columns: { ...SPAN_COLUMNS, end_ns: "long", status: "byte" },
    select: `${time("begin_ns")}, begin_ns, end_ns, ${SOURCE}, s.thread, ${IDS}, depth::INTEGER, ${KIND}, ${STATUS}, is_async = 1,
      ${spanName("name", "properties")}, target, place, properties`,
  },
  span_opens: {
    view: "spans",
    time: "begin_ns",
    columns: SPAN_COLUMNS,
    select: `${time("begin_ns")}, begin_ns, ${SOURCE}, s.thread, ${IDS}, depth::INTEGER, ${KIND},
      is_async = 1, name, target, place, properties`,
  },
  span_closes: {
    view: "spans",
    time: "end_ns",
    columns: {
      ...{ end_ns: "long", block: "int", span: "id", status: "byte", properties: "properties" },
    },
    select: `${time("end_ns")}, end_ns, s.stream_id, nullif(span, ''), ${STATUS}, properties`,
  },
};

const STAGED_VIEWS = Object.keys(STAGED) as FileView[];

/** Where blocks come from, by the number of the block in its batch. */
const SOURCES = {
  ...{ block: "int", app: "text", service: "text", host: "text", process_id: "text" },
  ...{ stream_id: "text", pid: "int", thread: "int" },
} as const satisfies StagingColumns;

/** Numbers that a file has 32 bits for, and that anybody may have sent. */
function int(value: number): number {
  return Math.min(value, 2 ** 31 - 1);
}

function unzstd(bytes: Uint8Array, maxOutputLength: number): Uint8Array {
  return zstdDecompressSync(bytes, { maxOutputLength });
}

/** Writes batches of blocks, one after the other. */
export class BlockFiles {
  readonly #texts = new BatchTexts();
  readonly #sources = new Staging("sources", SOURCES, undefined);
  readonly #stagings = new Map(
    STAGED_VIEWS.map((file) => {
      const { columns, time } = STAGED[file];
      return [file, new Staging(`staged_${file}`, columns, time)];
    }),
  );

  private constructor(readonly writer: ParquetWriter) {}

  static async open(writer: ParquetWriter): Promise<BlockFiles> {
    const files = new BlockFiles(writer);
    const { connection } = writer.database;
    for (const staging of [files.#sources, ...files.#stagings.values()]) {
      await connection.run(staging.createSql);
    }
    return files;
  }

  /** Writes the rows that blocks have for a view. */
  async write(view: BlockView, blocks: readonly BlockBytes[]): Promise<WrittenBlocks> {
    const damaged: WrittenBlocks["damaged"] = [];
    const decoded: DecodedBlock[] = [];
    for (const block of blocks) {
      try {
        decoded.push(owned(block, decodeBlock(block.bytes, unzstd)));
      } catch (error) {
        const { blockId } = block;
        damaged.push({ blockId, reason: (error as Error).message });
      }
    }
    const blockIds = decoded.map(({ header }) => header.blockId);
    const partitions: NewPartition[] = [];
    try {
      await this.#appendSources(decoded);
      this.#stage(view, decoded);
      for (const file of STAGED_VIEWS) {
        if (STAGED[file].view === view) partitions.push(...(await this.#writeFile(file)));
      }
      return { blockIds, partitions, damaged };
    } catch (error) {
      this.writer.discard(partitions);
      return { blockIds, partitions: [], damaged, failure: failureOf(error as Error) };
    } finally {
      await this.#clear();
    }
  }

  async #appendSources(blocks: readonly DecodedBlock[]): Promise<void> {
    for (const [i, { header }] of blocks.entries()) {
      const { process, stream } = header;
      const text = (value: string) => ({ index: new Uint32Array(1), texts: [value] });
      this.#sources.add(1, {
        block: i,
        app: text(process.app),
        service: text(process.service),
        host: text(process.host),
        process_id: text(process.processId),
        stream_id: text(stream.streamId),
        pid: int(process.pid),
        thread: int(stream.threadId),
      });
    }
    const all = Uint32Array.from(blocks, (_, i) => i);
    const gathered = this.#sources.gather(this.#texts);
    await this.#sources.append(this.writer.database, this.#texts, gathered, all);
  }

  #stage(view: BlockView, blocks: readonly DecodedBlock[]): void {
    const staging = (file: FileView) => this.#stagings.get(file)!;
    if (view === "spans") {
      const { spans, opens, closes } = joinSpans(blocks);
      for (const { block, columns } of spans) {
        const { rows, beginNs, endNs, status } = columns;
        staging("spans").add(rows, {
          ...spanColumns(block, columns),
          ...{ begin_ns: beginNs, end_ns: endNs, status },
        });
      }
      for (const { block, columns } of opens) {
        staging("span_opens").add(columns.rows, spanColumns(block, columns));
      }
      for (const { block, columns } of closes) {
        const { rows, endNs, spanId, status, properties } = columns;
        const row = { end_ns: endNs, block, span: spanId, status, properties };
        staging("span_closes").add(rows, row);
      }
      return;
    }
    for (const [block, decoded] of blocks.entries()) {
      if (view === "log_entries") {
        const { rows, timeNs, level, target, message, spanId, properties } = decoded.logs;
        const row = { time_ns: timeNs, block, level, target, message, span: spanId, properties };
        staging("log_entries").add(rows, row);
      } else {
        const { rows, timeNs, target, name, unit, value, properties } = decoded.measures;
        const row = { time_ns: timeNs, block, target, name, unit, value, properties };
        staging(view).add(rows, row);
      }
    }
  }

  async #writeFile(file: FileView): Promise<NewPartition[]> {
    const staging = this.#stagings.get(file)!;
    const { connection } = this.writer.database;
    const partitions: NewPartition[] = [];
    try {
      if (staging.rows === 0) return partitions;
      const gathered = staging.gather(this.#texts);
      const days = orderByDay(gathered.times);
      if (days.length > DAYS_PER_BATCH)
        throw new DamageError(
          `its rows are of ${days.length} days, more than ${DAYS_PER_BATCH}`,
          0,
        );
      for (const { day, rows } of days) {
        for (const some of inFiles(rows, gathered.sizes)) {
          await staging.append(this.writer.database, this.#texts, gathered, some);
          const from = `${staging.table} JOIN sources s USING (block)`;
          const select = selectAs(file, STAGED[file].select, from);
          const partition = await this.writer.write(file, day, select);
          if (partition !== undefined) partitions.push(partition);
          if (partition?.rows !== some.length)
            throw new Error(`${partition?.rows} of ${some.length} rows were written`);
          await connection.run(`TRUNCATE ${staging.table}`);
        }
      }
      return partitions;
    } catch (error) {
      this.writer.discard(partitions);
      throw error;
    }
  }

  /** Nothing of a batch is left for the next one. */
  async #clear(): Promise<void> {
    const { connection } = this.writer.database;
    for (const staging of [this.#sources, ...this.#stagings.values()]) {
      staging.clear();
      await connection.run(`TRUNCATE ${staging.table}`);
    }
    this.#texts.clear();
  }
}

/**
 * Rows by the file that they go to.
 * @throws DamageError when their texts are more than any that were recorded
 */
function inFiles(rows: Uint32Array, sizes: Float64Array): Uint32Array[] {
  const files: Uint32Array[] = [];
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < rows.length; i++) {
    const size = sizes[rows[i]!]!;
    if (bytes + size > FILE_TEXT_BYTES && i > from) {
      files.push(rows.subarray(from, i));
      from = i;
      bytes = 0;
      if (files.length === FILES_PER_DAY)
        throw new DamageError(
          `its texts take more than ${(FILES_PER_DAY * FILE_TEXT_BYTES) / 2 ** 30} GiB`,
          0,
        );
    }
    bytes += size;
  }
  files.push(rows.subarray(from));
  return files;
}

/** A block by the catalogue's ids. @throws DamageError when it is another block than the one that was asked for */
function owned({ blockId, own }: BlockBytes, block: DecodedBlock): DecodedBlock {
  const { header } = block;
  const { stream, process } = header;
  const { streamId, processId } = own ?? { ...stream, processId: process.processId };
  const isIt =
    blockId === blockIdOf(streamId, header.first) &&
    isOwnIdOf(streamId, stream.streamId) &&
    isOwnIdOf(processId, process.processId);
  if (!isIt) throw new DamageError(`it is the block ${header.blockId}`, 0);
  const ids = { blockId, stream: { ...stream, streamId }, process: { ...process, processId } };
  return { ...block, header: { ...header, ...ids } };
}

function spanColumns(block: number, columns: SpanColumns): Record<string, PartColumn> {
  const { traceHigh, traceLow, isAsync, ...rest } = columns;
  return {
    begin_ns: rest.beginNs,
    block,
    trace: [traceHigh, traceLow],
    span: rest.spanId,
    parent: rest.parentId,
    depth: rest.depth,
    kind: rest.kind,
    is_async: isAsync,
    name: rest.name,
    target: rest.target,
    place: rest.place,
    properties: rest.properties,
  };
}

/** A SELECT whose columns have the names of the file's. */
function selectAs(file: FileView, expressions: string, from: string): string {
  const names = FILES[file].columns.map(({ name }) => name).join(", ");
  return `SELECT * FROM (SELECT ${expressions} FROM ${from}) AS t (${names})`;
}

function failureOf(error: Error & { code?: string }): NonNullable<WrittenBlocks["failure"]> {
  const { message, code, name } = error;
  const isOfSystem = name !== "DamageError" && (code !== undefined || OF_SYSTEM.test(message));
  return { message, isOfSystem };
}
