// Queries of the lake: SQL that others wrote, run in processes of their own, over the files that they need.

import type { Libraries } from "../../duckdb/index.ts";

export { beginConfined } from "./confined.ts";
export { FORMATS, type Format } from "./frames.ts";
export { QueryError, type QueryErrorBody } from "./query-error.ts";
export {
  DEFAULT_QUERY_LIMITS,
  type Query,
  type QueryAudit,
  type QueryLimits,
  QueryRunner,
  type QueryRunnerOptions,
} from "./runner.ts";
export type {
  OpenTables,
  QueryRange,
  QueryTables,
  RowTable,
} from "./tables.ts";

/**
 * Loaded by the subcommand `query-process` alone: DuckDB comes with it.
 * @param libraries that it was handed
 */
export async function serveOneQuery(libraries: Libraries | undefined): Promise<never> {
  return await (await import("./process.ts")).serveOneQuery(libraries);
}
