// The first page of a ring's file: who writes it, since when, and where its parts are. A reader needs nothing else.

import { isAppName } from "../definitions/metric.ts";
import {
  EVENT_LIMITS,
  RING_COMPATIBLE,
  RING_DEFAULTS,
  RING_HEADER,
  RING_HEADER_BYTES,
  RING_HEADER_ENDS,
  RING_KNOWN_INCOMPATIBLE,
  RING_MAGIC,
  RING_READABLE_VERSIONS,
  RING_VERSION,
} from "./constants.ts";

const PAGE = 4096;

/** Where the parts of a ring's file are; in bytes. */
export interface RingGeometry {
  fileBytes: number;
  stateOffset: number;
  shipperOffset: number;
  definitionsOffset: number;
  definitionsBytes: number;
  ringOffset: number;
  /** A power of two. */
  ringBytes: number;
}

/** A tick of the processor's counter, and what the clocks said then. */
export interface Anchor {
  tick: number;
  monotonicNs: number;
  unixMs: number;
}

export interface RingHeader extends RingGeometry {
  version: number;
  /** Features that a reader may ignore. */
  compatible: number;
  /** Sixteen hex digits that no other ring has. */
  ringId: string;
  app: string;
  service: string;
  pid: number;
  threadId: number;
  /** Thirty-two hex digits that all threads of a process have, and no other process. */
  processId: string;
  processStartUnixMs: number;
  /** The program's file, and what runs it, e.g. "bun 1.4.5". */
  exe: string;
  runtime: string;
  start: Anchor;
  ticksPerMs: number;
}

/** A file is no ring, or none that this version can read. */
export class RingFormatError extends Error {
  override readonly name = "RingFormatError";
}

export function ringGeometry(
  ringBytes: number = RING_DEFAULTS.ringBytes,
  definitionsBytes: number = RING_DEFAULTS.definitionsBytes,
): RingGeometry {
  const definitionsOffset = 3 * PAGE;
  const ringOffset = definitionsOffset + definitionsBytes;
  return {
    fileBytes: ringOffset + ringBytes,
    stateOffset: PAGE,
    shipperOffset: 2 * PAGE,
    definitionsOffset,
    definitionsBytes,
    ringOffset,
    ringBytes,
  };
}

/** What a writer says of itself and its ring; the version is the one of this program. */
export type NewRingHeader = Omit<RingHeader, "version" | "compatible">;

/** Everything but the magic, which is stored when all else is: {@link finishRingHeader}. */
export function encodeRingHeader(header: NewRingHeader): Uint8Array {
  const bytes = new Uint8Array(RING_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  const at = RING_HEADER;
  view.setUint32(at.version, RING_VERSION, true);
  view.setUint32(at.compatible, RING_COMPATIBLE, true);
  view.setUint32(at.pid, header.pid, true);
  view.setUint32(at.threadId, header.threadId, true);
  setHex(bytes, at.ringId, header.ringId);
  setHex(bytes, at.processId, header.processId);
  view.setFloat64(at.processStartUnixMs, header.processStartUnixMs, true);
  for (const field of GEOMETRY) setLong(view, at[field], header[field]);
  view.setFloat64(at.startTick, header.start.tick, true);
  view.setFloat64(at.startMonotonicNs, header.start.monotonicNs, true);
  view.setFloat64(at.startUnixMs, header.start.unixMs, true);
  view.setFloat64(at.ticksPerMs, header.ticksPerMs, true);
  const encoder = new TextEncoder();
  for (const name of TEXTS) {
    const place = bytes.subarray(at[name], RING_HEADER_ENDS[name]);
    view.setUint32(at[`${name}Bytes`], encoder.encodeInto(header[name], place).written, true);
  }
  return bytes;
}

/** From now on it is a ring. */
export function finishRingHeader(file: Uint8Array): void {
  for (let i = 0; i < RING_MAGIC.length; i++) file[i] = RING_MAGIC.charCodeAt(i);
}

/**
 * @param fileBytes how long the file is
 * @throws RingFormatError when it is no ring, another version's, or its parts do not fit in the file
 */
export function decodeRingHeader(bytes: Uint8Array, fileBytes: number): RingHeader {
  if (bytes.length < RING_HEADER_BYTES) throw new RingFormatError("it is too short for a ring");
  for (let i = 0; i < RING_MAGIC.length; i++) {
    if (bytes[i] !== RING_MAGIC.charCodeAt(i)) throw new RingFormatError("it is no ring of events");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = RING_HEADER;
  const version = view.getUint32(at.version, true);
  const { first, last } = RING_READABLE_VERSIONS;
  if (version < first || version > last) {
    throw new RingFormatError(
      `it has version ${version}, and this microview reads versions ${first} to ${last}`,
    );
  }
  const unknown = (view.getUint32(at.incompatible, true) & ~RING_KNOWN_INCOMPATIBLE) >>> 0;
  if (unknown !== 0) {
    throw new RingFormatError(
      `it has features that this microview does not know (0x${unknown.toString(16)})`,
    );
  }
  const geometry = {} as Record<(typeof GEOMETRY)[number], number>;
  for (const field of GEOMETRY) geometry[field] = getLong(view, at[field]);
  checkGeometry(geometry, fileBytes);
  const texts = {} as Record<(typeof TEXTS)[number], string>;
  for (const name of TEXTS) {
    const length = view.getUint32(at[`${name}Bytes`], true);
    texts[name] = textAt(bytes, at[name], length, RING_HEADER_ENDS[name] - at[name]);
  }
  if (!isAppName(texts.app)) throw new RingFormatError("it names no application");
  const start = {
    tick: view.getFloat64(at.startTick, true),
    monotonicNs: view.getFloat64(at.startMonotonicNs, true),
    unixMs: view.getFloat64(at.startUnixMs, true),
  };
  const ticksPerMs = view.getFloat64(at.ticksPerMs, true);
  const processStartUnixMs = view.getFloat64(at.processStartUnixMs, true);
  const numbers = [...Object.values(start), ticksPerMs, processStartUnixMs];
  if (!numbers.every((each) => Number.isFinite(each) && Math.abs(each) < 2 ** 62))
    throw new RingFormatError("its times are no numbers");
  if (!(ticksPerMs >= 1)) throw new RingFormatError("its ticks have no rate");
  return {
    ...geometry,
    ...texts,
    version,
    compatible: view.getUint32(at.compatible, true),
    ringId: hexAt(bytes, at.ringId, 8),
    processId: hexAt(bytes, at.processId, 16),
    processStartUnixMs,
    pid: view.getUint32(at.pid, true),
    threadId: view.getUint32(at.threadId, true),
    start,
    ticksPerMs,
  };
}

const GEOMETRY = [
  "fileBytes",
  "stateOffset",
  "shipperOffset",
  "definitionsOffset",
  "definitionsBytes",
  "ringOffset",
  "ringBytes",
] as const;

const TEXTS = ["app", "service", "exe", "runtime"] as const;

function checkGeometry(geometry: RingGeometry, fileBytes: number): void {
  const { ringBytes, definitionsBytes } = geometry;
  const isPowerOfTwo = Number.isInteger(Math.log2(ringBytes));
  const { ringBytesMin, ringBytesMax, definitionsBytesMax } = EVENT_LIMITS;
  if (!isPowerOfTwo || ringBytes < ringBytesMin || ringBytes > ringBytesMax)
    throw new RingFormatError(`a ring of ${ringBytes} bytes cannot be`);
  if (definitionsBytes > definitionsBytesMax)
    throw new RingFormatError(`${definitionsBytes} bytes of definitions cannot be`);
  const parts = [
    [geometry.stateOffset, PAGE],
    [geometry.shipperOffset, PAGE],
    [geometry.definitionsOffset, definitionsBytes],
    [geometry.ringOffset, ringBytes],
  ] as const;
  for (const [offset, bytes] of parts) {
    if (offset % 8 !== 0 || offset < PAGE || offset + bytes > fileBytes)
      throw new RingFormatError("its parts do not lie in the file");
  }
}

/** The last digits last, as one reads them. */
function setHex(bytes: Uint8Array, at: number, hex: string): void {
  for (let i = 0; i < hex.length / 2; i++)
    bytes[at + i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
}

function hexAt(bytes: Uint8Array, at: number, length: number): string {
  return [...bytes.subarray(at, at + length)]
    .map((each) => each.toString(16).padStart(2, "0"))
    .join("");
}

function setLong(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

function getLong(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textAt(bytes: Uint8Array, at: number, length: number, max: number): string {
  if (length > max) throw new RingFormatError("a name of it is too long");
  try {
    return decoder.decode(bytes.subarray(at, at + length));
  } catch {
    throw new RingFormatError("a name of it is no text");
  }
}
