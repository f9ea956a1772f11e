// What a service of a shop records for its requests: of twenty events sixteen are spans, three values of measures, one a log
// line. The benches of events record it, through whatever they measure; it is the same at each run.

/** Where a corpus is recorded. */
export interface CorpusScribe {
  /** Begins a span below the one that is open. */
  begin(span: number): void;
  /** Ends the one that is open. */
  end(isError: boolean): void;
  measure(measure: number, value: number): void;
  log(line: CorpusLine): void;
}

export interface CorpusLine {
  level: "error" | "warn" | "info" | "debug";
  target: string;
  message: string;
  properties: Readonly<Record<string, unknown>> | undefined;
}

/** Name, part of the program, and what it is to others. */
export const CORPUS_SPANS = [
  { name: "request", target: "http", kind: "server" },
  { name: "authenticate", target: "auth", kind: "internal" },
  { name: "read session", target: "redis", kind: "client" },
  { name: "verify token", target: "auth", kind: "internal" },
  { name: "select product", target: "postgres", kind: "client" },
  { name: "select price", target: "postgres", kind: "client" },
  { name: "select stock", target: "postgres", kind: "client" },
  { name: "apply discounts", target: "pricing", kind: "internal" },
  { name: "load rules", target: "pricing", kind: "internal" },
  { name: "evaluate rule", target: "pricing", kind: "internal" },
  { name: "render page", target: "view", kind: "internal" },
  { name: "render header", target: "view", kind: "internal" },
  { name: "render list", target: "view", kind: "internal" },
  { name: "encode json", target: "http", kind: "internal" },
  { name: "compress", target: "http", kind: "internal" },
  { name: "insert order", target: "postgres", kind: "client" },
  { name: "update stock", target: "postgres", kind: "client" },
  { name: "publish event", target: "kafka", kind: "producer" },
] as const;

/** Name, unit and part of the program. */
export const CORPUS_MEASURES = [
  { name: "request_duration", unit: "ms", target: "http" },
  { name: "response_size", unit: "bytes", target: "http" },
  { name: "queue_depth", unit: "jobs", target: "kafka" },
  { name: "rows", unit: "rows", target: "postgres" },
  { name: "cart_value", unit: "euros", target: "pricing" },
] as const;

/** Children of the spans above, as a request has them; with each the share of requests. */
const CALLS: readonly (readonly [span: number, children: readonly number[]])[] = [
  [1, [2, 3]],
  [4, [5, 6]],
  [7, [8, 9, 9]],
  [10, [11, 12]],
];
const LAST: readonly (readonly number[])[] = [
  [13, 14, 15],
  [13, 14, 17],
  [14, 16, 17],
];
/** Spans, measures and lines of a request. */
export const CORPUS_EVENTS = { spans: 17 - 1, measures: 3, logs: 1 } as const;

const ROUTES = ["/", "/product/:id", "/cart", "/checkout", "/search", "/login"] as const;
const METHODS = ["GET", "GET", "GET", "POST", "PUT"] as const;
const WORDS = ["lamp", "table", "blue chair", "carpet", "sofa 3 seats", "mirror", "shelf"] as const;

/** Numbers that are the same at each run: mulberry32 of Tommy Ettinger. */
export class CorpusRandom {
  #state: number;

  constructor(seed = 1) {
    this.#state = seed | 0;
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** As durations and sizes are: most are small, some are large. */
  logNormal(median: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return median * Math.exp(sigma * normal);
  }
}

/** Records one request: twenty events. */
export function recordRequest(scribe: CorpusScribe, random: CorpusRandom): void {
  scribe.begin(0);
  // One of the calls comes with one child less, so that there are sixteen spans in all.
  const short = random.below(CALLS.length);
  for (const [i, [span, children]] of CALLS.entries()) {
    scribe.begin(span);
    for (const child of children.slice(i === short ? 1 : 0)) {
      scribe.begin(child);
      scribe.end(random.next() < 0.002);
    }
    scribe.end(false);
  }
  scribe.measure(2 + random.below(3), random.below(40));
  scribe.log(corpusLine(random));
  for (const span of LAST[random.below(LAST.length)]!) {
    scribe.begin(span);
    scribe.end(random.next() < 0.002);
  }
  scribe.measure(1, Math.round(random.logNormal(4000, 1)));
  scribe.measure(0, Math.round(random.logNormal(300, 0.6)) / 1000);
  scribe.end(random.next() < 0.01);
}

/** A log line of a request. */
export function corpusLine(random: CorpusRandom): CorpusLine {
  const route = ROUTES[random.below(ROUTES.length)]!;
  const method = METHODS[random.below(METHODS.length)]!;
  const ms = Math.round(random.logNormal(300, 0.8)) / 1000;
  switch (random.below(8)) {
    case 0:
      return {
        level: "info",
        target: "auth",
        message: `user ${1000 + random.below(90_000)} signed in from 10.${random.below(4)}.${random.below(256)}.${random.below(256)}`,
        properties: undefined,
      };
    case 1:
      return {
        level: "warn",
        target: "postgres",
        message: "query took longer than expected",
        properties: { statement: "select price", ms, rows: random.below(200), isPooled: true },
      };
    case 2:
      return {
        level: "info",
        target: "search",
        message: "searched",
        properties: { text: WORDS[random.below(WORDS.length)], results: random.below(500), ms },
      };
    case 3:
      if (random.next() < 0.1) return failure(random);
      return {
        level: "debug",
        target: "redis",
        message: `cache miss for key session:${random.below(2 ** 31).toString(36)}`,
        properties: undefined,
      };
  }
  return {
    level: "info",
    target: "http",
    message: "request completed",
    properties: {
      method,
      route,
      status: random.next() < 0.97 ? 200 : 404,
      ms,
      bytes: Math.round(random.logNormal(4000, 1)),
      requestId: random
        .below(2 ** 31)
        .toString(36)
        .padStart(6, "0"),
    },
  };
}

function failure(random: CorpusRandom): CorpusLine {
  const order = random.below(1e6);
  return {
    level: "error",
    target: "orders",
    message: `order ${order} cannot be stored`,
    properties: {
      order,
      error: {
        name: "TimeoutError",
        message: "no connection within 5000 ms",
        stack: `TimeoutError: no connection within 5000 ms\n    at acquire (/srv/shop/pool.ts:118:11)\n    at insertOrder (/srv/shop/orders.ts:64:27)\n    at checkout (/srv/shop/checkout.ts:31:9)`,
      },
    },
  };
}

/** A line as a file of logs would have it. */
export function textOfLine(
  { level, target, message, properties }: CorpusLine,
  unixMs: number,
): string {
  const tail = properties === undefined ? "" : ` ${JSON.stringify(properties)}`;
  const time = new Date(unixMs).toISOString();
  return `${time} ${level.toUpperCase()} ${target}: ${message}${tail}\n`;
}
