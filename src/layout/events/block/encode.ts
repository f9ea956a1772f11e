// Blocks out of columns, for sources that are no ring: OTLP, and tests. Blocks of rings are made by `build.ts`, many
// times quicker, and are laid out alike (`tables.ts`).

import { LEVELS, SPAN_KINDS } from "../constants.ts";
import type {
  BlockColumns,
  CloseColumns,
  LogColumns,
  MeasureColumns,
  SpanColumns,
  TextColumn,
} from "./columns.ts";
import { BLOCK_ROWS_MAX, SPAN_STATUSES } from "./columns.ts";
import { BLOCK_LIMITS, type BlockHeader, type BlockOrigin, blockId, joinBlock } from "./header.ts";
import { ColumnWriter, TextList } from "./planes.ts";
import {
  FirstSeen,
  type Longs,
  MeasureWriter,
  NO_PARENT,
  OPEN,
  PARENT_ELSEWHERE,
  PROPERTIES,
  TableWriter,
  writeCloses,
  writeLogs,
} from "./tables.ts";

/** Packs bytes as one frame of zstd; of level 1 is what is measured. */
export type Zstd = (bytes: Uint8Array) => Uint8Array;

/**
 * A block out of columns.
 * @throws RangeError when there is more than a block may have, or a number is out of its range
 */
export function encodeBlock(origin: BlockOrigin, columns: BlockColumns, zstd: Zstd): Uint8Array {
  const { logs, measures, spans, opens, closes } = columns;
  const rows = {
    logs: logs.rows,
    measures: measures.rows,
    spans: spans.rows,
    opens: opens.rows,
    closes: closes.rows,
  };
  const all = Object.values(rows).reduce((sum, each) => sum + each, 0);
  if (all > BLOCK_ROWS_MAX)
    throw new RangeError(`a block of ${all} rows, where ${BLOCK_ROWS_MAX} are allowed`);
  inRange("level", logs.level, logs.rows, LEVELS.length);
  for (const part of [spans, opens]) {
    inRange("kind", part.kind, part.rows, SPAN_KINDS.length);
    inRange("isAsync", part.isAsync, part.rows, 2);
  }
  for (const part of [spans, closes])
    inRange("status", part.status, part.rows, SPAN_STATUSES.length);
  const writer = new ColumnWriter();
  encodeLogs(writer, logs);
  encodeMeasures(writer, measures);
  encodeSpans(writer, spans, opens);
  encodeCloses(writer, closes);
  return finishBlock(origin, rows, timesOf(columns), writer.bytes(), zstd).block;
}

function inRange(column: string, values: Uint8Array, rows: number, limit: number): void {
  for (let i = 0; i < rows; i++) {
    if (values[i]! < limit) continue;
    throw new RangeError(`row ${i} has ${column} ${values[i]}, and it has to be below ${limit}`);
  }
}

/** What is left to do when the payload is written. */
export function finishBlock(
  origin: BlockOrigin,
  rows: BlockHeader["rows"],
  times: { beginNs: bigint; endNs: bigint } | undefined,
  payload: Uint8Array,
  zstd: Zstd,
): { block: Uint8Array; header: BlockHeader } {
  const { rawPayloadBytes } = BLOCK_LIMITS;
  if (payload.length > rawPayloadBytes)
    throw new RangeError(
      `a block's payload has ${payload.length} bytes, more than ${rawPayloadBytes}`,
    );
  const { first, end, isFinal, skipped, timeline, stream, process } = origin;
  const header: BlockHeader = {
    blockId: blockId(stream.streamId, first),
    first,
    end,
    beginNs: times === undefined ? stream.startNs : times.beginNs.toString(),
    endNs: times === undefined ? stream.startNs : times.endNs.toString(),
    rows,
    isFinal,
    ...(skipped === undefined ? {} : { skipped }),
    ...(timeline === undefined ? {} : { timeline }),
    stream,
    process,
  };
  return { block: joinBlock(header, zstd(payload), payload.length), header };
}

function timesOf({ logs, measures, spans, opens, closes }: BlockColumns) {
  let beginNs: bigint | undefined;
  let endNs: bigint | undefined;
  const columns = [
    logs.timeNs,
    measures.timeNs,
    spans.beginNs,
    spans.endNs,
    opens.beginNs,
    closes.endNs,
  ];
  for (const column of columns) {
    for (const time of column) {
      if (beginNs === undefined || time < beginNs) beginNs = time;
      if (endNs === undefined || time > endNs) endNs = time;
    }
  }
  return beginNs === undefined || endNs === undefined ? undefined : { beginNs, endNs };
}

function encodeLogs(writer: ColumnWriter, logs: LogColumns): void {
  const { rows } = logs;
  const target = coded(logs.target, rows);
  const message = coded(logs.message, rows);
  const hasSpan = new Uint8Array(rows);
  for (let i = 0; i < rows; i++) hasSpan[i] = logs.spanId[i] === 0n ? 0 : 1;
  const spanIds = logs.spanId.filter((each) => each !== 0n);
  writeLogs(writer, {
    rows,
    level: logs.level,
    time: bigDeltas(logs.timeNs),
    target: target.codes,
    targets: target.list,
    message: message.codes,
    messages: message.list,
    hasSpan,
    spans: spanIds.length,
    spanId: bigDeltas(spanIds),
    properties: textProperties(logs.properties, rows),
  });
}

function encodeMeasures(writer: ColumnWriter, measures: MeasureColumns): void {
  const { rows, name, unit, target } = measures;
  const { codes, lists } = codedTogether([name, unit, target], rows);
  const [names, units, targets] = lists as [TextList, TextList, TextList];
  new MeasureWriter().write(writer, {
    rows,
    definition: codes,
    names,
    units,
    targets,
    time: bigDeltas(measures.timeNs),
    value: measures.value,
    properties: textProperties(measures.properties, rows),
  });
}

function encodeSpans(writer: ColumnWriter, spans: SpanColumns, opens: SpanColumns): void {
  const rows = spans.rows + opens.rows;
  const parts = [spans, opens] as const;
  const status = new Uint8Array(rows);
  const flags = new Uint8Array(rows);
  const depth = new Uint16Array(rows);
  const begin = new BigInt64Array(rows);
  const duration = new BigInt64Array(rows);
  const id = new BigUint64Array(rows);
  const parentRow = new Int32Array(rows);
  const parents: bigint[] = [];
  const traces = new Uint32Array(4 * rows);
  const rowOf = new Map<bigint, number>();
  let row = 0;
  for (const part of parts) {
    for (let i = 0; i < part.rows; i++, row++) {
      status[row] = part === opens ? OPEN : part.status[i]!;
      flags[row] = part.kind[i]! | (part.isAsync[i]! << 4);
      depth[row] = part.depth[i]!;
      begin[row] = part.beginNs[i]!;
      duration[row] = part === opens ? 0n : part.endNs[i]! - part.beginNs[i]!;
      id[row] = part.spanId[i]!;
      const parent = part.parentId[i]!;
      const known = parent === 0n ? NO_PARENT : rowOf.get(parent);
      parentRow[row] = known ?? PARENT_ELSEWHERE;
      if (known === undefined) parents.push(parent);
      rowOf.set(id[row]!, row);
      for (const [at, half] of [part.traceHigh[i]!, part.traceLow[i]!].entries()) {
        traces[4 * row + 2 * at] = Number(half >> 32n);
        traces[4 * row + 2 * at + 1] = Number(half & 0xffff_ffffn);
      }
    }
  }
  const joined = (pick: (part: SpanColumns) => TextColumn) =>
    join(pick(spans), spans.rows, pick(opens), opens.rows);
  const { codes, lists } = codedTogether(
    [joined(({ name }) => name), joined(({ target }) => target), joined(({ place }) => place)],
    rows,
  );
  const [names, targets, places] = lists as [TextList, TextList, TextList];
  new TableWriter().spans(writer, {
    rows,
    status,
    definition: codes,
    names,
    targets,
    places,
    begin: bigDeltas(begin),
    duration: (to) => to.bigs(duration),
    id: bigDeltas(id),
    parentRow,
    parentsElsewhere: bigDeltas(BigUint64Array.from(parents)),
    elsewhere: parents.length,
    traces,
    depth,
    flags,
    properties: textProperties(
      joined(({ properties }) => properties),
      rows,
    ),
  });
}

function encodeCloses(writer: ColumnWriter, closes: CloseColumns): void {
  writeCloses(writer, {
    rows: closes.rows,
    status: closes.status,
    end: bigDeltas(closes.endNs),
    id: bigDeltas(closes.spanId),
    properties: textProperties(closes.properties, closes.rows),
  });
}

function bigDeltas(values: BigInt64Array | BigUint64Array): Longs {
  return (writer) => writer.bigDeltas(values);
}

/** One column out of two. */
function join(a: TextColumn, aRows: number, b: TextColumn, bRows: number): TextColumn {
  const index = new Uint32Array(aRows + bRows);
  index.set(a.index.subarray(0, aRows));
  for (let i = 0; i < bRows; i++) index[aRows + i] = b.index[i]! + a.texts.length;
  return { index, texts: [...a.texts, ...b.texts] };
}

function coded(column: TextColumn, rows: number): { codes: Uint32Array; list: TextList } {
  const { codes, lists } = codedTogether([column], rows);
  return { codes, list: lists[0]! };
}

/** Columns whose texts go together, as those of a definition do: one code for all of them. */
function codedTogether(
  columns: readonly TextColumn[],
  rows: number,
): { codes: Uint32Array; lists: TextList[] } {
  const seen = new FirstSeen();
  /** Codes by the numbers of the texts: rows with the same ones need not be looked at. */
  const byNumbers = new Map<number, number>();
  const lists = columns.map(() => new TextList());
  const codes = new Uint32Array(rows);
  for (let i = 0; i < rows; i++) {
    let numbers = 0;
    for (const { index, texts } of columns) {
      textAt(texts, index[i]!);
      numbers = numbers * texts.length + index[i]!;
    }
    const isExact = numbers < Number.MAX_SAFE_INTEGER;
    const known = isExact ? byNumbers.get(numbers) : undefined;
    if (known !== undefined) {
      codes[i] = known;
      continue;
    }
    const all = columns.map(({ index, texts }) => textAt(texts, index[i]!));
    const key = all.length === 1 ? all[0] : JSON.stringify(all);
    const code = seen.codeOf(key);
    codes[i] = code;
    if (code === 0) for (const [k, list] of lists.entries()) list.add(all[k]!);
    if (isExact) byNumbers.set(numbers, code === 0 ? seen.count : code);
  }
  return { codes, lists };
}

function textAt(texts: readonly string[], index: number): string {
  const text = texts[index];
  if (text === undefined) throw new RangeError(`text ${index} of ${texts.length} is asked for`);
  return text;
}

function textProperties(column: TextColumn, rows: number): Longs {
  return (writer) => {
    const isAny = column.index.subarray(0, rows).some((index) => column.texts[index] !== "");
    writer.u8(isAny ? PROPERTIES.texts : PROPERTIES.none);
    if (!isAny) return;
    const { codes, list } = coded(column, rows);
    writer.uints(codes, rows);
    writer.texts(list);
  };
}
