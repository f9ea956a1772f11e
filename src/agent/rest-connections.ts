// Ends connections to the REST port beyond what one address, and all together, may have. Bun tells nothing of its
// connections; but they are files of this process, and the kernel knows where each comes from.

import { readdirSync } from "node:fs";
import { hangUp, localPort, peerOf, SystemError } from "../ffi/index.ts";
import { MAX_TRIED, openFilesMax } from "./open-files.ts";
import { callerOf } from "./wrong-tokens.ts";

export interface ConnectionLimits {
  /** In all. */
  connections: number;
  /** Of one address, or network of IPv6. */
  connectionsEach: number;
}

interface Connection {
  fd: number;
  address: string;
}

export class RestConnections {
  /** Files that this process may open. */
  readonly #openMax = openFilesMax();

  /** @param ended told of each connection that was ended */
  constructor(
    readonly limits: ConnectionLimits,
    readonly ended: (address: string) => void,
  ) {}

  /**
   * Ends those that are too many: first of addresses that have more than one may, then of those that have the most.
   * Has to be called by the thread that serves the port, so that none of them changes meanwhile.
   */
  sweep(port: number): void {
    const { connections, connectionsEach } = this.limits;
    const fds = this.#openFiles();
    // All that this process has open: most of the time few enough to ask no further.
    if (fds.length <= Math.min(connections, connectionsEach)) return;
    const byOrigin = this.#byOrigin(fds, port);
    let total = 0;
    for (const each of byOrigin.values()) {
      this.#end(each.splice(connectionsEach));
      total += each.length;
    }
    for (; total > connections; total--) {
      const [first, ...others] = byOrigin.values();
      const most = others.reduce((a, b) => (b.length > a.length ? b : a), first!);
      this.#end([most.pop()!]);
    }
  }

  /** Where no file can be opened to ask, because there are too many, all numbers that they may have. */
  #openFiles(): number[] {
    try {
      return readdirSync("/proc/self/fd").map(Number);
    } catch {
      return Array.from({ length: Math.min(this.#openMax, MAX_TRIED) }, (_, fd) => fd);
    }
  }

  /** Connections to a port; of each origin the lower numbers, which tend to be the older ones, first. */
  #byOrigin(fds: readonly number[], port: number): Map<string, Connection[]> {
    const byOrigin = new Map<string, Connection[]>();
    for (const fd of fds.toSorted((a, b) => a - b)) {
      const address = addressOf(fd, port);
      if (address === undefined) continue;
      const origin = callerOf(address);
      const known = byOrigin.get(origin);
      if (known === undefined) byOrigin.set(origin, [{ fd, address }]);
      else known.push({ fd, address });
    }
    return byOrigin;
  }

  #end(connections: readonly Connection[]): void {
    for (const { fd, address } of connections) {
      try {
        hangUp(fd);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        continue;
      }
      this.ended(address);
    }
  }
}

/** Where a file of this process is connected from, if it is a connection to a port. */
function addressOf(fd: number, port: number): string | undefined {
  try {
    return localPort(fd) === port ? peerOf(fd).address : undefined;
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
