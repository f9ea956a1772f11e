// How often wrong tokens may come from one place. All addresses of this host are one place, because a local user can
// use sixteen million. So is an address elsewhere; and the network around it may send more, but not without end.

import { networkInterfaces } from "node:os";
import { Buckets, originOf } from "./rate.ts";

/** Wrong tokens at once, in seconds' worth. */
const WRONG_AT_ONCE = 6;

/** A network may send so many times what an address may. */
const NETWORK_TIMES = 16;

/** How long it is believed which addresses this host has. */
const OWN_MS = 10_000;

const THIS_HOST = "this host";

export class WrongTokens {
  readonly #places: Buckets;
  readonly #networks: Buckets;

  /** @param perS of one place */
  constructor(perS: number) {
    this.#places = new Buckets(perS, perS * WRONG_AT_ONCE);
    this.#networks = new Buckets(perS * NETWORK_TIMES, perS * NETWORK_TIMES * WRONG_AT_ONCE);
  }

  /** Whether a token from there is looked at. */
  mayTry(address: string): boolean {
    return this.#places.has(placeOf(address)) && this.#networks.has(networkOf(address));
  }

  /** One was wrong. */
  note(address: string): void {
    this.#places.take(placeOf(address));
    this.#networks.take(networkOf(address));
  }

  /** Seconds after which {@link mayTry} may say yes. */
  waitS(address: string): number {
    const [place, network] = [placeOf(address), networkOf(address)];
    return Math.max(
      this.#places.has(place) ? 0 : this.#places.waitS(place),
      this.#networks.has(network) ? 0 : this.#networks.waitS(network),
    );
  }
}

/** What stands for an address where connections are counted: all of this host are one, and so is a network of IPv6. */
export function callerOf(address: string): string {
  return placeOf(address) === THIS_HOST ? THIS_HOST : originOf(address);
}

/** What stands for an address where wrong tokens and requests without a token are counted. */
export function placeOf(address: string): string {
  const origin = originOf(address);
  return origin.startsWith("127.") || address === "::1" || ownAddresses().has(plain(address))
    ? THIS_HOST
    : origin;
}

/** The network around an address: /24 of IPv4, /48 of IPv6. */
export function networkOf(address: string): string {
  const place = placeOf(address);
  if (place === THIS_HOST) return place;
  if (place.endsWith("/64")) return `${place.split(":").slice(0, 3).join(":")}::/48`;
  return `${place.split(".").slice(0, 3).join(".")}.0/24`;
}

let own = new Set<string>();
let ownUntilMs = 0;

function ownAddresses(): ReadonlySet<string> {
  const nowMs = performance.now();
  if (nowMs < ownUntilMs) return own;
  ownUntilMs = nowMs + OWN_MS;
  try {
    own = new Set(
      Object.values(networkInterfaces()).flatMap((each = []) => each.map(({ address }) => address)),
    );
  } catch {
    // To ask takes a file, and strangers may have taken the last one: what was known goes on.
  }
  return own;
}

/** An address as the list of interfaces has it. */
function plain(address: string): string {
  return address
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .split("%")[0]!
    .toLowerCase();
}
