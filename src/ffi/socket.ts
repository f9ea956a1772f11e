// Non-blocking TCP sockets and poll, for the threads that move pages: no JavaScript object per read.

import { check, SystemError } from "./errno.ts";
import { allocateBuffer, type Mapping } from "./memory.ts";
import { shim } from "./shim.ts";

const EAGAIN = -11;
const EINTR = -4;

/** Bits of poll(2). */
export const POLL = { in: 1, out: 4, error: 8, hangUp: 16 } as const;

function text0(text: string): never {
  return Buffer.from(`${text}\0`) as never;
}

/** @throws SystemError when the address cannot be listened on */
export function tcpListen(host: string, port: number, backlog = 512): number {
  return check(
    shim().mv_tcp_listen(text0(host), port, backlog),
    `cannot listen on ${host}:${port}`,
  );
}

/** Starts a connection; wait for `POLL.out`, then ask {@link socketError}. */
export function tcpConnect(host: string, port: number): number {
  return check(shim().mv_tcp_connect(text0(host), port), `cannot connect to ${host}:${port}`);
}

export function localPort(fd: number): number {
  return check(shim().mv_local_port(fd), "cannot tell the port");
}

/** Room for an IPv6 address as text, INET6_ADDRSTRLEN. */
const ADDRESS_BYTES = 46;

/** Where a connection comes from. @throws SystemError when it has gone already */
export function peerOf(fd: number): { address: string; port: number } {
  const text = new Uint8Array(ADDRESS_BYTES);
  const port = check(shim().mv_peer(fd, text, ADDRESS_BYTES), "cannot tell the peer");
  return { address: new TextDecoder().decode(text.subarray(0, text.indexOf(0))), port };
}

/**
 * The user who has connected to a Unix socket of this process.
 * @throws SystemError when the descriptor is no connection to it, or has gone
 */
export function localUserOf(fd: number, socketPath: string): number {
  return check(Number(shim().mv_local_user(fd, text0(socketPath))), "cannot tell the user");
}

/** Ends a connection of this process that something else owns and will close. @throws SystemError when it has gone */
export function hangUp(fd: number): void {
  check(shim().mv_hang_up(fd), "cannot end the connection");
}

/** The error that a socket met while connecting, if any. */
export function socketError(fd: number, what: string): SystemError | undefined {
  const status = shim().mv_socket_error(fd);
  return status < 0 ? new SystemError(what, -status) : undefined;
}

/** A new connection, or −1 when none waits. */
export function accept(fd: number): number {
  const status = shim().mv_accept(fd);
  if (status === EAGAIN || status === EINTR) return -1;
  return check(status, "cannot accept a connection");
}

/** Bytes received into memory at an address; 0 when none wait, −1 when the peer has closed. */
export function receive(fd: number, address: number, offset: number, bytes: number): number {
  const n = Number(shim().mv_recv(fd, address as never, offset, bytes));
  if (n > 0) return n;
  if (n === 0) return -1;
  if (n === EAGAIN || n === EINTR) return 0;
  throw new SystemError("cannot receive", -n);
}

/** Bytes sent from memory at an address; 0 when the socket's buffer is full. */
export function send(fd: number, address: number, offset: number, bytes: number): number {
  const n = Number(shim().mv_send(fd, address as never, offset, bytes));
  if (n >= 0) return n;
  if (n === EAGAIN || n === EINTR) return 0;
  throw new SystemError("cannot send", -n);
}

/** Pieces of memory that go out one after the other, in as few calls as the socket takes. */
export class Gathered {
  /** Of `struct iovec`: address and length, each as its low and its high half. */
  static readonly #WORDS = 4;
  readonly #memory: Mapping;
  readonly #words: Uint32Array;
  #count = 0;
  #first = 0;

  /** @param capacity the most pieces that are ever sent together */
  constructor(capacity: number) {
    this.#memory = allocateBuffer(capacity * 16);
    this.#words = new Uint32Array(this.#memory.buffer);
  }

  get empty(): boolean {
    return this.#first === this.#count;
  }

  add(address: number, bytes: number): void {
    if (bytes === 0) return;
    if (this.empty) this.#first = this.#count = 0;
    this.#set(this.#count++, address, bytes);
  }

  /**
   * Sends what the socket takes, up to so many bytes; what is left goes out at the next call.
   * @param maxBytes a whole number, from 1
   * @returns bytes sent
   */
  flush(fd: number, maxBytes = Number.POSITIVE_INFINITY): number {
    let sent = 0;
    while (!this.empty && sent < maxBytes) {
      let n = this.#send(fd, maxBytes - sent);
      if (n === EAGAIN || n === EINTR) break;
      if (n < 0) throw new SystemError("cannot send", -n);
      // Of at least a byte nothing was taken: asking again at once would be asking without end.
      if (n === 0) break;
      sent += n;
      while (n > 0) {
        const at = this.#first * Gathered.#WORDS;
        const bytes = this.#get(at + 2);
        if (n < bytes) {
          this.#set(this.#first, this.#get(at) + n, bytes - n);
          break;
        }
        n -= bytes;
        this.#first++;
      }
    }
    return sent;
  }

  /** One call for as many pieces as have so many bytes, of the last of them just as much as is left. */
  #send(fd: number, maxBytes: number): number {
    let left = maxBytes;
    let end = this.#first;
    while (end < this.#count && left > 0) left -= this.#get(end++ * Gathered.#WORDS + 2);
    const last = end - 1;
    if (left < 0) this.#resize(last, left);
    const count = end - this.#first;
    const n = Number(shim().mv_sendv(fd, this.#memory.address as never, this.#first, count));
    if (left < 0) this.#resize(last, -left);
    return n;
  }

  #resize(piece: number, byBytes: number): void {
    const at = piece * Gathered.#WORDS;
    this.#set(piece, this.#get(at), this.#get(at + 2) + byBytes);
  }

  close(): void {
    this.#memory.unmap();
  }

  #get(at: number): number {
    return this.#words[at]! + this.#words[at + 1]! * 0x1_0000_0000;
  }

  #set(piece: number, address: number, bytes: number): void {
    const at = piece * Gathered.#WORDS;
    this.#words[at] = address >>> 0;
    this.#words[at + 1] = (address / 0x1_0000_0000) >>> 0;
    this.#words[at + 2] = bytes >>> 0;
    this.#words[at + 3] = (bytes / 0x1_0000_0000) >>> 0;
  }
}

export function closeFd(fd: number): void {
  shim().mv_close(fd);
}

/** Wakes a thread that waits in {@link Poll}. */
export class WakeEvent {
  private constructor(readonly fd: number) {}

  static create(): WakeEvent {
    return new WakeEvent(check(shim().mv_eventfd(), "cannot create an eventfd"));
  }

  /** The same event, seen from another thread of the process. */
  static from(fd: number): WakeEvent {
    return new WakeEvent(fd);
  }

  set(): void {
    shim().mv_event_set(this.fd);
  }

  clear(): void {
    shim().mv_event_clear(this.fd);
  }

  close(): void {
    closeFd(this.fd);
  }
}

/** The descriptors a thread waits for. Entries keep their place until removed. */
export class Poll {
  #capacity = 64;
  #memory = allocateBuffer(this.#capacity * 8);
  #view = new DataView(this.#memory.buffer);
  #fds: number[] = [];

  get size(): number {
    return this.#fds.length;
  }

  add(fd: number, events: number): void {
    if (this.#fds.length === this.#capacity) this.#grow();
    const at = this.#fds.push(fd) - 1;
    this.#view.setInt32(at * 8, fd, true);
    this.#view.setInt32(at * 8 + 4, events, true);
  }

  /** Changes what is waited for on a descriptor. */
  want(fd: number, events: number): void {
    const at = this.#fds.indexOf(fd);
    if (at >= 0) this.#view.setInt16(at * 8 + 4, events, true);
  }

  remove(fd: number): void {
    const at = this.#fds.indexOf(fd);
    if (at < 0) return;
    const last = this.#fds.length - 1;
    this.#fds[at] = this.#fds[last]!;
    this.#fds.pop();
    this.#view.setBigUint64(at * 8, this.#view.getBigUint64(last * 8, true), true);
  }

  /**
   * Blocks until a descriptor is ready or the deadline has come.
   * @param deadlineNs of the monotonic clock; negative waits without end
   * @param ready receives each ready descriptor, its bits, and how many are ready with it
   * @returns how many were ready
   */
  wait(deadlineNs: number, ready: (fd: number, events: number, count: number) => void): number {
    const count = check(
      shim().mv_poll_until_ns(this.#memory.address as never, this.#fds.length, deadlineNs),
      "cannot poll",
    );
    if (count === 0) return 0;
    if (count === 1) {
      const at = this.#firstReady();
      ready(this.#fds[at]!, this.#view.getInt16(at * 8 + 6, true), 1);
      return 1;
    }
    // Handlers may add and remove entries, so what is ready is taken down first.
    const found: number[] = [];
    for (let i = 0; i < this.#fds.length; i++) {
      const events = this.#view.getInt16(i * 8 + 6, true);
      if (events !== 0) found.push(this.#fds[i]!, events);
    }
    for (let i = 0; i < found.length; i += 2) ready(found[i]!, found[i + 1]!, count);
    return count;
  }

  close(): void {
    this.#memory.unmap();
  }

  #firstReady(): number {
    let at = 0;
    while (this.#view.getInt16(at * 8 + 6, true) === 0) at++;
    return at;
  }

  #grow(): void {
    const grown = allocateBuffer(this.#capacity * 16);
    grown.bytes().set(this.#memory.bytes(0, this.#capacity * 8));
    this.#memory.unmap();
    this.#capacity *= 2;
    this.#memory = grown;
    this.#view = new DataView(grown.buffer);
  }
}
