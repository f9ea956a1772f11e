// Joins the two halves of spans that lie in different blocks of a batch, as the view `spans` joins them in files: by stream
// and id, and an end belongs to what began before it. Fewer halves in files make queries quicker; no count depends on it.

import type { CloseColumns, DecodedBlock, SpanColumns, TextColumn } from "../../layout/index.ts";

/** Rows of a block, by its number in the batch. */
interface Rows<Columns> {
  block: number;
  columns: Columns;
}

export interface SpanRows {
  spans: Rows<SpanColumns>[];
  opens: Rows<SpanColumns>[];
  closes: Rows<CloseColumns>[];
}

/** Characters of properties that are put together. Spans that would need more stay halves, which the view joins. */
const UNITS_MAX = 1 << 25;

interface Half {
  block: number;
  row: number;
}

export function joinSpans(blocks: readonly DecodedBlock[]): SpanRows {
  const joined: SpanRows = { spans: [], opens: [], closes: [] };
  const byStream = new Map<string, { block: number; decoded: DecodedBlock }[]>();
  for (const [block, decoded] of blocks.entries()) {
    joined.spans.push({ block, columns: decoded.spans });
    const { streamId } = decoded.header.stream;
    const stream = byStream.get(streamId) ?? [];
    if (stream.length === 0) byStream.set(streamId, stream);
    stream.push({ block, decoded });
  }
  const room = { units: UNITS_MAX };
  for (const stream of byStream.values()) joinStream(stream, joined, room);
  return joined;
}

function joinStream(
  stream: readonly { block: number; decoded: DecodedBlock }[],
  joined: SpanRows,
  room: { units: number },
): void {
  const sorted = [...stream].sort((a, b) => a.decoded.header.first - b.decoded.header.first);
  const decodedOf = new Map(stream.map(({ block, decoded }) => [block, decoded]));
  /** Spans that are open, by id. */
  const open = new Map<bigint, Half>();
  const ended = new Map<number, { rows: number[]; closes: Half[] }>();
  for (const { block, decoded } of sorted) {
    const { closes, opens } = decoded;
    const left: number[] = [];
    for (let row = 0; row < closes.rows; row++) {
      const id = closes.spanId[row]!;
      const half = open.get(id);
      const opens = half && decodedOf.get(half.block)!.opens;
      if (half === undefined || opens!.beginNs[half.row]! > closes.endNs[row]!) {
        left.push(row);
        continue;
      }
      const units =
        textOf(opens!.properties, half.row).length + textOf(closes.properties, row).length;
      if (units > room.units) {
        left.push(row);
        continue;
      }
      room.units -= units;
      open.delete(id);
      const pairs = ended.get(half.block) ?? { rows: [], closes: [] };
      ended.set(half.block, pairs);
      pairs.rows.push(half.row);
      pairs.closes.push({ block, row });
    }
    joined.closes.push({ block, columns: someCloses(closes, left) });
    for (let row = 0; row < opens.rows; row++) open.set(opens.spanId[row]!, { block, row });
  }
  for (const { block, decoded } of sorted) {
    const pairs = ended.get(block);
    const taken = new Set(pairs?.rows);
    const left: number[] = [];
    for (let row = 0; row < decoded.opens.rows; row++) if (!taken.has(row)) left.push(row);
    joined.opens.push({ block, columns: someSpans(decoded.opens, left) });
    if (pairs === undefined) continue;
    const closes = pairs.closes.map((half) => ({
      columns: decodedOf.get(half.block)!.closes,
      row: half.row,
    }));
    joined.spans.push({ block, columns: completed(decoded.opens, pairs.rows, closes) });
  }
}

function completed(
  opens: SpanColumns,
  rows: readonly number[],
  closes: readonly { columns: CloseColumns; row: number }[],
): SpanColumns {
  const properties = {
    index: Uint32Array.from(rows, (_, i) => i),
    texts: rows.map((row, i) => {
      const { columns, row: close } = closes[i]!;
      return bothProperties(textOf(opens.properties, row), textOf(columns.properties, close));
    }),
  };
  return {
    ...someSpans(opens, rows),
    endNs: BigInt64Array.from(closes, ({ columns, row }) => columns.endNs[row]!),
    status: Uint8Array.from(closes, ({ columns, row }) => columns.status[row]!),
    properties,
  };
}

/** Of a key that both have, the one that comes last holds: what was set at the end. */
function bothProperties(begin: string, end: string): string {
  if (begin === "" || begin === "{}") return end;
  if (end === "" || end === "{}") return begin;
  if (!begin.endsWith("}") || !end.startsWith("{")) return begin;
  return `${begin.slice(0, -1)},${end.slice(1)}`;
}

function textOf({ index, texts }: TextColumn, row: number): string {
  return texts[index[row]!]!;
}

function someTexts({ index, texts }: TextColumn, rows: readonly number[]): TextColumn {
  return { texts, index: Uint32Array.from(rows, (row) => index[row]!) };
}

function someSpans(columns: SpanColumns, rows: readonly number[]): SpanColumns {
  const longs = (values: BigUint64Array) => BigUint64Array.from(rows, (row) => values[row]!);
  const bytes = (values: Uint8Array) => Uint8Array.from(rows, (row) => values[row]!);
  return {
    rows: rows.length,
    beginNs: BigInt64Array.from(rows, (row) => columns.beginNs[row]!),
    endNs: BigInt64Array.from(rows, (row) => columns.endNs[row]!),
    spanId: longs(columns.spanId),
    parentId: longs(columns.parentId),
    traceHigh: longs(columns.traceHigh),
    traceLow: longs(columns.traceLow),
    depth: Uint16Array.from(rows, (row) => columns.depth[row]!),
    kind: bytes(columns.kind),
    isAsync: bytes(columns.isAsync),
    status: bytes(columns.status),
    name: someTexts(columns.name, rows),
    target: someTexts(columns.target, rows),
    place: someTexts(columns.place, rows),
    properties: someTexts(columns.properties, rows),
  };
}

function someCloses(columns: CloseColumns, rows: readonly number[]): CloseColumns {
  return {
    rows: rows.length,
    spanId: BigUint64Array.from(rows, (row) => columns.spanId[row]!),
    endNs: BigInt64Array.from(rows, (row) => columns.endNs[row]!),
    status: Uint8Array.from(rows, (row) => columns.status[row]!),
    properties: someTexts(columns.properties, rows),
  };
}
