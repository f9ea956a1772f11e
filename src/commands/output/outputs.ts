// Makes the sinks that the flags ask for, and reports their summaries and failures. Used by `collect` and `replay`.

import { rmSync } from "node:fs";
import type { Filter, TargetStatistics } from "../../collector/index.ts";
import { CliError, finishing, styleFor, UsageError } from "../../command-line/index.ts";
import { ClashLog } from "../../exposition/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import {
  CsvSink,
  type ExportCounters,
  type Member,
  NdjsonSink,
  processTerminal,
  type Sink,
  type SinkEnd,
  Sinks,
  type SinksEnd,
  TableSink,
} from "../../sinks/index.ts";
import { PrometheusSink } from "../../sinks/prometheus/index.ts";
import { printable } from "../../text/index.ts";
import type { ListenOptions } from "../listen/flags.ts";
import type { Scraping } from "../listen/scraping.ts";
import type { PushOptions } from "../push/flags.ts";
import { pushSinksOf } from "../push/push-sinks.ts";
import { refuseAlone } from "../support/alone.ts";
import { openFile } from "./file.ts";
import type { OutFile, PrintedFormat } from "./flags.ts";

/** How long the end waits for those who take what there is: scrapers, and receivers of what was pushed. */
const GRACE_MS = 5_000;
/** When a block of a recording is closed: after so many snapshots, within these limits. */
const BLOCK_SNAPSHOTS = 50;
const BLOCK_MS_MIN = 10_000;
const BLOCK_MS_MAX = 300_000;
/** Of what is said while the screen is the table's. */
const MAX_KEPT_NOTICES = 100;

/** A block begins with all values, so that short ones cost more; what is not closed is lost in a crash. */
function blockOf(intervalMs: number): number {
  return Math.min(Math.max(intervalMs * BLOCK_SNAPSHOTS, BLOCK_MS_MIN), BLOCK_MS_MAX);
}

/** What the flags say of where snapshots go. */
export interface OutputOptions extends Partial<PushOptions>, Partial<ListenOptions> {
  perWriter: boolean;
  format: PrintedFormat | undefined;
  out: OutFile | undefined;
  outBlock: number | undefined;
  force: boolean;
}

interface OutputSurroundings {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  filter: Filter;
  /** Time between two snapshots of a pool. */
  intervalMs: number;
  /** Tells agents apart by the label `instance`. */
  labelSource: boolean;
  /** There is one snapshot only: no live table. */
  once: boolean;
  /** Snapshots are replayed. */
  isRecorded: boolean;
  statistics: () => readonly TargetStatistics[];
  /** What there is to say of agents that cannot be read. */
  troubles?: () => readonly string[];
  /** The person at the table has had enough. */
  onQuit: () => void;
  /** The file cannot be written on. */
  onFailure: (error: CliError) => void;
}

export class Outputs {
  /** What is printed is a table. */
  readonly isTable: boolean;
  /** The screen is the table's. */
  readonly isLive: boolean;
  readonly #options: OutputOptions;
  readonly #surroundings: OutputSurroundings;
  readonly #sinks = new Sinks((text) => this.tellAside(text));
  /** Of them, those that push. */
  readonly #pushes = new Sinks((text) => this.tellAside(text));
  readonly #pushCounters: () => ExportCounters[];
  readonly #pushed: Member<SinksEnd>;
  #file: Member | undefined;
  #scraping: Scraping | undefined;
  readonly #clashes = new ClashLog((text) => this.tellAside(text));
  /** Whoever reads what is printed has not taken it yet. */
  #isFull = false;
  readonly #onDrain = () => {
    this.#isFull = false;
  };
  /** What is said when the screen is free again. */
  readonly #last: string[] = [];

  /** @throws UsageError for flags that do not go together */
  constructor(options: OutputOptions, surroundings: OutputSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    const { stdout, once } = surroundings;
    const isTerminal = stdout.isTTY === true;
    refuseAlone(options, "listen");
    const pushes = pushSinksOf(options, {
      isRecorded: surroundings.isRecorded,
      onNotice: (text) => this.tellAside(text),
      clashes: this.#clashes,
    });
    this.#pushCounters = () => pushes.map(({ counters }) => counters);
    for (const each of pushes) this.#pushes.add(`--${each.counters.protocol}`, each);
    // What pushes or records has said where its data goes: it is printed too where that is asked for, or somebody looks.
    const isServed = pushes.length > 0 || options.listen !== undefined || options.out !== undefined;
    const unasked = isTerminal ? "table" : isServed ? undefined : "ndjson";
    const format = options.format ?? unasked;
    this.isTable = format === "table";
    this.isLive = this.isTable && isTerminal && !once;
    // First, so that the terminal is given back before anything is waited for.
    if (format !== undefined) this.#sinks.add("what is printed", this.#printed(format));
    this.#pushed = this.#sinks.add("what is pushed", this.#pushes, (end) =>
      finishing("delivering what is left", end),
    );
    stdout.on("drain", this.#onDrain);
  }

  /** Snapshots should wait, where they can. */
  get isBehind(): boolean {
    return this.#sinks.isBehind;
  }

  /** Receivers have all that was pushed. */
  get isDelivered(): boolean {
    return this.#pushes.isIdle;
  }

  /** Makes the file and listens. @throws CliError when that cannot be; all is closed then */
  async open(): Promise<void> {
    try {
      await this.#openFile();
      await this.#listen();
    } catch (error) {
      await this.close({ keepsFile: false });
      throw error;
    }
  }

  /** Hands a snapshot to all of them; its arrays may be used again afterwards. */
  write(snapshot: PoolSnapshot): void {
    this.#sinks.write(snapshot);
  }

  /** An application of a source has ended, or the source is away. */
  gone(source: string, app?: string): void {
    this.#sinks.gone(source, app);
  }

  /**
   * Delivers what is left.
   * @param keepsFile removes the file of --out if false: it would only be in the way of the next attempt
   * @returns the ends of those that have not delivered everything, or could not be closed
   */
  async close({ keepsFile = true } = {}): Promise<SinkEnd[]> {
    this.#scraping?.stop();
    this.#surroundings.stdout.off("drain", this.#onDrain);
    const { ends: all } = await this.#sinks.close(GRACE_MS);
    // One that could not be closed is among all ends.
    const written = await this.#file?.ended.catch(() => undefined);
    const { ends } = await this.#pushed.ended;
    if (written !== undefined) this.#last.push(keepsFile ? written.summary : this.#removeFile());
    for (const { summary } of ends) if (!this.#surroundings.once) this.#last.push(summary);
    return all.filter(({ undelivered, error }) => undelivered > 0 || error !== undefined);
  }

  /** Says something now. */
  say(text: string): void {
    this.#surroundings.stderr.write(`${text}\n`);
  }

  /** Says something when the screen is free again. */
  sayLast(text: string): void {
    if (this.#last.length < MAX_KEPT_NOTICES) this.#last.push(text);
  }

  /** The screen is free. */
  sayAllLast(): void {
    for (const text of this.#last.splice(0)) this.say(text);
  }

  async #openFile(): Promise<void> {
    const { out: file, outBlock: blockMs, force: replace, perWriter } = this.#options;
    if (file === undefined) {
      if (blockMs !== undefined) throw new UsageError("--out-block needs --out");
      if (replace) throw new UsageError("--force needs --out");
      return;
    }
    if (blockMs !== undefined && file.format !== "parquet") {
      throw new UsageError("--out-block is for --out with .parquet");
    }
    const { intervalMs, onFailure } = this.#surroundings;
    const sink = await openFile({
      ...{ file, replace, perWriter, onFailure },
      blockMs: blockMs ?? blockOf(intervalMs),
    });
    const { path, format } = file;
    const left =
      format === "parquet" ? `microview replay ${path} --repair completes it` : undefined;
    this.#file = this.#sinks.add(`--out ${path}`, sink, (end) =>
      finishing(`completing ${path}`, end, left),
    );
  }

  /** @returns what there is to say of it */
  #removeFile(): string {
    const { path } = this.#options.out!;
    rmSync(path, { force: true });
    return `${path}: nothing to write, not kept`;
  }

  async #listen(): Promise<void> {
    const { listen } = this.#options;
    if (listen === undefined) return;
    const { intervalMs, labelSource, statistics } = this.#surroundings;
    const { Scraping } = await import("../listen/scraping.ts");
    const options = { ...this.#options, listen };
    this.#scraping = new Scraping(options, {
      intervalMs,
      labelSource,
      statistics,
      clashes: this.#clashes,
      pushes: this.#pushCounters,
      say: (line) => this.tellAside(line),
    });
    this.#sinks.add("--listen", this.#scraping.server);
    // The live table has the screen.
    const text = `scraped at ${this.#scraping.server.url}`;
    if (this.isLive) this.sayLast(text);
    else this.say(text);
  }

  #printed(format: PrintedFormat): Sink {
    const { stdout, intervalMs, labelSource, troubles, onQuit } = this.#surroundings;
    const common = {
      write: (text: string) => {
        if (!stdout.write(text)) this.#isFull = true;
      },
      isFull: () => this.#isFull,
      perWriter: this.#options.perWriter,
    };
    switch (format) {
      case "table":
        return new TableSink({
          ...common,
          style: styleFor(stdout),
          intervalMs,
          ...(troubles === undefined ? {} : { troubles }),
          ...(this.isLive ? { terminal: processTerminal(), onQuit } : {}),
        });
      case "csv":
        return new CsvSink(common);
      case "prometheus":
        return new PrometheusSink({ ...common, labelSource, terminal: stdout.isTTY === true });
      case "ndjson":
        return new NdjsonSink(common);
    }
  }

  /** Says something now, or when the screen is free again. */
  tellAside(text: string): void {
    if (this.isLive) this.sayLast(printable(text));
    else this.say(printable(text));
  }
}

/** Why a run fails that has not delivered everything. */
export function notDelivered({ summary, error }: SinkEnd): CliError {
  const message = error === undefined ? `not all was delivered: ${summary}` : summary;
  return new CliError({ message, cause: error });
}
