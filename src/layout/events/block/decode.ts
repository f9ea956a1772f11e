// A block as columns again. What is in a block was sent by somebody: every number is checked before it is used, and memory
// is bounded by BLOCK_LIMITS and BLOCK_ROWS_MAX.

import { DamageError, UnknownFormatError } from "../../bytes.ts";
import { LEVELS, SPAN_KINDS } from "../constants.ts";
import {
  BLOCK_ROWS_MAX,
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  type CloseColumns,
  type LogColumns,
  type MeasureColumns,
  SPAN_STATUSES,
  type SpanColumns,
  type TextColumn,
} from "./columns.ts";
import {
  decodeDecimals,
  listOf,
  PropertyReader,
  resolve,
  textColumn,
} from "./decode-properties.ts";
import {
  BLOCK_PREFIX_BYTES,
  type BlockHeader,
  checkPayloadFormat,
  decodeBlockHeader,
  decodeBlockPrefix,
} from "./header.ts";
import { ColumnReader } from "./planes.ts";
import { OPEN, PARENT, SECTION, SKIPPABLE_SECTIONS, TRACE } from "./tables.ts";

/**
 * Unpacks a frame of zstd. It has to be one that stops at `maxBytes`, such as
 * `(bytes, maxBytes) => zstdDecompressSync(bytes, { maxOutputLength: maxBytes })` of node:zlib.
 */
export type Unzstd = (bytes: Uint8Array, maxBytes: number) => Uint8Array;

export interface DecodedBlock extends BlockColumns {
  header: BlockHeader;
}

/**
 * All of a block, but for sections that this version does not know and that may be left out.
 * @throws DamageError saying what is wrong with it, UnknownFormatError when another version has to read it
 */
export function decodeBlock(bytes: Uint8Array, unzstd: Unzstd): DecodedBlock {
  const header = decodeBlockHeader(bytes);
  const prefix = decodeBlockPrefix(bytes);
  checkPayloadFormat(prefix);
  const { headerBytes, rawPayloadBytes } = prefix;
  const { rows } = header;
  const all = rows.logs + rows.measures + rows.spans + rows.opens + rows.closes;
  if (all > BLOCK_ROWS_MAX)
    throw new DamageError(
      `the block says that it has ${all} rows, more than ${BLOCK_ROWS_MAX}`,
      BLOCK_PREFIX_BYTES,
    );
  const payload = unpacked(
    bytes.subarray(BLOCK_PREFIX_BYTES + headerBytes),
    rawPayloadBytes,
    unzstd,
  );
  const reader = new ColumnReader(payload);
  const properties = new PropertyReader(reader);
  const block: DecodedBlock = {
    ...{ header, logs: blankLogs(), measures: blankMeasures() },
    ...{ spans: blankSpans(), opens: blankSpans(), closes: blankCloses() },
  };
  const missing = new Map<number, number>([
    [SECTION.logs, rows.logs],
    [SECTION.measures, rows.measures],
    [SECTION.spans, rows.spans + rows.opens],
    [SECTION.closes, rows.closes],
  ]);
  while (reader.left > 0) {
    const { kind, end } = reader.section();
    const expected = missing.get(kind);
    if (expected !== undefined) {
      const count = reader.u32();
      if (count !== expected || count === 0)
        reader.fail(`section ${kind} has ${count} rows, and the header says ${expected}`);
      takeSection(block, kind, reader, properties);
      // It comes once.
      missing.set(kind, 0);
    } else if (kind < SKIPPABLE_SECTIONS) {
      throw new UnknownFormatError(`its payload has the unknown section ${kind}`, 0);
    }
    reader.skipTo(end);
  }
  for (const [kind, count] of missing)
    if (count > 0) reader.fail(`section ${kind} is not there, and the header says ${count} rows`);
  return block;
}

function takeSection(
  block: DecodedBlock,
  kind: number,
  reader: ColumnReader,
  properties: PropertyReader,
): void {
  const { rows } = block.header;
  switch (kind) {
    case SECTION.logs:
      block.logs = decodeLogs(reader, properties, rows.logs);
      break;
    case SECTION.measures:
      block.measures = decodeMeasures(reader, properties, rows.measures);
      break;
    case SECTION.spans:
      Object.assign(block, decodeSpans(reader, properties, rows.spans, rows.opens));
      break;
    default:
      block.closes = decodeCloses(reader, properties, rows.closes);
  }
}

function unpacked(packed: Uint8Array, rawBytes: number, unzstd: Unzstd): Uint8Array {
  let payload: Uint8Array;
  try {
    payload = unzstd(packed, rawBytes);
  } catch (error) {
    throw new DamageError(`the payload cannot be unpacked: ${(error as Error).message}`, 0);
  }
  if (payload.length !== rawBytes)
    throw new DamageError(`the payload unpacks to ${payload.length} bytes and says ${rawBytes}`, 0);
  return payload;
}

function decodeLogs(reader: ColumnReader, properties: PropertyReader, rows: number): LogColumns {
  const level = reader.octets(rows, LEVELS.length);
  const timeNs = reader.deltas(rows);
  const target = textColumn(reader, rows);
  const message = textColumn(reader, rows);
  const hasSpan = reader.uints(rows);
  const spans = reader.u32();
  if (spans > rows) reader.fail(`${spans} spans in ${rows} logs`);
  const ids = unsigned(reader.deltas(spans));
  const spanId = new BigUint64Array(rows);
  let next = 0;
  for (let i = 0; i < rows; i++) if (hasSpan[i] !== 0) spanId[i] = ids[next++] ?? 0n;
  if (next !== spans) reader.fail(`${next} logs have a span, and there are ${spans}`);
  return { rows, timeNs, level, target, message, spanId, properties: properties.column(rows) };
}

function decodeMeasures(
  reader: ColumnReader,
  properties: PropertyReader,
  rows: number,
): MeasureColumns {
  const index = reader.uints(rows);
  const count = resolve(reader, index);
  const [name, unit, target] = columnsOf(reader, index, count, 3);
  const timeNs = reader.deltas(rows);
  const value = decodeValues(reader, index, count);
  return {
    rows,
    timeNs,
    name: name!,
    unit: unit!,
    target: target!,
    value,
    properties: properties.column(rows),
  };
}

/** Values lie together by definition. */
function decodeValues(reader: ColumnReader, index: Uint32Array, count: number): Float64Array {
  const sizes = new Uint32Array(count);
  for (const id of index) sizes[id]!++;
  const sorted = new Float64Array(index.length);
  const next = new Uint32Array(count);
  let from = 0;
  for (let id = 0; id < count; id++) {
    next[id] = from;
    const values = decodeDecimals(reader, sizes[id]!);
    sorted.set(values, from);
    from += values.length;
  }
  const value = new Float64Array(index.length);
  for (let i = 0; i < index.length; i++) value[i] = sorted[next[index[i]!]!++]!;
  return value;
}

function decodeSpans(
  reader: ColumnReader,
  properties: PropertyReader,
  spanRows: number,
  openRows: number,
) {
  const rows = spanRows + openRows;
  const status = reader.octets(rows, OPEN + 1);
  let openCount = 0;
  for (const each of status) if (each === OPEN) openCount++;
  if (openCount !== openRows)
    reader.fail(`${openCount} spans are open, and the header says ${openRows}`);
  const index = reader.uints(rows);
  const count = resolve(reader, index);
  const [name, target, place] = columnsOf(reader, index, count, 3);
  const beginNs = reader.deltas(rows);
  const endNs = reader.longs(rows);
  addTo(endNs, beginNs, status);
  const spanId = unsigned(reader.deltas(rows));
  const parentCode = reader.uints(rows);
  const parentId = decodeParents(reader, parentCode, spanId);
  const traces = decodeTraces(reader, parentCode);
  const depth = decodeDepths(reader, parentCode);
  const flags = reader.uints(rows);
  const kind = new Uint8Array(rows);
  const isAsync = new Uint8Array(rows);
  for (let i = 0; i < rows; i++) {
    kind[i] = flags[i]! & 15;
    isAsync[i] = flags[i]! >>> 4;
    if (kind[i]! >= SPAN_KINDS.length || flags[i]! > 31)
      reader.fail(`no span has the kind ${flags[i]}`);
  }
  const all: SpanColumns = {
    rows,
    beginNs,
    endNs,
    spanId,
    parentId,
    ...traces,
    depth,
    kind,
    isAsync,
    status,
    name: name!,
    target: target!,
    place: place!,
    properties: properties.column(rows),
  };
  if (openRows === 0) return { spans: all, opens: blankSpans() };
  return {
    spans: pick(all, rowsWhere(status, false, spanRows)),
    opens: withoutStatus(pick(all, rowsWhere(status, true, openRows))),
  };
}

function withoutStatus(opens: SpanColumns): SpanColumns {
  opens.status.fill(0);
  return opens;
}

/** @throws DamageError by way of the reader when a code names a row that is not before */
function decodeParents(
  reader: ColumnReader,
  codes: Uint32Array,
  spanId: BigUint64Array,
): BigUint64Array {
  const count = reader.u32();
  if (count > codes.length) reader.fail(`${count} parents of ${codes.length} spans`);
  const elsewhere = unsigned(reader.deltas(count));
  const parentId = new BigUint64Array(codes.length);
  const parents = halvesIn(parentId);
  const others = halvesIn(elsewhere);
  const ids = halvesIn(spanId);
  let next = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === PARENT.none) continue;
    const isElsewhere = code === PARENT.elsewhere;
    if (!isElsewhere && code - PARENT.distance >= i)
      reader.fail(`span ${i} has a parent that is not before it`);
    const from = isElsewhere ? others : ids;
    const at = 2 * (isElsewhere ? next++ : parentRowOf(codes, i));
    parents[2 * i] = from[at] ?? 0;
    parents[2 * i + 1] = from[at + 1] ?? 0;
  }
  if (next !== count) reader.fail(`${next} spans have a parent elsewhere, and there are ${count}`);
  return parentId;
}

/** Only where the code says that there is a parent in the block. */
function parentRowOf(codes: Uint32Array, row: number): number {
  return row - 1 - (codes[row]! - PARENT.distance);
}

function decodeTraces(reader: ColumnReader, parentCode: Uint32Array) {
  const rows = parentCode.length;
  const codes = reader.uints(rows);
  const count = reader.u32();
  if (count > rows) reader.fail(`${count} traces of ${rows} spans`);
  const words = new Uint32Array(reader.raw(16 * count).slice().buffer);
  const traceHigh = new BigUint64Array(rows);
  const traceLow = new BigUint64Array(rows);
  const highs = halvesIn(traceHigh);
  const lows = halvesIn(traceLow);
  let next = 0;
  for (let i = 0; i < rows; i++) {
    const code = codes[i]!;
    if (code === TRACE.parents) {
      if (parentCode[i]! < PARENT.distance) reader.fail(`span ${i} has the trace of no parent`);
      const parent = 2 * parentRowOf(parentCode, i);
      highs[2 * i] = highs[parent]!;
      highs[2 * i + 1] = highs[parent + 1]!;
      lows[2 * i] = lows[parent]!;
      lows[2 * i + 1] = lows[parent + 1]!;
      continue;
    }
    const number = code === TRACE.new ? next++ : code - TRACE.known;
    if (number >= Math.min(next, count)) reader.fail(`span ${i} has trace ${number} of ${count}`);
    highs[2 * i + 1] = words[4 * number]!;
    highs[2 * i] = words[4 * number + 1]!;
    lows[2 * i + 1] = words[4 * number + 2]!;
    lows[2 * i] = words[4 * number + 3]!;
  }
  return { traceHigh, traceLow };
}

/** Two numbers for each of 64 bits, the lower half first: as such they cost no object. */
function halvesIn(values: BigInt64Array | BigUint64Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
}

/** Makes ends of durations; 0 where a span is open. */
function addTo(durations: BigInt64Array, begins: BigInt64Array, status: Uint8Array): void {
  const into = halvesIn(durations);
  const from = halvesIn(begins);
  for (let i = 0; i < status.length; i++) {
    const isEnded = status[i] !== OPEN;
    const low = isEnded ? into[2 * i]! + from[2 * i]! : 0;
    into[2 * i + 1] = isEnded
      ? into[2 * i + 1]! + from[2 * i + 1]! + (low > 0xffff_ffff ? 1 : 0)
      : 0;
    into[2 * i] = low;
  }
}

function decodeDepths(reader: ColumnReader, parentCode: Uint32Array): Uint16Array {
  const codes = reader.uints(parentCode.length);
  const depth = new Uint16Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const isBelow = parentCode[i]! >= PARENT.distance;
    depth[i] = codes[i]! + (isBelow ? depth[parentRowOf(parentCode, i)]! + 1 : 0);
  }
  return depth;
}

function decodeCloses(
  reader: ColumnReader,
  properties: PropertyReader,
  rows: number,
): CloseColumns {
  const status = reader.octets(rows, SPAN_STATUSES.length);
  const endNs = reader.deltas(rows);
  const spanId = unsigned(reader.deltas(rows));
  return { rows, spanId, endNs, status, properties: properties.column(rows) };
}

function rowsWhere(status: Uint8Array, isOpen: boolean, count: number): Uint32Array {
  const rows = new Uint32Array(count);
  let next = 0;
  for (let i = 0; i < status.length; i++) if ((status[i] === OPEN) === isOpen) rows[next++] = i;
  return rows;
}

function pick(all: SpanColumns, rows: Uint32Array): SpanColumns {
  const text = ({ index, texts }: TextColumn) => ({ index: picked(index, rows), texts });
  return {
    rows: rows.length,
    beginNs: pickedLongs(all.beginNs, rows),
    endNs: pickedLongs(all.endNs, rows),
    spanId: pickedLongs(all.spanId, rows),
    parentId: pickedLongs(all.parentId, rows),
    traceHigh: pickedLongs(all.traceHigh, rows),
    traceLow: pickedLongs(all.traceLow, rows),
    depth: picked(all.depth, rows),
    kind: picked(all.kind, rows),
    isAsync: picked(all.isAsync, rows),
    status: picked(all.status, rows),
    name: text(all.name),
    target: text(all.target),
    place: text(all.place),
    properties: text(all.properties),
  };
}

function picked<T extends Uint8Array | Uint16Array | Uint32Array>(all: T, rows: Uint32Array): T {
  const some = all.slice(0, rows.length) as T;
  for (let i = 0; i < rows.length; i++) some[i] = all[rows[i]!]!;
  return some;
}

function pickedLongs<T extends BigInt64Array | BigUint64Array>(all: T, rows: Uint32Array): T {
  const some = all.slice(0, rows.length) as T;
  const into = halvesIn(some);
  const from = halvesIn(all);
  for (let i = 0; i < rows.length; i++) {
    into[2 * i] = from[2 * rows[i]!]!;
    into[2 * i + 1] = from[2 * rows[i]! + 1]!;
  }
  return some;
}

function unsigned(values: BigInt64Array): BigUint64Array {
  return new BigUint64Array(values.buffer, values.byteOffset, values.length);
}

function columnsOf(
  reader: ColumnReader,
  index: Uint32Array,
  count: number,
  columns: number,
): TextColumn[] {
  return Array.from({ length: columns }, () => ({ index, texts: listOf(reader, count) }));
}
