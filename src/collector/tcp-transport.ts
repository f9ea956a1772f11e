// Reads pools over the agent's binary read protocol (src/layout/memory/wire.ts). One request per read, answers in order,
// bytes straight into their destination.

import { parseFlatJson } from "../calling/index.ts";
import {
  allocateBuffer,
  closeFd,
  type Mapping,
  POLL,
  receive,
  send,
  socketError,
  tcpConnect,
} from "../ffi/index.ts";
import {
  encodeHello,
  encodeRange,
  encodeRequest,
  getU64,
  HELLO_REPLY_BYTES,
  MERGE_GAP_SLOTS,
  OP,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  STATUS,
  STATUS_TEXT,
  WIRE_LIMITS,
  type WirePool,
} from "../layout/index.ts";
import {
  type ByteRange,
  type Destination,
  MovedError,
  newCounters,
  type ReadFailure,
  type RemotePool,
  type Transport,
  TransportError,
} from "./transport.ts";

/** A list of pools longer than this is not believed. */
const MAX_LIST_BYTES = 1 << 20;

interface Pending {
  op: number;
  tag: number;
  /** Where the answer goes; a list gets memory of its own when its length is known. */
  into: Destination | undefined;
  expectedBytes: number;
  finish: (failure: ReadFailure, bytes?: Uint8Array) => void;
}

export class TcpTransport implements Transport {
  readonly name = "tcp";
  readonly fd: number;
  readonly #hasToken: boolean;
  poolsGeneration = 0;
  readonly mergeGapSlots = MERGE_GAP_SLOTS;
  readonly counters = newCounters();
  readonly #pending: Pending[] = [];
  readonly #head = allocateBuffer(RESPONSE_BYTES);
  readonly #headView = new DataView(this.#head.buffer);
  #headFilled = 0;
  #bodyBytes = 0;
  #bodyFilled = 0;
  #output = allocateBuffer(64 << 10);
  #outputView = new DataView(this.#output.buffer);
  #outputFilled = 0;
  #outputSent = 0;
  #connected = false;
  #greeted = false;
  #tag = 0;
  /** Of lists, as long as the longest so far. */
  #spare: Mapping | undefined;

  /**
   * Starts to connect; failures show in progress().
   * @param host numeric address: names are resolved before
   * @param token empty when the agent asks for none
   */
  constructor(host: string, port: number, token: string) {
    this.fd = tcpConnect(host, port);
    this.#hasToken = token !== "";
    this.#append(encodeHello(token));
  }

  get events(): number {
    if (!this.#connected || this.#outputSent < this.#outputFilled) return POLL.in | POLL.out;
    return POLL.in;
  }

  list(done: (pools: RemotePool[] | Error) => void): void {
    this.#start(OP.list, 0, [], undefined, 0, (failure, bytes) => {
      if (failure !== undefined) done(failure);
      else done(parseList(bytes!));
    });
  }

  read(
    pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void {
    let bytes = 0;
    for (const range of ranges) bytes += range.bytes;
    if (ranges.length > WIRE_LIMITS.rangesPerRequest || bytes > WIRE_LIMITS.bytesPerRequest) {
      this.#readInParts(pool, ranges, into, done);
      return;
    }
    this.#start(OP.read, pool.id, ranges, into, bytes, done);
  }

  progress(events: number): void {
    if (!this.#connected) {
      const error = socketError(this.fd, "cannot connect");
      if (error !== undefined) throw this.#lost(error.message);
      if ((events & POLL.out) === 0) return;
      this.#connected = true;
    }
    const wasIdle = this.#greeted && this.#pending.length === 0;
    try {
      this.#flush();
      if (!this.#greeted && !this.#receiveGreeting()) return;
      while (this.#pending.length > 0 && this.#receiveAnswer());
      if (wasIdle) this.#checkIdle();
    } catch (error) {
      if (error instanceof TransportError) throw error;
      throw this.#lost((error as Error).message);
    }
    if (this.#pending.length === 0 && (events & (POLL.hangUp | POLL.error)) !== 0) {
      throw this.#lost("the agent closed the connection");
    }
  }

  close(): void {
    closeFd(this.fd);
    this.#head.unmap();
    this.#output.unmap();
    this.#spare?.unmap();
    this.#pending.length = 0;
  }

  #start(
    op: number,
    pool: number,
    ranges: readonly ByteRange[],
    into: Destination | undefined,
    expectedBytes: number,
    finish: Pending["finish"],
  ): void {
    this.#tag = (this.#tag + 1) >>> 0;
    const tag = this.#tag;
    this.#room(REQUEST_BYTES + ranges.length * RANGE_BYTES);
    let at = encodeRequest(this.#outputView, this.#outputFilled, op, pool, ranges.length, tag);
    for (const { offset, bytes } of ranges) at = encodeRange(this.#outputView, at, offset, bytes);
    this.#outputFilled = at;
    this.#pending.push({ op, tag, into, expectedBytes, finish });
    this.counters.requests++;
    this.counters.bytes += expectedBytes;
    if (this.#connected) this.#flush();
  }

  /** A plan with more ranges or bytes than a request may have goes out as several. */
  #readInParts(
    pool: RemotePool,
    ranges: readonly ByteRange[],
    into: Destination,
    done: (failure: ReadFailure) => void,
  ): void {
    const parts: { ranges: ByteRange[]; bytes: number }[] = [];
    for (const range of ranges) {
      for (let from = 0; from < range.bytes; from += WIRE_LIMITS.bytesPerRequest) {
        const bytes = Math.min(range.bytes - from, WIRE_LIMITS.bytesPerRequest);
        const last = parts.at(-1);
        const fits =
          last !== undefined &&
          last.ranges.length < WIRE_LIMITS.rangesPerRequest &&
          last.bytes + bytes <= WIRE_LIMITS.bytesPerRequest;
        const part = fits ? last : { ranges: [], bytes: 0 };
        if (!fits) parts.push(part);
        part.ranges.push({ offset: range.offset + from, bytes });
        part.bytes += bytes;
      }
    }
    let failure: ReadFailure;
    let left = parts.length;
    let at = 0;
    for (const part of parts) {
      const target = {
        address: into.address + at,
        bytes: into.bytes.subarray(at, at + part.bytes),
      };
      at += part.bytes;
      this.#start(OP.read, pool.id, part.ranges, target, part.bytes, (each) => {
        failure ??= each;
        if (--left === 0) done(failure);
      });
    }
  }

  #receiveGreeting(): boolean {
    if (!this.#fillHead(HELLO_REPLY_BYTES)) return false;
    const status = this.#headView.getUint32(0, true);
    if (status !== STATUS.ok) throw this.#lost(this.#refusal(status));
    this.#headFilled = 0;
    this.#greeted = true;
    return true;
  }

  /** Why a greeting was not taken; what is no status comes from something else than an agent's data port. */
  #refusal(status: number): string {
    if (status === STATUS.denied && !this.#hasToken) {
      return "the data port asks for a token, and none was sent: give --token-file";
    }
    if (status === STATUS.denied) return "the data port does not know the token that it was sent";
    const text = STATUS_TEXT[status];
    if (text !== undefined) return text;
    const said = new TextDecoder().decode(this.#head.bytes(0, HELLO_REPLY_BYTES));
    const what = said.startsWith("HTTP/")
      ? "it answers in HTTP"
      : said.startsWith("SSH-")
        ? "it is a port of SSH"
        : "it speaks another protocol";
    return `it is not the data port of an agent: ${what}`;
  }

  /** When nothing was asked, the end of the connection is all that there is to read: left unread, it wakes for ever. */
  #checkIdle(): void {
    const n = receive(this.fd, this.#head.address, 0, 1);
    if (n < 0) throw this.#lost("the agent closed the connection");
    if (n > 0) throw this.#lost("an answer that was not asked for");
  }

  /** @returns false when the rest of the answer has not come yet */
  #receiveAnswer(): boolean {
    const pending = this.#pending[0]!;
    if (this.#headFilled < RESPONSE_BYTES) {
      if (!this.#fillHead(RESPONSE_BYTES)) return false;
      this.#bodyBytes = getU64(this.#headView, 8);
      this.#bodyFilled = 0;
      this.poolsGeneration = this.#headView.getUint32(16, true);
      if (this.#headView.getUint32(4, true) !== pending.tag)
        throw this.#lost("an answer out of order");
      const limit = pending.op === OP.list ? MAX_LIST_BYTES : pending.expectedBytes;
      if (this.#bodyBytes > limit) throw this.#lost(`an answer of ${this.#bodyBytes} bytes`);
    }
    const into = pending.into ?? this.#listMemory(this.#bodyBytes);
    while (this.#bodyFilled < this.#bodyBytes) {
      const n = receive(
        this.fd,
        into.address,
        this.#bodyFilled,
        this.#bodyBytes - this.#bodyFilled,
      );
      if (n < 0) throw this.#lost("the agent closed the connection");
      if (n === 0) return false;
      this.#bodyFilled += n;
    }
    const status = this.#headView.getUint32(0, true);
    this.#headFilled = 0;
    this.#pending.shift();
    this.counters.completions++;
    if (
      status === STATUS.ok &&
      pending.op === OP.read &&
      this.#bodyBytes !== pending.expectedBytes
    ) {
      throw this.#lost("an answer of another length than was asked");
    }
    pending.finish(failureOf(status), into.bytes.subarray(0, this.#bodyBytes));
    return true;
  }

  #fillHead(bytes: number): boolean {
    while (this.#headFilled < bytes) {
      const n = receive(this.fd, this.#head.address, this.#headFilled, bytes - this.#headFilled);
      if (n < 0) throw this.#lost("the agent closed the connection");
      if (n === 0) return false;
      this.#headFilled += n;
    }
    return true;
  }

  #listMemory(bytes: number): Destination {
    if (this.#spare === undefined || this.#spare.byteLength < bytes) {
      this.#spare?.unmap();
      this.#spare = allocateBuffer(bytes);
    }
    return { address: this.#spare.address, bytes: this.#spare.bytes() };
  }

  #append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#output.bytes().set(bytes, this.#outputFilled);
    this.#outputFilled += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#outputFilled + bytes <= this.#output.byteLength) return;
    const grown = allocateBuffer(Math.max(this.#output.byteLength * 2, this.#outputFilled + bytes));
    grown.bytes().set(this.#output.bytes(0, this.#outputFilled));
    this.#output.unmap();
    this.#output = grown;
    this.#outputView = new DataView(grown.buffer);
  }

  #flush(): void {
    while (this.#outputSent < this.#outputFilled) {
      const n = send(
        this.fd,
        this.#output.address,
        this.#outputSent,
        this.#outputFilled - this.#outputSent,
      );
      if (n === 0) return;
      this.#outputSent += n;
    }
    this.#outputSent = this.#outputFilled = 0;
  }

  #lost(message: string): TransportError {
    return new TransportError(message);
  }
}

function failureOf(status: number): ReadFailure {
  if (status === STATUS.ok) return undefined;
  const text = STATUS_TEXT[status] ?? `the agent answers ${status}`;
  return status === STATUS.noSuchPool || status === STATUS.outOfRange
    ? new MovedError(text)
    : new TransportError(text);
}

/** The agent's list, of which nothing is believed unseen. */
function parseList(bytes: Uint8Array): RemotePool[] | Error {
  try {
    const list = parseFlatJson(new TextDecoder().decode(bytes));
    if (!Array.isArray(list)) throw new Error();
    return list.map((pool: Partial<WirePool>) => {
      const { id, app, poolId, fileBytes } = pool;
      const numbers = [id, poolId, fileBytes].every(Number.isSafeInteger);
      if (!numbers || typeof app !== "string") throw new Error();
      return { id: id!, app, poolId: poolId!, fileBytes: fileBytes! };
    });
  } catch {
    return new TransportError("the agent's list of pools cannot be read");
  }
}
