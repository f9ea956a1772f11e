// Texts and files in SQL of ours. A query's answer looks for the texts of paths in the SQL of tables, so all write them here.

/** A text in SQL. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Several, with commas between. */
export function sqlTexts(texts: readonly string[]): string {
  return texts.map(sqlText).join(", ");
}

/**
 * Parquet files as a table.
 * @param paths at least one
 * @param areAlike all have the same columns in the same order; otherwise DuckDB reads what each has, by name
 */
export function parquetSql(paths: readonly string[], areAlike = false): string {
  const byName = areAlike ? "" : ", union_by_name = true";
  return `read_parquet([${sqlTexts(paths)}], hive_partitioning = false${byName})`;
}
