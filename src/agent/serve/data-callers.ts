// Decides which connections the data plane admits: those that may read, within limits in all, by token and by address.
// When there is no room, the caller with the most connections or an idle one makes room: nobody can keep others out.

import { peerOf, SystemError } from "../../ffi/index.ts";
import {
  ANYONE,
  Buckets,
  callerOf,
  ExpiredTokenError,
  type Grant,
  type KnownToken,
  NOBODY,
  Tokens,
  WrongTokens,
} from "../../guard/index.ts";
import { STATUS } from "../../layout/index.ts";
import { DATA_COUNTERS, type DataAdmission, type DataRefusal } from "./data-protocol.ts";

/** Refusals that are reported per second; the others are only counted. */
const TOLD_PER_S = 20;
const TOLD_AT_ONCE = 200;

/** Limits of connections that have not said hello yet, counted apart from the others: in all, and per address. */
const GREETING_MAX = 256;
/** Where fewer may be let in there is room for as many; but some always come at the same moment. */
const GREETING_MIN = 16;
export const GREETING_MAX_EACH = 64;

export interface DataCallersOptions extends DataAdmission {
  /** A connection was refused. */
  refused(refusal: DataRefusal): void;
  /** By {@link DATA_COUNTERS}. */
  counters: Float64Array;
}

/** Where a connection comes from. */
export interface Peer {
  address: string;
  port: number;
  /** What is counted; empty while it is not known. */
  origin: string;
}

/** A connection, as far as it matters here. */
export interface Held extends Peer {
  /** NOBODY's until it has said who it is. */
  grant: Grant;
  /** When it has asked for something last, or taken something of an answer. */
  activeNs: number;
}

export class DataCallers<C extends Held> {
  readonly #tokens: Tokens | undefined;
  readonly #wrong: WrongTokens;
  readonly #told = new Buckets(TOLD_PER_S, TOLD_AT_ONCE);

  /** @param connections all there are, the oldest first */
  constructor(
    readonly options: DataCallersOptions,
    readonly connections: ReadonlyMap<number, C>,
  ) {
    const { tokens, wrongPerS } = options;
    this.#tokens = tokens === undefined ? undefined : new Tokens(tokens);
    this.#wrong = new WrongTokens(wrongPerS);
  }

  renewTokens(known: readonly KnownToken[]): void {
    this.#tokens?.replace(known);
  }

  /** Whether who was let in with a grant may stay. Who has not greeted yet has none that could have ended. */
  holds(grant: Grant): boolean {
    return grant === NOBODY || this.#tokens === undefined || this.#tokens.holds(grant);
  }

  /** Where a connection comes from; undefined when it has gone already. */
  callerAt(fd: number): Peer | undefined {
    try {
      const { address, port } = peerOf(fd);
      return { address, port, origin: callerOf(address) };
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** The status with which nobody from there is let in now; undefined when somebody may be. */
  obstacle(peer: Peer): number | undefined {
    if (this.#tokens === undefined || this.#wrong.mayTry(peer.address)) return undefined;
    return this.#refuse(peer, STATUS.tooManyWrong);
  }

  /** The connection to close so that a newcomer may say hello: the oldest, if too many have not said hello. */
  tooManyGreeting(newcomer: C): C | undefined {
    const max = Math.min(GREETING_MAX, Math.max(GREETING_MIN, this.options.maxConnections));
    const all = this.#those((each) => each.grant === NOBODY && each !== newcomer);
    const same = all.filter(({ origin }) => origin === newcomer.origin);
    const [oldest] = same.length >= GREETING_MAX_EACH ? same : all.length >= max ? all : [];
    if (oldest !== undefined) this.#refuse(oldest, STATUS.busy);
    return oldest;
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
    return grant;
  }

  /**
   * The connections to close so that a newcomer can be admitted.
   * @returns the status `busy` when there is none to close
   */
  makeRoom(peer: Peer, grant: Grant, nowNs: number): C[] | number {
    const { maxConnections, maxConnectionsEach } = this.options;
    const limits: [max: number, counts: (each: Held) => boolean][] = [
      [maxConnectionsEach, (each) => grant !== ANYONE && each.grant === grant],
      [maxConnectionsEach, ({ origin }) => origin === peer.origin],
      [maxConnections, () => true],
    ];
    const inside = new Set(this.#those((each) => each.grant !== NOBODY));
    const leaving: C[] = [];
    for (const [max, counts] of limits) {
      const group = [...inside].filter(counts);
      if (group.length < max) continue;
      const one = this.#yielding(group, holderOf({ ...peer, grant }), nowNs);
      if (one === undefined) return this.#refuse(peer, STATUS.busy, grant.name);
      inside.delete(one);
      leaving.push(one);
    }
    this.options.counters[DATA_COUNTERS.yielded]! += leaving.length;
    return leaving;
  }

  /** Which connection of a full group makes room: one of the caller with the most, else an idle one. */
  #yielding(group: readonly C[], newcomer: string, nowNs: number): C | undefined {
    const byHolder = Map.groupBy(group, holderOf);
    const own = byHolder.get(newcomer)?.length ?? 0;
    const most = [...byHolder.values()].reduce((a, b) => (b.length > a.length ? b : a));
    // One less, and not the same: else two would take each other's place in turn.
    if (most.length > own + 1) return quietest(most);
    const quiet = quietest(group);
    return nowNs - quiet.activeNs >= this.options.idleMs * 1e6 ? quiet : undefined;
  }

  #those(are: (connection: C) => boolean): C[] {
    return [...this.connections.values()].filter(are);
  }

  /** Counts and reports a refused connection. */
  #refuse({ address, port }: Peer, status: number, token = NOBODY.name): number {
    const { counters, refused } = this.options;
    counters[status === STATUS.busy ? DATA_COUNTERS.refused : DATA_COUNTERS.denied]!++;
    const isWrong = status === STATUS.denied || status === STATUS.expired;
    if (isWrong) this.#wrong.note(address);
    if (this.#told.take("")) refused({ status, token, address, port });
    return status;
  }
}

/** The caller of a connection: one address with one token. */
function holderOf({ origin, grant }: Peer & { grant: Grant }): string {
  return `${origin} ${grant.name}`;
}

function quietest<C extends Held>(group: readonly C[]): C {
  return group.reduce((a, b) => (b.activeNs < a.activeNs ? b : a));
}
