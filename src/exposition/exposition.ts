// Prometheus text of pools. An `Exposition` lives as long as whoever is scraped, and remembers what does not change
// from scrape to scrape; a `Scrape` is one text, of the values that it was begun with.

import { type ExposedPool, Families, type Wants } from "./families.ts";
import type { Format } from "./format.ts";
import { Scrape } from "./scrape.ts";
import { PoolTexts } from "./templates.ts";

/** Bytes of names and labels that are kept; what is beyond is made anew in each scrape. */
const KEPT_BYTES_MAX = 32 << 20;
/** Selections whose families are kept. */
const SELECTIONS_MAX = 8;
/** Scrapes after which a pool that none of them had is forgotten. */
const FORGET_AFTER = 64;

export interface ScrapeOptions {
  format: Format;
  /** Leaves out metrics. */
  wants?: Wants;
  /** Names the selection that `wants` makes: two with one name leave out the same. */
  selection?: string;
}

export class Exposition {
  readonly #texts = new Map<string, PoolTexts>();
  readonly #families = new Map<string, Families>();
  #scrapes = 0;

  constructor(readonly keptBytesMax = KEPT_BYTES_MAX) {}

  /** Bytes of names and labels that are kept now. */
  get keptBytes(): number {
    let sum = 0;
    for (const { keptBytes } of this.#texts.values()) sum += keptBytes;
    return sum;
  }

  /** Begins a text of what the pools hold. Their values must stay as they are until its end. */
  scrape(pools: readonly ExposedPool[], options: ScrapeOptions): Scrape {
    const { format, wants = () => true, selection = "" } = options;
    this.#scrapes++;
    const texts = pools.map((pool) => this.#textsOf(pool));
    const places = pools.map(({ app, source, parts }) => [app, source, parts !== undefined]);
    const key = JSON.stringify([selection, places]);
    let families = this.#families.get(key);
    this.#families.delete(key);
    if (families === undefined || !families.fits(pools)) {
      families = new Families(pools, texts, wants);
      this.#forget();
    }
    this.#families.set(key, families);
    return new Scrape(pools, families, format, (bytes) => this.#mayKeep(bytes));
  }

  #textsOf({ app, source, directory }: ExposedPool): PoolTexts {
    const key = JSON.stringify([app, source]);
    let texts = this.#texts.get(key);
    // The one used last is the last.
    this.#texts.delete(key);
    if (texts?.directory !== directory) texts = new PoolTexts(directory);
    texts.usedIn = this.#scrapes;
    this.#texts.set(key, texts);
    return texts;
  }

  /** Makes room, if need be at the cost of pools that this scrape does not have. */
  #mayKeep(bytes: number): boolean {
    let free = this.keptBytesMax - this.keptBytes;
    for (const texts of this.#texts.values()) {
      if (free >= bytes || texts.usedIn === this.#scrapes) break;
      free += texts.keptBytes;
      texts.clear();
    }
    return free >= bytes;
  }

  #forget(): void {
    for (const [key, { usedIn }] of this.#texts) {
      if (this.#scrapes - usedIn > FORGET_AFTER) this.#texts.delete(key);
    }
    for (const key of this.#families.keys()) {
      if (this.#families.size < SELECTIONS_MAX) break;
      this.#families.delete(key);
    }
  }
}
