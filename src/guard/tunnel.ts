// Carries a byte stream between a plain socket and a TLS one. The threads that move pages speak plain TCP; where a
// stream leaves the host it goes through here, on the main thread and Bun's own TLS.

import type { Socket } from "bun";

interface Side {
  /** The address that it comes from, and what its guard has let in. */
  admitted: { address: string; stream: TunnelStream } | undefined;
  peer: Socket<Side> | undefined;
  /** What this side has said while it had no peer. */
  early: Uint8Array[];
  /** What the peer has said and this side could not take yet. */
  waiting: Uint8Array[];
  /** Bytes of both. */
  keptBytes: number;
  /** Nothing is read of it: its peer has not taken yet what it said. */
  isPaused: boolean;
  /** The peer has ended: close when everything is out. */
  ending: boolean;
  closed: boolean;
}

/** What Bun hands over is garbage soon after, and by itself it collects hundreds of megabytes first. */
const COLLECTED_AFTER_BYTES = 64 << 20;

/** Who has not finished to greet by TLS by then is hung up on. */
const HANDSHAKE_TIMEOUT_S = 10;

/** Decides who may come in through a tunnel, and is told of them. */
export interface TunnelGuard {
  /** @returns false to hang up at once */
  admit(address: string, stream: TunnelStream): boolean;
  /** Somebody who was let in has gone. */
  left(address: string, stream: TunnelStream): void;
  /** Somebody was hung up on for what his certificate is, by OpenSSL's name for it. */
  refused(address: string, reason: string): void;
}

/** A stream that comes in, as its guard knows it. */
export interface TunnelStream {
  /** It has not finished to greet by TLS. */
  isGreeting: boolean;
  end(): void;
}

/** Where a tunnel's accepted streams go. */
interface TunnelEnd {
  hostname: string;
  port: number;
  tls?: Bun.TLSOptions | boolean;
}

export interface Tunnel {
  readonly port: number;
  /** Shows another certificate to those who connect from now on; streams that stand go on. */
  renewTls(tls: Bun.TLSOptions): void;
  stop(): void;
}

/**
 * Listens on one address and carries every connection to another; either side may be TLS.
 * @param preface sent to the target first: whose stream it is
 * @throws Error when the address cannot be listened on
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
        // Nothing reaches the target of who has not shown what he is asked for.
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
  // Bun closes a listener's streams only through the listener that took them in.
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
    // It fits into the buffer of a socket that has just been made.
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

/** From now on what one side says goes to the other, and what it has said so far goes first. */
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

/** Bytes that were carried since the memory of earlier ones was last looked for. */
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

/** Reads no more of a stream while its reader has not taken what was read, so that its sender waits. */
function pause(socket: Socket<Side>): void {
  if (socket.data.isPaused || socket.data.closed) return;
  socket.data.isPaused = true;
  socket.pause();
}

/** Reads on what a side's peer says, when the side has taken all that there was. */
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
