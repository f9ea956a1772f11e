// Prometheus text of pools. An `Exposition` lives as long as whoever is scraped, and remembers what does not change
// from scrape to scrape; a `Scrape` is one text, of the values that it was begun with.

import { type ExposedPool, Families } from "./families.ts";
import { Scrape, type ScrapeOptions } from "./scrape.ts";

/** Bytes of names and labels that are kept; what is beyond is made again in each scrape. */
const KEPT_BYTES_MAX = 32 << 20;
/** Selections whose families are kept. */
const SELECTIONS_MAX = 8;

export class Exposition {
  /** By selection and pools; the one used last is the last. */
  readonly #families = new Map<string, Families>();

  constructor(readonly keptBytesMax = KEPT_BYTES_MAX) {}

  /** Bytes of names and labels that are kept now. */
  get keptBytes(): number {
    let sum = 0;
    for (const { keptBytes } of this.#families.values()) sum += keptBytes;
    return sum;
  }

  /** Begins a text of what the pools hold. Their values must stay as they are until its end. */
  scrape(pools: readonly ExposedPool[], options: ScrapeOptions): Scrape {
    const { format, names = "underscores", created = true, buckets = "powers" } = options;
    const { wants = () => true, selection = "" } = options;
    const places = pools.map(({ app, source, parts }) => [app, source, parts !== undefined]);
    const key = JSON.stringify([selection, names, places]);
    const known = this.#families.get(key);
    const families = known?.fits(pools) ? known : new Families(pools, wants, names, known);
    this.#families.delete(key);
    this.#forgetOldest();
    this.#families.set(key, families);
    let free: number | undefined;
    return new Scrape(pools, families, { format, created, buckets }, (bytes) => {
      free ??= this.#makeRoom(families);
      free -= bytes;
      return free >= 0;
    });
  }

  #forgetOldest(): void {
    for (const key of this.#families.keys()) {
      if (this.#families.size < SELECTIONS_MAX) break;
      this.#families.delete(key);
    }
  }

  /** Takes room from selections that were used before this one. @returns bytes that may be kept */
  #makeRoom(families: Families): number {
    let free = this.keptBytesMax - this.keptBytes;
    for (const each of this.#families.values()) {
      if (free >= this.keptBytesMax / 2 || each === families) break;
      free += each.keptBytes;
      each.forgetTexts();
    }
    return free;
  }
}
