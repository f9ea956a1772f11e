// Runs queries: finds a process for each, gives it the files that its SQL needs, and makes a response of what it says
// while it says it. Used by the lake's server.

import { availableParallelism } from "node:os";
import { type Libraries, unpackLibraries } from "../../duckdb/index.ts";
import { Turns } from "../../guard/index.ts";
import { type ChildOptions, QueryChild, textOf } from "./child.ts";
import { FORMATS, type Format, FRAME, type Frame } from "./frames.ts";
import { QueryError } from "./query-error.ts";
import { instantNs } from "./range.ts";
import { selfCommand } from "./self-command.ts";
import type { OpenTables, QueryRange, QueryTables } from "./tables.ts";

export interface QueryLimits {
  /** Queries that run at once. */
  concurrent: number;
  /** Queries that wait for their turn; more are refused. */
  waiting: number;
  /** What a query may take, from its turn to the last byte of its answer. */
  timeMs: number;
  /** Of DuckDB; the process may have some more for rows on their way out. */
  memoryBytes: number;
  threads: number;
  /** How long nobody may read on in an answer while others wait for their turn. */
  unreadMs: number;
}

const CORES = availableParallelism();

export const DEFAULT_QUERY_LIMITS: QueryLimits = {
  concurrent: Math.max(2, Math.floor(CORES / 2)),
  waiting: 32,
  timeMs: 60_000,
  memoryBytes: 512 * 1024 * 1024,
  threads: Math.min(CORES, 4),
  unreadMs: 10_000,
};

/** A query that somebody sends. */
export interface Query {
  sql: string;
  /** RFC 3339, or nanoseconds since 1970. */
  from?: string;
  to?: string;
  format?: Format;
}

/** What became of a query, for the audit log. */
export interface QueryAudit {
  who: string;
  /** `ok`, `gone` when the caller left, or the code of the error. */
  outcome: string;
  format: Format;
  tables: readonly string[];
  files: number;
  rows: number;
  ms: number;
}

export interface QueryRunnerOptions {
  tables: QueryTables;
  /** All files are in it, by absolute path. */
  folder: string;
  limits?: Partial<QueryLimits>;
  /** Called once per query, when it has ended. */
  audit?: (audit: QueryAudit) => void;
  /** Several callers share it: one turn is always another's, and no caller has more than a quarter of those who wait. */
  isShared?: boolean;
  /** How many processes wait for queries. */
  warm?: number;
}

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  ndjson: "application/x-ndjson",
  csv: "text/csv; charset=utf-8; header=present",
  arrow: "application/vnd.apache.arrow.stream",
  parquet: "application/vnd.apache.parquet",
};

export class QueryRunner {
  readonly #options: QueryRunnerOptions;
  readonly #limits: QueryLimits;
  readonly #turns: Turns;
  readonly #warm: QueryChild[] = [];
  readonly #busy = new Set<QueryChild>();
  #libraries: Libraries | undefined;
  #isClosed = false;

  constructor(options: QueryRunnerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_QUERY_LIMITS, ...options.limits };
    const { concurrent, waiting } = this.#limits;
    const share = { atOnce: concurrent - 1, waiting: Math.ceil(waiting / 4) };
    this.#turns = new Turns({
      ...{ atOnce: concurrent, waiting, refusal: tooMany },
      ...(options.isShared === true ? { perCaller: share } : {}),
    });
    const unpacking = unpackLibraries();
    if (unpacking === undefined) this.#warmUp();
    else void this.#share(unpacking);
  }

  /** Processes of queries that run or wait. */
  get processes(): readonly number[] {
    return [...this.#warm, ...this.#busy].map(({ pid }) => pid);
  }

  /**
   * Answers a query. The response has begun to be made when this resolves; its body is made while it is read.
   * @param signal the caller has gone: the process is killed
   * @param tables what the caller may see, where that is less than all
   * @param caller who takes turns with others
   * @throws QueryError when there is no answer, as long as no byte of one is there
   */
  async run(
    query: Query,
    signal: AbortSignal,
    who = "nobody",
    tables = this.#options.tables,
    caller = who,
  ): Promise<Response> {
    const asked = checked(query);
    const begunMs = performance.now();
    const audit: QueryAudit = {
      ...{ who, outcome: "ok", format: asked.format, tables: [], files: 0, rows: 0, ms: 0 },
    };
    let end = (outcome: string): void => {
      end = () => {};
      audit.outcome = outcome;
      audit.ms = Math.round(performance.now() - begunMs);
      this.#options.audit?.(audit);
    };
    try {
      const free = await this.#turns.take(caller, signal);
      if (this.#isClosed) throw stopped();
      const child = this.#take();
      const running = new Running(
        { child, asked, audit, begunMs, unread: this.#unread },
        (outcome) => {
          signal.removeEventListener("abort", gone);
          this.#busy.delete(child);
          child.kill();
          free();
          end(outcome);
          this.#warmUp();
        },
      );
      const gone = () => running.leave();
      signal.addEventListener("abort", gone, { once: true });
      const response = await running.begin(tables, this.#limits.timeMs);
      // Most queries are done by now, and the next one need not wait for a process.
      this.#warmUp();
      return response;
    } catch (error) {
      end(signal.aborted ? "gone" : error instanceof QueryError ? error.code : "failed");
      throw error;
    }
  }

  /** Kills what runs, and starts no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const children = [...this.#warm, ...this.#busy];
    for (const child of children) child.kill(stopped());
    await Promise.all(children.map(({ ended }) => ended));
  }

  /** Starts no process ahead before they are unpacked: it would do so itself, which takes as long. */
  async #share(unpacking: Promise<Libraries>): Promise<void> {
    try {
      this.#libraries = await unpacking;
    } finally {
      this.#warmUp();
    }
  }

  readonly #unread = {
    afterMs: () => this.#limits.unreadMs,
    isInTheWay: () => this.#turns.waiting > 0,
  };

  #take(): QueryChild {
    let child = this.#warm.shift();
    while (child !== undefined && !child.isAlive) child = this.#warm.shift();
    child ??= this.#start();
    this.#busy.add(child);
    return child;
  }

  #warmUp(): void {
    const { warm = 1 } = this.#options;
    while (!this.#isClosed && this.#warm.length < warm) this.#warm.push(this.#start());
  }

  #start(): QueryChild {
    const { threads, memoryBytes } = this.#limits;
    const { tables, folder } = this.#options;
    const options: ChildOptions = {
      libraries: this.#libraries,
      threads,
      memoryBytes,
      tables: tables.names,
      folder,
      command: selfCommand(),
    };
    return new QueryChild(options);
  }
}

interface Asked {
  sql: string;
  format: Format;
  range: QueryRange;
}

interface RunningParts {
  child: QueryChild;
  asked: Asked;
  audit: QueryAudit;
  begunMs: number;
  unread: Unread;
}

/** Answers that nobody reads on in. */
interface Unread {
  afterMs(): number;
  /** Whether others wait for their turn. */
  isInTheWay(): boolean;
}

/** One query on its way. */
class Running {
  readonly #gone = new AbortController();
  #tables: OpenTables | undefined;
  /** What was read before there was a response. */
  #first: Frame | undefined;

  readonly child: QueryChild;
  readonly asked: Asked;
  readonly audit: QueryAudit;
  readonly #parts: RunningParts;
  /** Called once. */
  readonly #ended: (outcome: string) => void;
  #untilRead: Timer | undefined;

  constructor(parts: RunningParts, ended: (outcome: string) => void) {
    this.child = parts.child;
    this.asked = parts.asked;
    this.audit = parts.audit;
    this.#parts = parts;
    this.#ended = ended;
  }

  async begin(tables: QueryTables, timeMs: number): Promise<Response> {
    const { sql, format, range } = this.asked;
    try {
      await this.child.ask({ sql, format }, timeMs);
      const named = await this.#expect(FRAME.tables);
      this.audit.tables = JSON.parse(textOf(named)) as string[];
      this.#tables = await tables.open(this.audit.tables, range, this.#gone.signal);
      const { files, rows, statements } = this.#tables;
      this.audit.files = files.length;
      this.child.give({ files, rows, statements });
      const columns = await this.#expect(FRAME.columns);
      // NDJSON says how far it is; of the others nothing is said before there are rows, so that an error can be one of HTTP.
      this.#first = format === "ndjson" ? columns : await this.#expect(FRAME.data, FRAME.end);
    } catch (error) {
      this.#end(error);
      throw this.#gone.signal.aborted ? gone() : error;
    }
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => this.#awaitReader(controller),
        pull: async (controller) => {
          clearTimeout(this.#untilRead);
          await this.#pull(controller);
          this.#awaitReader(controller);
        },
        cancel: () => this.leave(),
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "content-type": CONTENT_TYPES[format] } });
  }

  /** Somebody may ask and never read, and would keep the turn until the query's time is up. */
  #awaitReader(controller: ReadableStreamDefaultController<Uint8Array>): void {
    clearTimeout(this.#untilRead);
    if (this.#hasEnded) return;
    const { unread } = this.#parts;
    this.#untilRead = setTimeout(() => {
      if (!unread.isInTheWay()) return this.#awaitReader(controller);
      const error = new QueryError(
        "unread",
        "nobody has read on in the answer, and others wait for their turn",
        "read it as it comes, or ask for less",
        503,
      );
      controller.error(error);
      this.#end(error);
    }, unread.afterMs());
    this.#untilRead.unref();
  }

  /** Nobody waits for the answer any more. */
  leave(): void {
    this.#gone.abort(gone());
    this.#end(gone());
  }

  async #expect(...kinds: readonly string[]): Promise<Frame> {
    for (;;) {
      const frame = await this.child.next();
      this.#gone.signal.throwIfAborted();
      if (frame === undefined || kinds.includes(frame.kind)) return frame!;
      if (frame.kind !== FRAME.progress) throw new Error(`an unexpected frame ${frame.kind}`);
    }
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const isNdjson = this.asked.format === "ndjson";
    const line = (value: unknown) => controller.enqueue(Buffer.from(`${JSON.stringify(value)}\n`));
    try {
      for (;;) {
        const frame = this.#first ?? (await this.child.next())!;
        this.#first = undefined;
        if (frame.kind === FRAME.data) return controller.enqueue(frame.bytes);
        if (frame.kind === FRAME.columns && isNdjson) {
          return line({ columns: JSON.parse(textOf(frame)) });
        }
        if (frame.kind === FRAME.progress && isNdjson) {
          return line({ progress: JSON.parse(textOf(frame)) });
        }
        if (frame.kind !== FRAME.end) continue;
        const { audit } = this;
        const { begunMs } = this.#parts;
        audit.rows = JSON.parse(textOf(frame)) as number;
        const ms = Math.round(performance.now() - begunMs);
        if (isNdjson) line({ end: { rows: audit.rows, ms, files: audit.files } });
        controller.close();
        return this.#end();
      }
    } catch (error) {
      this.#end(error);
      // Without a line for it, an answer that is cut must not look as if it were whole.
      if (!isNdjson || !(error instanceof QueryError)) return controller.error(error);
      line({ error: error.body });
      controller.close();
    }
  }

  #end(error?: unknown): void {
    this.#tables?.close();
    this.#tables = undefined;
    const isGone = this.#gone.signal.aborted;
    this.#finish(
      isGone
        ? "gone"
        : error === undefined
          ? "ok"
          : error instanceof QueryError
            ? error.code
            : "failed",
    );
  }

  #hasEnded = false;
  #finish(outcome: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#untilRead);
    this.child.rest();
    this.#ended(outcome);
  }
}

/** @throws QueryError for what nobody can answer */
function checked({ sql, from, to, format = "ndjson" }: Query): Asked {
  if (typeof sql !== "string") throw wrong("`sql` is missing", "send a text with one SELECT");
  if (!FORMATS.includes(format)) {
    throw wrong(
      `there is no format ${JSON.stringify(format)}`,
      `it is one of ${FORMATS.join(", ")}`,
    );
  }
  const fromNs = from === undefined ? undefined : instantNs(from, "from");
  const toNs = to === undefined ? undefined : instantNs(to, "to");
  if (fromNs !== undefined && toNs !== undefined && fromNs >= toNs) {
    throw wrong("`from` is not before `to`", "the range ends before it begins: exchange them");
  }
  const range = {
    ...(fromNs === undefined ? {} : { fromNs }),
    ...(toNs === undefined ? {} : { toNs }),
  };
  return { sql, format, range };
}

function wrong(message: string, hint: string): QueryError {
  return new QueryError("bad-request", message, hint);
}

function gone(): QueryError {
  return new QueryError("caller-gone", "the caller has left", "", 499);
}

function tooMany(waiting: number): QueryError {
  return new QueryError(
    "too-many-queries",
    `${waiting} queries wait already`,
    "try again in a moment",
    429,
  );
}

function stopped(): QueryError {
  return new QueryError("lake-stopped", "the lake is being stopped", "try again in a moment", 503);
}
