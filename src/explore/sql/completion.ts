// What may come next in a text of SQL: columns of the tables that it names, tables behind FROM, functions, keywords.

import type { Table } from "../lake/lake-client.ts";
import { statementsIn } from "./statements.ts";
import { FUNCTIONS, KEYWORDS } from "./words.ts";

export interface Completion {
  /** What may stand in the place of {@link word}. */
  readonly offers: readonly string[];
  /** The end of the text, which is completed. */
  readonly word: string;
}

const NAMED = /(?:\b(?:from|join)\s+|,\s*)([a-z_]\w*)(?:\s+(?:as\s+)?([a-z_]\w*))?/gi;
const NONE: Completion = { offers: [], word: "" };

/**
 * Completes the last word.
 * @param before the statement up to the cursor
 * @param after what comes behind it, where tables may be named too
 */
export function completeSql(before: string, tables: readonly Table[], after = ""): Completion {
  const { rest, isQuoted } = statementsIn(before);
  if (isQuoted) return NONE;
  const word = /[a-z_]?[\w.]*$/i.exec(before)![0];
  const statement = `${rest} ${after}`;
  const dot = word.lastIndexOf(".");
  if (dot >= 0) return ofTable(word, dot, statement, tables);
  const lead = rest.slice(0, rest.length - word.length);
  if (/\b(?:from|join)\s+$/i.test(lead)) {
    return { word, offers: fitting(word, names(tables)) };
  }
  if (word === "") return NONE;
  const named = tablesIn(statement, tables);
  const columns = columnsOf(named.length > 0 ? named : tables);
  const functions = FUNCTIONS.map((name) => `${name}(`);
  const inCase = /^[A-Z]+$/.test(word) ? KEYWORDS.map((each) => each.toUpperCase()) : KEYWORDS;
  return {
    word,
    offers: fitting(word, [...new Set([...columns, ...names(tables), ...functions, ...inCase])]),
  };
}

/** `s.du` of `from spans s`. An alias may come before its FROM is typed: then it may be any table's. */
function ofTable(
  word: string,
  dot: number,
  statement: string,
  tables: readonly Table[],
): Completion {
  const owner = word.slice(0, dot).toLowerCase();
  const [name] = [...statement.matchAll(NAMED)].flatMap(([, table = "", alias = ""]) => {
    const isTable = tables.some((each) => each.name.toLowerCase() === table.toLowerCase());
    const isMeant = [table, alias].some((each) => each.toLowerCase() === owner);
    return isTable && isMeant ? [table.toLowerCase()] : [];
  });
  const exact = tables.filter((table) => table.name.toLowerCase() === (name ?? owner));
  const isOpen = exact.length === 0 && tablesIn(statement, tables).length === 0;
  const found = isOpen ? tables : exact;
  const offers = columnsOf(found).map((column) => `${word.slice(0, dot + 1)}${column}`);
  return { word, offers: fitting(word, offers) };
}

function tablesIn(statement: string, tables: readonly Table[]): Table[] {
  const named = new Set(
    [...statement.matchAll(NAMED)].map(([, table = ""]) => table.toLowerCase()),
  );
  return tables.filter(({ name }) => named.has(name.toLowerCase()));
}

function columnsOf(tables: readonly Table[]): string[] {
  return [...new Set(tables.flatMap(({ columns }) => columns.map(({ name }) => name)))];
}

function names(tables: readonly Table[]): string[] {
  return tables.map(({ name }) => name);
}

function fitting(word: string, candidates: readonly string[]): string[] {
  const wanted = word.toLowerCase();
  return candidates.filter((each) => each.toLowerCase().startsWith(wanted));
}
