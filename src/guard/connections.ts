// Limits connections: to a port, per address and in total; to the Unix socket, in total. The user or address with the
// most connections loses them first. Bun does not list its connections, but they are files of this process, and the
// kernel knows the peer of each.

import { readdirSync, statSync } from "node:fs";
import { hangUp, localPort, localUserOf, peerOf, SystemError } from "../ffi/index.ts";
import { MAX_TRIED, openFilesMax } from "./open-files.ts";
import { callerOf } from "./wrong-tokens.ts";

export interface ConnectionLimits {
  /** Connections to each port. */
  connections: number;
  /** Connections to each port from one address, and to the data port with one token. */
  connectionsEach: number;
}

interface Connection {
  fd: number;
  /** For the log. */
  peer: string;
  /** The caller whose limit it counts against. */
  origin: string;
}

export const CONNECTION_LIMITS: Readonly<ConnectionLimits> = {
  connections: 1024,
  connectionsEach: 256,
};

export class Connections {
  /** How many files this process may open. */
  readonly #openMax = openFilesMax();

  /** @param ended called for each connection that was ended, with its address or user */
  constructor(
    readonly limits: ConnectionLimits,
    readonly ended: (peer: string) => void,
  ) {}

  /**
   * Ends connections beyond the limits: first those of addresses above their own limit, then those of the addresses with
   * the most. Call it on the thread that serves the port, so that no connection changes meanwhile.
   */
  sweep(port: number, socketPath: string | undefined): void {
    const { connections, connectionsEach } = this.limits;
    // Counts all open files. Usually there are so few that no connection can be too many.
    if (isAtMost(Math.min(connections, connectionsEach))) return;
    const fds = this.#openFiles();
    const afar = connectionsOf(fds, (fd) => fromAfar(fd, port));
    this.#end(tooMany(afar, connections, connectionsEach));
    if (socketPath === undefined) return;
    // One user may run all services of a host, so there is no limit per user.
    const here = connectionsOf(fds, (fd) => fromHere(fd, socketPath));
    this.#end(tooMany(here, connections, connections));
  }

  /** If too many files are open to list them, every number that one may have. */
  #openFiles(): number[] {
    try {
      return readdirSync("/proc/self/fd").map(Number);
    } catch {
      return Array.from({ length: Math.min(this.#openMax, MAX_TRIED) }, (_, fd) => fd);
    }
  }

  #end(connections: readonly Connection[]): void {
    for (const { fd, peer } of connections) {
      try {
        hangUp(fd);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        continue;
      }
      this.ended(peer);
    }
  }
}

/** Whether this process has at most this many files open. */
function isAtMost(files: number): boolean {
  try {
    // Linux 6.2 and later give the number as the size. Earlier versions give 0.
    const { size } = statSync("/proc/self/fd");
    return (size || readdirSync("/proc/self/fd").length) <= files;
  } catch {
    return false;
  }
}

/** Ordered by number: lower numbers tend to be older connections. */
function connectionsOf(
  fds: readonly number[],
  connectionOf: (fd: number) => Connection | undefined,
): Connection[] {
  const found = fds.toSorted((a, b) => a - b).map(connectionOf);
  return found.filter((each) => each !== undefined);
}

/**
 * The connections to end: those of each origin beyond `eachMax`, then those of the origins with the most. There may be
 * tens of thousands of origins, so they are ranked and not compared with each other.
 * @param connections oldest first; the oldest are kept
 */
export function tooMany<C extends Pick<Connection, "origin">>(
  connections: readonly C[],
  max: number,
  eachMax: number,
): C[] {
  const seen = new Map<string, number>();
  const ranked = connections.map((connection) => {
    const rank = seen.get(connection.origin) ?? 0;
    seen.set(connection.origin, rank + 1);
    return { connection, rank };
  });
  return ranked
    .toSorted((a, b) => a.rank - b.rank)
    .filter(({ rank }, place) => rank >= eachMax || place >= max)
    .map(({ connection }) => connection);
}

/** The connection to a port behind a file of this process, if it is one. */
function fromAfar(fd: number, port: number): Connection | undefined {
  return unlessGone(() => {
    if (localPort(fd) !== port) return undefined;
    const { address } = peerOf(fd);
    return { fd, peer: address, origin: callerOf(address) };
  });
}

/** The connection to a Unix socket behind a file of this process, if it is one. */
function fromHere(fd: number, socketPath: string): Connection | undefined {
  return unlessGone(() => {
    const user = `user ${localUserOf(fd, socketPath)}`;
    return { fd, peer: user, origin: user };
  });
}

/** Most files are not connections, and a connection may end at any time. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Files besides connections: sockets, pools, and what each scan reads. */
const RESERVED = 40;

/**
 * Lowers the limits to what the limit of open files allows: for both ports, and for as many connections that arrive at
 * the same moment. Otherwise the process would run out of files before it ends any connection.
 */
export function fitConnections<Limits extends ConnectionLimits>(
  limits: Limits,
  openMax = openFilesMax(),
): Limits {
  const room = Math.max(1, Math.floor((openMax - RESERVED) / 3));
  if (room >= limits.connections) return limits;
  const connectionsEach = Math.min(limits.connectionsEach, room);
  return { ...limits, connections: room, connectionsEach };
}
