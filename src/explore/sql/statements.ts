// Where statements of SQL end: at a `;` that stands in no text, name, or comment. For the dialogue.

/** What a text holds. */
export interface Statements {
  /** Statements that have ended, without their `;`, empty ones left out. */
  readonly complete: readonly string[];
  /** What has begun and not ended. */
  readonly rest: string;
  /** The rest ends within a text, a quoted name or a comment. */
  readonly isQuoted: boolean;
}

/** Strings, quoted names, comments (which do not nest in DuckDB), texts between dollars; each up to its end or that of all. */
const PARTS =
  /'(?:[^']|'')*('|$)|"(?:[^"]|"")*("|$)|--[^\n]*(\n|$)|\/\*[\s\S]*?(\*\/|$)|\$(\w*)\$[\s\S]*?(\$\5\$|$)|;/g;

export function statementsIn(text: string): Statements {
  const complete: string[] = [];
  let begin = 0;
  let isQuoted = false;
  for (const match of text.matchAll(PARTS)) {
    const [part, single, double, line, block, , dollar] = match;
    if (part === ";") {
      const statement = text.slice(begin, match.index).trim();
      if (withoutComments(statement) !== "") complete.push(statement);
      begin = match.index + 1;
      continue;
    }
    isQuoted = [single, double, line, block, dollar].includes("");
  }
  const rest = text.slice(begin);
  return { complete, rest: withoutComments(rest) === "" && !isQuoted ? "" : rest, isQuoted };
}

/** A statement in one line, as histories keep it: without comments, which would reach to the line's end. */
export function oneLine(sql: string): string {
  let line = "";
  let at = 0;
  const add = (between: string) => {
    const text = between.replace(/\s+/g, " ");
    line += line.endsWith(" ") || line === "" ? text.trimStart() : text;
  };
  for (const match of sql.matchAll(PARTS)) {
    add(sql.slice(at, match.index));
    if (isComment(match[0])) add(" ");
    else line += match[0].replaceAll("\n", " ");
    at = match.index + match[0].length;
  }
  add(sql.slice(at));
  return line.trim();
}

function withoutComments(sql: string): string {
  return sql.replace(PARTS, (part) => (isComment(part) ? " " : part)).trim();
}

function isComment(part: string): boolean {
  return part.startsWith("--") || part.startsWith("/*");
}
