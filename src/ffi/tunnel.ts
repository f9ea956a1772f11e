// Carries a byte stream between a plain socket and a TLS one. The threads that move pages speak plain TCP; where a
// stream leaves the host it goes through here, on the main thread and Bun's own TLS.

import type { Socket } from "bun";

interface Side {
  peer: Socket<Side> | undefined;
  /** What this side has said while it had no peer. */
  early: Uint8Array[];
  /** What the peer has said and this side could not take yet. */
  waiting: Uint8Array[];
  /** Bytes of both. */
  keptBytes: number;
  /** The peer has ended: close when everything is out. */
  ending: boolean;
  closed: boolean;
}

/** A stream whose reader does not keep up holds no more than this. */
const MAX_KEPT_BYTES = 64 << 20;

/** Where a tunnel's accepted streams go. */
export interface TunnelEnd {
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
 * @throws Error when the address cannot be listened on
 */
export function startTunnel(listen: TunnelEnd, target: TunnelEnd): Tunnel {
  const handler = {
    data: (socket: Socket<Side>, bytes: Uint8Array) => {
      const { peer } = socket.data;
      if (peer === undefined) keep(socket, socket.data.early, bytes);
      else forward(peer, bytes);
    },
    drain: (socket: Socket<Side>) => flush(socket),
    close: (socket: Socket<Side>) => {
      socket.data.closed = true;
      end(socket.data.peer);
    },
    error: (socket: Socket<Side>) => void socket.end(),
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
          void connect(socket, target, handler);
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
): Promise<void> {
  try {
    const peer = await Bun.connect<Side>({
      hostname: target.hostname,
      port: target.port,
      ...(target.tls === undefined ? {} : { tls: target.tls }),
      data: newSide(),
      socket: { ...handler, open() {} },
    });
    join(accepted, peer);
    join(peer, accepted);
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
    peer: undefined,
    early: [],
    waiting: [],
    keptBytes: 0,
    ending: false,
    closed: false,
  };
}

function forward(to: Socket<Side>, bytes: Uint8Array): void {
  const side = to.data;
  const sent = side.waiting.length > 0 ? 0 : Math.max(0, to.write(bytes));
  if (sent < bytes.length) keep(to, side.waiting, bytes.subarray(sent));
}

function keep(socket: Socket<Side>, list: Uint8Array[], bytes: Uint8Array): void {
  list.push(bytes.slice());
  socket.data.keptBytes += bytes.length;
  if (socket.data.keptBytes > MAX_KEPT_BYTES) socket.terminate();
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
  if (side.ending) socket.end();
}

function end(socket: Socket<Side> | undefined): void {
  if (socket === undefined) return;
  socket.data.ending = true;
  flush(socket);
}
