// What a question to a lake takes: 20 million log lines and as many spans, spread over 100 hours, asked for by POST /v1/query
// of a lake that runs. All of them came in as segments of blocks, and the lake made its files of them by itself.
//
// Asked is for one hour, when the lake holds 1, 10 and 100 of them, and for 10 and for 100 hours. Cold means: before each
// question the kernel forgets all files of views (posix_fadvise, DONTNEED), and the process that answers is a new one, as
// always; that the disk below is one of a virtual machine, whose host may keep pages too, cannot be helped. Beside it is
// DuckDB alone, over exactly the files that the lake has for the range: in a new process too, which has loaded DuckDB and
// opened a database before the time is taken, or from its start on. The lake has its next process ready before somebody asks;
// a caller that asks again at once waits for it.

import { Database } from "bun:sqlite";
import { join } from "node:path";
import { LakeClient } from "../src/explore/index.ts";
import { DEFAULT_QUERY_LIMITS, type LakeStatus } from "../src/lake/index.ts";
import { Lines } from "../tests/support/lines.ts";
import type { Bench, BenchContext } from "./lib/bench.ts";
import type { DuckDbAnswer } from "./lib/duckdb-process.ts";
import { HOUR_NS, LakeCorpus } from "./lib/lake-corpus.ts";
import { forgetFiles } from "./lib/page-cache.ts";
import { atMost, below, type Goal, type Row, rateRow, row, within } from "./lib/report.ts";
import { median } from "./lib/samples.ts";
import type { Scratch } from "./lib/scratch.ts";

const DUCKDB = "DuckDB";
const STARTED = "DuckDB, from its start";
const MICROMEGAS = "Micromegas, published";
const ALWAYS = { from: undefined, to: undefined };
const PUTS_AT_ONCE = 2;
/** So long nothing of the lake's files may change until they are taken for settled: files are merged every 5 s. */
const QUIET_MS = 11_000;

const bench: Bench = {
  summary: "questions to a lake of 20M logs and 20M spans, cold, by range; DuckDB alone",
  async run(context) {
    const { quick } = context;
    const plan: Plan = quick
      ? { stages: [1, 10], rowsPerHour: 10_240, rowsPerBlock: 5_120, rounds: 1, quietMs: 0 }
      : {
          stages: [1, 10, 100],
          rowsPerHour: 200_000,
          rowsPerBlock: 10_000,
          rounds: 7,
          quietMs: QUIET_MS,
        };
    const { stages } = plan;
    const all = stages.at(-1)!;
    const lake = await BenchLake.start(context, plan);
    const rows: Row[] = [];
    const hour: Record<string, number[]> = {};
    for (const hours of stages) {
      await lake.fill(hours);
      const at = Math.floor(hours / 2);
      for (const question of QUESTIONS) {
        const title = `${question.name}, 1 hour of ${hours}`;
        context.progress(title);
        const measured = await lake.measure(question, at, 1);
        rows.push(rowOf(title, measured, [below(200), within(DUCKDB, 1.3)]));
        hour[`${question.name} ${hours}`] = measured.ours;
      }
    }
    for (const hours of stages.slice(1)) {
      for (const question of QUESTIONS) {
        const title = `${question.name}, ${hours} hours of ${all}`;
        context.progress(title);
        const measured = await lake.measure(question, Math.floor((all - hours) / 2), hours);
        rows.push(rowOf(title, measured, [within(DUCKDB, 1.3)]));
      }
    }
    const growth = QUESTIONS.map(({ name }) => [
      name,
      median(hour[`${name} ${all}`]!) / median(hour[`${name} 1`]!),
    ]) as [string, number][];
    return [
      ...rows,
      ...growth.map(([name, times]) =>
        row(`${name}: 1 hour of ${all}, against 1 of 1`, "×", [times], {}, [atMost(1.5)]),
      ),
      await lake.again(),
      ...lake.filling(),
      ...(await lake.sizes()),
    ];
  },
};
export default bench;

interface Plan {
  /** The lake holds so many hours when it is asked. */
  stages: readonly number[];
  rowsPerHour: number;
  rowsPerBlock: number;
  rounds: number;
  quietMs: number;
}

interface Asked {
  /** Of the middle of the range. */
  traceId: string;
}

interface Question {
  name: string;
  table: "log_entries" | "spans";
  sql(asked: Asked): string;
  /** How many rows there have to be, where it is known. */
  rows?: number;
}

const QUESTIONS: readonly Question[] = [
  {
    name: "count",
    table: "log_entries",
    sql: () => "select count(*) as n from log_entries",
    rows: 1,
  },
  {
    name: "filter by target",
    table: "log_entries",
    sql: () =>
      "select time_ns, level, message from log_entries where target = 'orders' order by time_ns limit 100",
  },
  {
    name: "longest spans",
    table: "spans",
    sql: () =>
      "select trace_id, span_id, name, duration_ms from spans order by duration_ms desc, span_id limit 10",
    rows: 10,
  },
  {
    name: "percentiles by name",
    table: "spans",
    sql: () =>
      "select name, count(*) as n, quantile_cont(duration_ms, [0.5, 0.99]) as ms from spans group by name order by name",
  },
  {
    name: "trace by id",
    table: "spans",
    sql: ({ traceId }) =>
      `select span_id, parent_id, name, service, status, duration_ms from spans where trace_id = '${traceId}' order by begin_ns`,
    rows: 16,
  },
];

interface Measured {
  ours: number[];
  duckdb: number[];
  started: number[];
}

function rowOf(title: string, { ours, duckdb, started }: Measured, goals: readonly Goal[]): Row {
  return row(title, "ms", ours, { [DUCKDB]: duckdb, [STARTED]: started }, goals);
}

class BenchLake {
  static async start(context: BenchContext, plan: Plan): Promise<BenchLake> {
    const dir = join(context.scratch.folder("disk"), "lake");
    const { offer } = await context.scratch.start<{ url: string }>("lake-process.ts", { dir });
    return new BenchLake(context, plan, dir, offer.url);
  }

  readonly #client: LakeClient;
  readonly #corpus: LakeCorpus;
  readonly #catalogue: Database;
  readonly #scratch: Scratch;
  readonly #startNs: bigint;
  readonly #traces: string[] = [];
  readonly #rates = { events: [] as number[], spans: [] as number[] };
  #hours = 0;

  private constructor(
    readonly context: BenchContext,
    readonly plan: Plan,
    readonly dir: string,
    readonly url: string,
  ) {
    this.#scratch = context.scratch;
    this.#client = new LakeClient({ url });
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    this.#startNs = (nowNs / HOUR_NS) * HOUR_NS - BigInt(plan.stages.at(-1)!) * HOUR_NS;
    const { rowsPerHour, rowsPerBlock } = plan;
    this.#corpus = new LakeCorpus({ startNs: this.#startNs, rowsPerHour, rowsPerBlock });
    this.#catalogue = new Database(join(dir, "catalogue.sqlite"), { readonly: true });
  }

  /** Sends hours, until there are so many, and has the lake make its files of them. */
  async fill(hours: number): Promise<void> {
    const { rowsPerHour } = this.plan;
    const startMs = performance.now();
    const added = hours - this.#hours;
    while (this.#hours < hours) {
      if (this.#hours % 10 === 0) this.context.progress(`hour ${this.#hours + 1} of ${hours}`);
      const { segments, traceId } = this.#corpus.hour(this.#hours++);
      this.#traces.push(traceId);
      for (let i = 0; i < segments.length; i += PUTS_AT_ONCE) {
        await Promise.all(segments.slice(i, i + PUTS_AT_ONCE).map((each) => this.#put(each)));
      }
      // Not all at once, which would take longer than a question may.
      if (this.#hours % 10 === 0 || this.#hours === hours) {
        await this.#client.rows("select count(*) from log_entries", ALWAYS);
        const spansMs = performance.now();
        await this.#client.rows("select count(*) from spans", ALWAYS);
        const spans = Math.min(10, added) * rowsPerHour;
        this.#rates.spans.push(spans / ((performance.now() - spansMs) / 1000));
      }
    }
    this.#rates.events.push((2 * added * rowsPerHour) / ((performance.now() - startMs) / 1000));
    await this.#checked("log_entries");
    await this.#checked("spans");
    await this.#settled();
  }

  async measure(question: Question, hour: number, hours: number): Promise<Measured> {
    const measured: Measured = { ours: [], duckdb: [], started: [] };
    const fromNs = this.#startNs + HOUR_NS * BigInt(hour);
    const range = { fromNs, toNs: fromNs + HOUR_NS * BigInt(hours) };
    const sql = question.sql({ traceId: this.#traces[hour + Math.floor(hours / 2)]! });
    for (let round = 0; round < this.plan.rounds; round++) {
      // The process that answers next is ready.
      if (!this.context.quick) await Bun.sleep(400);
      this.#forget();
      const ours = await this.#ask(sql, range);
      measured.ours.push(ours.ms);
      const peer = await this.#duckdb(question.table, sql, range);
      measured.duckdb.push(peer.ms);
      measured.started.push(peer.ms + peer.startMs);
      if (question.rows !== undefined && ours.rows.length !== question.rows)
        throw new Error(`${question.name}: ${ours.rows.length} rows`);
      const [own, other] = [ours, peer].map(({ rows }) => plainText(rows));
      if (own !== other)
        throw new Error(`${question.name}: ${own} of the lake, ${other} of DuckDB`);
    }
    return measured;
  }

  /** Back-to-back queries: the lake is still starting the process for the next one. */
  async again(): Promise<Row> {
    const { sql } = QUESTIONS[0]!;
    const range = { fromNs: this.#startNs, toNs: this.#startNs + HOUR_NS };
    const peer = await this.#duckdb("log_entries", sql({ traceId: "" }), range);
    const ms: number[] = [];
    await this.#ask(sql({ traceId: "" }), range);
    for (let i = 0; i < this.plan.rounds; i++) {
      ms.push((await this.#ask(sql({ traceId: "" }), range)).ms);
    }
    const started = [peer.ms + peer.startMs];
    return row("count, 1 hour, asked again at once", "ms", ms, { [STARTED]: started });
  }

  /** How fast it took what it was sent, and made files. */
  filling(): Row[] {
    return [
      rateRow("events taken, with their files", "events/s", this.#rates.events),
      rateRow("spans that somebody asks for first", "spans/s", this.#rates.spans),
    ];
  }

  /** Bytes of an event at rest. */
  async sizes(): Promise<Row[]> {
    const { segments, events } = (await this.#client.status()) as LakeStatus;
    const bytesOf = (view: string) =>
      Number(
        (
          this.#catalogue
            .query(
              "SELECT sum(bytes) AS bytes FROM partitions WHERE state = 'live' AND view_name = ?",
            )
            .get(view) as { bytes: number }
        ).bytes,
      );
    const [logs, spans] = [bytesOf("log_entries"), bytesOf("spans")];
    const both = events.logs + events.spans;
    const published = (each: Row): Row => ({ ...each, elsewhere: { [MICROMEGAS]: 19 } });
    return [
      published(row("blobs", "bytes/event", [segments.bytes / both])),
      published(row("Parquet", "bytes/event", [(logs + spans) / both])),
      row("Parquet, a log", "bytes", [logs / events.logs]),
      row("Parquet, a span", "bytes", [spans / events.spans]),
    ];
  }

  async #put({ id, bytes }: { id: string; bytes: Uint8Array }): Promise<void> {
    const response = await fetch(`${this.url}/v1/segments/${id}`, { method: "PUT", body: bytes });
    if (!response.ok) throw new Error(`a segment: ${response.status} ${await response.text()}`);
  }

  async #checked(table: string): Promise<void> {
    const [found] = await this.#client.rows(`select count(*) as n from ${table}`, ALWAYS);
    const expected = this.#hours * this.plan.rowsPerHour;
    if (Number(found?.["n"]) !== expected)
      throw new Error(`${table} has ${found?.["n"]} of ${expected} rows`);
  }

  async #settled(): Promise<void> {
    let last = "";
    for (let sinceMs = performance.now(); performance.now() - sinceMs < this.plan.quietMs; ) {
      const now = JSON.stringify(
        this.#catalogue.query("SELECT count(*), max(insert_ns) FROM partitions").get(),
      );
      if (now !== last) sinceMs = performance.now();
      last = now;
      await Bun.sleep(500);
    }
  }

  #forget(): void {
    const files = this.#catalogue
      .query("SELECT file FROM partitions WHERE state = 'live'")
      .all() as { file: string }[];
    forgetFiles(files.map(({ file }) => join(this.dir, file)));
  }

  async #ask(sql: string, range: Range): Promise<{ ms: number; rows: unknown[][] }> {
    const startMs = performance.now();
    const response = await fetch(`${this.url}/v1/query`, {
      method: "POST",
      body: JSON.stringify({ sql, from: String(range.fromNs), to: String(range.toNs) }),
    });
    const text = await response.text();
    const ms = performance.now() - startMs;
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    if (!response.ok || (lines.at(-1) as { end?: unknown }).end === undefined)
      throw new Error(`${sql}: ${text}`);
    return { ms, rows: lines.filter((line) => Array.isArray(line)) };
  }

  /** The same over the same files, by DuckDB alone. */
  async #duckdb(
    table: Question["table"],
    sql: string,
    { fromNs, toNs }: Range,
  ): Promise<DuckDbAnswer & { startMs: number }> {
    const { threads, memoryBytes } = DEFAULT_QUERY_LIMITS;
    const beginMs = performance.now();
    const { child } = await this.#scratch.start("duckdb-process.ts", { threads, memoryBytes });
    const startMs = performance.now() - beginMs;
    try {
      const files = this.#catalogue
        .query(
          "SELECT file FROM partitions WHERE state = 'live' AND view_name = ? AND max_ns >= ? AND min_ns < ? ORDER BY min_ns",
        )
        .all(table, fromNs, toNs) as { file: string }[];
      const list = files.map(({ file }) => `'${join(this.dir, file)}'`).join(", ");
      const time = table === "spans" ? "begin_ns" : "time_ns";
      const duration = table === "spans" ? ", (end_ns - begin_ns) / 1e6 AS duration_ms" : "";
      const whole = `WITH ${table} AS (SELECT *${duration} FROM read_parquet([${list}]) WHERE ${time} >= ${fromNs} AND ${time} < ${toNs}) ${sql}`;
      this.#forget();
      child.stdin.write(`${JSON.stringify({ sql: whole })}\n`);
      await child.stdin.flush();
      const answer = JSON.parse(await new Lines(child.stdout).next()) as DuckDbAnswer;
      return { ...answer, startMs };
    } finally {
      await this.#scratch.stop(child);
    }
  }
}

/** Rows as text, in which it is all the same whether a number is written as a text. */
function plainText(rows: unknown): string {
  return JSON.stringify(rows).replaceAll('"', "");
}

interface Range {
  fromNs: bigint;
  toNs: bigint;
}
