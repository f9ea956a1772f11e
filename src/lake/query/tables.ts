// What a query reads: the tables that there are, and what those that it names are made of for its range. The lake
// implements it; the query runner asks for it.

/** Times of events in nanoseconds since 1970; left out: without a limit. */
export interface QueryRange {
  fromNs?: bigint;
  /** Exclusive. */
  toNs?: bigint;
}

export interface QueryTables {
  /** In lower case. */
  readonly names: readonly string[];
  /**
   * What it takes to read some of them.
   * @param names of those that the SQL names
   */
  open(names: readonly string[], range: QueryRange, signal: AbortSignal): Promise<OpenTables>;
}

export interface OpenTables {
  /** Files that are read, by absolute path. */
  files: readonly string[];
  /** Tables that come as rows. They are made first. */
  rows: readonly RowTable[];
  /** SQL of ours that makes the tables, run in order before the caller's: views of the files and of the rows. */
  statements: readonly string[];
  /** The query has ended: the files may go. */
  close(): void;
}

export interface RowTable {
  name: string;
  /** Types of DuckDB by the names of the columns. */
  columns: Readonly<Record<string, string>>;
  /** Values that JSON has, and integers as text; one that is left out is NULL. */
  rows: readonly Readonly<Record<string, unknown>>[];
}
