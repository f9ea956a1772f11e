// Ends connections to a port beyond what one address, and all together, may have, and those to the Unix socket
// beyond what all users together may have, first of the user who has the most. Bun tells nothing of its connections; but
// they are files of this process, and the kernel knows where each comes from.

import { readdirSync, statSync } from "node:fs";
import { hangUp, localPort, localUserOf, peerOf, SystemError } from "../ffi/index.ts";
import { MAX_TRIED, openFilesMax } from "./open-files.ts";
import { callerOf } from "./wrong-tokens.ts";

export interface ConnectionLimits {
  /** To each of the ports. */
  connections: number;
  /** Of those, the ones of one address, and to the data port of one token. */
  connectionsEach: number;
}

interface Connection {
  fd: number;
  /** For the log. */
  peer: string;
  /** Whose limit it counts against. */
  origin: string;
}

export const CONNECTION_LIMITS: Readonly<ConnectionLimits> = {
  connections: 1024,
  connectionsEach: 256,
};

export class Connections {
  /** Files that this process may open. */
  readonly #openMax = openFilesMax();

  /** @param ended told of each connection that was ended: its address, or its user */
  constructor(
    readonly limits: ConnectionLimits,
    readonly ended: (peer: string) => void,
  ) {}

  /**
   * Ends those that are too many: first of addresses that have more than one may, then of those that have the most.
   * Has to be called by the thread that serves the port, so that none of them changes meanwhile.
   */
  sweep(port: number, socketPath: string | undefined): void {
    const { connections, connectionsEach } = this.limits;
    // All that this process has open: most of the time few enough to ask no further.
    if (isAtMost(Math.min(connections, connectionsEach))) return;
    const fds = this.#openFiles();
    const afar = connectionsOf(fds, (fd) => fromAfar(fd, port));
    this.#end(tooMany(afar, connections, connectionsEach));
    if (socketPath === undefined) return;
    // All services of a host may be one user's.
    const here = connectionsOf(fds, (fd) => fromHere(fd, socketPath));
    this.#end(tooMany(here, connections, connections));
  }

  /** Where no file can be opened to ask, because there are too many, all numbers that they may have. */
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

/** Whether this process has so many files open, or fewer. */
function isAtMost(files: number): boolean {
  try {
    // Linux 6.2 and later tell the number without a list of them; before, it is 0.
    const { size } = statSync("/proc/self/fd");
    return (size || readdirSync("/proc/self/fd").length) <= files;
  } catch {
    return false;
  }
}

/** In the order of their numbers: the lower ones tend to be the older ones. */
function connectionsOf(
  fds: readonly number[],
  connectionOf: (fd: number) => Connection | undefined,
): Connection[] {
  const found = fds.toSorted((a, b) => a - b).map(connectionOf);
  return found.filter((each) => each !== undefined);
}

/**
 * The connections that are to be ended: of each origin those beyond `eachMax`, then of the origins that have the most.
 * There may be tens of thousands of origins, so they are not compared with each other.
 * @param connections the older ones first, which are kept
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

/** A file of this process, if it is a connection to a port. */
function fromAfar(fd: number, port: number): Connection | undefined {
  return unlessGone(() => {
    if (localPort(fd) !== port) return undefined;
    const { address } = peerOf(fd);
    return { fd, peer: address, origin: callerOf(address) };
  });
}

/** A file of this process, if it is a connection to a Unix socket. */
function fromHere(fd: number, socketPath: string): Connection | undefined {
  return unlessGone(() => {
    const user = `user ${localUserOf(fd, socketPath)}`;
    return { fd, peer: user, origin: user };
  });
}

/** Most files are no such connection, and others end at any time. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** What a server has open besides connections: sockets, pools, what it reads at each scan. */
const RESERVED = 40;

/**
 * The limits, with as many connections as there are files for: to each of the ports, and as many again that come at the
 * same moment. Without that the files would end first, and nobody would make room for anybody.
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
