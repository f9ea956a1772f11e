// What stands before the SELECT of an EXPLAIN. DuckDB serialises a SELECT only, so the gate reads this part by itself
// and looks at what is explained: EXPLAIN ANALYZE executes it. Used by gate.ts.

interface Explained {
  /** What goes before the SELECT when it is run, in words of ours; "" when nothing is explained. */
  prefix: string;
  /** Where the SELECT begins in the text. */
  from: number;
}

/** Blanks and comments, as SQL has them. Comments nest in DuckDB as in PostgreSQL; one that does is left to its parser. */
const BLANK = /(?:\s|--[^\n]*(?:\n|$)|\/\*(?:(?!\/\*|\*\/)[\s\S])*\*\/)*/y;
const WORD = /[a-z]+/iy;
const OPTIONS =
  /\(\s*((?:analy[sz]e|format\s+[a-z]+)(?:\s*,\s*(?:analy[sz]e|format\s+[a-z]+))*)\s*\)/iy;
const FORMATS = ["default", "text", "json", "yaml", "html", "graphviz", "mermaid"];

export function explained(sql: string): Explained {
  const start = match(BLANK, sql, 0).length;
  const word = match(WORD, sql, start);
  if (word.toLowerCase() !== "explain") return { prefix: "", from: 0 };
  let from = skip(sql, start + word.length);
  let isAnalyzed = false;
  let format = "";
  const options = match(OPTIONS, sql, from);
  if (options !== "") {
    for (const option of options.slice(1, -1).toLowerCase().split(",")) {
      const [name, value] = option.trim().split(/\s+/);
      if (name === "format") format = FORMATS.includes(value!) ? value! : "";
      else isAnalyzed = true;
    }
    from = skip(sql, from + options.length);
  } else if (/^analy[sz]e$/i.test(match(WORD, sql, from))) {
    isAnalyzed = true;
    from = skip(sql, from + "analyze".length);
  }
  const asked = [
    ...(isAnalyzed ? ["ANALYZE"] : []),
    ...(format === "" ? [] : [`FORMAT ${format}`]),
  ];
  return { prefix: asked.length === 0 ? "EXPLAIN " : `EXPLAIN (${asked.join(", ")}) `, from };
}

function skip(sql: string, at: number): number {
  return at + match(BLANK, sql, at).length;
}

function match(pattern: RegExp, sql: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(sql)?.[0] ?? "";
}
