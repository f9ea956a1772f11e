// A backlog in files. Requests stay there until the receiver has taken them, so a receiver may be away until the size
// limit is reached, and the next collector sends what a killed one has not delivered. Files are not synced to the disk: a
// kill loses nothing, a power failure may lose the last seconds.
//
//   DIR/lock            held by the collector that writes here
//   DIR/position        up to where all was delivered: segment, offset, checksum of both (u32 each)
//   DIR/00000001.wal …  segments: records of length, checksum, number of items (u32 each) and the request; the upper
//                       four bits of that number are the version of the protocol, where it is not 1
//
// A segment goes when all of it was delivered, or when it is the oldest and there is no room.

import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SharedFile } from "../../ffi/index.ts";
import { counted } from "../../text/index.ts";
import type { Backlog, PushRequest } from "./backlog.ts";

const HEADER_BYTES = 12;
/** What a version is multiplied by: no request has so many items. */
const VERSION = 2 ** 28;
const MAX_SEGMENT_BYTES = 16 << 20;
const MIN_SEGMENT_BYTES = 16 << 10;

/** The folder cannot be used. */
export class WriteAheadError extends Error {
  override readonly name = "WriteAheadError";
}

/** What may fail while it goes on, and how that is said: when it begins and when it is over. */
const PARTS = {
  requests: ["write requests to", "requests can be written to"],
  position: ["write the position to", "the position can be written to"],
  file: ["make a file in", "files can be made in"],
  removal: ["remove what is over from", "what is over can be removed from"],
  reading: ["read requests from", "requests can be read from"],
} as const;
type Part = keyof typeof PARTS;

interface Segment {
  number: number;
  fd: number;
  /** Bytes of whole records. */
  bytes: number;
  /** Items that were not delivered. */
  items: number;
}

export class WriteAhead implements Backlog {
  readonly durable = true;
  items = 0;
  bytes = 0;
  dropped = 0;
  /** Bytes that could not be read back: the end of a write that was cut off, or damage. */
  damagedBytes = 0;
  readonly #segmentBytes: number;
  readonly #troubles = new Map<Part, { message: string; times: number }>();
  readonly #segments: Segment[] = [];
  /** Segments that are over, and could not be removed yet. */
  readonly #unremoved = new Set<number>();
  readonly #lock: SharedFile;
  readonly #position: number;
  #offset = 0;
  #head: { request: PushRequest; segment: Segment; end: number } | undefined;
  /** A request that had to go while it was being sent. Whether it is dropped is known when it has been sent. */
  #overtaken: PushRequest | undefined;

  /**
   * @param maxBytes what all segments may take together
   * @param onTrouble called once when something cannot be written, and once when it can again
   * @throws WriteAheadError when another collector writes there, or the folder cannot be used
   */
  constructor(
    readonly folder: string,
    readonly maxBytes: number,
    readonly onTrouble: (message: string) => void = () => {},
  ) {
    this.#segmentBytes = Math.max(
      MIN_SEGMENT_BYTES,
      Math.min(MAX_SEGMENT_BYTES, Math.floor(maxBytes / 8)),
    );
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      this.#lock = openOrCreate(join(folder, "lock"));
      if (!this.#lock.lock(0, 1)) {
        this.#lock.close();
        throw new WriteAheadError(`another collector writes to ${folder}`);
      }
      this.#position = openSync(
        join(folder, "position"),
        constants.O_RDWR | constants.O_CREAT,
        0o600,
      );
      this.#open();
    } catch (error) {
      if (error instanceof WriteAheadError) throw error;
      throw new WriteAheadError(`cannot use ${folder}: ${(error as Error).message}`);
    }
  }

  /** Never throws, as no other method does: losses are counted in `dropped`, and their reason is told. */
  push(request: PushRequest): void {
    const { body, items, version = 1 } = request;
    const size = HEADER_BYTES + body.length;
    while (this.bytes + size > this.maxBytes && this.#segments.length > 1) this.#dropOldest();
    let last = this.#segments.at(-1)!;
    const record = Buffer.alloc(size);
    record.writeUInt32LE(body.length, 0);
    record.writeUInt32LE(items + (version === 1 ? 0 : version * VERSION), 8);
    record.set(body, HEADER_BYTES);
    record.writeUInt32LE(Bun.hash.crc32(record.subarray(8)), 4);
    if (last.bytes > 0 && last.bytes + size > this.#segmentBytes) {
      const next = this.#nextSegment(last);
      if (next === undefined) {
        this.dropped += items;
        return;
      }
      last = next;
    }
    try {
      for (let at = 0; at < size; ) {
        at += writeSync(last.fd, record, at, size - at, last.bytes + at);
      }
    } catch (error) {
      this.dropped += items;
      this.#failed("requests", error as Error);
      try {
        ftruncateSync(last.fd, last.bytes);
      } catch {
        // The next record overwrites the part behind the whole records, and readers skip it.
      }
      return;
    }
    this.#worked("requests");
    last.bytes += size;
    last.items += items;
    this.bytes += size;
    this.items += items;
  }

  peek(): PushRequest | undefined {
    if (this.#head !== undefined) return this.#head.request;
    if (this.#overtaken !== undefined) this.#drop(this.#overtaken.items);
    this.#overtaken = undefined;
    for (;;) {
      const segment = this.#segments[0]!;
      if (this.#offset < segment.bytes) {
        const record = this.#read(segment);
        if (record !== undefined) {
          const end = this.#offset + HEADER_BYTES + record.body.length;
          this.#head = { request: record, segment, end };
          return record;
        }
        // The record was whole before, so the disk has damaged it. Without its length the next one cannot be found.
        this.damagedBytes += segment.bytes - this.#offset;
        this.#drop(segment.items);
        segment.items = 0;
        this.#offset = segment.bytes;
      }
      if (this.#segments.length === 1) return undefined;
      this.#removeOldest();
    }
  }

  shift(request: PushRequest): void {
    if (request === this.#overtaken) {
      this.#overtaken = undefined;
      this.items -= request.items;
      return;
    }
    const head = this.#head;
    if (head === undefined || head.request !== request) return;
    this.#head = undefined;
    this.items -= request.items;
    head.segment.items -= request.items;
    this.#offset = head.end;
    if (this.#offset === head.segment.bytes && this.#segments.length > 1) this.#removeOldest();
    else this.#writePosition();
  }

  close(): void {
    // It is in no file any more.
    if (this.#overtaken !== undefined) this.#drop(this.#overtaken.items);
    this.#overtaken = undefined;
    // The next collector need not look at an empty segment.
    if (this.items === 0) this.#rewind(this.#segments.at(-1)!);
    this.#removeLeft();
    for (const { fd } of this.#segments) closeAnyway(fd);
    closeAnyway(this.#position);
    this.#lock.close();
  }

  #open(): void {
    const position = this.#readPosition();
    const numbers = readdirSync(this.folder)
      .flatMap((name) => (/^\d{8}\.wal$/.test(name) ? [Number.parseInt(name, 10)] : []))
      .sort((a, b) => a - b);
    for (const number of numbers) {
      const path = this.#path(number);
      if (position !== undefined && number < position.segment) {
        rmSync(path);
        continue;
      }
      const start = position?.segment === number ? position.offset : 0;
      const bytes = readFileSync(path);
      const found = scan(bytes, start);
      this.damagedBytes += bytes.length - found.end;
      if (found.items === 0) {
        rmSync(path);
        continue;
      }
      if (this.#segments.length === 0) this.#offset = start;
      const fd = openSync(path, constants.O_RDWR);
      this.#segments.push({ number, fd, bytes: found.end, items: found.items });
      this.bytes += found.end;
      this.items += found.items;
    }
    // The segment of an earlier collector may end in a torn record, so nothing is appended to it.
    this.#newSegment(Math.max(numbers.at(-1) ?? 0, position?.segment ?? 0) + 1);
    if (this.#segments.length === 1) this.#writePosition();
  }

  /** Where requests go on when the last segment is full; undefined while there is no such place. */
  #nextSegment(last: Segment): Segment | undefined {
    try {
      const next = this.#newSegment(last.number + 1);
      this.#worked("file");
      return next;
    } catch (error) {
      this.#failed("file", error as Error);
    }
    // While the receiver takes everything, the one file is enough.
    const isOver = this.#segments.length === 1 && this.#offset === last.bytes;
    return isOver && this.#rewind(last) ? last : undefined;
  }

  /** Empties the last segment, of which all was delivered. @returns whether it could be done */
  #rewind(last: Segment): boolean {
    const offset = this.#offset;
    this.#offset = 0;
    // The position is written first: an old one would skip the requests that are written next.
    if (this.#writePosition()) {
      try {
        ftruncateSync(last.fd, 0);
        this.bytes -= last.bytes;
        last.bytes = 0;
        return true;
      } catch (error) {
        this.#failed("requests", error as Error);
      }
    }
    this.#offset = offset;
    return false;
  }

  #read(segment: Segment): PushRequest | undefined {
    try {
      const record = readRecord(segment, this.#offset);
      this.#worked("reading");
      return record;
    } catch (error) {
      this.#failed("reading", error as Error);
      return undefined;
    }
  }

  #newSegment(number: number): Segment {
    const fd = openSync(this.#path(number), constants.O_RDWR | constants.O_CREAT, 0o600);
    const segment = { number, fd, bytes: 0, items: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #dropOldest(): void {
    const { items } = this.#segments[0]!;
    // The request that is being sent is in the oldest segment.
    const sent = this.#head?.request;
    if (sent !== undefined) this.#overtaken = sent;
    this.#drop(items - (sent?.items ?? 0));
    this.#removeOldest();
  }

  #drop(items: number): void {
    this.dropped += items;
    this.items -= items;
  }

  #removeOldest(): void {
    const { fd, number, bytes } = this.#segments.shift()!;
    this.#head = undefined;
    this.#offset = 0;
    this.bytes -= bytes;
    closeAnyway(fd);
    // The position is written first: a segment before it is not sent again if it is still there after a crash.
    this.#writePosition();
    this.#unremoved.add(number);
    this.#removeLeft();
  }

  /** What cannot be removed now is removed with the next. */
  #removeLeft(): void {
    if (this.#unremoved.size === 0) return;
    try {
      for (const number of this.#unremoved) {
        // Somebody may have removed it, or all of the folder.
        rmSync(this.#path(number), { force: true });
        this.#unremoved.delete(number);
      }
      this.#worked("removal");
    } catch (error) {
      this.#failed("removal", error as Error);
    }
  }

  /** @returns whether it is written */
  #writePosition(): boolean {
    const words = Buffer.alloc(12);
    words.writeUInt32LE(this.#segments[0]!.number, 0);
    words.writeUInt32LE(this.#offset, 4);
    words.writeUInt32LE(Bun.hash.crc32(words.subarray(0, 8)), 8);
    try {
      writeSync(this.#position, words, 0, words.length, 0);
      this.#worked("position");
      return true;
    } catch (error) {
      // The file has room for the position already, so the disk is failing. At worst a request is sent twice.
      this.#failed("position", error as Error);
      return false;
    }
  }

  /** A full disk fails at every request. The error is told once, until it changes or is over. */
  #failed(what: Part, { message }: Error): void {
    const known = this.#troubles.get(what);
    if (known?.message === message) {
      known.times++;
      return;
    }
    this.#troubles.set(what, { message, times: 1 });
    const [begins] = PARTS[what];
    this.onTrouble(`cannot ${begins} ${this.folder}: ${message}`);
  }

  #worked(what: Part): void {
    const known = this.#troubles.get(what);
    if (known === undefined) return;
    this.#troubles.delete(what);
    const [, isOver] = PARTS[what];
    this.onTrouble(`${isOver} ${this.folder} again, after ${counted(known.times, "failure")}`);
  }

  #readPosition(): { segment: number; offset: number } | undefined {
    const words = Buffer.alloc(12);
    if (readSync(this.#position, words, 0, 12, 0) < 12) return undefined;
    if (Bun.hash.crc32(words.subarray(0, 8)) !== words.readUInt32LE(8)) return undefined;
    return { segment: words.readUInt32LE(0), offset: words.readUInt32LE(4) };
  }

  #path(number: number): string {
    return join(this.folder, `${String(number).padStart(8, "0")}.wal`);
  }
}

/** Closes a file. The descriptor is freed even if the disk reports an error. */
function closeAnyway(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The requests in it were counted when they were written.
  }
}

/** The record at an offset, unless it is damaged. */
function readRecord({ fd, bytes }: Segment, offset: number): PushRequest | undefined {
  const header = Buffer.alloc(HEADER_BYTES);
  if (readSync(fd, header, 0, HEADER_BYTES, offset) < HEADER_BYTES) return undefined;
  const length = header.readUInt32LE(0);
  if (offset + HEADER_BYTES + length > bytes) return undefined;
  const checked = Buffer.alloc(4 + length);
  if (readSync(fd, checked, 0, checked.length, offset + 8) < checked.length) return undefined;
  if (Bun.hash.crc32(checked) !== header.readUInt32LE(4)) return undefined;
  const body = new Uint8Array(length);
  body.set(checked.subarray(4));
  const word = header.readUInt32LE(8);
  return { body, items: word % VERSION, version: Math.floor(word / VERSION) || 1 };
}

/** Goes through a segment's whole records. */
function scan(bytes: Buffer, start: number): { end: number; items: number } {
  let at = Math.min(start, bytes.length);
  let items = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    if (Bun.hash.crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32LE(at + 4)) break;
    items += bytes.readUInt32LE(at + 8) % VERSION;
    at = end;
  }
  return { end: at, items };
}

function openOrCreate(path: string): SharedFile {
  if (!existsSync(path)) {
    try {
      return SharedFile.create(path, 0o600);
    } catch {
      // Someone else was quicker.
    }
  }
  return SharedFile.open(path, true);
}
