// Carries a byte stream between a plain socket and a TLS one. The threads that move pages speak plain TCP; where a
// stream leaves the host it goes through here, on the main thread and Bun's own TLS.

import type { Socket } from "bun";

interface Side {
  /** The address that it comes from, once its guard has let it in. */
  admitted: string | undefined;
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

/** Streams of which is remembered where they come from, the youngest. */
const MAX_ORIGINS = 4096;

/** Who has not finished to greet by TLS by then is hung up on. */
const HANDSHAKE_TIMEOUT_S = 10;

/** Decides who may come in through a tunnel, and is told of them. */
export interface TunnelGuard {
  /** @returns false to hang up at once */
  admit(address: string): boolean;
  /** Somebody who was let in has gone. */
  left(address: string): void;
  /** Somebody was hung up on for what his certificate is, by OpenSSL's name for it. */
  refused(address: string, reason: string): void;
}

/** Where a tunnel's accepted streams go. */
export interface TunnelEnd {
  hostname: string;
  port: number;
  tls?: Bun.TLSOptions | boolean;
}

export interface Tunnel {
  readonly port: number;
  /** The address of whom the stream is that reaches the target from one of this host's ports. */
  originAt(localPort: number): string | undefined;
  /** Shows another certificate to those who connect from now on; streams that stand go on. */
  renewTls(tls: Bun.TLSOptions): void;
  stop(): void;
}

/**
 * Listens on one address and carries every connection to another; either side may be TLS.
 * @throws Error when the address cannot be listened on
 */
export function startTunnel(listen: TunnelEnd, target: TunnelEnd, guard?: TunnelGuard): Tunnel {
  const origins = new Map<number, string>();
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
  const begin = (socket: Socket<Side>) => {
    socket.timeout(0);
    void connect(socket, target, handler, origins);
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
          if (guard?.admit(address) === false) return void socket.terminate();
          socket.data.admitted = address;
          if (tls === undefined) begin(socket);
          else socket.timeout(HANDSHAKE_TIMEOUT_S);
        },
        // Nothing reaches the target of who has not shown what he is asked for.
        handshake(socket, isDone, error) {
          const asks = typeof tls === "object" && tls.requestCert === true;
          if (isDone && (!asks || socket.authorized)) return begin(socket);
          const { admitted } = socket.data;
          const reason = (error as NodeJS.ErrnoException | null)?.code ?? "";
          if (asks && admitted !== undefined) guard?.refused(admitted, reason);
          socket.terminate();
        },
        timeout: (socket) => void socket.terminate(),
        close(socket) {
          const { admitted } = socket.data;
          if (admitted !== undefined) guard?.left(admitted);
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
    originAt: (localPort) => origins.get(localPort),
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
  origins: Map<number, string>,
): Promise<void> {
  try {
    const peer = await Bun.connect<Side>({
      hostname: target.hostname,
      port: target.port,
      ...(target.tls === undefined ? {} : { tls: target.tls }),
      data: newSide(),
      socket: {
        ...handler,
        open: (socket) => remember(origins, socket.localPort, accepted.remoteAddress),
      },
    });
    join(accepted, peer);
    join(peer, accepted);
  } catch {
    accepted.end();
  }
}

/** Kept beyond the stream's end: the target may speak of it later. */
function remember(origins: Map<number, string>, localPort: number, address: string): void {
  origins.delete(localPort);
  origins.set(localPort, address);
  if (origins.size <= MAX_ORIGINS) return;
  const [oldest] = origins.keys();
  origins.delete(oldest!);
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
