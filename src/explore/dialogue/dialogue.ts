// The dialogue of `microview query`: takes statements from a terminal, asks the lake, shows what it answers. It is written
// on node:readline, whose own REPL would evaluate JavaScript.

import { createInterface, type Interface } from "node:readline";
import { counted, nearest, printable } from "../../text/index.ts";
import type { LakeClient, Table } from "../lake/lake-client.ts";
import { lastMs, type TimeRange } from "../lake/time-range.ts";
import { type AnswerOutput, emptyHint, endingText, writeAnswer } from "../output/answer.ts";
import { completeSql } from "../sql/completion.ts";
import { oneLine, statementsIn } from "../sql/statements.ts";
import {
  commandMeant,
  completeCommand,
  helpText,
  SHOWN_FORMATS,
  type ShownFormat,
  schemaText,
  unknownText,
} from "./dot-commands.ts";
import { History, historyPath } from "./history.ts";

const PROMPT = "lake> ";
const CONTINUED = "  ... ";

export interface DialogueOptions {
  readonly output: AnswerOutput;
  /** What questions are about, until `.last` says otherwise: a range, or a duration up to now. */
  readonly about: TimeRange | number;
  /** How answers are shown first. */
  readonly format: ShownFormat;
  readonly parseDurationMs: (text: string, label: string) => number;
  readonly formatDurationMs: (durationMs: number) => string;
  /** What an error says to people, with its place in the SQL. */
  readonly errorText: (error: unknown, sql: string) => string;
  /** Ends the dialogue. */
  readonly stop: AbortSignal;
}

export class Dialogue {
  readonly #history = new History(historyPath(process.env));
  readonly #lines: string[] = [];
  #tables: readonly Table[] = [];
  #format: ShownFormat;
  #about: TimeRange | number;
  /** What was typed of a statement that has not ended. */
  #begun = "";
  #begunLines = 0;
  #query: AbortController | undefined;
  #wake = () => {};
  #isOver = false;

  constructor(
    readonly client: LakeClient,
    readonly options: DialogueOptions,
  ) {
    this.#about = options.about;
    this.#format = options.format;
  }

  /** @throws LakeError when there is no lake to talk to */
  async run(): Promise<void> {
    const { stop } = this.options;
    this.#tables = await this.client.tables(stop);
    const readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: true,
      history: this.#history.load(),
      historySize: 1_000,
      removeHistoryDuplicates: true,
      completer: (line: string) => {
        const { offers, word } = this.#complete(line, readline.line.slice(line.length));
        return [[...offers], word];
      },
    });
    readline.on("line", (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    readline.on("SIGINT", () => this.#interrupt(readline));
    readline.on("close", () => {
      this.#isOver = true;
      this.#query?.abort();
      this.#wake();
    });
    stop.addEventListener("abort", () => readline.close());
    await this.#say(`${this.#style.dim(this.#greeting())}\n`);
    await this.#converse(readline);
    readline.close();
  }

  get #style() {
    return this.options.output.style;
  }

  #greeting(): string {
    const tables = counted(this.#tables.length, "table");
    return `${this.client.url} · ${tables} · ${this.#aboutText()} · .help`;
  }

  async #converse(readline: Interface): Promise<void> {
    while (!this.#isOver) {
      const line = this.#lines.shift();
      if (line === undefined) {
        readline.setPrompt(this.#begun === "" ? PROMPT : CONTINUED);
        readline.prompt();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#lines.length > 0 || this.#isOver) resolve();
        });
        continue;
      }
      if (this.#begun === "" && line.trim().startsWith(".")) await this.#command(line.trim());
      else await this.#take(line, readline);
    }
  }

  /** A line of SQL. */
  async #take(line: string, readline: Interface): Promise<void> {
    const meant = this.#begun === "" ? commandMeant(line) : undefined;
    if (meant !== undefined)
      return this.#say(`${meant} is the command: commands begin with a dot\n`);
    const text = `${this.#begun}${line}\n`;
    this.#begunLines++;
    const { complete, rest } = statementsIn(text);
    this.#begun = rest;
    if (complete.length > 0) this.#remember(text, readline);
    if (rest === "") this.#begunLines = 0;
    for (const sql of complete) {
      if (this.#isOver) return;
      await this.#ask(sql);
    }
  }

  /** A statement of several lines becomes one line of the history. */
  #remember(text: string, readline: Interface): void {
    const statement = oneLine(text);
    // Bun and Node have the list, and their types do not.
    const { history } = readline as unknown as { history?: string[] };
    if (this.#begunLines > 1 && Array.isArray(history)) {
      history.splice(0, Math.min(this.#begunLines, history.length), statement);
    }
    this.#history.add(statement);
    this.#begunLines = 0;
  }

  async #ask(sql: string): Promise<void> {
    const query = new AbortController();
    this.#query = query;
    const { output } = this.options;
    const shown = { ...output, columns: process.stdout.columns || output.columns };
    const range = typeof this.#about === "number" ? lastMs(this.#about) : this.#about;
    const question = { sql, range, format: this.#format };
    try {
      const ending = await writeAnswer(this.client, question, shown, query.signal);
      if (ending === undefined) return;
      const hint = emptyHint(sql, ending);
      const lines = [endingText(ending), ...(hint === undefined ? [] : [`hint: ${hint}`])];
      await this.#say(lines.map((line) => `${this.#style.dim(line)}\n`).join(""));
    } catch (error) {
      if (query.signal.aborted) await this.#say(`${this.#style.yellow("ended by Ctrl-C")}\n`);
      else await this.#say(this.options.errorText(error, sql));
    } finally {
      this.#query = undefined;
    }
  }

  #interrupt(readline: Interface): void {
    if (this.#query !== undefined) {
      this.#query.abort();
      return;
    }
    const isEmpty = this.#begun === "" && readline.line === "";
    process.stdout.write(isEmpty ? "\n.quit or Ctrl-D ends the dialogue\n" : "^C\n");
    this.#begun = "";
    this.#begunLines = 0;
    this.#lines.length = 0;
    // Takes back what stands before and behind the cursor.
    readline.write(null, { ctrl: true, name: "e" });
    readline.write(null, { ctrl: true, name: "u" });
    readline.setPrompt(PROMPT);
    readline.prompt();
  }

  #complete(line: string, after: string) {
    if (this.#begun === "" && line.startsWith(".")) return completeCommand(line, this.#tables);
    return completeSql(this.#begun + line, this.#tables, after);
  }

  async #command(line: string): Promise<void> {
    const [name = "", ...words] = line.replace(/;$/, "").trim().split(/\s+/);
    const argument = words.join(" ");
    switch (name) {
      case ".help":
        return this.#say(helpText());
      case ".tables":
        return this.#say(this.#tables.map((table) => `${printable(table.name)}\n`).join(""));
      case ".schema":
        return this.#say(this.#schema(argument));
      case ".last":
        return this.#say(this.#setLast(argument));
      case ".format":
        return this.#say(this.#setFormat(argument));
      case ".quit":
      case ".exit":
        this.#isOver = true;
        return;
    }
    await this.#say(unknownText(name));
  }

  #schema(name: string): string {
    const tables = this.#tables.filter((table) => name === "" || table.name === name);
    if (tables.length > 0) return schemaText(tables);
    const meant = nearest(
      name,
      this.#tables.map((table) => table.name),
    );
    const hint = meant === undefined ? ".tables lists them" : `did you mean ${printable(meant)}?`;
    return `there is no table ${printable(name)}: ${hint}\n`;
  }

  #setLast(argument: string): string {
    try {
      if (argument !== "") this.#about = this.options.parseDurationMs(argument, ".last");
    } catch (error) {
      return this.options.errorText(error, "");
    }
    return `${this.#aboutText()}\n`;
  }

  #aboutText(): string {
    if (typeof this.#about === "number") {
      return `the last ${this.options.formatDurationMs(this.#about)}`;
    }
    const { from = "the beginning", to = "now" } = this.#about;
    return `${from} to ${to}`;
  }

  #setFormat(argument: string): string {
    const format = SHOWN_FORMATS.find((each) => each === argument) as ShownFormat | undefined;
    if (format === undefined && argument !== "") {
      return `.format cannot be ${printable(argument)}: it is one of ${SHOWN_FORMATS.join(", ")}\n`;
    }
    this.#format = format ?? this.#format;
    return `${this.#format}\n`;
  }

  async #say(text: string): Promise<void> {
    await this.options.output.write(text);
  }
}
