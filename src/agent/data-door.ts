// Who is let in to the data plane: as many as it may have in all, by token and by address, and who may read.

import { peerOf, SystemError } from "../ffi/index.ts";
import { STATUS } from "../layout/index.ts";
import { DATA_COUNTERS, type DataRefusal } from "./data-protocol.ts";
import { WRONG_AT_ONCE } from "./gate.ts";
import { ANYONE, type Grant, NOBODY } from "./grants.ts";
import { Buckets, originOf } from "./rate.ts";
import { ExpiredTokenError, type KnownToken, Tokens } from "./tokens.ts";

/** Refusals that are told in a second; counters have the others. */
const TOLD_PER_S = 20;
const TOLD_AT_ONCE = 200;

export interface DataDoorOptions {
  /** Undefined when none is asked for. */
  tokens?: readonly KnownToken[];
  maxConnections: number;
  /** Of one token, and of one address. */
  maxConnectionsEach: number;
  /** Wrong tokens per second of an address. */
  wrongPerS: number;
  /** Everybody comes from a tunnel on this host, which has counted them by their address. */
  tunnelled: boolean;
  /** Somebody was not let in. */
  refused(refusal: DataRefusal): void;
  /** By {@link DATA_COUNTERS}. */
  counters: Float64Array;
}

/** Where a connection comes from. */
export interface Peer {
  address: string;
  port: number;
  /** What is counted; empty for those who were counted before. */
  origin: string;
}

export class DataDoor {
  readonly #tokens: Tokens | undefined;
  readonly #wrong: Buckets;
  readonly #told = new Buckets(TOLD_PER_S, TOLD_AT_ONCE);

  /** @param connections those who are in */
  constructor(
    readonly options: DataDoorOptions,
    readonly connections: ReadonlyMap<number, Peer & { grant: Grant }>,
  ) {
    const { tokens, wrongPerS } = options;
    this.#tokens = tokens === undefined ? undefined : new Tokens(tokens);
    this.#wrong = new Buckets(wrongPerS, wrongPerS * WRONG_AT_ONCE);
  }

  renewTokens(known: readonly KnownToken[]): void {
    this.#tokens?.replace(known);
  }

  /** Whether who was let in with a grant may stay. Who has not greeted yet has none that could have ended. */
  holds(grant: Grant): boolean {
    return grant === NOBODY || this.#tokens === undefined || this.#tokens.holds(grant);
  }

  /** Where a connection comes from; undefined when it has gone already. */
  peerOf(fd: number): Peer | undefined {
    try {
      const { address, port } = peerOf(fd);
      // Who comes through a tunnel is known by his port alone, and counted there by his address.
      return { address, port, origin: this.options.tunnelled ? "" : originOf(address) };
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** The status with which nobody is let in from there now; undefined when somebody may be. */
  obstacle(peer: Peer): number | undefined {
    const { maxConnections, maxConnectionsEach } = this.options;
    const { origin } = peer;
    if (this.connections.size >= maxConnections) return this.#refuse(peer, STATUS.busy);
    if (origin === "") return undefined;
    if (this.#tokens !== undefined && !this.#wrong.has(origin)) {
      return this.#refuse(peer, STATUS.tooManyWrong);
    }
    const count = this.#countOf((each) => each.origin === origin);
    return count < maxConnectionsEach ? undefined : this.#refuse(peer, STATUS.busy);
  }

  /** What a token grants, or the status with which it is refused. */
  identify(token: Uint8Array, peer: Peer): Grant | number {
    let grant: Grant | undefined;
    try {
      grant = this.#tokens === undefined ? ANYONE : this.#tokens.find(token);
    } catch (error) {
      if (!(error instanceof ExpiredTokenError)) throw error;
      return this.#refuse(peer, STATUS.expired, error.tokenName);
    }
    if (grant === undefined) return this.#refuse(peer, STATUS.denied);
    if (!grant.scopes.has("read")) return this.#refuse(peer, STATUS.unscoped, grant.name);
    const count = this.#countOf((each) => each.grant === grant);
    if (grant !== ANYONE && count >= this.options.maxConnectionsEach) {
      return this.#refuse(peer, STATUS.busy, grant.name);
    }
    return grant;
  }

  #countOf(is: (connection: Peer & { grant: Grant }) => boolean): number {
    let count = 0;
    for (const connection of this.connections.values()) if (is(connection)) count++;
    return count;
  }

  /** Counts somebody who is not let in, and tells of him. */
  #refuse({ origin, address, port }: Peer, status: number, token = NOBODY.name): number {
    const { counters, refused } = this.options;
    counters[status === STATUS.busy ? DATA_COUNTERS.refused : DATA_COUNTERS.denied]!++;
    if (status === STATUS.denied || status === STATUS.expired) this.#wrong.take(origin);
    if (this.#told.take("")) refused({ status, token, address, port });
    return status;
  }
}
