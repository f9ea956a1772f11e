// Who is let in to the data plane: as many as it may have in all, by token and by address, and who may read. Where there
// is no room, who has the most makes some, and who is silent does: nobody can keep the others out by being there first.

import { peerOf, SystemError } from "../ffi/index.ts";
import { STATUS } from "../layout/index.ts";
import { DATA_COUNTERS, type DataRefusal } from "./data-protocol.ts";
import { ANYONE, type Grant, NOBODY } from "./grants.ts";
import { Buckets } from "./rate.ts";
import { ExpiredTokenError, type KnownToken, Tokens } from "./tokens.ts";
import { callerOf, WrongTokens } from "./wrong-tokens.ts";

/** Refusals that are told in a second; counters have the others. */
const TOLD_PER_S = 20;
const TOLD_AT_ONCE = 200;

/** Connections that have not said yet who they are, beside those that have: in all, and of one address. */
const GREETING_MAX = 256;
export const GREETING_MAX_EACH = 64;

export interface DataDoorOptions {
  /** Undefined when none is asked for. */
  tokens?: readonly KnownToken[];
  maxConnections: number;
  /** Of one token, and of one address. */
  maxConnectionsEach: number;
  /** Who has asked for nothing for so long makes room where there is none. */
  idleMs: number;
  /** Wrong tokens per second of an address. */
  wrongPerS: number;
  /** Somebody was not let in. */
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

/** A connection, as the door knows it. */
export interface Held extends Peer {
  /** NOBODY's until it has said who it is. */
  grant: Grant;
  /** When it has asked for something last, or taken something of an answer. */
  activeNs: number;
}

export class DataDoor<C extends Held> {
  readonly #tokens: Tokens | undefined;
  readonly #wrong: WrongTokens;
  readonly #told = new Buckets(TOLD_PER_S, TOLD_AT_ONCE);

  /** @param connections all there are, the oldest first */
  constructor(
    readonly options: DataDoorOptions,
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
  peerOf(fd: number): Peer | undefined {
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

  /** Who has to go so that another may say who he is: of too many that have not, the one that came first. */
  tooManyGreeting(newcomer: C): C | undefined {
    const all = this.#those((each) => each.grant === NOBODY && each !== newcomer);
    const same = all.filter(({ origin }) => origin === newcomer.origin);
    const [oldest] =
      same.length >= GREETING_MAX_EACH ? same : all.length >= GREETING_MAX ? all : [];
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
   * Who has to go so that another may come in.
   * @returns the status `busy` when nobody has to
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

  /** Who of a full group makes room: of those that have more than the newcomer would, else of the silent. */
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

  /** Counts somebody who is not let in, and tells of him. */
  #refuse({ address, port }: Peer, status: number, token = NOBODY.name): number {
    const { counters, refused } = this.options;
    counters[status === STATUS.busy ? DATA_COUNTERS.refused : DATA_COUNTERS.denied]!++;
    const isWrong = status === STATUS.denied || status === STATUS.expired;
    if (isWrong) this.#wrong.note(address);
    if (this.#told.take("")) refused({ status, token, address, port });
    return status;
  }
}

/** Whose a connection is: what comes from one place with one token is one caller's. */
function holderOf({ origin, grant }: Peer & { grant: Grant }): string {
  return `${origin} ${grant.name}`;
}

function quietest<C extends Held>(group: readonly C[]): C {
  return group.reduce((a, b) => (b.activeNs < a.activeNs ? b : a));
}
