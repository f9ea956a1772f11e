// Prometheus's text format. Each round of snapshots, of any number of pools, is one whole exposition.

import {
  describeClash,
  type ExposedPool,
  Exposition,
  WriterValues,
} from "../../exposition/index.ts";
import { type PoolSnapshot, poolKey } from "../../layout/index.ts";
import { counted, printable, printableLines } from "../../text/index.ts";
import { PoolStates, Rounds } from "../pools.ts";
import type { SinkOptions } from "../sink.ts";
import { TextSink } from "../text/text-sink.ts";
import { rfc3339 } from "../text/time.ts";

/** Clashes of names that are written as comments. */
const CLASHES_MAX = 100;

interface PrometheusOptions extends SinkOptions {
  /** Adds the label `instance`, for agents whose applications have the same names. */
  labelSource?: boolean;
  /** The output is a terminal: controls in labels and help are written out, although the format would keep them. */
  terminal?: boolean;
}

/** Expositions after the first are set apart by an empty line. Missed deadlines and gaps are comments before them. */
export class PrometheusSink extends TextSink {
  readonly #rounds = new Rounds();
  readonly #exposition = new Exposition();
  /** The pools of the round, by key. */
  readonly #pools = new Map<string, ExposedPool>();
  readonly #writers = new PoolStates<{ values: WriterValues }>();
  #remarks = "";
  #written = false;

  constructor(override readonly options: PrometheusOptions) {
    super(options);
  }

  write(snapshot: PoolSnapshot): void {
    if (this.#rounds.begins(snapshot)) this.#put();
    const { app, source, structure } = snapshot;
    const labels = this.options.labelSource === true ? { app, source } : { app };
    const key = poolKey(snapshot);
    // The snapshot's arrays are used again before the round ends, so its values are copied.
    if (this.options.perWriter === true) {
      const writers = this.#writersOf(snapshot);
      const values = writers.of(snapshot.slots.data);
      this.#pools.set(key, { ...labels, structure, values, parts: writers.parts });
    } else {
      this.#pools.set(key, { ...labels, structure, values: snapshot.values.slice() });
    }
    this.#remarks += remarks(snapshot);
  }

  gone(source: string, app?: string): void {
    this.#rounds.gone(source, app);
    this.#writers.gone(source, app);
  }

  protected override finish(): void {
    this.#put();
  }

  #writersOf(snapshot: PoolSnapshot): WriterValues {
    const { structure } = snapshot;
    const kept = this.#writers.of(snapshot, () => ({ values: new WriterValues(structure) }));
    if (kept.values.structure !== structure) kept.values = new WriterValues(structure);
    return kept.values;
  }

  #put(): void {
    if (this.#pools.size === 0) return;
    const scrape = this.#exposition.scrape([...this.#pools.values()], {
      format: "text",
    });
    let text = this.#written ? "\n" : "";
    text += this.#remarks;
    for (const clash of scrape.clashes.slice(0, CLASHES_MAX)) {
      text += `# microview: ${describeClash(clash)}\n`;
    }
    const decoder = new TextDecoder();
    for (let piece = scrape.next(); piece !== undefined; piece = scrape.next()) {
      text += decoder.decode(piece, { stream: true });
    }
    this.#pools.clear();
    this.#remarks = "";
    if (text.trim() === "") return;
    this.#written = true;
    this.options.write(this.options.terminal === true ? printableLines(text, "\\\\") : text);
  }
}

function remarks({ app, source, missed, gap, takenAtMs }: PoolSnapshot): string {
  const of = `${app} of ${printable(source)} at ${rfc3339(takenAtMs)}`;
  let text = "";
  if (missed > 0) text += `# microview: ${of} missed ${counted(missed, "deadline")}\n`;
  if (gap !== undefined) text += `# microview: ${of} comes after a gap: ${printable(gap)}\n`;
  return text;
}
