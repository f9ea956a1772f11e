// The layout as it lies in the file, with offsets and bytes: for people who debug it. Nothing here needs the pool to
// be well, only to be long enough; what cannot be read says so in its place.

import { formatValue } from "../exposition/index.ts";
import { SharedFile } from "../ffi/index.ts";
import {
  ByteReader,
  type Directory,
  type DirectoryMetric,
  directoryHalf,
  exposedBounds,
  HEADER,
  HEADER_BYTES_USED,
  JOURNAL,
  LIMITS,
  PAGE,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_MAGIC,
  type PoolHeader,
  pageOffset,
  RECORD,
  RECORD_HEADER_BYTES,
  readBind,
  readGrant,
  readMetric,
  readService,
  readWriter,
  SKIPPABLE_RECORDS,
  SLOT_BYTES,
  type Writer,
} from "../layout/index.ts";
import { counted } from "../text/index.ts";
import type { PoolFile, PoolReading } from "./pool-file.ts";
import type { ReportFilter } from "./report.ts";

/** A field of a header. */
export interface RawField {
  /** Bytes from the start of the file. */
  offset: number;
  name: string;
  /** The bytes as they lie, in hexadecimal. */
  hex: string;
  value: string;
}

export interface RawRecord {
  /** Bytes from the start of the file. */
  offset: number;
  type: string;
  lengthBytes: number;
  checksum: "ok" | "wrong";
  text: string;
}

interface RawSlot {
  offset: number;
  slot: number;
  hex: string;
  value: number;
  /** Whose it is: writer, series, and which part of it. */
  text: string;
}

export interface RawPage {
  page: number;
  offset: number;
  header: RawField[];
  /** Who holds it. */
  owners: string[];
  slots: RawSlot[];
  /** Bound slots of histograms that hold zero, and are not among `slots`. */
  zeroSlots: number;
}

const FIELD_WIDTHS: Readonly<Record<keyof typeof HEADER, number>> = {
  magic: 8,
  version: 4,
  headerBytes: 4,
  pageBytes: 4,
  slotBytes: 4,
  pageHeaderBytes: 4,
  slotsPerPage: 4,
  fileBytes: 8,
  directoryOffset: 8,
  directoryCapacity: 8,
  journalOffset: 8,
  journalCapacity: 8,
  pagesOffset: 8,
  pageCapacity: 4,
  appBytes: 4,
  app: LIMITS.appNameBytes,
  createdAtMs: 8,
  poolId: 8,
  lineage: 8,
  replacements: 4,
  compatible: 4,
  incompatible: 4,
  generation: 4,
  directoryWord: 8,
  pagesHighWater: 4,
  agentPid: 4,
  notices: 4,
  elsewhere: 4,
};

const MAX_HOLDERS_PER_PAGE = 64;

const TYPE_NAMES = new Map<number, string>(
  Object.entries(RECORD).map(([name, type]) => [type, name]),
);

/**
 * The fields of a file's header, whatever the file is.
 * @throws SystemError when it cannot be opened
 */
export function rawHeader(path: string): RawField[] {
  const file = SharedFile.open(path, false);
  try {
    const bytes = new Uint8Array(HEADER_BYTES_USED);
    const head = file.head(HEADER_BYTES_USED);
    bytes.set(head);
    return (Object.keys(HEADER) as (keyof typeof HEADER)[])
      .filter((name) => HEADER[name] + FIELD_WIDTHS[name] <= head.length)
      .map((name) => headerField(bytes, name));
  } finally {
    file.close();
  }
}

function headerField(bytes: Uint8Array, name: keyof typeof HEADER): RawField {
  const offset = HEADER[name];
  let width = FIELD_WIDTHS[name];
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (name === "app") {
    const length = view.getUint32(HEADER.appBytes, true);
    width = Math.max(1, Math.min(width, length));
  }
  const field = bytes.subarray(offset, offset + width);
  return { offset, name, hex: hexOf(field), value: headerValue(view, field, name) };
}

function headerValue(view: DataView, field: Uint8Array, name: keyof typeof HEADER): string {
  const offset = HEADER[name];
  switch (name) {
    case "magic":
      return JSON.stringify(new TextDecoder("latin1").decode(field));
    case "app":
      return JSON.stringify(new TextDecoder().decode(field));
    case "createdAtMs": {
      const ms = view.getFloat64(offset, true);
      return Math.abs(ms) < 8.64e15 ? `${ms} (${new Date(ms).toISOString()})` : String(ms);
    }
    case "directoryWord": {
      const [words, epoch] = [view.getUint32(offset, true), view.getUint32(offset + 4, true)];
      return `epoch ${epoch}, ${words * 8} bytes`;
    }
    case "generation": {
      const generation = view.getUint32(offset, true);
      return `${generation}${(generation & 1) === 1 ? " (odd: in a change)" : ""}`;
    }
    default:
      return String(
        field.length === 8 ? view.getBigUint64(offset, true) : view.getUint32(offset, true),
      );
  }
}

/** The header of the journal. */
export function rawJournal({ header, mapping }: PoolFile): RawField[] {
  return (["commit", "nextDirectoryWord", "checksum"] as const).map((name) => {
    const offset = header.journalOffset + JOURNAL[name];
    const bytes = mapping.bytes(offset, 8);
    const value = new DataView(bytes.buffer, offset, 8).getBigUint64(0, true);
    const text =
      name === "commit"
        ? value === 0n
          ? "0 (nothing to redo)"
          : counted(Number(value - 1n), "entry", "entries")
        : `${value}`;
    return { offset, name, hex: hexOf(bytes), value: text };
  });
}

/** Every record of the directory's current half, read one by one. */
export function* rawRecords(
  { header }: PoolFile,
  { directory }: PoolReading,
): Generator<RawRecord> {
  const { log } = directory;
  const reader = new ByteReader(log);
  const start = directoryHalf(header, directory.epoch);
  const reasons = new Map(directory.damage.map(({ offset, reason }) => [offset, reason]));
  for (let at = 0; at + RECORD_HEADER_BYTES <= log.length; ) {
    reader.seek(at, log.length);
    const type = reader.u16();
    const lengthBytes = reader.u16() * 8;
    const checksum = reader.u32();
    const end = at + lengthBytes;
    const name = TYPE_NAMES.get(type) ?? `type 0x${type.toString(16)}`;
    if (lengthBytes === 0 || end > log.length) {
      const text = reasons.get(at) ?? "its length leads nowhere: the rest cannot be read";
      yield { offset: start + at, type: name, lengthBytes, checksum: "wrong", text };
      return;
    }
    const isRight = Bun.hash.crc32(log.subarray(at + RECORD_HEADER_BYTES, end)) === checksum;
    const damage = reasons.get(at);
    reader.seek(at + RECORD_HEADER_BYTES, end);
    yield {
      offset: start + at,
      type: name,
      lengthBytes,
      checksum: isRight ? "ok" : "wrong",
      text: `${recordText(reader, type, directory)}${damage === undefined ? "" : ` — DAMAGED: ${damage}`}`,
    };
    at = end;
  }
}

function recordText(reader: ByteReader, type: number, directory: Directory): string {
  try {
    const unknown = type >= SKIPPABLE_RECORDS ? "unknown to this microview, and skipped" : "";
    const text: RecordText | undefined = RECORD_TEXTS[type as RecordType];
    return text?.(reader, directory) ?? unknown;
  } catch (error) {
    return `unreadable: ${(error as Error).message}`;
  }
}

type RecordType = (typeof RECORD)[keyof typeof RECORD];
type RecordText = (reader: ByteReader, directory: Directory) => string;

const RECORD_TEXTS: Readonly<Record<RecordType, RecordText>> = {
  [RECORD.service]: (reader) => {
    const { id, name } = readService(reader);
    return `service ${id} ${JSON.stringify(name)}`;
  },
  [RECORD.metric]: (reader) => {
    const { id, service, metric } = readMetric(reader);
    const labels = metric.labelNames.length > 0 ? ` {${metric.labelNames.join(", ")}}` : "";
    const unit = metric.unit === "" ? "" : ` in ${JSON.stringify(metric.unit)}`;
    return `metric ${id} of service ${service}: ${metric.kind} ${metric.name}${labels}${unit}`;
  },
  [RECORD.series]: (reader, directory) => {
    const id = reader.u32();
    const metric = reader.u32();
    const names = directory.metrics.get(metric)?.definition.labelNames ?? [];
    const values = names.map(() => reader.text(LIMITS.labelValueBytes));
    return `series ${id} of metric ${metric} ${JSON.stringify(values)}`;
  },
  [RECORD.writer]: (reader) => {
    const { id, service, flags, pid, threadId, lockOffset, lockBytes } = readWriter(reader);
    return `writer ${id} of service ${service}, flags ${flags}, pid ${pid}/${threadId}, lock ${hexOffset(lockOffset)}+${lockBytes}`;
  },
  [RECORD.grant]: (reader) => {
    const { writer, page, pages, slot, slots } = readGrant(reader);
    const part = slots === 0 ? "" : `, slots ${slot} to ${slot + slots - 1}`;
    return `writer ${writer}: page ${page}${pages > 1 ? ` to ${page + pages - 1}` : ""}${part}`;
  },
  [RECORD.bind]: (reader) => {
    const { writer, firstSeries, count, page, slot } = readBind(reader);
    const series = count === 1 ? firstSeries : `${firstSeries} to ${firstSeries + count - 1}`;
    return `writer ${writer}: series ${series} at page ${page} slot ${slot}`;
  },
  [RECORD.release]: (reader) => `writer ${reader.u32()}`,
  [RECORD.ungrant]: (reader) => `writer ${reader.u32()}: page ${reader.u32()} slot ${reader.u32()}`,
  [RECORD.retire]: (reader) => `metric ${reader.u32()}`,
};

/** Every page that somebody holds, with the slots that series are bound to. */
export function* rawPages(
  pool: PoolFile,
  { directory, state }: PoolReading,
  filter: ReportFilter,
): Generator<RawPage> {
  const holders = new Map<number, Writer[]>();
  // Many writers may share a page, but a damaged pool may have grants without end.
  let left = MAX_HOLDERS_PER_PAGE * state.pagesHighWater;
  for (const writer of directory.writers.values()) {
    if (!filter.service(writer.serviceName)) continue;
    for (const { page, pages } of writer.grants) {
      for (let i = page; i < Math.min(page + pages, state.pagesHighWater) && left > 0; i++) {
        left--;
        const held = holders.get(i);
        if (held === undefined) holders.set(i, [writer]);
        else if (!held.includes(writer)) held.push(writer);
      }
    }
  }
  for (const page of [...holders.keys()].sort((a, b) => a - b)) {
    yield rawPage(pool, directory, page, holders.get(page)!, filter);
  }
}

function rawPage(
  { header, mapping }: PoolFile,
  directory: Directory,
  page: number,
  writers: readonly Writer[],
  filter: ReportFilter,
): RawPage {
  const offset = pageOffset(header, page);
  const bytes = mapping.bytes(offset, PAGE_BYTES).slice();
  const slots: RawSlot[] = [];
  let zeroSlots = 0;
  for (const writer of writers) {
    for (const run of writer.runs) {
      const { metric } = run;
      if (run.page !== page || metric.retired || !filter.metric(metric.definition.name)) continue;
      const parts = partNames(metric);
      for (let i = 0; i < run.count; i++) {
        const series = run.firstSeries + i;
        const name = `writer ${writer.id} series ${series} ${seriesName(directory, metric, series)}`;
        for (let part = 0; part < metric.slots; part++) {
          const slot = run.slot + i * metric.slots + part;
          const raw = rawSlot(bytes, header, page, slot, name + parts[part]!);
          if (raw.value === 0 && metric.slots > 2) zeroSlots++;
          else slots.push(raw);
        }
      }
    }
  }
  return {
    page,
    offset,
    header: pageFields(bytes, offset),
    owners: writers.map(({ id, serviceName, retained, pid }) => {
      const who = retained ? "keeps the counts of the dead" : `pid ${pid}`;
      return `writer ${id} of ${JSON.stringify(serviceName)} (${who})`;
    }),
    slots: slots.sort((a, b) => a.slot - b.slot),
    zeroSlots,
  };
}

function rawSlot(
  bytes: Uint8Array,
  header: PoolHeader,
  page: number,
  slot: number,
  text: string,
): RawSlot {
  const at = PAGE_HEADER_BYTES + slot * SLOT_BYTES;
  return {
    offset: pageOffset(header, page) + at,
    slot,
    hex: hexOf(bytes.subarray(at, at + SLOT_BYTES)),
    value: new DataView(bytes.buffer, bytes.byteOffset + at, SLOT_BYTES).getFloat64(0, true),
    text,
  };
}

function pageFields(bytes: Uint8Array, offset: number): RawField[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PAGE_HEADER_BYTES);
  return (Object.keys(PAGE) as (keyof typeof PAGE)[]).map((name) => {
    const at = PAGE[name];
    const value = view.getUint32(at, true);
    const known = value === PAGE_MAGIC ? '"MVPG"' : `0x${value.toString(16)}, not "MVPG"`;
    return {
      offset: offset + at,
      name,
      hex: hexOf(bytes.subarray(at, at + 4)),
      value: name === "magic" ? known : String(value),
    };
  });
}

/** What each slot of a series holds. */
function partNames(metric: DirectoryMetric): string[] {
  const { kind } = metric.definition;
  if (kind === "histogram" || kind === "loglinear") {
    return [...exposedBounds(metric).map((bound) => ` le=${formatValue(bound)}`), " sum"];
  }
  return metric.slots === 2 ? [" value", " set at (unix ms)"] : [""];
}

function seriesName(directory: Directory, { definition }: DirectoryMetric, series: number): string {
  const values = directory.labelValues(series);
  const pairs = definition.labelNames.map((name, i) => `${name}=${JSON.stringify(values[i])}`);
  return pairs.length === 0 ? definition.name : `${definition.name}{${pairs.join(",")}}`;
}

/** `0x00001000`: eight digits, more where they are needed. */
export function hexOffset(offset: number): string {
  return `0x${offset.toString(16).padStart(8, "0")}`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
