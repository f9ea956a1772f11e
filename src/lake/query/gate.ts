// What SQL a caller may run: one SELECT over the lake's tables, made of functions that are known to do nothing but
// compute. Walks the tree that DuckDB's parser makes of the text; whatever is not on a list is refused, so that what a
// later DuckDB adds is refused too (docs/decisions/0046). Used by the query process before it runs anything.

import { cutText, nearest, printable } from "../../text/index.ts";
import { afterBlanks, explained } from "./explain.ts";
import { mayCall, TABLE_FUNCTIONS } from "./functions.ts";
import {
  offsetOfBytes,
  offsetOfCharacters,
  type Place,
  placeOf,
  QueryError,
} from "./query-error.ts";

/** What a text may be long, in UTF-16 units. */
const MAX_SQL = 256 * 1024;

/** SQL that has passed. */
export interface Passed {
  /** What to run: the text as it was, behind an EXPLAIN of ours where one was asked for. */
  sql: string;
  isExplain: boolean;
  /** Where the caller's SELECT begins in the caller's text, and in `sql`: places in errors are moved by the difference. */
  from: number;
  prefixLength: number;
  /** The lake's tables that it names. */
  tables: readonly string[];
}

/** DuckDB's `json_serialize_sql`. */
type Serialize = (sql: string) => Promise<string>;

/** @throws QueryError when it may not be run, with the place where it says so */
export async function pass(
  sql: string,
  tables: readonly string[],
  serialize: Serialize,
): Promise<Passed> {
  if (sql.length > MAX_SQL) {
    throw refusal("sql-too-long", `the SQL has ${sql.length} characters; ${MAX_SQL} are allowed`);
  }
  if (sql.includes("\0")) {
    throw new QueryError("not-a-select", "the SQL has a NUL character", "leave it out", 400);
  }
  const { prefix, from } = explained(sql);
  const select = sql.slice(from);
  const parsed = JSON.parse(await serialize(select)) as Serialized;
  if (parsed.error) throw unparsed(sql, from, parsed);
  const [statement, ...more] = parsed.statements;
  if (statement === undefined) {
    throw new QueryError("not-a-select", "the SQL is empty", "write one SELECT");
  }
  if (more.length > 0) {
    throw new QueryError(
      "not-a-select",
      `the SQL has ${more.length + 1} statements`,
      "send one SELECT at a time",
    );
  }
  const walk = new Walk(sql, select, from, tables);
  walk.any(statement, NO_CTES);
  return {
    sql: prefix + select,
    isExplain: prefix !== "",
    from,
    prefixLength: prefix.length,
    tables: [...walk.used],
  };
}

type Serialized =
  | { error: false; statements: readonly Json[] }
  | { error: true; error_type: string; error_message: string; position?: string };
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Tree = { readonly [key: string]: Json };
/** Names of common table expressions that are seen from a place, in lower case. */
type Ctes = ReadonlySet<string>;

const NO_CTES: Ctes = new Set();

/** Kinds of expressions that are made of others, or of nothing that acts. */
const EXPRESSIONS = new Set([
  ...["CONSTANT", "COLUMN_REF", "FUNCTION", "COMPARISON", "CONJUNCTION", "OPERATOR", "CAST"],
  ...["CASE", "BETWEEN", "LAMBDA", "LAMBDA_REF", "STAR", "SUBQUERY", "WINDOW", "COLLATE"],
  ...["POSITIONAL_REFERENCE", "TYPE"],
]);
const NODES = new Set(["SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"]);
const MODIFIERS =
  /^(ORDER|LIMIT|LIMIT_PERCENT|DISTINCT)_MODIFIER$|^(ORDER_DEFAULT|ASCENDING|DESCENDING)$/;
/** Of types that a value is cast to; the names among them are DuckDB's own types, for nobody makes others. */
const TYPES = /^[A-Z]+_TYPE_INFO$/;
const PLAIN_TABLES = new Set(["SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "PIVOT"]);
/** What a tree has where it does not know the place. */
const NOWHERE = 2 ** 63;

class Walk {
  readonly used = new Set<string>();

  constructor(
    readonly sql: string,
    readonly select: string,
    readonly from: number,
    readonly tables: readonly string[],
  ) {}

  any(value: Json | undefined, ctes: Ctes): void {
    if (Array.isArray(value)) {
      for (const item of value as readonly Json[]) this.any(item, ctes);
    } else if (typeof value === "object" && value !== null) {
      this.#tree(value as Tree, ctes);
    }
  }

  #tree(tree: Tree, ctes: Ctes): void {
    const { class: kind, type } = tree;
    if (typeof kind === "string") this.#expression(tree, kind, ctes);
    else if (typeof type !== "string") this.#parts(tree, ctes);
    else if (NODES.has(type)) this.#node(tree, ctes);
    else if (type === "BASE_TABLE") this.#table(tree, ctes);
    else if (type === "TABLE_FUNCTION") this.#tableFunction(tree, ctes);
    else if (type === "SHOW_REF") this.#show(tree, ctes);
    else if (PLAIN_TABLES.has(type) || MODIFIERS.test(type) || TYPES.test(type)) {
      this.#parts(tree, ctes);
    } else throw this.#refuse(tree, "refused-syntax", `a query may not have ${wordsOf(type)}`);
  }

  #parts(tree: Tree, ctes: Ctes, except: readonly string[] = []): void {
    for (const [key, value] of Object.entries(tree)) {
      if (!except.includes(key)) this.any(value, ctes);
    }
  }

  /** A SELECT, or several combined, which sees the common table expressions that it begins with. */
  #node(node: Tree, ctes: Ctes): void {
    const { map } = (node["cte_map"] ?? { map: [] }) as { map: readonly Tree[] };
    let seen = ctes;
    for (const { key, value } of map) {
      // Each sees those before it, and itself only where it is recursive: DuckDB looks up its own name in the catalogue otherwise.
      this.any(value, seen);
      seen = new Set([...seen, lower(key as string)]);
    }
    const { type } = node;
    if (type === "RECURSIVE_CTE_NODE") {
      const own = new Set([...seen, lower(node["cte_name"] as string)]);
      this.any(node["left"], seen);
      this.#parts(node, own, ["cte_map", "left"]);
    } else if (type === "CTE_NODE") {
      this.any(node["query"], seen);
      const own = new Set([...seen, lower(node["cte_name"] as string)]);
      this.#parts(node, own, ["cte_map", "query"]);
    } else {
      this.#parts(node, seen, ["cte_map"]);
    }
  }

  #table(tree: Tree, ctes: Ctes): void {
    const { schema_name: schema, catalog_name: catalog, at_clause: at } = tree;
    const name = tree["table_name"] as string;
    if (at != null) {
      throw this.#refuse(
        tree,
        "refused-syntax",
        "the lake's tables have no versions: AT is refused",
      );
    }
    if (schema !== "" || catalog !== "") {
      const parts = [catalog, schema, name].filter((part) => part !== "");
      throw this.#refuse(
        tree,
        "refused-table",
        `the table ${shown(parts.join("."))} may not be read`,
      );
    }
    const low = lower(name);
    if (!ctes.has(low)) {
      if (!this.tables.includes(low)) throw this.#noTable(tree, name);
      this.used.add(low);
    }
    this.any(tree["sample"], ctes);
  }

  #noTable(tree: Tree, name: string): QueryError {
    const meant = nearest(name.slice(0, 80), this.tables);
    const hint = `the lake has ${this.tables.join(", ")}`;
    return this.#refuse(
      tree,
      "no-such-table",
      `there is no table ${shown(name)}`,
      meant === undefined ? hint : `did you mean ${meant}? ${hint}`,
    );
  }

  #tableFunction(tree: Tree, ctes: Ctes): void {
    const called = tree["function"] as Tree | null;
    const name = lower(String(called?.["function_name"] ?? ""));
    const isPlain = called?.["schema"] === "" && called["catalog"] === "";
    if (!isPlain || !TABLE_FUNCTIONS.has(name)) {
      throw this.#refuse(
        tree,
        "refused-function",
        `the table function ${shown(name)} may not be called`,
        `a query reads the lake's own tables: ${this.tables.join(", ")}`,
      );
    }
    this.#parts(called, ctes);
    this.#parts(tree, ctes, ["function"]);
  }

  /** DESCRIBE and SUMMARIZE of a query; SHOW lists what is in the process. */
  #show(tree: Tree, ctes: Ctes): void {
    if (tree["query"] == null || !["DESCRIBE", "SUMMARY"].includes(String(tree["show_type"]))) {
      throw this.#refuse(
        tree,
        "refused-syntax",
        "SHOW is refused",
        `the lake has ${this.tables.join(", ")}; DESCRIBE tells the columns of one`,
      );
    }
    this.#parts(tree, ctes);
  }

  #expression(tree: Tree, kind: string, ctes: Ctes): void {
    if (kind === "PARAMETER") {
      throw this.#refuse(
        tree,
        "refused-syntax",
        "a query has no parameters",
        "write the value itself in place of ? or $1",
      );
    }
    if (!EXPRESSIONS.has(kind)) {
      throw this.#refuse(tree, "refused-syntax", `a query may not have ${wordsOf(kind)}`);
    }
    // A value may hold anything, and is none of the query's parts.
    if (kind === "CONSTANT") return;
    if (kind === "FUNCTION" || kind === "WINDOW") this.#function(tree);
    this.#parts(tree, ctes);
  }

  #function(tree: Tree): void {
    const name = lower(String(tree["function_name"]));
    // The parser itself writes `main` before some that syntax stands for.
    const isPlain = ["", "main"].includes(String(tree["schema"])) && tree["catalog"] === "";
    if (!isPlain || tree["export_state"] === true || !mayCall(name)) {
      throw this.#refuse(
        tree,
        "refused-function",
        `the function ${shown(name)} is not there, or may not be called`,
        "a query may call functions that do nothing but compute",
      );
    }
  }

  #refuse(tree: Tree, code: string, message: string, hint?: string): QueryError {
    const bytes = tree["query_location"];
    const place =
      typeof bytes === "number" && bytes < NOWHERE
        ? placeOf(this.sql, this.from + offsetOfBytes(this.select, bytes))
        : undefined;
    return refusal(code, message, hint, place);
  }
}

function refusal(
  code: string,
  message: string,
  hint = "a query is one SELECT over the lake's tables",
  place?: Place,
): QueryError {
  return new QueryError(code, message, hint, 400, place);
}

/** The error for what DuckDB does not take as SELECTs. */
function unparsed(
  sql: string,
  from: number,
  { error_type, error_message, position }: Extract<Serialized, { error: true }>,
): QueryError {
  if (error_type === "parser" && position !== undefined) {
    const offset = from + offsetOfCharacters(sql.slice(from), Number(position));
    const place = placeOf(sql, offset);
    return new QueryError("sql-syntax", error_message, "correct the SQL", 400, place);
  }
  if (/pivot/i.test(sql) && error_type === "not implemented") {
    return refusal(
      "not-a-select",
      "PIVOT is refused where its columns are not listed",
      "list them: PIVOT … ON level IN ('info', 'warn') USING count(*), or use FILTER",
    );
  }
  // What it parses and finds wrong at once, as an ARRAY of a subquery with two columns.
  if (error_type !== "not implemented")
    return refusal("sql-syntax", error_message, "correct the SQL");
  const word = /[a-z_]+/i.exec(sql.slice(afterBlanks(sql, from)))?.[0] ?? "";
  return refusal("not-a-select", `${word.toUpperCase() || "this"} is refused: it is no SELECT`);
}

/** As DuckDB compares names: other letters than A to Z stay as they are, so that none is taken for another. */
function lower(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function wordsOf(kind: string): string {
  return kind.toLowerCase().replaceAll("_", " ");
}

/** A name out of the SQL, as it may be shown. */
function shown(name: string): string {
  return cutText(printable(name), 80);
}
