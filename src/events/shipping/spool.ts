// Blocks on disk until a lake has taken them: appended to an open segment, one for each user and application, which is
// closed after a moment, sent, and removed when it was acknowledged. Used by the shipper, which appends, and the sender, whose backlog it is.
//
//   DIR/lock                     held by the agent whose spool it is
//   DIR/0000000001-<id>.seg …    segments (src/layout/events/block/segment.ts) in the order in which they were made
//   DIR/probe                    for a moment, to see whether a full disk has room again
//   DIR/refused/…                segments that the lake refused for good; they go first when room is needed
//
// A kill takes nothing that was written: the kernel has it. What a power failure takes is in docs/decisions/0051.

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { ForeignFileError, lockWhole, OTHERS_WRITE, openOwned, ownUids } from "../../ffi/index.ts";
import {
  BLOCK_ROWS_MAX,
  type BlockHeader,
  type BlockProcess,
  type BlockRows,
  DamageError,
  decodeBlockHeader,
  encodeSegment,
  frameHead,
  headerLeft,
  isSegmentLike,
  readSegment,
  SEGMENT_BYTES_MAX,
  SEGMENT_FRAME_HEAD_BYTES,
  SEGMENT_HEAD_BYTES,
  type SegmentFrame,
  segmentHead,
  type TimelineState,
} from "../../layout/index.ts";
import type { PushRequest } from "../../sinks/delivery/index.ts";
import { counted } from "../../text/index.ts";

/** The folder cannot be used. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
  readonly hint =
    "name another folder with --spool DIR, or let the agent's user, and nobody else, write there";
}

/**
 * Why events were lost: the spool had no room, they were too old, the file was damaged on the disk, or the lake refused
 * them.
 */
export const LOSS_CAUSES = ["size", "age", "damaged", "refused"] as const;
export type LossCause = (typeof LOSS_CAUSES)[number];

export interface SpoolOptions {
  folder: string;
  /** What all segments may take together. */
  maxBytes: number;
  /** How long a segment may wait. */
  maxAgeMs: number;
  /** Told when something cannot be written, and once when it can again. */
  onTrouble?: (message: string) => void;
  /** Told of each loss; the receiver counts and warns. */
  onLost?: (cause: LossCause, events: number) => void;
  /** Told of what a former agent has left that is not as it should be. */
  onNotice?: (message: string) => void;
}

/** A closed segment, as it is sent. */
export interface SegmentRequest extends PushRequest {
  segmentId: string;
}

/** What the spool has of a stream that was not taken yet. */
export interface SpooledStream {
  /** Words of the stream up to where its blocks go. */
  end: number;
  isFinal: boolean;
  /** The ring's time there. */
  timeline: TimelineState | undefined;
}

/** A segment that blocks are appended to. */
interface Open {
  segment: Segment;
  fd: number;
  openedMs: number;
}

interface Segment {
  number: number;
  segmentId: string;
  path: string;
  /** Of its sound part. */
  bytes: number;
  items: number;
  madeMs: number;
  /** By the monotonic clock; 0 for one that was there before this process. */
  sealedMs: number;
  isSynced: boolean;
  isRefused: boolean;
}

/** One that has so much is closed. */
const CLOSED_AT_BYTES = 1 << 20;
/** How long a segment stays open, and how long while a lake is away, so that there are fewer files. */
const OPEN_MS = 500;
const OPEN_WHILE_BEHIND_MS = 10_000;
/** The lake is behind when the oldest segment has waited for so long. */
const BEHIND_MS = 3_000;
/** Segments that are open at a time: files of this process. */
const OPEN_MAX = 64;
/** A segment that waits for so long is written through to the disk; most are gone before. */
const SYNC_AFTER_MS = 1_000;
/** A trouble is over when nothing has failed for so long. */
const QUIET_MS = 2_000;
const OWNERS = { uids: ownUids(), refusedMode: OTHERS_WRITE };
const OLD = { sealedMs: 0, isSynced: false };
/** Written and removed to see whether there is room. */
const PROBE = "probe";
const PROBE_BYTES = 64 << 10;
const NAME = /^(\d{10})-([0-9a-f]{32})\.seg$/;

export class Spool {
  /** Events and bytes that wait for the lake. */
  items = 0;
  bytes = 0;
  dropped = 0;
  readonly durable = true;
  readonly #options: SpoolOptions;
  readonly #segmentBytes: number;
  readonly #lockFd: number;
  /** Closed, in their order. */
  readonly #waiting: Segment[] = [];
  readonly #refused: Segment[] = [];
  readonly #streams = new Map<string, SpooledStream & { number: number }>();
  /**
   * By user and application. A lake takes or refuses segments as a whole: what is wrong with one application's events, or
   * what a token may not bring, is no reason to refuse others'.
   */
  readonly #open = new Map<string, Open>();
  #nextNumber = 1;
  #head: { request: SegmentRequest; segment: Segment } | undefined;
  /** It had to go while it was being sent. Whether it is lost is known when it has been sent. */
  #overtaken: SegmentRequest | undefined;
  #trouble: { message: string; times: number; lastMs: number } | undefined;

  /** @throws SpoolError when another agent has the folder, or it cannot be used */
  constructor(options: SpoolOptions) {
    this.#options = options;
    const { folder, maxBytes } = options;
    // What is dropped at a time should be a small part of it.
    this.#segmentBytes = Math.min(CLOSED_AT_BYTES, maxBytes / 8);
    try {
      const refused = join(folder, "refused");
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      // The operator may have put a link there; nobody else within.
      checkFolder(folder, statSync(folder));
      mkdirSync(refused, { recursive: true, mode: 0o700 });
      checkFolder(refused, lstatSync(refused));
      this.#lockFd = openLock(join(folder, "lock"));
    } catch (error) {
      if (error instanceof SpoolError) throw error;
      throw new SpoolError(`cannot use ${folder}: ${(error as Error).message}`);
    }
    try {
      if (!lockWhole(this.#lockFd)) {
        const pid = pidIn(this.#lockFd);
        throw new SpoolError(
          `another agent${pid === "" ? "" : `, process ${pid},`} has the spool ${folder}`,
        );
      }
      tellPid(this.#lockFd);
      this.#recover();
    } catch (error) {
      closeSync(this.#lockFd);
      if (error instanceof SpoolError) throw error;
      throw new SpoolError(`cannot use ${folder}: ${(error as Error).message}`);
    }
  }

  /** What cannot be written now, for people; undefined while all is well. */
  get trouble(): string | undefined {
    return this.#trouble?.message;
  }

  /** Segments that wait, the open one included. */
  get segments(): number {
    return this.#waiting.length + this.#open.size;
  }

  /** When the oldest segment was begun, Unix time; undefined when none waits. */
  get oldestMs(): number | undefined {
    const [open] = this.#open.values();
    return (this.#waiting[0] ?? open?.segment)?.madeMs;
  }

  /** What it has of a stream; undefined when all of it was taken, or is lost. */
  stream(process: Owner, streamId: string): SpooledStream | undefined {
    return this.#streams.get(keyOf(process, streamId));
  }

  /**
   * Adds a block. When it returns true the block outlives this process.
   * @returns false when it cannot be written, which is told
   */
  append(
    block: Uint8Array,
    { rows, stream, process, end, isFinal, timeline }: Appended,
    nowMs = Date.now(),
  ): boolean {
    const size = SEGMENT_FRAME_HEAD_BYTES + block.length;
    const owner = `${process.user}/${process.app}`;
    const open = this.#open.get(owner);
    if (open !== undefined && open.segment.bytes + size > this.#segmentBytes)
      this.#seal(owner, open);
    this.#makeRoom(size + SEGMENT_HEAD_BYTES);
    try {
      const { segment, fd } = this.#open.get(owner) ?? this.#begin(owner, nowMs);
      const frame = Buffer.concat([frameHead(block), block]);
      writeWhole(fd, frame, segment.bytes);
      segment.bytes += size;
      this.bytes += size;
      this.#worked();
      const items = itemsOf(rows);
      segment.items += items;
      this.items += items;
      const key = keyOf(process, stream.streamId);
      this.#streams.set(key, { end, isFinal, timeline, number: segment.number });
      return true;
    } catch (error) {
      this.#failed(error as Error);
      this.#cutOff(owner);
      return false;
    }
  }

  /** Closes the open segments: they can be sent. @returns whether there were some */
  seal(): boolean {
    let isAny = false;
    for (const [owner, open] of this.#open) if (this.#seal(owner, open)) isAny = true;
    return isAny;
  }

  /** @returns false for one that has nothing in it */
  #seal(owner: string, { segment, fd }: Open): boolean {
    this.#open.delete(owner);
    closeAnyway(fd);
    // Its first block could not be written.
    if (segment.bytes <= SEGMENT_HEAD_BYTES) {
      this.bytes -= segment.bytes;
      rmSync(segment.path, { force: true });
      return false;
    }
    segment.sealedMs = performance.now();
    this.#waiting.push(segment);
    return true;
  }

  /** Closes what was open for long enough, drops what is too old. @returns whether there is more to send */
  tick(nowMs = Date.now()): boolean {
    for (const list of [this.#refused, this.#waiting]) {
      for (let oldest = list[0]; oldest !== undefined; oldest = list[0]) {
        // A clock that was set back makes nothing old.
        if (nowMs - oldest.madeMs <= this.#options.maxAgeMs) break;
        this.#drop(list, "age");
      }
    }
    for (const segment of this.#waiting) {
      if (segment.isSynced) continue;
      if (nowMs - segment.madeMs < SYNC_AFTER_MS) break;
      segment.isSynced = true;
      sync(segment.path);
    }
    this.#tryAgain();
    const openMs = this.#isBehind ? OPEN_WHILE_BEHIND_MS : OPEN_MS;
    let isAny = false;
    for (const [owner, open] of this.#open) {
      if (performance.now() - open.openedMs >= openMs && this.#seal(owner, open)) isAny = true;
    }
    return isAny;
  }

  /** All that was recorded so far was appended: there is nothing to wait for. @returns whether there is more to send */
  flushed(): boolean {
    return !this.#isBehind && this.seal();
  }

  get #isBehind(): boolean {
    const oldest = this.#waiting[0];
    return oldest !== undefined && performance.now() - oldest.sealedMs > BEHIND_MS;
  }

  peek(): SegmentRequest | undefined {
    if (this.#head !== undefined) return this.#head.request;
    if (this.#overtaken !== undefined) this.#lose("size", this.#overtaken.items);
    this.#overtaken = undefined;
    for (;;) {
      const segment = this.#waiting[0];
      if (segment === undefined) return undefined;
      let body: Uint8Array<ArrayBuffer> | undefined;
      try {
        body = readWhole(segment);
      } catch (error) {
        // It may be read later: this process may have too many files, or the disk a bad moment.
        this.#failed(error as Error);
        return undefined;
      }
      if (body === undefined) {
        this.#drop(this.#waiting, "damaged");
        continue;
      }
      const request = { body, items: segment.items, segmentId: segment.segmentId };
      this.#head = { request, segment };
      return request;
    }
  }

  /** A segment was taken, or refused. */
  shift(request: PushRequest): void {
    if (request === this.#overtaken) {
      this.#overtaken = undefined;
      this.items -= request.items;
      return;
    }
    const head = this.#head;
    if (head === undefined || head.request !== request) return;
    this.#head = undefined;
    this.#waiting.shift();
    this.items -= request.items;
    this.#leaves(head.segment);
    if (!head.segment.isRefused) this.#remove(head.segment);
  }

  /** Segments that were refused since this agent has begun, and are still there. */
  get aside(): number {
    return this.#refused.filter(({ path, items }) => items > 0 && existsSync(path)).length;
  }

  /** The lake does not want it: it is kept aside for people until its room is needed. Called before it is shifted. */
  refuse(request: SegmentRequest): void {
    const { onLost, folder } = this.#options;
    onLost?.("refused", request.items);
    const head = this.#head;
    if (head === undefined || head.request !== request) return;
    const { segment } = head;
    const path = join(folder, "refused", nameOf(segment.number, segment.segmentId));
    try {
      renameSync(segment.path, path);
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    segment.path = path;
    segment.isRefused = true;
    this.#refused.push(segment);
  }

  close(): void {
    this.seal();
    closeAnyway(this.#lockFd);
  }

  #recover(): void {
    const { folder } = this.#options;
    this.#refused.push(...this.#found(join(folder, "refused"), true));
    this.#waiting.push(...this.#found(folder, false));
    const numbers = [...this.#refused, ...this.#waiting].map(({ number }) => number);
    this.#nextNumber = numbers.reduce((most, each) => Math.max(most, each), 0) + 1;
  }

  #found(folder: string, isRefused: boolean): Segment[] {
    const segments: Segment[] = [];
    const names = readdirSync(folder).filter((name) => NAME.test(name));
    names.sort();
    const found = names.flatMap((name) => {
      const is = this.#whatIs(join(folder, name));
      return is === undefined ? [] : [{ name, ...is }];
    });
    const newest = found.reduce((last, each) => Math.max(last, each.madeMs), 0);
    const last = found.findLast(({ madeMs }) => madeMs === newest)?.name;
    for (const { name, size, madeMs } of found) {
      const [, digits, segmentId] = NAME.exec(name)!;
      const path = join(folder, name);
      const number = Number(digits);
      const segment = { number, segmentId: segmentId!, path, madeMs, ...OLD, isRefused };
      if (isRefused) {
        segments.push({ ...segment, bytes: size, items: 0 });
        this.bytes += size;
        continue;
      }
      const { bytes, items } = this.#scan(path, number, name === last);
      if (bytes <= SEGMENT_HEAD_BYTES) {
        rmSync(path);
        continue;
      }
      segments.push({ ...segment, bytes, items });
      this.bytes += bytes;
      this.items += items;
    }
    return segments;
  }

  /** Undefined for what is no segment of this agent's, which is left alone. */
  #whatIs(path: string): { size: number; madeMs: number } | undefined {
    try {
      const file = openSegment(path);
      const { size, mtimeMs: madeMs } = fstatSync(file.fd);
      file.close();
      return { size, madeMs };
    } catch (error) {
      if (!(error instanceof ForeignFileError)) throw error;
      this.#options.onNotice?.(error.message);
      return undefined;
    }
  }

  /**
   * Goes through a segment's sound blocks. What is damaged is taken out, and is lost.
   * @param isLast no other one was written to after it
   */
  #scan(path: string, number: number, isLast: boolean): { bytes: number; items: number } {
    const all = readSegmentFile(path);
    // Its agent was killed before there was anything in it.
    if (all.length < SEGMENT_HEAD_BYTES) return { bytes: 0, items: 0 };
    const { frames, damaged, isTorn, soundBytes } = readSegment(all, true);
    if (soundBytes === 0 && isSegmentLike(all)) {
      this.#options.onNotice?.(`${path} is a segment of another version; the lake is sent it`);
      return { bytes: all.length, items: 1 };
    }
    let items = 0;
    let unknown: string | undefined;
    for (const { block } of frames) {
      try {
        const { rows, stream, process, end, isFinal, timeline } = decodeBlockHeader(block);
        items += itemsOf(rows);
        const key = keyOf(process, stream.streamId);
        this.#streams.set(key, { end, isFinal, timeline, number });
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        // It is as it was written, perhaps by a newer agent: whether it can be used is for the lake to say.
        unknown ??= error.message;
        items++;
      }
    }
    if (unknown !== undefined)
      this.#options.onNotice?.(
        `${path} has blocks that this agent cannot read (${unknown}); the lake is sent them`,
      );
    if (damaged.length === 0) return { bytes: all.length, items };
    // The block that was being written when the agent was killed is in its ring, and is made again.
    const isMadeAgain = isTorn && isLast;
    for (const part of isMadeAgain ? damaged.slice(0, -1) : damaged) this.#lost(part);
    if (frames.length === 0) return { bytes: 0, items };
    return { bytes: rewrite(path, all, frames), items };
  }

  /** What cannot be read any more had events; how many is known where its header is left. */
  #lost(part: Uint8Array): void {
    // A file that was begun, and one that was made longer, have nothing.
    if (part.every((byte) => byte === 0)) return;
    const events = itemsLeft(part.subarray(SEGMENT_FRAME_HEAD_BYTES));
    this.dropped += events;
    this.#options.onLost?.("damaged", events);
  }

  #begin(owner: string, nowMs: number): Open {
    const [oldest] = this.#open;
    if (this.#open.size >= OPEN_MAX && oldest !== undefined) this.#seal(...oldest);
    const number = this.#nextNumber;
    const segmentId = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
    const path = join(this.#options.folder, nameOf(number, segmentId));
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      writeWhole(fd, segmentHead(), 0);
    } catch (error) {
      closeAnyway(fd);
      rmSync(path, { force: true });
      throw error;
    }
    this.#nextNumber++;
    this.bytes += SEGMENT_HEAD_BYTES;
    const segment: Segment = {
      ...{ number, segmentId, path, bytes: SEGMENT_HEAD_BYTES, items: 0, madeMs: nowMs },
      sealedMs: 0,
      isSynced: false,
      isRefused: false,
    };
    const open = { segment, fd, openedMs: performance.now() };
    this.#open.set(owner, open);
    return open;
  }

  /** A block was written in part. */
  #cutOff(owner: string): void {
    const open = this.#open.get(owner);
    if (open === undefined) return;
    try {
      ftruncateSync(open.fd, open.segment.bytes);
    } catch {
      // The next block is written over it, and readers of the file go by what is sound.
    }
  }

  #makeRoom(size: number): void {
    while (this.bytes + size > this.#options.maxBytes) {
      if (this.#refused.length > 0) this.#drop(this.#refused, "size");
      else if (this.#waiting.length > 0) this.#drop(this.#waiting, "size");
      else if (this.#open.size > 1) this.#seal(...[...this.#open][0]!);
      else return;
    }
  }

  /** Drops the oldest of a list. Those that were refused are counted already. */
  #drop(list: Segment[], cause: LossCause): void {
    const segment = list.shift()!;
    if (!segment.isRefused) {
      this.#leaves(segment);
      if (segment === this.#head?.segment) {
        this.#overtaken = this.#head.request;
        this.#head = undefined;
      } else this.#lose(cause, segment.items);
    }
    this.#remove(segment);
  }

  #lose(cause: LossCause, items: number): void {
    this.items -= items;
    this.dropped += items;
    this.#options.onLost?.(cause, items);
  }

  /** What it alone has of streams is not here any more. */
  #leaves({ number }: Segment): void {
    for (const [key, stream] of this.#streams) {
      if (stream.number === number) this.#streams.delete(key);
    }
  }

  #remove({ path, bytes }: Segment): void {
    this.bytes -= bytes;
    try {
      rmSync(path, { force: true });
    } catch (error) {
      // It is sent again by the next agent, and the lake has it already.
      this.#failed(error as Error);
    }
  }

  /** A full disk fails at every block. It is told once, until it changes or is over. */
  #failed({ message }: Error): void {
    if (this.#trouble?.message === message) {
      this.#trouble.times++;
      this.#trouble.lastMs = performance.now();
      return;
    }
    this.#trouble = { message, times: 1, lastMs: performance.now() };
    this.#options.onTrouble?.(`the spool ${this.#options.folder} cannot be used: ${message}`);
  }

  /** Where nothing is recorded meanwhile nobody else finds out that there is room again. */
  #tryAgain(): void {
    if (this.#trouble === undefined || performance.now() - this.#trouble.lastMs < QUIET_MS) return;
    const path = join(this.#options.folder, PROBE);
    try {
      const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
      const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
      try {
        writeWhole(fd, new Uint8Array(PROBE_BYTES), 0);
      } finally {
        closeSync(fd);
      }
      this.#worked();
    } catch (error) {
      this.#failed(error as Error);
    } finally {
      removeAnyway(path);
    }
  }

  #worked(): void {
    const trouble = this.#trouble;
    // On a disk that is nearly full some blocks find room and others do not.
    if (trouble === undefined || performance.now() - trouble.lastMs < QUIET_MS) return;
    this.#trouble = undefined;
    const { folder, onTrouble } = this.#options;
    onTrouble?.(
      `the spool ${folder} can be used again, after ${counted(trouble.times, "failure")}`,
    );
  }
}

type Appended = Pick<BlockHeader, "rows" | "stream" | "process" | "end" | "isFinal" | "timeline">;

/** Whose a stream is. Its id is what its owner has written into the ring, who may have read it off another one. */
type Owner = Pick<BlockProcess, "user" | "app">;

function keyOf({ user, app }: Owner, streamId: string): string {
  return `${user}/${app}/${streamId}`;
}

/** An event is a row of a block; the end of a span that began earlier is none of its own. */
export function itemsOf({ logs, measures, spans, opens }: BlockRows): number {
  return logs + measures + spans + opens;
}

/** What lies there is sent with this agent's token: nobody else may put something there. @throws SpoolError */
function checkFolder(path: string, found: Stats): void {
  const uids = OWNERS.uids.join(" and ");
  if (!found.isDirectory()) throw new SpoolError(`${path} is no folder`);
  if (!OWNERS.uids.includes(found.uid))
    throw new SpoolError(`${path} is of user ${found.uid}, and a spool has to be of ${uids}`);
  if ((found.mode & OTHERS_WRITE) !== 0)
    throw new SpoolError(`${path} is no place for a spool: every user may write there`);
}

/** A plain file of this user's, whatever somebody has put there; nobody is waited for. @throws ForeignFileError */
function openSegment(path: string) {
  const file = openOwned(path, false, OWNERS);
  const { bytes } = file.stat();
  if (bytes <= SEGMENT_BYTES_MAX) return file;
  file.close();
  throw new ForeignFileError(
    path,
    `it has ${bytes} bytes, and a segment at most ${SEGMENT_BYTES_MAX}`,
  );
}

/** @throws ForeignFileError */
function readSegmentFile(path: string): Buffer {
  const file = openSegment(path);
  try {
    const all = Buffer.alloc(file.stat().bytes);
    let at = 0;
    for (let count = -1; at < all.length && count !== 0; at += count) {
      count = readSync(file.fd, all, at, all.length - at, at);
    }
    return all.subarray(0, at);
  } finally {
    file.close();
  }
}

function openLock(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  const found = fstatSync(fd);
  if (found.isFile() && OWNERS.uids.includes(found.uid)) return fd;
  closeSync(fd);
  throw new SpoolError(`${path} is no plain file of this user`);
}

function removeAnyway(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The next one writes over it.
  }
}

/** The lock holds without it: a disk may be full. */
function tellPid(fd: number): void {
  try {
    ftruncateSync(fd);
    writeWhole(fd, Buffer.from(`${process.pid}\n`), 0);
  } catch {
    // Then nobody is named.
  }
}

/** Who has the lock, as far as he has said it: for people. */
function pidIn(fd: number): string {
  const bytes = Buffer.alloc(16);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  return /^\d+/.exec(bytes.toString("latin1", 0, length))?.[0] ?? "";
}

function nameOf(number: number, segmentId: string): string {
  return `${String(number).padStart(10, "0")}-${segmentId}.seg`;
}

function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}

/** Undefined for one that somebody has removed or cut. */
function readWhole({ path, bytes }: Segment): Uint8Array<ArrayBuffer> | undefined {
  let all: Uint8Array;
  try {
    all = readSegmentFile(path);
  } catch (error) {
    if (error instanceof ForeignFileError) return undefined;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return all.length < bytes ? undefined : new Uint8Array(all.subarray(0, bytes));
}

/** Leaves the sound blocks of a segment. @returns its bytes then */
function rewrite(path: string, all: Uint8Array, frames: readonly SegmentFrame[]): number {
  const sound = encodeSegment(frames.map(({ block }) => block));
  const isBeginning = sound.every((byte, at) => byte === all[at]);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    // Killed meanwhile, it is damaged in another place, and a block of it is lost too. That takes two faults at once.
    if (!isBeginning) writeWhole(fd, sound, 0);
    ftruncateSync(fd, sound.length);
  } finally {
    closeSync(fd);
  }
  return sound.length;
}

/** How many events a damaged block had, at a guess: one where nobody can say. */
function itemsLeft(block: Uint8Array): number {
  try {
    return Math.min(Math.max(1, itemsOf(headerLeft(block).rows)), BLOCK_ROWS_MAX);
  } catch {
    return 1;
  }
}

/** In the background: a disk may take its time. */
function sync(path: string): void {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return;
  }
  fdatasync(fd, () => closeAnyway(fd));
}

function closeAnyway(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // What was in it was written before.
  }
}
