// POST /v1/query and GET /v1/tables: who asks, and what a question is answered. The answer is made by src/lake/query.

import { landlockVersion } from "../../ffi/index.ts";
import { CallError, grantOf, type Log, sharerOf } from "../../guard/index.ts";
import {
  type Query,
  type QueryAudit,
  QueryError,
  type QueryLimits,
  QueryRunner,
  type QueryTables,
} from "../query/index.ts";

/** SQL with its range; nobody types more. */
export const QUERY_BYTES_MAX = 1 << 20;

/** A table with its columns, by their types in DuckDB. */
export interface TableDescription {
  name: string;
  columns: readonly { name: string; type: string }[];
}

/** The lake's tables, as far as a caller may see them. */
export interface AskedTables {
  readonly names: readonly string[];
  readonly descriptions: readonly TableDescription[];
  /** @param allows undefined: every application */
  seenBy(allows: ((app: string) => boolean) | undefined): QueryTables;
}

interface QueriesParts {
  tables: AskedTables;
  /** With all files of views, by absolute path. */
  folder: string;
  log: Log;
  limits?: Partial<QueryLimits> | undefined;
  /** Whether others than the lake's own user ask. */
  isShared: boolean;
}

export class Queries {
  readonly #tables: AskedTables;
  readonly #runner: QueryRunner;

  constructor({ tables, folder, log, limits = {}, isShared }: QueriesParts) {
    this.#tables = tables;
    if (landlockVersion() === 0) {
      log.warn("queries are confined by DuckDB and limits alone", {
        why: "this kernel has no Landlock, or does not let this process use it",
        hint: "docs/lake.md says what it would hold",
      });
    }
    this.#runner = new QueryRunner({
      ...{ tables: tables.seenBy(undefined), folder, limits, isShared },
      audit: (audit) => note(log, audit),
    });
  }

  describe(): Response {
    return Response.json({ tables: this.#tables.descriptions });
  }

  async answer(request: Request): Promise<Response> {
    const grant = grantOf(request);
    const query = await queryIn(request);
    try {
      const tables = this.#tables.seenBy(grant.all ? undefined : (app) => grant.allows(app));
      return await this.#runner.run(query, request.signal, grant.name, tables, sharerOf(request));
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      const headers = [429, 503].includes(error.status) ? { "retry-after": "1" } : {};
      return Response.json(error.body, { status: error.status, headers });
    }
  }

  /** Ends what runs. */
  stop(): Promise<void> {
    return this.#runner.close();
  }
}

/** @throws CallError 400 */
async function queryIn(request: Request): Promise<Query> {
  const bytes = await request.bytes();
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    body = undefined;
  }
  if (typeof body === "object" && body !== null) return body as Query;
  throw new CallError(
    "bad-request",
    "the body is no JSON object",
    'send {"sql": "select …", "from"?: …, "to"?: …, "format"?: "ndjson"}',
  );
}

function note(log: Log, audit: QueryAudit): void {
  const { outcome } = audit;
  const fields = { audit: "query", ...audit, tables: audit.tables.join(",") };
  if (outcome === "failed") log.error("a query failed", fields);
  else log.info("a query has ended", fields);
}
