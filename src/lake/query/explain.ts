// What stands before the SELECT of an EXPLAIN. DuckDB serialises a SELECT only, so the gate reads this part by itself
// and looks at what is explained: EXPLAIN ANALYZE executes it. Used by gate.ts.

interface Explained {
  /** What goes before the SELECT when it is run, in words of ours; "" when nothing is explained. */
  prefix: string;
  /** Where the SELECT begins in the text. */
  from: number;
}

const SPACES = /\s+/y;
const WORD = /[a-z]+/iy;
const OPTIONS =
  /\(\s*((?:analy[sz]e|format\s+[a-z]+)(?:\s*,\s*(?:analy[sz]e|format\s+[a-z]+))*)\s*\)/iy;
const FORMATS = ["default", "text", "json", "yaml", "html", "graphviz", "mermaid"];

export function explained(sql: string): Explained {
  const start = afterBlanks(sql, 0);
  const word = match(WORD, sql, start);
  if (word.toLowerCase() !== "explain") return { prefix: "", from: 0 };
  let from = afterBlanks(sql, start + word.length);
  let isAnalyzed = false;
  let format = "";
  const options = match(OPTIONS, sql, from);
  if (options !== "") {
    for (const option of options.slice(1, -1).toLowerCase().split(",")) {
      const [name, value] = option.trim().split(/\s+/);
      if (name === "format") format = FORMATS.includes(value!) ? value! : "";
      else isAnalyzed = true;
    }
    from = afterBlanks(sql, from + options.length);
  } else if (/^analy[sz]e$/i.test(match(WORD, sql, from))) {
    isAnalyzed = true;
    from = afterBlanks(sql, from + "analyze".length);
  }
  const asked = [
    ...(isAnalyzed ? ["ANALYZE"] : []),
    ...(format === "" ? [] : [`FORMAT ${format}`]),
  ];
  return { prefix: asked.length === 0 ? "EXPLAIN " : `EXPLAIN (${asked.join(", ")}) `, from };
}

/**
 * Where blanks and comments end, as SQL has them. Comments nest in DuckDB as in PostgreSQL; one that does is left to its
 * parser. Each character is looked at a few times at most: a text may be nothing but beginnings of comments.
 */
export function afterBlanks(sql: string, from: number): number {
  for (let at = from; ; ) {
    const before = at;
    at += match(SPACES, sql, at).length;
    if (sql.startsWith("--", at)) {
      const end = sql.indexOf("\n", at);
      at = end < 0 ? sql.length : end + 1;
    } else if (sql.startsWith("/*", at)) {
      const inner = sql.indexOf("/*", at + 2);
      const end = sql.indexOf("*/", at + 2);
      if (end < 0 || (inner >= 0 && inner < end)) return at;
      at = end + 2;
    }
    if (at === before) return at;
  }
}

function match(pattern: RegExp, sql: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(sql)?.[0] ?? "";
}
