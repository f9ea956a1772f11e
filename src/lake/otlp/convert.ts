// A request of OTLP as blocks: the same request gives the same blocks, so that what is sent again is known.

import { type BlockOrigin, encodeBlock, type Zstd } from "../../layout/index.ts";
import { SEGMENT_BLOCKS_MAX } from "../ingestion/index.ts";
import { DAY_NS } from "../times.ts";
import { charactersOf, columnsOf, type Rows } from "./columns.ts";
import { logRow } from "./logs.ts";
import { type Message, messageIn, messagesIn, OtlpError, type Signal, textIn } from "./messages.ts";
import { addMetric } from "./metrics.ts";
import { digest, originOf } from "./origin.ts";
import { spanRow } from "./traces.ts";

/** Rows of one request: what a small one can be blown up to. */
const ROWS_MAX = 1 << 19;
const CHARACTERS_MAX = 1 << 27;
/** A block's first number is made of so many bits of a digest; 14 hex digits hold 56, a number 53. */
const FIRST_HEX_DIGITS = 13;
const LONG_MAX = 2n ** 63n - 1n;
const SPAN_NS_MAX = 366n * DAY_NS;

const zstd: Zstd = (bytes) => Bun.zstdCompressSync(bytes, { level: 1 });

export interface Converted {
  /** None when there was nothing to keep. */
  blocks: Uint8Array[];
  rejected: number;
  /** Why the last one was rejected. */
  reason: string;
}

interface ConvertOptions {
  /** Of the request, in hex. */
  bodyDigest: string;
  nowNs: bigint;
  /** Called with all applications before there is a row. @throws to refuse them */
  check(apps: ReadonlySet<string>): void;
  /** Called after some work, so that a lake does something else in between. */
  pause(): Promise<void> | undefined;
}

/** @throws OtlpError for what is no request */
export async function convert(
  signal: Signal,
  request: Message,
  { bodyDigest, nowNs, check, pause }: ConvertOptions,
): Promise<Converted> {
  const into = new Collected(nowNs, pause);
  const blocks: Uint8Array[] = [];
  const resources = messagesIn(request, RESOURCES[signal]).map((resource) => ({
    resource,
    origin: originOf(messageIn(resource, "resource"), signal),
  }));
  check(new Set(resources.map(({ origin }) => origin.process.app)));
  for (const { resource, origin: whose } of resources) {
    const rows = await into.rowsOf(signal, resource);
    const { process, stream } = whose;
    const startNs = String(earliest(rows));
    for (const columns of columnsOf(rows)) {
      if (blocks.length === SEGMENT_BLOCKS_MAX)
        throw new OtlpError(
          `the request has more than ${SEGMENT_BLOCKS_MAX} resources: send it in parts`,
        );
      const at = digest(`${bodyDigest} ${blocks.length}`).slice(0, FIRST_HEX_DIGITS);
      // One bit less, so that what is added stays exact.
      const first = Math.floor(Number.parseInt(at, 16) / 2);
      const origin: BlockOrigin = {
        first,
        end: first + 1,
        isFinal: false,
        stream: { ...stream, startNs },
        process: { ...process, startNs },
      };
      blocks.push(encodeBlock(origin, columns, zstd));
      await pause();
    }
  }
  return { blocks, rejected: into.rejected, reason: into.reason };
}

const RESOURCES = {
  logs: "resourceLogs",
  traces: "resourceSpans",
  metrics: "resourceMetrics",
} as const;

/** Collects rows, and counts what cannot be one. */
class Collected {
  rejected = 0;
  reason = "";
  readonly #nowNs: bigint;
  readonly #pause: ConvertOptions["pause"];
  #rows = 0;
  #characters = 0;

  constructor(nowNs: bigint, pause: ConvertOptions["pause"]) {
    this.#nowNs = nowNs;
    this.#pause = pause;
  }

  async rowsOf(signal: Signal, resource: Message): Promise<Rows> {
    const rows: Rows = { logs: [], measures: [], spans: [] };
    for (const part of messagesIn(resource, SCOPES[signal])) {
      const scope = textIn(messageIn(part, "scope"), "name").slice(0, 1_000).toWellFormed();
      const add = { logs: this.#log, traces: this.#span, metrics: this.#metric }[signal];
      for (const [i, each] of messagesIn(part, PARTS[signal]).entries()) {
        add.call(this, each, scope, rows);
        if (i % PAUSE_EVERY === 0) await this.#pause();
      }
    }
    return rows;
  }

  #log(record: Message, scope: string, { logs }: Rows): void {
    const row = logRow(record, scope, this.#nowNs);
    if (this.#hasRoom(row, row.timeNs)) logs.push(row);
  }

  #span(span: Message, scope: string, { spans }: Rows): void {
    const row = spanRow(span, scope);
    if (typeof row === "string") this.#reject(1, row);
    else if (row.endNs - row.beginNs > SPAN_NS_MAX) this.#reject(1, "a span is longer than a year");
    else if (this.#hasRoom(row, row.beginNs, row.endNs)) spans.push(row);
  }

  #metric(metric: Message, scope: string, { measures }: Rows): void {
    const rejected = addMetric(metric, scope, this.#nowNs, (row) => {
      if (this.#hasRoom(row, row.timeNs)) measures.push(row);
    });
    this.#reject(rejected, "a point has no name, no value, or no bounds for its buckets");
  }

  /** Counts a row. @returns false when its time cannot be kept @throws OtlpError when there are too many */
  #hasRoom(row: Parameters<typeof charactersOf>[0], ...timesNs: bigint[]): boolean {
    this.#rows++;
    this.#characters += charactersOf(row);
    if (this.#rows > ROWS_MAX || this.#characters > CHARACTERS_MAX)
      throw new OtlpError(
        "the request has too many rows, or too much text in them: send it in parts",
      );
    if (timesNs.every((each) => each >= 0n && each <= LONG_MAX)) return true;
    this.#reject(1, "a time is before 1970 or beyond 2262");
    return false;
  }

  #reject(count: number, reason: string): void {
    if (count === 0) return;
    this.rejected += count;
    this.reason = reason;
  }
}

/** Messages of a scope between two looks at the clock. */
const PAUSE_EVERY = 64;

const PARTS = { logs: "logRecords", traces: "spans", metrics: "metrics" } as const;
const SCOPES = { logs: "scopeLogs", traces: "scopeSpans", metrics: "scopeMetrics" } as const;

function earliest({ logs, measures, spans }: Rows): bigint {
  let least: bigint | undefined;
  const see = (timeNs: bigint) => {
    if (least === undefined || timeNs < least) least = timeNs;
  };
  for (const { timeNs } of logs) see(timeNs);
  for (const { timeNs } of measures) see(timeNs);
  for (const { beginNs } of spans) see(beginNs);
  return least ?? 0n;
}
