// One run of `microview query`: where the SQL comes from, and where its answer goes.

import {
  CliError,
  describeError,
  formatDurationMs,
  once,
  parseDurationMs,
  stopSignal,
  styleFor,
  UsageError,
} from "../../command-line/index.ts";
import {
  type AnswerOutput,
  caretLines,
  Dialogue,
  type Ending,
  emptyHint,
  endingText,
  type LakeClient,
  LakeError,
  OutFile,
  type QueryFormat,
  type TimeRange,
  writeAnswer,
} from "../../explore/index.ts";
import { readTextFile } from "../../settings/index.ts";
import { formatBytes, printableLines } from "../../text/index.ts";

import { endedBy } from "./ended-by.ts";
import { DEFAULT_LAST_MS } from "./lake-flags.ts";

interface QueryOptions {
  readonly range: TimeRange;
  readonly last: number | undefined;
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly file: string | undefined;
  readonly format: QueryFormat | undefined;
  readonly out: string | undefined;
  readonly force: boolean;
}

export class QueryRun {
  constructor(
    readonly client: LakeClient,
    readonly options: QueryOptions,
  ) {}

  /** The SQL that was given; undefined when there is none and a terminal to ask. @throws UsageError */
  async sqlOf(operand: string | undefined): Promise<string | undefined> {
    const { file } = this.options;
    if (file !== undefined) {
      if (operand !== undefined) {
        throw new UsageError("SQL and --file are given", "give one of them");
      }
      return readTextFile(file, "--file");
    }
    if (operand !== undefined && operand !== "-") return operand;
    if (operand === undefined && process.stdin.isTTY && process.stdout.isTTY) return undefined;
    const sql = await new Response(Bun.stdin.stream()).text();
    if (sql.trim() === "") {
      throw new UsageError("there is no SQL", 'give it as in: microview query "select 1"');
    }
    return sql;
  }

  async once(sql: string): Promise<void> {
    const { out, force, range } = this.options;
    const format = this.#format();
    const stop = stopSignal();
    const file = out === undefined ? undefined : await OutFile.open(out, force);
    try {
      const ending = await writeAnswer(
        this.client,
        { sql, range, format },
        file === undefined ? terminalOutput(stop) : fileOutput(file, stop),
        stop,
      );
      await file?.complete();
      this.#say(ending, file);
      const hint = ending === undefined ? undefined : emptyHint(sql, ending);
      if (hint !== undefined) process.stderr.write(`hint: ${hint}\n`);
    } catch (error) {
      await file?.discard();
      if (stop.aborted) return endedBy(stop);
      throw placed(error, sql);
    }
  }

  /** Until it is ended. */
  async dialogue(): Promise<void> {
    const { range, last, from, to, format, out } = this.options;
    if (out !== undefined || format === "arrow" || format === "parquet") {
      throw new UsageError("there is no SQL to write the answer of", "give it as an argument");
    }
    const about = from === undefined && to === undefined ? (last ?? DEFAULT_LAST_MS) : range;
    const stop = stopSignal();
    const dialogue = new Dialogue(this.client, {
      output: terminalOutput(stop),
      about,
      format: format ?? "table",
      parseDurationMs,
      formatDurationMs,
      errorText: (error, sql) => describeError(placed(error, sql), styleFor(process.stdout)).text,
      stop,
    });
    await dialogue.run();
  }

  #format(): QueryFormat {
    const { format, out } = this.options;
    const ofPlace = () =>
      out === undefined ? (process.stdout.isTTY ? "table" : "ndjson") : formatOfName(out);
    const chosen = format ?? ofPlace();
    const isBinary = chosen === "arrow" || chosen === "parquet";
    if (isBinary && out === undefined && process.stdout.isTTY) {
      throw new UsageError(
        `${chosen} is nothing for a terminal`,
        `write it to a file, e.g. --out answer.${chosen}`,
      );
    }
    return chosen;
  }

  /** What is no data goes elsewhere, and only to people. */
  #say(ending: Ending | undefined, file: OutFile | undefined): void {
    const parts = [
      ...(ending === undefined ? [] : [endingText(ending)]),
      ...(file === undefined ? [] : [`${formatBytes(file.bytes)} in ${file.path}`]),
    ];
    if (parts.length > 0 && process.stderr.isTTY) {
      process.stderr.write(`${styleFor(process.stderr).dim(parts.join(" · "))}\n`);
    }
  }
}

/** Standard output, as what it is. @param stop also that nobody reads it any more */
function terminalOutput(stop: AbortSignal): AnswerOutput {
  const { stdout, stderr } = process;
  const decoder = new TextDecoder();
  /** What a lake wrote is shown to people as it is, but is no order to their terminal. */
  const shown = (data: string | Uint8Array) => {
    if (typeof data === "string" || !stdout.isTTY) return data;
    return printableLines(decoder.decode(data, { stream: true }).replaceAll("\r\n", "\n"));
  };
  return {
    style: styleFor(stdout),
    columns: stdout.isTTY ? stdout.columns : undefined,
    drawProgress: stderr.isTTY ? (text) => void stderr.write(text) : undefined,
    write: async (data) => {
      if (stdout.write(shown(data))) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      stdout.once("drain", resolve);
      await Promise.race([promise, once(stop)]);
      stdout.off("drain", resolve);
      stop.throwIfAborted();
    },
  };
}

function fileOutput(file: OutFile, stop: AbortSignal): AnswerOutput {
  const { drawProgress } = terminalOutput(stop);
  return {
    style: styleFor({ isTTY: false }, {}),
    drawProgress,
    write: (data) => file.write(data),
  };
}

/** An error of SQL, with the place where it is. */
export function placed(error: unknown, sql: string): unknown {
  if (!(error instanceof LakeError)) return error;
  const lines = caretLines(sql, error.position);
  if (lines === undefined) return error;
  const message = `${error.message}\n  ${lines.join("\n  ")}`;
  return new CliError({ message, hint: error.hint, cause: error });
}

function formatOfName(path: string): QueryFormat {
  const extension = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  switch (extension) {
    case "ndjson":
    case "jsonl":
      return "ndjson";
    case "csv":
    case "arrow":
    case "parquet":
      return extension;
  }
  throw new UsageError(
    `--out: the ending of its name is no format: ${path}`,
    "end it with .ndjson, .csv, .arrow or .parquet, or give --format",
  );
}
