// Rows of DuckDB as bytes of an answer. Used by the query process.

import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { ArrowStream } from "./arrow.ts";
import type { Format } from "./frames.ts";
import { csvField, csvWriter, jsonWriter } from "./values.ts";

/** Rows are handed over when they have this many bytes. */
const FLUSH_BYTES = 128 * 1024;
/** Rows of a batch of Arrow. */
const BATCH_ROWS = 16 * 1024;

export interface Column {
  name: string;
  type: DuckDBType;
}

/** Takes rows by columns. */
interface RowWriter {
  add(columns: readonly (readonly DuckDBValue[])[], rows: number): void;
  end(): void;
}

type Take = (bytes: Uint8Array) => void;

export function rowWriter(
  format: Exclude<Format, "parquet">,
  columns: readonly Column[],
  take: Take,
): RowWriter {
  const types = columns.map(({ type }) => type);
  const names = columns.map(({ name }) => name);
  if (format === "arrow") return arrowRows(names, types, take);
  return format === "csv"
    ? textRows(types.map(csvWriter), ["", "\n"], `${names.map(csvField).join(",")}\n`, take)
    : textRows(types.map(jsonWriter), ["[", "]\n"], "", take);
}

function textRows(
  writers: readonly ((value: DuckDBValue) => string)[],
  [before, after]: readonly [string, string],
  header: string,
  take: Take,
): RowWriter {
  let text = header;
  const flush = () => {
    if (text !== "") take(Buffer.from(text));
    text = "";
  };
  return {
    add(columns, rows) {
      for (let row = 0; row < rows; row++) {
        text += before;
        for (let i = 0; i < writers.length; i++) {
          if (i > 0) text += ",";
          text += writers[i]!(columns[i]![row]!);
        }
        text += after;
        if (text.length >= FLUSH_BYTES) flush();
      }
    },
    end: flush,
  };
}

function arrowRows(names: readonly string[], types: readonly DuckDBType[], take: Take): RowWriter {
  const stream = new ArrowStream(names, types);
  let waiting: DuckDBValue[][] = types.map(() => []);
  const flush = () => {
    if (waiting[0]!.length > 0) take(stream.batch(waiting));
    waiting = types.map(() => []);
  };
  return {
    add(columns) {
      for (const [i, column] of columns.entries()) {
        for (const value of column) waiting[i]!.push(value);
      }
      if (waiting[0]!.length >= BATCH_ROWS) flush();
    },
    end() {
      flush();
      take(stream.end());
    },
  };
}
