// Forwards byte streams between a plain socket and one with TLS. The threads that move pages use plain TCP. Streams that
// leave the host go through a tunnel on the main thread, which uses Bun's TLS.

import type { Socket } from "bun";

interface Side {
  /** The address of a stream that the guard has let in. */
  admitted: { address: string; stream: TunnelStream } | undefined;
  peer: Socket<Side> | undefined;
  /** What this side sent before it had a peer. */
  early: Uint8Array[];
  /** What the peer has sent and this side could not take yet. */
  waiting: Uint8Array[];
  /** Bytes in both lists. */
  keptBytes: number;
  /** Reading is paused until the peer has taken what was read. */
  isPaused: boolean;
  /** The peer has ended: close this side when everything is sent. */
  ending: boolean;
  closed: boolean;
}

/** Buffers that Bun hands over soon become garbage. By itself, Bun lets hundreds of megabytes pile up. */
const COLLECTED_AFTER_BYTES = 64 << 20;

/** A TLS handshake that takes longer is cut off. */
const HANDSHAKE_TIMEOUT_S = 10;

/** Decides which streams a tunnel accepts, and is told what becomes of them. */
export interface TunnelGuard {
  /** @returns false to close the stream at once */
  admit(address: string, stream: TunnelStream): boolean;
  /** A stream that was let in has ended. */
  left(address: string, stream: TunnelStream): void;
  /** A stream was closed because of its client certificate. The reason is OpenSSL's name for it. */
  refused(address: string, reason: string): void;
}

/** An incoming stream, as the guard sees it. */
export interface TunnelStream {
  /** Its TLS handshake is not complete. */
  isGreeting: boolean;
  end(): void;
}

/** One end of a tunnel. */
interface TunnelEnd {
  hostname: string;
  port: number;
  tls?: Bun.TLSOptions | boolean;
}

export interface Tunnel {
  readonly port: number;
  /** Uses another certificate for new streams. Existing streams go on. */
  renewTls(tls: Bun.TLSOptions): void;
  stop(): void;
}

/**
 * Listens on one address and forwards every connection to another. Either side may use TLS.
 * @param preface sent to the target first; says where the stream comes from
 * @throws Error if it cannot listen on the address
 */
export function startTunnel(
  listen: TunnelEnd,
  target: TunnelEnd,
  guard?: TunnelGuard,
  preface?: (address: string, port: number) => Uint8Array,
): Tunnel {
  const handler = {
    data: (socket: Socket<Side>, bytes: Uint8Array) => {
      const { peer } = socket.data;
      if (peer === undefined) keep(socket, socket.data.early, bytes);
      else forward(peer, bytes);
      if ((peer ?? socket).data.keptBytes > 0) pause(socket);
    },
    drain: (socket: Socket<Side>) => flush(socket),
    close: (socket: Socket<Side>) => {
      socket.data.closed = true;
      end(socket.data.peer);
    },
    error: (socket: Socket<Side>) => void socket.end(),
  };
  const begin = (socket: Socket<Side>) => {
    socket.timeout(0);
    const { admitted, closed } = socket.data;
    if (admitted !== undefined) admitted.stream.isGreeting = false;
    if (!closed) void connect(socket, target, handler, preface);
  };
  const accept = ({ hostname, port, tls }: TunnelEnd) =>
    Bun.listen<Side>({
      hostname,
      port,
      ...(tls === undefined ? {} : { tls: tls as Bun.TLSOptions }),
      socket: {
        ...handler,
        open(socket) {
          socket.data = newSide();
          const address = socket.remoteAddress;
          const stream: TunnelStream = { isGreeting: true, end: () => void socket.terminate() };
          if (guard?.admit(address, stream) === false) return void socket.terminate();
          socket.data.admitted = { address, stream };
          if (tls === undefined) begin(socket);
          else socket.timeout(HANDSHAKE_TIMEOUT_S);
        },
        // Nothing reaches the target before the client has shown a certificate, if it has to.
        handshake(socket, isDone, error) {
          const asks = typeof tls === "object" && tls.requestCert === true;
          if (isDone && (!asks || socket.authorized)) return begin(socket);
          const { admitted } = socket.data;
          const reason = (error as NodeJS.ErrnoException | null)?.code ?? "";
          if (asks && admitted !== undefined) guard?.refused(admitted.address, reason);
          socket.terminate();
        },
        timeout: (socket) => void socket.terminate(),
        close(socket) {
          const { admitted } = socket.data;
          if (admitted !== undefined) guard?.left(admitted.address, admitted.stream);
          handler.close(socket);
        },
      },
    });
  const first = accept(listen);
  const { port } = first;
  let server = first;
  // A stream can only be closed through the listener that accepted it.
  const replaced: (typeof first)[] = [];
  return {
    port,
    renewTls(tls) {
      server.stop(false);
      replaced.push(server);
      server = accept({ ...listen, port, tls });
    },
    stop() {
      for (const each of [...replaced, server]) each.stop(true);
    },
  };
}

async function connect(
  accepted: Socket<Side>,
  target: TunnelEnd,
  handler: Omit<Bun.SocketHandler<Side>, "open">,
  preface: ((address: string, port: number) => Uint8Array) | undefined,
): Promise<void> {
  try {
    const peer = await Bun.connect<Side>({
      hostname: target.hostname,
      port: target.port,
      ...(target.tls === undefined ? {} : { tls: target.tls }),
      data: newSide(),
      socket: handler,
    });
    // The buffer of a new socket has room for it.
    const { remoteAddress, remotePort } = accepted;
    if (preface !== undefined) peer.write(preface(remoteAddress, remotePort));
    join(accepted, peer);
    join(peer, accepted);
    resumeFor(peer);
    resumeFor(accepted);
  } catch {
    accepted.end();
  }
}

/** Forwards what one side sends to the other, beginning with what it has sent so far. */
function join(from: Socket<Side>, to: Socket<Side>): void {
  const side = from.data;
  side.peer = to;
  for (const bytes of side.early.splice(0)) {
    side.keptBytes -= bytes.length;
    forward(to, bytes);
  }
  if (side.closed) end(to);
}

function newSide(): Side {
  return {
    admitted: undefined,
    peer: undefined,
    early: [],
    waiting: [],
    keptBytes: 0,
    isPaused: false,
    ending: false,
    closed: false,
  };
}

/** Bytes forwarded since the last garbage collection. */
let carriedBytes = 0;

function forward(to: Socket<Side>, bytes: Uint8Array): void {
  carriedBytes += bytes.length;
  if (carriedBytes > COLLECTED_AFTER_BYTES) {
    carriedBytes = 0;
    Bun.gc(false);
  }
  const side = to.data;
  const sent = side.waiting.length > 0 ? 0 : Math.max(0, to.write(bytes));
  if (sent < bytes.length) keep(to, side.waiting, bytes.subarray(sent));
}

function keep(socket: Socket<Side>, list: Uint8Array[], bytes: Uint8Array): void {
  list.push(bytes.slice());
  socket.data.keptBytes += bytes.length;
}

/** Stops reading a stream until its peer has taken what was read, so that the sender waits. */
function pause(socket: Socket<Side>): void {
  if (socket.data.isPaused || socket.data.closed) return;
  socket.data.isPaused = true;
  socket.pause();
}

/** Resumes reading the peer of a side that has taken everything. */
function resumeFor(side: Socket<Side>): void {
  const { peer, keptBytes } = side.data;
  if (peer === undefined || !peer.data.isPaused || peer.data.closed) return;
  if (keptBytes > 0) return;
  peer.data.isPaused = false;
  peer.resume();
}

function flush(socket: Socket<Side>): void {
  const side = socket.data;
  while (side.waiting.length > 0) {
    const bytes = side.waiting[0]!;
    const sent = Math.max(0, socket.write(bytes));
    side.keptBytes -= sent;
    if (sent < bytes.length) {
      side.waiting[0] = bytes.subarray(sent);
      return;
    }
    side.waiting.shift();
  }
  resumeFor(socket);
  if (side.ending) socket.end();
}

function end(socket: Socket<Side> | undefined): void {
  if (socket === undefined) return;
  socket.data.ending = true;
  flush(socket);
}
