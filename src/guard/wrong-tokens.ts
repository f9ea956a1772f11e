// Limits wrong tokens by place. This host is one place, because a local user can use sixteen million loopback addresses.
// Each other address is one, too. There is a second, higher limit for the network around an address.

import { networkInterfaces } from "node:os";
import { Buckets, originOf } from "./rate.ts";

/** The burst, in seconds of the rate. */
const WRONG_AT_ONCE = 6;

/** The limit of a network, as a multiple of an address's. */
const NETWORK_TIMES = 16;

/** How long the list of this host's addresses is cached. */
const OWN_MS = 10_000;

const THIS_HOST = "this host";

export class WrongTokens {
  readonly #places: Buckets;
  readonly #networks: Buckets;

  /** @param perS wrong tokens per second of one place */
  constructor(perS: number) {
    this.#places = new Buckets(perS, perS * WRONG_AT_ONCE);
    this.#networks = new Buckets(perS * NETWORK_TIMES, perS * NETWORK_TIMES * WRONG_AT_ONCE);
  }

  /** Whether a token from an address is checked at all. */
  mayTry(address: string): boolean {
    return this.#places.has(placeOf(address)) && this.#networks.has(networkOf(address));
  }

  /** Counts a wrong token. */
  note(address: string): void {
    this.#places.take(placeOf(address));
    this.#networks.take(networkOf(address));
  }

  /** Seconds after which {@link mayTry} may be true again. */
  waitS(address: string): number {
    const [place, network] = [placeOf(address), networkOf(address)];
    return Math.max(
      this.#places.has(place) ? 0 : this.#places.waitS(place),
      this.#networks.has(network) ? 0 : this.#networks.waitS(network),
    );
  }
}

/** What limits of connections count an address as: this host is one caller, and so is a /64 network of IPv6. */
export function callerOf(address: string): string {
  return placeOf(address) === THIS_HOST ? THIS_HOST : originOf(address);
}

/** What limits of wrong tokens, and of requests without a token, count an address as. */
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
    // Listing interfaces needs a file descriptor, and callers may have used up the last one. Keep the old list.
  }
  return own;
}

/** An address in the form that the list of interfaces uses. */
function plain(address: string): string {
  return address
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .split("%")[0]!
    .toLowerCase();
}
