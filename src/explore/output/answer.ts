// Asks a lake and shows the answer: as a table, as NDJSON, or as a file that the lake writes. For `microview query` and
// its REPL.

import { counted, formatSeconds, printableLines, type Style } from "../../text/index.ts";
import type { Column, Ending, Row } from "../lake/answer-lines.ts";
import type { LakeClient } from "../lake/lake-client.ts";
import type { TimeRange } from "../lake/time-range.ts";
import { jsonRows } from "./json-rows.ts";
import { ProgressBar } from "./progress.ts";
import { TableText } from "./table.ts";

export const QUERY_FORMATS = ["table", "ndjson", "csv", "arrow", "parquet"] as const;
export type QueryFormat = (typeof QUERY_FORMATS)[number];

export interface Question {
  readonly sql: string;
  readonly range: TimeRange;
  readonly format: QueryFormat;
}

/** Where an answer goes. */
export interface AnswerOutput {
  /** Resolves when there is room for more. */
  write(data: string | Uint8Array): Promise<void>;
  readonly style: Style;
  /** Columns of the terminal that the answer goes to, where it goes to one. */
  readonly columns?: number | undefined;
  /** Draws on a terminal beside the answer; there is none without it. */
  readonly drawProgress?: ((text: string) => void) | undefined;
}

/**
 * Asks, and writes what is answered as it comes.
 * @returns how it went; undefined for files, of which a lake does not say
 * @throws LakeError
 */
export async function writeAnswer(
  client: LakeClient,
  question: Question,
  output: AnswerOutput,
  stop?: AbortSignal,
): Promise<Ending | undefined> {
  const { sql, range, format } = question;
  const draw = output.drawProgress;
  const progress = draw === undefined ? undefined : new ProgressBar({ write: draw });
  progress?.start();
  try {
    if (format === "table" || format === "ndjson") {
      return await writeRows(client, { ...question, format }, output, progress, stop);
    }
    for await (const chunk of client.download(sql, range, format, stop)) {
      progress?.stop();
      await output.write(chunk);
    }
    return undefined;
  } finally {
    progress?.stop();
  }
}

/** Text of rows, made as they come. */
interface RowText {
  rows(rows: readonly Row[]): string;
  end(): string;
}

async function writeRows(
  client: LakeClient,
  { sql, range, format }: Question & { format: "table" | "ndjson" },
  output: AnswerOutput,
  progress: ProgressBar | undefined,
  stop: AbortSignal | undefined,
): Promise<Ending> {
  let text: RowText = { rows: () => "", end: () => "" };
  const write = async (data: string) => {
    if (data === "") return;
    progress?.stop();
    await output.write(data);
  };
  for await (const part of client.query(sql, range, stop)) {
    if (part.kind === "progress") progress?.advance(part.share);
    if (part.kind === "columns") {
      text =
        format === "ndjson"
          ? { rows: jsonRows(part.columns), end: () => "" }
          : isPlan(part.columns)
            ? { rows: planText, end: () => "" }
            : new TableText(part.columns, output);
    }
    if (part.kind === "rows") await write(text.rows(part.rows));
    if (part.kind === "end") {
      await write(text.end());
      return part.ending;
    }
  }
  // The client throws where there is no end.
  return { rows: 0, ms: 0, files: 0 };
}

/** What EXPLAIN answers: pictures of several lines, and not cells. */
function isPlan(columns: readonly Column[]): boolean {
  return columns.map(({ name }) => name).join() === "explain_key,explain_value";
}

function planText(rows: readonly Row[]): string {
  return rows.map(([, plan]) => `${printableLines(String(plan)).trimEnd()}\n`).join("");
}

/** What to do about an answer without rows, where something else than the SQL is likely at fault. */
export function emptyHint(sql: string, { rows }: Ending): string | undefined {
  if (rows > 0 || !/\b(?:from|join)\s+metrics\b/i.test(sql)) return undefined;
  return "metrics come by OTLP: an agent with --lake alone sends events, so start it with --otlp URL too";
}

/** `3 rows · 12 ms · 4 files` */
export function endingText({ rows, ms, files }: Ending): string {
  return [counted(rows, "row"), formatSeconds(ms / 1000), counted(files, "file")].join(" · ");
}
