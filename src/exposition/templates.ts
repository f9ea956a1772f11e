// What of an exposition does not change from scrape to scrape, as bytes: each series' name and labels, each bucket's
// bound. Made when a scrape first comes to it, kept while there is room, and made anew each time beyond that.

import {
  type Directory,
  escapeLabel,
  exposedBounds,
  formatValue,
  type Metric,
} from "../layout/index.ts";

/** Texts one after the other; text i ends at `ends[i]`, where the next one starts. */
export interface Texts {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

/** Series whose texts are made and kept together. */
export const SERIES_PER_BLOCK = 256;

const encoder = new TextEncoder();

export function textsOf(parts: readonly string[]): Texts {
  const whole = parts.join("");
  const bytes = encoder.encode(whole);
  const ends = new Uint32Array(parts.length);
  // As long in bytes as in characters: ASCII alone, which is usual.
  const isAscii = bytes.length === whole.length;
  let end = 0;
  for (const [i, part] of parts.entries()) {
    end += isAscii ? part.length : Buffer.byteLength(part);
    ends[i] = end;
  }
  return { bytes, ends };
}

/** Names of {@link Home}'s labels, in the order in which they are written. */
export const HOME_LABELS = ["app", "service", "instance"] as const;

/** The labels that tell where a series comes from, beside those of its own. */
export interface Home {
  app: string;
  service: string;
  /** The agent, where there are several. */
  instance: string | undefined;
  /**
   * Labels of ours that the metric has too are called `microview_…` instead of being left out: without them, series of
   * two services would have the same labels.
   */
  qualified: boolean;
}

/** Metric texts of one pool; the bytes they keep count together. */
export class PoolTexts {
  /** Bytes kept. */
  keptBytes = 0;
  /** Number of the last scrape that used it. */
  usedIn = 0;
  readonly #texts = new Map<Metric, MetricText>();

  constructor(readonly directory: Directory) {}

  of(metric: Metric, home: Home): MetricText {
    let text = this.#texts.get(metric);
    if (text === undefined || text.home.qualified !== home.qualified) {
      text?.clear();
      text = new MetricText(this, metric, home);
      this.#texts.set(metric, text);
    }
    return text;
  }

  clear(): void {
    for (const text of this.#texts.values()) text.clear();
  }
}

/** The texts of one metric's series, `name{labels` without the closing brace, and what its lines end with. */
export class MetricText {
  readonly isHistogram: boolean;
  /** Bytes of `name{`, or `name_bucket{`, before the labels of each text. */
  readonly leadBytes: number;
  #blocks: (Texts | undefined)[] = [];
  #bounds: Texts | undefined;
  #sums: Texts | undefined;
  #homeLabels: string | undefined;

  constructor(
    readonly pool: PoolTexts,
    readonly metric: Metric,
    readonly home: Home,
  ) {
    const { kind, name } = metric.definition;
    this.isHistogram = kind === "histogram" || kind === "loglinear";
    this.leadBytes = name.length + (this.isHistogram ? "_bucket{" : "{").length;
  }

  /**
   * Texts of the series from `number · SERIES_PER_BLOCK` on.
   * @param keep whether so many bytes more may be kept
   */
  block(number: number, keep: (bytes: number) => boolean): Texts {
    const { series } = this.metric;
    const known = this.#blocks[number];
    const first = number * SERIES_PER_BLOCK;
    const count = Math.min(SERIES_PER_BLOCK, series.length - first);
    if (known !== undefined && known.ends.length === count) return known;
    const texts = this.#make(first, count);
    this.#drop(number);
    const bytes = bytesOf(texts);
    if (keep(bytes)) {
      this.#blocks[number] = texts;
      this.pool.keptBytes += bytes;
    }
    return texts;
  }

  /** `,le="0.1"} ` of each bucket of a histogram. */
  get bounds(): Texts {
    this.#bounds ??= boundTexts(this.metric);
    return this.#bounds;
  }

  /** `name_sum{` and `name_count{` of a histogram. */
  get sums(): Texts {
    const { name } = this.metric.definition;
    this.#sums ??= textsOf([`${name}_sum{`, `${name}_count{`]);
    return this.#sums;
  }

  /** `,writer="7",pid="42"`: a writer's own labels, to be put behind the others. */
  writerLabels(writer: { id: number; pid: number; retained: boolean }): Uint8Array {
    const { labelNames } = this.metric.definition;
    const own = (name: string) => freeName(name, labelNames);
    // What the dead have counted is of no process.
    const labels = writer.retained
      ? `,${own("writer")}="retained"`
      : `,${own("writer")}="${writer.id}",${own("pid")}="${writer.pid}"`;
    return encoder.encode(labels);
  }

  clear(): void {
    for (let i = 0; i < this.#blocks.length; i++) this.#drop(i);
    this.#blocks = [];
  }

  #drop(number: number): void {
    const known = this.#blocks[number];
    if (known === undefined) return;
    this.pool.keptBytes -= bytesOf(known);
    this.#blocks[number] = undefined;
  }

  #make(first: number, count: number): Texts {
    const { definition, series } = this.metric;
    const { name, labelNames } = definition;
    const { directory } = this.pool;
    this.#homeLabels ??= homeLabels(this.home, labelNames);
    const lead = this.isHistogram ? `${name}_bucket{` : `${name}{`;
    const parts: string[] = [];
    for (let i = first; i < first + count; i++) {
      const values = directory.labelValues(series[i]!);
      let labels = "";
      for (let j = 0; j < labelNames.length; j++) {
        labels += `,${labelNames[j]}="${escapeLabel(values[j]!)}"`;
      }
      // There is one at least: of app and service, ours or the metric's own.
      parts.push(lead + (labels + this.#homeLabels).slice(1));
    }
    return textsOf(parts);
  }
}

function homeLabels(home: Home, own: readonly string[]): string {
  let text = "";
  for (const name of HOME_LABELS) {
    const value = home[name];
    if (value === undefined) continue;
    if (!own.includes(name)) text += `,${name}="${escapeLabel(value)}"`;
    else if (home.qualified) text += `,${freeName(name, own)}="${escapeLabel(value)}"`;
  }
  return text;
}

/** A label of ours beside a metric's own: no name may stand twice, or the whole scrape is refused. */
function freeName(name: string, own: readonly string[]): string {
  return own.includes(name) ? freeName(`microview_${name}`, own) : name;
}

function bytesOf({ bytes, ends }: Texts): number {
  return bytes.length + ends.byteLength;
}

// Hundreds of metrics have the same bounds: those of the default.
const boundsByShape = new Map<string, WeakRef<Texts>>();
const forgotten = new FinalizationRegistry<string>((shape) => {
  if (boundsByShape.get(shape)?.deref() === undefined) boundsByShape.delete(shape);
});

function boundTexts(metric: Metric): Texts {
  const { bounds, logLinear } = metric.definition;
  const shape = JSON.stringify([bounds, logLinear]);
  let texts = boundsByShape.get(shape)?.deref();
  if (texts === undefined) {
    texts = textsOf(exposedBounds(metric).map((bound) => `,le="${formatValue(bound)}"} `));
    boundsByShape.set(shape, new WeakRef(texts));
    forgotten.register(texts, shape);
  }
  return texts;
}
