// GET /metrics, whoever serves it: what is asked for, and the answer in pieces that nobody holds together.

import type { Wants } from "../layout/index.ts";
import { cutText, globs, printable } from "../text/index.ts";
import { Exposition } from "./exposition.ts";
import type { ExposedPool } from "./families.ts";
import type { Format } from "./format.ts";
import { GzipPieces } from "./gzip.ts";
import { prometheusNames } from "./naming/names.ts";
import { acceptsGzip, type Negotiated } from "./negotiate.ts";
import {
  BusyError,
  RETRY_AFTER_S,
  SCRAPE_LIMITS,
  type ScrapeEvents,
  ScrapeLimiter,
  type ScrapeLimits,
} from "./scrape-limiter.ts";
import { BUCKETS, type Buckets } from "./spelling.ts";

/** Up to here a text is answered whole, with its length; beyond, piece by piece as it is taken. */
const WHOLE_BYTES_MAX = 1 << 20;
/** Selections that are remembered. */
const SELECTIONS_MAX = 32;
const GLOBS_MAX = 64;
const GLOB_CHARACTERS_MAX = 255;
/** Of an unknown parameter, as it is repeated to whoever sent it. */
const KEY_CHARACTERS = 40;

/** What cannot be asked for. */
export class QueryError extends Error {
  override readonly name = "QueryError";
  readonly hint =
    '?app=GLOB&service=GLOB&metric=GLOB, each as often as needed; per_writer=1, created=0, buckets=all; write "metric[]" if you like';
}

/** What is asked for by the query. */
export interface Selection {
  /** The same for the same globs. */
  name: string;
  app(name: string): boolean;
  wants: Wants;
  perWriter: boolean;
  /** Tells when counters and histograms began, where the format has it. */
  created: boolean;
  /** Which buckets of log-linear histograms are shown. */
  buckets: Buckets;
}

/** What of a request decides the answer. */
interface MetricsRequest {
  query: URLSearchParams;
  /** By its Accept. */
  as: Negotiated<Format>;
  acceptEncoding: string | null;
}

export class MetricsEndpoint {
  readonly exposition = new Exposition();
  readonly limiter: ScrapeLimiter;
  readonly #selections = new Map<string, Selection>();

  /**
   * @param limits what scrapers may hold
   * @param events told of those who wanted more
   */
  constructor(limits: Partial<ScrapeLimits>, events: ScrapeEvents) {
    this.limiter = new ScrapeLimiter({ ...SCRAPE_LIMITS, ...limits }, events);
  }

  /**
   * What is asked for; status 503 when as many are being answered as may be.
   * @param poolsOf the pools that the asker may see and has selected, with their values now
   * @throws QueryError for a query that cannot be
   */
  answer(
    { query, as, acceptEncoding }: MetricsRequest,
    poolsOf: (selection: Selection) => readonly ExposedPool[],
  ): Response {
    const selection = this.#selection(query);
    const { wants, created, buckets, name } = selection;
    const { format, names, contentType } = as;
    const options = { format, names, created, buckets, wants, selection: name };
    const scrape = this.exposition.scrape(poolsOf(selection), options);
    if (scrape.clashes.length > 0) this.limiter.events.clash(scrape.clashes);
    const gzip = acceptsGzip(acceptEncoding);
    const headers = {
      "content-type": contentType,
      vary: "accept, accept-encoding",
      ...(gzip ? { "content-encoding": "gzip" } : {}),
    };
    try {
      return new Response(this.#bodyOf(gzip ? new GzipPieces(scrape) : scrape), { headers });
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      const { message, hint } = error;
      return Response.json(
        { code: "scrapes-full", message, hint },
        { status: 503, headers: { "retry-after": String(RETRY_AFTER_S) } },
      );
    }
  }

  /** What is short is answered whole; what is long is made as it is taken. @throws BusyError */
  #bodyOf(pieces: {
    next(): Uint8Array | undefined;
  }): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
    const first: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const piece = pieces.next();
      if (piece === undefined) return Buffer.concat(first);
      first.push(piece);
      bytes += piece.length;
      if (bytes > WHOLE_BYTES_MAX) return this.limiter.open(first, pieces);
    }
  }

  #selection(query: URLSearchParams): Selection {
    const lists = { app: [] as string[], service: [] as string[], metric: [] as string[] };
    let perWriter = false;
    let created = true;
    let buckets: Buckets = "powers";
    for (const [key, value] of query) {
      const name = key.replace(/\[\]$/, "");
      if (Object.hasOwn(lists, name)) lists[name as keyof typeof lists].push(value);
      else if (name === "per_writer") perWriter = isOn(value);
      else if (name === "created") created = isOn(value);
      else if (name === "buckets") buckets = bucketsOf(value);
      // One that is misspelt must not look like everything that was asked for.
      else
        throw new QueryError(`there is no parameter '${cutText(printable(key), KEY_CHARACTERS)}'`);
    }
    const name = JSON.stringify([lists, perWriter, created, buckets]);
    let selection = this.#selections.get(name);
    if (selection === undefined) {
      for (const each of Object.values(lists)) check(each);
      const service = remember(globs(lists.service));
      const metric = remember(globs(lists.metric));
      selection = {
        name,
        app: globs(lists.app),
        // By the name that is shown, or by the one that it has where it is stored.
        wants: (serviceName, { definition }) =>
          service(serviceName) &&
          (metric(definition.name) || metric(prometheusNames(definition).name)),
        perWriter,
        created,
        buckets,
      };
      const oldest = this.#selections.keys().next().value;
      if (this.#selections.size >= SELECTIONS_MAX) this.#selections.delete(oldest!);
      this.#selections.set(name, selection);
    }
    return selection;
  }
}

/** @throws QueryError */
function bucketsOf(value: string): Buckets {
  const found = BUCKETS.find((each) => each === value);
  if (found === undefined) throw new QueryError(`buckets is one of ${BUCKETS.join(", ")}`);
  return found;
}

function isOn(value: string): boolean {
  return !["0", "false", "no"].includes(value);
}

/** @throws QueryError */
function check(patterns: readonly string[]): void {
  if (patterns.length > GLOBS_MAX) {
    throw new QueryError(`${patterns.length} globs are given, at most ${GLOBS_MAX} are allowed`);
  }
  for (const pattern of patterns) {
    if (pattern.length > GLOB_CHARACTERS_MAX) {
      throw new QueryError(`a glob has at most ${GLOB_CHARACTERS_MAX} characters`);
    }
  }
}

/** Names come again with every metric of a service, and every service that has a metric. */
function remember(test: (name: string) => boolean): (name: string) => boolean {
  let known = new Map<string, boolean>();
  return (name) => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = test(name);
      if (known.size > 100_000) known = new Map();
      known.set(name, answer);
    }
    return answer;
  };
}
