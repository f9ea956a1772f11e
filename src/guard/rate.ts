// Rate limits: token buckets by name, in bounded memory.

import { isIPv6 } from "node:net";

/** Names that are kept. Beyond that, the least recently used is forgotten and starts with a full bucket. */
const MAX_NAMES = 4096;

interface Bucket {
  left: number;
  atMs: number;
}

export class Buckets {
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perSecond how fast a bucket fills; infinite for no limit
   * @param burst the contents of a full bucket
   */
  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {}

  /** How many names are kept now. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one token out of a bucket. @returns false if there is none */
  take(name: string, nowMs = performance.now()): boolean {
    if (this.perSecond === Number.POSITIVE_INFINITY) return true;
    const bucket = this.#filled(name, nowMs);
    if (bucket.left < 1) return false;
    bucket.left--;
    // Keeps the map in the order of last use.
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > MAX_NAMES) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest!);
    }
    return true;
  }

  /** Whether {@link take} would succeed. */
  has(name: string, nowMs = performance.now()): boolean {
    return this.perSecond === Number.POSITIVE_INFINITY || this.#filled(name, nowMs).left >= 1;
  }

  /** Whole seconds until there is one again. */
  waitS(name: string, nowMs = performance.now()): number {
    return Math.max(1, Math.ceil((1 - this.#filled(name, nowMs).left) / this.perSecond));
  }

  #filled(name: string, nowMs: number): Bucket {
    const known = this.#buckets.get(name);
    if (known === undefined) return { left: this.burst, atMs: nowMs };
    const gained = ((nowMs - known.atMs) / 1000) * this.perSecond;
    known.left = Math.min(this.burst, known.left + Math.max(0, gained));
    known.atMs = nowMs;
    return known;
  }
}

/** What limits count an address as. With IPv6 it is the /64 network: whoever has one address in it has all. */
export function originOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1]!;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const groups = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - behind.length);
  const all = [...groups, ...Array.from({ length: zeros }, () => "0"), ...behind];
  return `${all.slice(0, 4).join(":").toLowerCase()}::/64`;
}
