// Prometheus's text format: one whole exposition per round of snapshots, whatever number of pools it covers.

import { expose, type PoolSnapshot } from "../layout/index.ts";
import { Rounds, type Sink, type SinkOptions } from "./sink.ts";
import { printable, printableLines } from "./text.ts";
import { rfc3339 } from "./time.ts";

export interface PrometheusOptions extends Omit<SinkOptions, "perWriter"> {
  /** Adds the label `instance`, for agents whose applications have the same names. */
  labelSource?: boolean;
  /** The output is a terminal: controls in labels and help are written out, although the format would keep them. */
  terminal?: boolean;
}

interface Family {
  /** Its HELP and TYPE lines. */
  head: string;
  type: string;
  samples: string;
}

/** Expositions after the first are set apart by an empty line. Missed deadlines and gaps are comments before them. */
export class PrometheusSink implements Sink {
  readonly #rounds = new Rounds();
  readonly #families = new Map<string, Family>();
  #remarks = "";
  #pools = 0;
  #written = false;

  constructor(readonly options: PrometheusOptions) {}

  write(snapshot: PoolSnapshot): void {
    if (this.#rounds.begins(snapshot)) this.#put();
    const { app, source, directory, values } = snapshot;
    const { labelSource, wanted } = this.options;
    const pool = { app, directory, values, ...(labelSource === true ? { source } : {}) };
    // The values are gone when the round ends, so the text is made now, and put together by metric later.
    for (const text of expose([pool], (_, service, metric) => wanted?.(service, metric) ?? true)) {
      this.#add(text);
    }
    this.#remarks += remarks(snapshot);
    this.#pools++;
  }

  flush(): void {
    this.#rounds.end();
    this.#put();
  }

  close(): void {
    this.flush();
  }

  #add(text: string): void {
    const typeStart = text.indexOf("\n") + 1;
    const samplesStart = text.indexOf("\n", typeStart) + 1;
    const [, , name = "", type = ""] = text.slice(typeStart, samplesStart - 1).split(" ");
    const samples = text.slice(samplesStart);
    if (samples === "") return;
    const known = this.#families.get(name);
    if (known === undefined) {
      this.#families.set(name, { head: text.slice(0, samplesStart), type, samples });
    } else if (known.type === type) {
      known.samples += samples;
    } else {
      this.#remarks += `# microview: ${name} is a ${known.type} and a ${type}; the ${type} is left out\n`;
    }
  }

  #put(): void {
    if (this.#pools === 0) return;
    let text = this.#written ? "\n" : "";
    text += this.#remarks;
    for (const { head, samples } of this.#families.values()) text += head + samples;
    this.#families.clear();
    this.#remarks = "";
    this.#pools = 0;
    if (text.trim() === "") return;
    this.#written = true;
    this.options.write(this.options.terminal === true ? printableLines(text, "\\\\") : text);
  }
}

function remarks({ app, source, missed, gap, takenAtMs }: PoolSnapshot): string {
  const of = `${app} of ${printable(source)} at ${rfc3339(takenAtMs)}`;
  let text = "";
  if (missed > 0) text += `# microview: ${of} missed ${missed} deadlines\n`;
  if (gap !== undefined) text += `# microview: ${of} comes after a gap: ${printable(gap)}\n`;
  return text;
}
