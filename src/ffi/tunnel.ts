// Carries a byte stream between a plain socket and a TLS one. The threads that move pages speak plain TCP; where a
// stream leaves the host it goes through here, on the main thread and Bun's own TLS.

import type { Socket } from "bun";

interface Side {
  peer: Socket<Side> | undefined;
  /** Bytes that the peer sent before this side was there, or that it could not take yet. */
  waiting: Uint8Array[];
  /** The other side has ended: close when everything is out. */
  ending: boolean;
  /** A side that is not there yet may be sent no more than this. */
  waitingBytes: number;
}

/** A stream whose reader does not keep up holds no more than this. */
const MAX_WAITING_BYTES = 64 << 20;

/** Where a tunnel's accepted streams go. */
export interface TunnelEnd {
  hostname: string;
  port: number;
  tls?: Bun.TLSOptions | boolean;
}

export interface Tunnel {
  readonly port: number;
  stop(): void;
}

/**
 * Listens on one address and carries every connection to another; either side may be TLS.
 * @throws Error when the address cannot be listened on
 */
export function startTunnel(listen: TunnelEnd, target: TunnelEnd): Tunnel {
  const handler = {
    data: (socket: Socket<Side>, bytes: Uint8Array) => {
      const { peer } = socket.data;
      if (peer === undefined) keep(socket, socket.data, bytes);
      else forward(peer, bytes);
    },
    drain: (socket: Socket<Side>) => flush(socket),
    close: (socket: Socket<Side>) => end(socket.data.peer),
    error: (socket: Socket<Side>) => void socket.end(),
  };
  const server = Bun.listen<Side>({
    hostname: listen.hostname,
    port: listen.port,
    ...(listen.tls === undefined ? {} : { tls: listen.tls as Bun.TLSOptions }),
    socket: {
      ...handler,
      open(socket) {
        socket.data = newSide();
        void connect(socket, target, handler);
      },
    },
  });
  return { port: server.port, stop: () => server.stop(true) };
}

async function connect(
  accepted: Socket<Side>,
  target: TunnelEnd,
  handler: Omit<Bun.SocketHandler<Side>, "open">,
): Promise<void> {
  try {
    const early = accepted.data;
    const peer = await Bun.connect<Side>({
      hostname: target.hostname,
      port: target.port,
      ...(target.tls === undefined ? {} : { tls: target.tls }),
      data: newSide(),
      socket: { ...handler, open() {} },
    });
    peer.data.peer = accepted;
    early.peer = peer;
    // What came before the peer was there was kept on the accepted side.
    for (const bytes of early.waiting.splice(0)) forward(peer, bytes);
    early.waitingBytes = 0;
  } catch {
    accepted.end();
  }
}

function newSide(): Side {
  return { peer: undefined, waiting: [], ending: false, waitingBytes: 0 };
}

function forward(to: Socket<Side>, bytes: Uint8Array): void {
  const side = to.data;
  const sent = side.waiting.length > 0 ? 0 : Math.max(0, to.write(bytes));
  if (sent < bytes.length) keep(to, side, bytes.subarray(sent));
}

function keep(socket: Socket<Side>, side: Side, bytes: Uint8Array): void {
  side.waiting.push(bytes.slice());
  side.waitingBytes += bytes.length;
  if (side.waitingBytes > MAX_WAITING_BYTES) socket.terminate();
}

function flush(socket: Socket<Side>): void {
  const side = socket.data;
  while (side.waiting.length > 0) {
    const bytes = side.waiting[0]!;
    const sent = Math.max(0, socket.write(bytes));
    side.waitingBytes -= sent;
    if (sent < bytes.length) {
      side.waiting[0] = bytes.subarray(sent);
      return;
    }
    side.waiting.shift();
  }
  if (side.ending) socket.end();
}

function end(socket: Socket<Side> | undefined): void {
  if (socket === undefined) return;
  socket.data.ending = true;
  flush(socket);
}
