// Commands of the dialogue that are no SQL: they begin with a dot.

import { fitLeft, nearest, printable, textWidth } from "../../text/index.ts";
import type { Table } from "../lake/lake-client.ts";
import { QUERY_FORMATS } from "../output/answer.ts";

/** Formats that a terminal can show. */
export const SHOWN_FORMATS = QUERY_FORMATS.filter((each) => each !== "arrow" && each !== "parquet");
export type ShownFormat = Exclude<(typeof QUERY_FORMATS)[number], "arrow" | "parquet">;

const COMMANDS: readonly (readonly [name: string, argument: string, meaning: string])[] = [
  [".help", "", "this text"],
  [".tables", "", "the tables of the lake"],
  [".schema", "[TABLE]", "their columns"],
  [".last", "DURATION", "ask about so long ago until now, e.g. .last 15m"],
  [".format", SHOWN_FORMATS.join("|"), "how answers are shown"],
  [".quit", "", "end; so does Ctrl-D"],
];

export function helpText(): string {
  const terms = COMMANDS.map(([name, argument]) => `${name} ${argument}`.trim());
  const width = Math.max(...terms.map(textWidth));
  const lines = COMMANDS.map(([, , meaning], i) => `  ${fitLeft(terms[i]!, width)}  ${meaning}`);
  return [
    "SQL ends with a semicolon, and may have several lines:",
    "  select service, count(*) from log_entries group by service;",
    ...lines,
    "Tab completes tables, columns, functions and keywords. Ctrl-C ends a query, or takes back what was typed.",
    "",
  ].join("\n");
}

/** Words that end or explain other programs' dialogues, and are no beginning of SQL. */
const WITHOUT_DOT: Readonly<Record<string, string>> = {
  ...{ quit: ".quit", exit: ".quit", bye: ".quit", q: ".quit", "\\q": ".quit" },
  ...{ help: ".help", "?": ".help", "\\?": ".help", "\\h": ".help" },
  ...{ tables: ".tables", "\\dt": ".tables", "\\d": ".schema", schema: ".schema" },
};

/** The command that a line means which has no dot; undefined for SQL. */
export function commandMeant(line: string): string | undefined {
  const word = line.trim().replace(/;$/, "").trim().toLowerCase();
  return Object.hasOwn(WITHOUT_DOT, word) ? WITHOUT_DOT[word] : undefined;
}

/** What an unknown command may have been. */
export function unknownText(name: string): string {
  const meant = nearest(
    name,
    COMMANDS.map(([each]) => each),
  );
  const hint = meant === undefined ? ".help lists the commands" : `did you mean ${meant}?`;
  return `there is no command ${printable(name)}: ${hint}\n`;
}

export function completeCommand(
  line: string,
  tables: readonly Table[],
): { offers: string[]; word: string } {
  const [name = "", ...words] = line.split(/\s+/);
  if (words.length === 0) {
    return {
      word: name,
      offers: COMMANDS.map(([each]) => each).filter((each) => each.startsWith(name)),
    };
  }
  const word = words.at(-1)!;
  const known =
    name === ".schema"
      ? tables.map((table) => table.name)
      : name === ".format"
        ? SHOWN_FORMATS
        : [];
  return { word, offers: known.filter((each) => each.startsWith(word)) };
}

/** Tables with their columns and types. */
export function schemaText(tables: readonly Table[]): string {
  return tables
    .map(({ name, columns }) => {
      const width = Math.max(0, ...columns.map((column) => textWidth(printable(column.name))));
      const lines = columns.map((column) => {
        return `  ${fitLeft(printable(column.name), width)}  ${printable(column.type)}`.trimEnd();
      });
      return `${[printable(name), ...lines].join("\n")}\n`;
    })
    .join("");
}
