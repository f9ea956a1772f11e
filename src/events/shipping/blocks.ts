// Makes blocks of parts of rings, for the shipper.

import {
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  decodeBlockHeader,
  type EventProperties,
  encodeBlock,
  LEVELS,
  RING_SHIPPER,
  RING_STATE,
  type RingEvent,
  RingReader,
  SPAN_KINDS,
  type TextColumn,
} from "../../layout/index.ts";
import type { MakeBlock, RingPart } from "./shipped-ring.ts";
import { nsOf } from "./times.ts";

const LEVEL = 1;

export const makeBlock: MakeBlock = (part) => {
  const { ring, first, end, isFinal, process } = part;
  const { ringId: streamId, threadId, start } = ring.header;
  const stream = { streamId, threadId, startNs: nsOf(start.unixMs) };
  const { events, timeline } = eventsOf(part);
  const origin = { first, end, isFinal, timeline, stream, process };
  const block = encodeBlock(origin, columnsOf(events), (bytes) =>
    Bun.zstdCompressSync(bytes as Uint8Array<ArrayBuffer>, { level: LEVEL }),
  );
  return { block, header: decodeBlockHeader(block) };
};

/** A reader for which the part is all that there is. */
function eventsOf({ ring, first, end }: RingPart) {
  const { stateOffset, shipperOffset } = ring.header;
  const reader = new RingReader(ring.header, (offset, bytes) => {
    if (offset === shipperOffset + RING_SHIPPER.position && bytes === 4) return u32(first);
    if (offset === stateOffset + RING_STATE.head) return u32(end);
    return ring.copy(offset, bytes);
  });
  const events: RingEvent[] = [];
  do events.push(...reader.read());
  while (!reader.isAtHead);
  return { events, timeline: reader.timeline };
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value % 2 ** 32, true);
  return bytes;
}

type Of<Kind extends RingEvent["kind"]> = Extract<RingEvent, { kind: Kind }>;
interface LogLike {
  timeMs: number;
  level: string;
  target: string;
  message: string;
  spanId: string | undefined;
  properties: EventProperties;
}

function columnsOf(events: readonly RingEvent[]): BlockColumns {
  const logs: LogLike[] = [];
  const measures: Of<"measure">[] = [];
  const open = new Map<string, Of<"begin">>();
  const spans: [Of<"begin">, Of<"end">][] = [];
  const closes: Of<"end">[] = [];
  for (const event of events) {
    switch (event.kind) {
      case "log":
        logs.push(event);
        break;
      case "measure":
        measures.push(event);
        break;
      case "begin":
        open.set(event.spanId, event);
        break;
      case "end": {
        const begin = open.get(event.spanId);
        open.delete(event.spanId);
        if (begin === undefined) closes.push(event);
        else spans.push([begin, event]);
        break;
      }
      default: {
        const { kind, timeMs, truncated: _, ...properties } = event;
        const target = `microview.${kind}`;
        logs.push({ timeMs, level: "warn", target, message: kind, spanId: undefined, properties });
      }
    }
  }
  const begins = [...spans.map(([begin]) => begin), ...open.values()];
  return {
    logs: logColumns(logs),
    measures: measureColumns(measures),
    spans: spanColumns(
      begins.slice(0, spans.length),
      spans.map(([, end]) => end),
    ),
    opens: spanColumns(begins.slice(spans.length), []),
    closes: closeColumns(closes),
  };
}

function logColumns(events: readonly LogLike[]) {
  const columns = blankLogs(events.length);
  for (const [i, { timeMs, level, spanId }] of events.entries()) {
    columns.timeNs[i] = BigInt(nsOf(timeMs));
    columns.level[i] = (LEVELS as readonly string[]).indexOf(level);
    columns.spanId[i] = idOf(spanId);
  }
  columns.target = texts(events.map(({ target }) => target));
  columns.message = texts(events.map(({ message }) => message));
  columns.properties = jsons(events);
  return columns;
}

function measureColumns(events: readonly Of<"measure">[]) {
  const columns = blankMeasures(events.length);
  for (const [i, { timeMs, value }] of events.entries()) {
    columns.timeNs[i] = BigInt(nsOf(timeMs));
    columns.value[i] = value;
  }
  columns.name = texts(events.map(({ name }) => name));
  columns.unit = texts(events.map(({ unit }) => unit));
  columns.target = texts(events.map(({ target }) => target));
  columns.properties = jsons(events);
  return columns;
}

function spanColumns(begins: readonly Of<"begin">[], ends: readonly Of<"end">[]) {
  const columns = blankSpans(begins.length);
  for (const [i, begin] of begins.entries()) {
    const end = ends[i];
    columns.beginNs[i] = BigInt(nsOf(begin.timeMs));
    columns.endNs[i] = end === undefined ? 0n : BigInt(nsOf(end.timeMs));
    columns.spanId[i] = idOf(begin.spanId);
    columns.parentId[i] = idOf(begin.parentId);
    columns.traceHigh[i] = idOf(begin.traceId.slice(0, 16));
    columns.traceLow[i] = idOf(begin.traceId.slice(16));
    columns.depth[i] = begin.depth;
    columns.kind[i] = SPAN_KINDS.indexOf(begin.spanKind);
    columns.isAsync[i] = begin.isAsync ? 1 : 0;
    columns.status[i] = end?.status === "error" ? 1 : 0;
  }
  columns.name = texts(begins.map(({ name }) => name));
  columns.target = texts(begins.map(({ target }) => target));
  columns.place = texts(begins.map(({ place }) => place));
  columns.properties = jsons(
    begins.map((begin, i) => ({ properties: { ...begin.properties, ...ends[i]?.properties } })),
  );
  return columns;
}

function closeColumns(events: readonly Of<"end">[]) {
  const columns = blankCloses(events.length);
  for (const [i, { timeMs, spanId, status }] of events.entries()) {
    columns.endNs[i] = BigInt(nsOf(timeMs));
    columns.spanId[i] = idOf(spanId);
    columns.status[i] = status === "error" ? 1 : 0;
  }
  columns.properties = jsons(events);
  return columns;
}

function texts(all: readonly string[]): TextColumn {
  return { index: Uint32Array.from(all, (_, i) => i), texts: all.length === 0 ? [""] : all };
}

function jsons(all: readonly { properties: EventProperties }[]): TextColumn {
  return texts(
    all.map(({ properties }) =>
      Object.keys(properties).length === 0 ? "" : JSON.stringify(properties),
    ),
  );
}

function idOf(hex: string | undefined): bigint {
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}
