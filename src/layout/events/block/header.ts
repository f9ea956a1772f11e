// The plain beginning of a block: what it is of, and how much it holds. Ingestion reads this and nothing else.

import { DamageError, UnknownFormatError } from "../../bytes.ts";
import { crc32 } from "../../crc32.ts";
import { Timeline, type TimelineState } from "../timeline.ts";

/** First four bytes of every block. */
export const BLOCK_MAGIC = "MVBK";
/** Of the prefix and the header, which are all that ingestion reads. */
export const BLOCK_VERSION = 1;
/** Of the payload: a reader that does not know it can take the block nevertheless, and keep it. */
export const BLOCK_PAYLOAD_VERSION = 1;
/** Bits of the payload's features that one must know, and this version does. None yet. */
export const BLOCK_KNOWN_INCOMPATIBLE = 0;
/** Byte offsets of what stands before the header; u32 where nothing else is said. */
export const BLOCK_PREFIX = {
  magic: 0,
  /** u16 each. */
  version: 4,
  payloadVersion: 6,
  /** Bits of features that may be left out, and of those that a reader of the payload must know. */
  compatible: 8,
  incompatible: 12,
  headerBytes: 16,
  payloadBytes: 20,
  rawPayloadBytes: 24,
  /** CRC-32 of all that is before it and behind it. */
  checksum: 28,
} as const;
export const BLOCK_PREFIX_BYTES = 32;

export const BLOCK_LIMITS = {
  headerBytes: 1 << 16,
  payloadBytes: 1 << 26,
  /** What the payload unpacks to. */
  rawPayloadBytes: 1 << 26,
} as const;

/** The process that recorded. */
export interface BlockProcess {
  processId: string;
  app: string;
  service: string;
  pid: number;
  /** Decimal, Unix time in nanoseconds; here as everywhere. */
  startNs: string;
  host: string;
  user: string;
  exe: string;
  runtime: string;
  container?: string;
  pod?: string;
  namespace?: string;
  image?: string;
  properties?: Record<string, string>;
}

/** What wrote: a thread with its ring, or somebody who sends by OTLP. */
export interface BlockStream {
  streamId: string;
  threadId: number;
  startNs: string;
  /** What its rows of measures are: points of metrics, which have a table of their own. */
  kind?: "metrics";
}

export interface BlockRows {
  logs: number;
  measures: number;
  spans: number;
  opens: number;
  closes: number;
}

/** What the maker of a block knows before its rows are counted. */
export interface BlockOrigin {
  /** Words of the stream from its start that the block begins and ends at; of other streams numbers that only rise. */
  first: number;
  end: number;
  /** The writer has ended and nothing follows: spans that are open are lost. */
  isFinal: boolean;
  /** Records that its maker did not know, and has left out; undefined for none. */
  skipped?: number;
  /** The ring's time at `end`, for an agent that goes on there and has nothing but the block. */
  timeline?: TimelineState;
  stream: BlockStream;
  process: BlockProcess;
}

export interface BlockHeader extends BlockOrigin {
  /** {@link blockId} */
  blockId: string;
  /** The least and the greatest time of its rows. */
  beginNs: string;
  endNs: string;
  rows: BlockRows;
}

/** What stands before the header. */
export interface BlockPrefix {
  payloadVersion: number;
  compatible: number;
  incompatible: number;
  headerBytes: number;
  payloadBytes: number;
  rawPayloadBytes: number;
  checksum: number;
}

/** Two blocks with the same id hold the same: it comes from where a stream was, not from chance. */
export function blockId(streamId: string, first: number): string {
  return `${streamId}-${first.toString(16).padStart(14, "0")}`;
}

/** A block out of its header and its packed payload. */
export function joinBlock(
  header: BlockHeader,
  payload: Uint8Array,
  rawPayloadBytes: number,
): Uint8Array {
  checkHeader(header, "the header");
  const head = new TextEncoder().encode(JSON.stringify(header));
  const { headerBytes } = BLOCK_LIMITS;
  if (head.length > headerBytes)
    throw new RangeError(`a block's header has ${head.length} bytes, more than ${headerBytes}`);
  const block = new Uint8Array(BLOCK_PREFIX_BYTES + head.length + payload.length);
  for (let i = 0; i < 4; i++) block[i] = BLOCK_MAGIC.charCodeAt(i);
  const view = new DataView(block.buffer);
  const at = BLOCK_PREFIX;
  view.setUint16(at.version, BLOCK_VERSION, true);
  view.setUint16(at.payloadVersion, BLOCK_PAYLOAD_VERSION, true);
  view.setUint32(at.headerBytes, head.length, true);
  view.setUint32(at.payloadBytes, payload.length, true);
  view.setUint32(at.rawPayloadBytes, rawPayloadBytes, true);
  block.set(head, BLOCK_PREFIX_BYTES);
  block.set(payload, BLOCK_PREFIX_BYTES + head.length);
  view.setUint32(at.checksum, checksumOf(block), true);
  return block;
}

function checksumOf(block: Uint8Array): number {
  const before = crc32(block, 0, BLOCK_PREFIX.checksum);
  return crc32(block, BLOCK_PREFIX_BYTES, block.length, before);
}

/**
 * @throws DamageError when it is no block or not as long as it says, UnknownFormatError when its header is another version's
 */
export function decodeBlockPrefix(bytes: Uint8Array): BlockPrefix {
  if (bytes.length < BLOCK_PREFIX_BYTES) throw new DamageError("it is too short for a block", 0);
  for (let i = 0; i < 4; i++) {
    if (bytes[i] !== BLOCK_MAGIC.charCodeAt(i)) throw new DamageError("it is no block", i);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = BLOCK_PREFIX;
  const version = view.getUint16(at.version, true);
  if (version !== BLOCK_VERSION)
    throw new UnknownFormatError(
      `the block has version ${version}, and this microview reads ${BLOCK_VERSION}`,
      at.version,
    );
  const u32 = (offset: number) => view.getUint32(offset, true);
  const prefix = {
    payloadVersion: view.getUint16(at.payloadVersion, true),
    compatible: u32(at.compatible),
    incompatible: u32(at.incompatible),
    headerBytes: u32(at.headerBytes),
    payloadBytes: u32(at.payloadBytes),
    rawPayloadBytes: u32(at.rawPayloadBytes),
    checksum: u32(at.checksum),
  };
  for (const part of ["headerBytes", "payloadBytes", "rawPayloadBytes"] as const) {
    if (prefix[part] > BLOCK_LIMITS[part])
      throw new DamageError(
        `${part} is ${prefix[part]}, more than ${BLOCK_LIMITS[part]}`,
        at[part],
      );
  }
  const length = BLOCK_PREFIX_BYTES + prefix.headerBytes + prefix.payloadBytes;
  if (bytes.length !== length)
    throw new DamageError(`the block has ${bytes.length} bytes and says ${length}`, at.headerBytes);
  return prefix;
}

/** @throws UnknownFormatError when its payload has to be read by another version */
export function checkPayloadFormat({ payloadVersion, incompatible }: BlockPrefix): void {
  if (payloadVersion !== BLOCK_PAYLOAD_VERSION)
    throw new UnknownFormatError(
      `its payload has version ${payloadVersion}, and this microview reads ${BLOCK_PAYLOAD_VERSION}`,
      BLOCK_PREFIX.payloadVersion,
    );
  const unknown = (incompatible & ~BLOCK_KNOWN_INCOMPATIBLE) >>> 0;
  if (unknown !== 0)
    throw new UnknownFormatError(
      `its payload has features that this microview does not know (0x${unknown.toString(16)})`,
      BLOCK_PREFIX.incompatible,
    );
}

/**
 * What a block says of itself, without unpacking it. Its checksum is looked at, and its payload may be another version's.
 * @throws DamageError, UnknownFormatError
 */
export function decodeBlockHeader(bytes: Uint8Array): BlockHeader {
  const { headerBytes, checksum } = decodeBlockPrefix(bytes);
  if (checksumOf(bytes) !== checksum)
    throw new DamageError("the block's checksum is wrong", BLOCK_PREFIX.checksum);
  return headerIn(bytes.subarray(BLOCK_PREFIX_BYTES, BLOCK_PREFIX_BYTES + headerBytes));
}

function headerIn(text: Uint8Array): BlockHeader {
  let header: BlockHeader;
  try {
    header = JSON.parse(strictDecoder.decode(text)) as BlockHeader;
  } catch {
    throw new DamageError("the block's header is no JSON", BLOCK_PREFIX_BYTES);
  }
  try {
    checkHeader(header, "the block's header");
  } catch (error) {
    throw new DamageError((error as Error).message, BLOCK_PREFIX_BYTES);
  }
  return header;
}

/**
 * What a damaged block says of itself, as far as that is left, to count what is lost.
 * @throws DamageError where nothing is
 */
export function headerLeft(part: Uint8Array): BlockHeader {
  if (part.length < BLOCK_PREFIX_BYTES) throw new DamageError("it is too short for a block", 0);
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  const headerBytes = view.getUint32(BLOCK_PREFIX.headerBytes, true);
  return headerIn(part.subarray(BLOCK_PREFIX_BYTES, BLOCK_PREFIX_BYTES + headerBytes));
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const TEXT_MAX = 4096;
export const BLOCK_APP_MAX = 500;
/** Cc of Unicode: C0, DEL and C1. */
const CONTROLS = /\p{Cc}/u;
const PROPERTIES_MAX = 256;
const ID = /^[0-9A-Za-z._-]{1,64}$/;
const PROCESS_TEXTS = ["service", "host", "user", "exe", "runtime"] as const;
const PROCESS_EXTRAS = ["container", "pod", "namespace", "image"] as const;
const ROWS = ["logs", "measures", "spans", "opens", "closes"] as const;

/** @throws RangeError that names the field that is wrong by its JSON pointer (RFC 6901) */
function checkHeader(header: BlockHeader, what: string): void {
  const need = (isRight: boolean, field: string, given: unknown) => {
    if (!isRight)
      throw new RangeError(`${what} has ${field} = ${JSON.stringify(given)?.slice(0, 80)}`);
  };
  need(isRecord(header), "everything", header);
  const { stream, process: writer, rows } = header;
  need(isRecord(stream), "/stream", stream);
  need(isRecord(writer), "/process", writer);
  need(isRecord(rows), "/rows", rows);
  need(isId(stream.streamId), "/stream/streamId", stream.streamId);
  need(isId(writer.processId), "/process/processId", writer.processId);
  for (const field of ["first", "end"] as const)
    need(isCount(header[field]), `/${field}`, header[field]);
  need(header.first <= header.end, "/first", header.first);
  need(header.blockId === blockId(stream.streamId, header.first), "/blockId", header.blockId);
  const { timeline } = header;
  if (timeline !== undefined) {
    need(isRecord(timeline), "/timeline", timeline);
    need(Timeline.isState(timeline), "/timeline", timeline);
  }
  need(typeof header.isFinal === "boolean", "/isFinal", header.isFinal);
  const { skipped } = header;
  need(skipped === undefined || isCount(skipped), "/skipped", skipped);
  for (const field of ["beginNs", "endNs"] as const)
    need(isNs(header[field]), `/${field}`, header[field]);
  need(isNs(stream.startNs), "/stream/startNs", stream.startNs);
  need(isNs(writer.startNs), "/process/startNs", writer.startNs);
  need(isCount(stream.threadId), "/stream/threadId", stream.threadId);
  need(isCount(writer.pid), "/process/pid", writer.pid);
  for (const table of ROWS) need(isCount(rows[table]), `/rows/${table}`, rows[table]);
  need(isApp(writer.app), "/process/app", writer.app);
  for (const field of PROCESS_TEXTS)
    need(isText(writer[field]), `/process/${field}`, writer[field]);
  for (const field of PROCESS_EXTRAS) {
    const given = writer[field];
    need(given === undefined || isText(given), `/process/${field}`, given);
  }
  const { properties } = writer;
  if (properties === undefined) return;
  need(isRecord(properties), "/process/properties", properties);
  const entries = Object.entries(properties);
  need(entries.length <= PROPERTIES_MAX, "the number of /process/properties", entries.length);
  for (const [key, value] of entries) {
    need(isText(key), "a key of /process/properties", key);
    need(isText(value), `/process/properties/${key.slice(0, 80)}`, value);
  }
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a catalogue can hold, and give back as it was: no U+0000, and no half of a character. */
function isText(value: unknown): boolean {
  if (typeof value !== "string" || value.length > TEXT_MAX) return false;
  return value.isWellFormed() && !value.includes("\0");
}

/**
 * What OTLP calls a namespace may have any characters, so that this is looser than for pools (`isAppName`): a text of 1 to
 * {@link BLOCK_APP_MAX} UTF-16 units without control characters.
 */
function isApp(value: unknown): boolean {
  if (!isText(value)) return false;
  const { length } = value as string;
  return length > 0 && length <= BLOCK_APP_MAX && !CONTROLS.test(value as string);
}

/** Makes of any text one that a header may have; of what cannot be there U+FFFD is left. */
export function headerText(text: string, max = TEXT_MAX): string {
  return text.slice(0, max).toWellFormed().replaceAll("\0", "\ufffd");
}

/** As {@link headerText}, for the name of an application. */
export function headerApp(text: string): string {
  return headerText(text, BLOCK_APP_MAX).replaceAll(new RegExp(CONTROLS, "gu"), "\ufffd");
}

function isId(value: unknown): boolean {
  return typeof value === "string" && ID.test(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNs(value: unknown): boolean {
  if (typeof value !== "string" || !/^-?\d{1,19}$/.test(value)) return false;
  return BigInt.asIntN(64, BigInt(value)) === BigInt(value);
}
