// Serves the binary read protocol (src/layout/memory/wire.ts): ranges of pools go out of mapped memory by scatter-gather sends.
// Runs in a thread of its own, on poll and non-blocking sockets; what comes in is hostile and is checked before use.

import { timingSafeEqual } from "node:crypto";
import {
  accept,
  allocateBuffer,
  closeFd,
  Gathered,
  localPort,
  type Mapping,
  monotonicNs,
  POLL,
  type Poll,
  receive,
  SystemError,
  tcpListen,
} from "../../ffi/index.ts";
import { callerOf, type Grant, type KnownToken, NOBODY } from "../../guard/index.ts";
import {
  decodeHeader,
  decodeState,
  directoryHalf,
  getU64,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  HELLO_BYTES,
  HELLO_REPLY_BYTES,
  isReadableWire,
  OP,
  PAGE_BYTES,
  type PoolHeader,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  STATUS,
  setU64,
  WIRE_LIMITS,
  WIRE_MAGIC,
  WIRE_VERSION,
  type WirePool,
} from "../../layout/index.ts";
import { DataCallers, type DataCallersOptions, type Held, type Peer } from "./data-callers.ts";
import {
  DATA_COUNTERS,
  type DataListenOptions,
  PREFACE_BYTES,
  SECRET_BYTES,
  type ServedPool,
} from "./data-protocol.ts";
import { type Listing, Listings } from "./listings.ts";

/** A connection that has not said hello by then is closed, so that silent ones do not use up the limit. */
const HELLO_TIMEOUT_NS = 10e9;

/** How long no connection is accepted when the system has no room for one. */
const ACCEPT_PAUSE_NS = 50e6;

/** What a connection gets before the others have their turn. */
const REQUESTS_PER_TURN = 16;
const BYTES_PER_TURN_MIN = 256 << 10;
/** Shared by all that are ready in a round, if that is more: a single connection is not slowed down. */
const BYTES_PER_ROUND = 8 << 20;
/** Connections that are accepted before those that stand have their turn. */
const ACCEPTED_PER_TURN = 64;

const INPUT_BYTES = REQUEST_BYTES + WIRE_LIMITS.rangesPerRequest * RANGE_BYTES + 64;

interface Served extends ServedPool {
  header: PoolHeader;
  live: Uint8Array;
}

/** What of a pool may be read: its header, the directory as far as it is written, the pages that were handed out. */
interface Readable {
  /** Of the pool's first byte. */
  address: number;
  directory: number;
  directoryEnd: number;
  pages: number;
  pagesEnd: number;
}

interface DataPlaneOptions extends DataCallersOptions, DataListenOptions {
  /** Only a tunnel that knows it may connect; it then says whose stream it carries. */
  secret?: Uint8Array;
}

export class DataPlane {
  readonly port: number;
  readonly counters: Float64Array;
  readonly #pools = new Map<number, Served>();
  readonly #connections = new Map<number, Connection>();
  /** Those that have not said who they are, the oldest first. */
  readonly #silent = new Set<Connection>();
  readonly #listenFd: number;
  /** When connections are accepted again after there was no room for one; −1 when they are. */
  #acceptsAgainNs = -1;
  readonly callers: DataCallers<Connection>;
  readonly secret: Uint8Array | undefined;
  readonly #listings = new Listings((grant) => this.#poolsOf(grant));

  /** @throws SystemError when the address cannot be listened on */
  constructor(
    readonly poll: Poll,
    options: DataPlaneOptions,
  ) {
    this.counters = options.counters;
    this.secret = options.secret;
    this.callers = new DataCallers(options, this.#connections);
    this.#listenFd = tcpListen(options.host, options.port);
    this.port = localPort(this.#listenFd);
    poll.add(this.#listenFd, POLL.in);
  }

  /** @param memory the header in the pool's mapping, seen from this thread */
  add(pool: ServedPool, memory: Mapping): void {
    this.#pools.set(pool.id, {
      ...pool,
      header: decodeHeader(memory.bytes(0, HEADER_BYTES_USED), pool.fileBytes),
      live: memory.bytes(HEADER_LIVE_OFFSET, HEADER_LIVE_BYTES),
    });
    this.#announce(pool.app);
  }

  /** Stops serving a pool. Connections that still send from it are closed, so that its memory can go. */
  drop(id: number): void {
    const pool = this.#pools.get(id);
    if (pool === undefined) return;
    this.#pools.delete(id);
    this.#announce(pool.app);
    for (const connection of [...this.#connections.values()]) {
      if (connection.isSending) this.#close(connection);
    }
  }

  /** Handles a descriptor that poll found ready, with so many in all. */
  ready(fd: number, events: number, count = 1): void {
    if (fd === this.#listenFd) {
      this.#acceptAll();
      return;
    }
    const connection = this.#connections.get(fd);
    if (connection === undefined) return;
    try {
      const maxBytes = Math.max(BYTES_PER_TURN_MIN, Math.floor(BYTES_PER_ROUND / count));
      if (!connection.serve(events, maxBytes)) this.#close(connection);
      else if (connection.grant !== NOBODY) this.#silent.delete(connection);
    } catch (error) {
      // A peer that vanished is no news; anything else ends its connection too, and nothing more.
      if (!(error instanceof SystemError)) this.counters[DATA_COUNTERS.malformed]!++;
      this.#close(connection);
    }
  }

  /** Takes other tokens, and closes connections whose own is gone, grants something else or has expired. */
  renewTokens(known: readonly KnownToken[]): void {
    this.callers.renewTokens(known);
    this.#listings.expire();
    for (const connection of [...this.#connections.values()]) {
      if (!this.callers.holds(connection.grant)) this.#close(connection);
    }
  }

  close(): void {
    for (const connection of [...this.#connections.values()]) this.#close(connection);
    this.poll.remove(this.#listenFd);
    closeFd(this.#listenFd);
  }

  /** When {@link expire} is to be called next, on the monotonic clock; −1 when there is nothing to wait for. */
  get nextTimeoutNs(): number {
    if (this.#acceptsAgainNs >= 0) return this.#acceptsAgainNs;
    for (const { openedNs } of this.#silent) return openedNs + HELLO_TIMEOUT_NS;
    return -1;
  }

  /** Closes connections that have not said who they are in time, and accepts again after a pause. */
  expire(nowNs: number): void {
    if (this.#acceptsAgainNs >= 0 && nowNs >= this.#acceptsAgainNs) {
      this.#acceptsAgainNs = -1;
      this.poll.want(this.#listenFd, POLL.in);
    }
    for (const connection of this.#silent) {
      if (nowNs - connection.openedNs < HELLO_TIMEOUT_NS) return;
      this.counters[DATA_COUNTERS.malformed]!++;
      this.#close(connection);
    }
  }

  /** The pools that exist for a grant, as they are sent. */
  list(grant: Grant): Listing {
    return this.#listings.of(grant);
  }

  /** Admits a connection that has said hello, and closes others for it if need be. @returns the status to answer */
  letIn(newcomer: Connection, grant: Grant): number {
    const leaving = this.callers.makeRoom(newcomer, grant, monotonicNs());
    if (typeof leaving === "number") return leaving;
    for (const connection of leaving) this.#close(connection);
    return STATUS.ok;
  }

  #poolsOf(grant: Grant): WirePool[] {
    return [...this.#pools.values()]
      .filter(({ app }) => grant.allows(app))
      .map(({ id, app, poolId, fileBytes }) => ({ id, app, poolId, fileBytes }));
  }

  /** What of a pool may be read now, or undefined when there is no such pool for a grant. */
  readable(poolId: number, grant: Grant): Readable | undefined {
    const pool = this.#pools.get(poolId);
    if (pool === undefined || !grant.allows(pool.app)) return undefined;
    const { address, header } = pool;
    const state = decodeState(pool.live, header);
    const half = directoryHalf(header, state.epoch);
    return {
      address,
      directory: half,
      directoryEnd: half + state.directoryBytes,
      pages: header.pagesOffset,
      pagesEnd: header.pagesOffset + state.pagesHighWater * PAGE_BYTES,
    };
  }

  /** Has those who may see an application told that its pool has come or gone. */
  #announce(app: string): void {
    this.#listings.expire();
    for (const connection of this.#connections.values()) {
      if (connection.grant.allows(app)) connection.poolsGeneration++;
    }
  }

  #acceptAll(): void {
    try {
      for (let i = 0; i < ACCEPTED_PER_TURN; i++) {
        const fd = accept(this.#listenFd);
        if (fd < 0) return;
        this.#admit(fd);
      }
    } catch {
      // Descriptors or memory are short, or a peer left while it waited. Those who stand are served on, whatever it is;
      // asking again at once would be asking without end.
      this.counters[DATA_COUNTERS.refused]!++;
      this.poll.want(this.#listenFd, 0);
      this.#acceptsAgainNs = monotonicNs() + ACCEPT_PAUSE_NS;
    }
  }

  #admit(fd: number): void {
    let connection: Connection;
    try {
      const peer = this.callers.callerAt(fd);
      if (peer === undefined) return closeFd(fd);
      const isTunnel = this.secret !== undefined;
      // Whose stream a tunnel carries is known by what it says first.
      const obstacle = isTunnel ? undefined : this.callers.obstacle(peer);
      if (obstacle !== undefined) return Connection.refuse(fd, obstacle);
      connection = new Connection(this, fd, isTunnel ? { ...peer, origin: "" } : peer);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    this.counters[DATA_COUNTERS.accepted]!++;
    this.#connections.set(fd, connection);
    this.#silent.add(connection);
    this.counters[DATA_COUNTERS.connections] = this.#connections.size;
    this.poll.add(fd, POLL.in);
    if (this.secret === undefined) this.makeGreetingRoom(connection);
  }

  /** Those who have not said who they are are limited in number: the oldest goes. */
  makeGreetingRoom(newcomer: Connection): void {
    const one = this.callers.tooManyGreeting(newcomer);
    if (one === undefined) return;
    one.say(STATUS.busy);
    this.#close(one);
  }

  #close(connection: Connection): void {
    this.poll.remove(connection.fd);
    this.#connections.delete(connection.fd);
    this.#silent.delete(connection);
    this.counters[DATA_COUNTERS.connections] = this.#connections.size;
    connection.close();
  }
}

/** One collector's connection: hello, then requests answered in their order. */
class Connection implements Held {
  address: string;
  port: number;
  origin: string;
  readonly #input = allocateBuffer(INPUT_BYTES);
  readonly #bytes = this.#input.bytes();
  readonly #view = new DataView(this.#input.buffer);
  /** Of the input: where what was not answered yet begins, and where it ends. */
  #at = 0;
  #filled = 0;
  readonly #head = allocateBuffer(RESPONSE_BYTES);
  readonly #headView = new DataView(this.#head.buffer);
  readonly #output = new Gathered(WIRE_LIMITS.rangesPerRequest + 1);
  /** What the output is of, if it is of a list. */
  #list: Listing | undefined;
  #prefaced: boolean;
  #greeted = false;
  grant = NOBODY;
  /** Raised whenever a pool that it may see comes or goes; every response carries it. */
  poolsGeneration = 1;
  #ending = false;
  #waitsToSend = false;
  readonly openedNs = monotonicNs();
  activeNs = this.openedNs;

  constructor(
    readonly plane: DataPlane,
    readonly fd: number,
    { address, port, origin }: Peer,
  ) {
    this.address = address;
    this.port = port;
    this.origin = origin;
    this.#prefaced = plane.secret === undefined;
  }

  /** Says why there is no room and hangs up. */
  static refuse(fd: number, status: number): void {
    const reply = allocateBuffer(HELLO_REPLY_BYTES);
    new DataView(reply.buffer).setUint32(0, status, true);
    const output = new Gathered(1);
    output.add(reply.address, HELLO_REPLY_BYTES);
    try {
      output.flush(fd);
    } catch {
      // It has gone already.
    }
    output.close();
    reply.unmap();
    closeFd(fd);
  }

  get isSending(): boolean {
    return !this.#output.empty;
  }

  /** Moves on as far as the socket allows. @returns false when the connection has ended */
  serve(events: number, maxBytes: number): boolean {
    if ((events & (POLL.in | POLL.hangUp | POLL.error)) !== 0 && this.#filled < INPUT_BYTES) {
      const n = receive(this.fd, this.#input.address, this.#filled, INPUT_BYTES - this.#filled);
      if (n < 0) return false;
      this.#filled += n;
    }
    let leftBytes = maxBytes - this.#flush(maxBytes);
    let hasMore = true;
    for (let i = 0; i < REQUESTS_PER_TURN && leftBytes > 0; i++) {
      if (!this.#output.empty || this.#ending) break;
      const used = this.#next();
      hasMore = used > 0;
      if (!hasMore) break;
      this.#at += used;
      leftBytes -= this.#flush(leftBytes);
    }
    this.#bytes.copyWithin(0, this.#at, this.#filled);
    this.#filled -= this.#at;
    this.#at = 0;
    // While an answer waits for the peer, its further requests wait too. What it may have done at once and has not,
    // for it is others' turn, comes as soon as the socket takes something.
    this.#wantsToSend(!this.#output.empty || (hasMore && this.#filled > 0));
    return !(this.#ending && this.#output.empty);
  }

  /** Says a status instead of a greeting, if the socket takes it. */
  say(status: number): void {
    this.#greet(status, 0);
    try {
      this.#output.flush(this.fd);
    } catch {
      // It has gone already.
    }
  }

  close(): void {
    closeFd(this.fd);
    this.#input.unmap();
    this.#head.unmap();
    this.#list?.release();
    this.#output.close();
  }

  /** @returns bytes of the input that were used; 0 when more must come first */
  #next(): number {
    if (!this.#prefaced) return this.#preface();
    return this.#greeted ? this.#request() : this.#hello();
  }

  get #leftBytes(): number {
    return this.#filled - this.#at;
  }

  /** The address whose stream the tunnel carries. */
  #preface(): number {
    const { secret, callers } = this.plane;
    if (this.#leftBytes < PREFACE_BYTES) return 0;
    const end = PREFACE_BYTES + this.#view.getUint16(this.#at + SECRET_BYTES + 2, true);
    const said = this.#bytes.subarray(this.#at, this.#at + SECRET_BYTES);
    if (!timingSafeEqual(said, secret!)) throw new Error("it is not the tunnel");
    if (this.#leftBytes < end) return 0;
    const address = this.#bytes.subarray(this.#at + PREFACE_BYTES, this.#at + end);
    this.address = new TextDecoder().decode(address);
    this.port = this.#view.getUint16(this.#at + SECRET_BYTES, true);
    this.origin = callerOf(this.address);
    this.#prefaced = true;
    const obstacle = callers.obstacle(this);
    if (obstacle !== undefined) return this.#greet(obstacle, end);
    this.plane.makeGreetingRoom(this);
    return end;
  }

  /** @returns bytes of the input that were used; 0 when more must come first */
  #hello(): number {
    if (this.#leftBytes < HELLO_BYTES) return 0;
    const view = this.#view;
    const at = this.#at;
    const tokenBytes = view.getUint32(at + 8, true);
    const version = view.getUint32(at + 4, true);
    const known = view.getUint32(at, true) === WIRE_MAGIC && isReadableWire(version);
    if (!known || tokenBytes > WIRE_LIMITS.tokenBytes) {
      this.plane.counters[DATA_COUNTERS.malformed]!++;
      return this.#greet(STATUS.malformed, this.#leftBytes);
    }
    const end = HELLO_BYTES + tokenBytes;
    if (this.#leftBytes < end) return 0;
    const token = this.#bytes.subarray(at + HELLO_BYTES, at + end);
    const grant = this.plane.callers.identify(token, this);
    if (typeof grant === "number") return this.#greet(grant, end);
    const status = this.plane.letIn(this, grant);
    if (status === STATUS.ok) this.grant = grant;
    return this.#greet(status, end);
  }

  #greet(status: number, used: number): number {
    this.#headView.setUint32(0, status, true);
    this.#headView.setUint32(4, WIRE_VERSION, true);
    this.#output.add(this.#head.address, HELLO_REPLY_BYTES);
    this.#greeted = true;
    this.#ending = status !== STATUS.ok;
    return used;
  }

  #request(): number {
    if (this.#leftBytes < REQUEST_BYTES) return 0;
    const view = this.#view;
    const at = this.#at;
    const op = view.getUint32(at, true);
    const pool = view.getUint32(at + 4, true);
    const ranges = view.getUint32(at + 8, true);
    const tag = view.getUint32(at + 12, true);
    if (ranges > WIRE_LIMITS.rangesPerRequest || (op !== OP.read && op !== OP.list)) {
      this.plane.counters[DATA_COUNTERS.malformed]!++;
      this.#respond(STATUS.malformed, tag, 0);
      this.#ending = true;
      return this.#leftBytes;
    }
    const used = REQUEST_BYTES + ranges * RANGE_BYTES;
    if (this.#leftBytes < used) return 0;
    this.plane.counters[DATA_COUNTERS.requests]!++;
    if (op === OP.list) this.#sendList(tag);
    else this.#sendRanges(pool, ranges, tag);
    return used;
  }

  #sendList(tag: number): void {
    const { memory, lengthBytes } = this.#hold(this.plane.list(this.grant));
    this.#respond(STATUS.ok, tag, lengthBytes);
    this.#output.add(memory.address, lengthBytes);
  }

  /** Keeps a list for as long as it goes out. */
  #hold(list: Listing): Listing {
    this.#list?.release();
    this.#list = list.take();
    return list;
  }

  #sendRanges(pool: number, ranges: number, tag: number): void {
    const readable = this.plane.readable(pool, this.grant);
    if (readable === undefined) {
      this.#respond(STATUS.noSuchPool, tag, 0);
      return;
    }
    const view = this.#view;
    const first = this.#at + REQUEST_BYTES;
    const end = first + ranges * RANGE_BYTES;
    let total = 0;
    for (let at = first; at < end; at += RANGE_BYTES) {
      const bytes = getU64(view, at + 8);
      total += bytes;
      if (!covers(readable, getU64(view, at), bytes) || total > WIRE_LIMITS.bytesPerRequest) {
        this.#respond(STATUS.outOfRange, tag, 0);
        return;
      }
    }
    this.#respond(STATUS.ok, tag, total);
    for (let at = first; at < end; at += RANGE_BYTES) {
      this.#output.add(readable.address + getU64(view, at), getU64(view, at + 8));
    }
    this.plane.counters[DATA_COUNTERS.bytesSent]! += total;
  }

  #respond(status: number, tag: number, bytes: number): void {
    const view = this.#headView;
    view.setUint32(0, status, true);
    view.setUint32(4, tag, true);
    setU64(view, 8, bytes);
    view.setUint32(16, this.poolsGeneration, true);
    view.setUint32(20, 0, true);
    this.#output.add(this.#head.address, RESPONSE_BYTES);
  }

  /** @returns bytes sent */
  #flush(maxBytes: number): number {
    if (this.#output.empty) return 0;
    const sent = this.#output.flush(this.fd, maxBytes);
    if (sent > 0) this.activeNs = monotonicNs();
    return sent;
  }

  #wantsToSend(waits: boolean): void {
    if (waits === this.#waitsToSend) return;
    this.#waitsToSend = waits;
    this.plane.poll.want(this.fd, waits ? POLL.out : POLL.in);
  }
}

/** Whether a range lies in what was handed out: a hole of the sparse file would take memory once it is read. */
function covers(readable: Readable, offset: number, bytes: number): boolean {
  const { directory, directoryEnd, pages, pagesEnd } = readable;
  const end = offset + bytes;
  return (
    end <= PAGE_BYTES ||
    (offset >= directory && end <= directoryEnd) ||
    (offset >= pages && end <= pagesEnd)
  );
}
