// What a request of remote write 2.0 says of its series beside their samples: labels and metadata as references to a
// table of strings that the request begins with. The table is a part's own, so a request has the series of one part.

import { eachField, ProtoWriter, readVarint } from "../../protobuf/index.ts";
import { type Compressed, compress } from "./snappy.ts";
import type { EncodedLabels, SeriesHead } from "./template.ts";

/** What a receiver is told of a series besides. */
export interface SeriesAbout {
  /** Metadata.MetricType */
  type: number;
  help: string;
  unit: string;
  /** When it began to count, in unix ms; 0 does not say. */
  startMs: number;
}

export const METRIC_TYPE = { unknown: 0, counter: 1, gauge: 2, histogram: 3 } as const;

// Request.symbols
const SYMBOLS = 4;
// TimeSeries
const LABELS_REFS = 1;
const METADATA = 5;
/** Until 2025 the start was the series', not the samples'; receivers of that time read it here, others step over it. */
const CREATED_TIMESTAMP = 6;

/** A table of strings, compressed, and the series that refer to it. */
export interface Symbolized {
  table: Compressed;
  plainBytes: number;
  heads: SeriesHead[];
}

/** @param series with their labels as 1.0 has them */
export function symbolize(
  series: readonly { labels: EncodedLabels; about: SeriesAbout }[],
): Symbolized {
  const symbols = new Symbols();
  const writer = new ProtoWriter();
  const heads = series.map(({ labels, about }): SeriesHead => {
    const { type, help, unit, startMs } = about;
    writer.clear();
    writer.packedVarints(LABELS_REFS, symbols.labelRefs(labels));
    const [helpRef, unitRef] = [symbols.ref(help), symbols.ref(unit)];
    writer.open(METADATA).uint(1, type).uint(3, helpRef).uint(4, unitRef).close();
    if (startMs > 0) writer.uint(CREATED_TIMESTAMP, startMs);
    return { fields: writer.bytes.slice(), startMs };
  });
  const table = new ProtoWriter(64 << 10);
  for (const text of symbols.texts) table.string(SYMBOLS, text);
  const { bytes } = table;
  return { table: compress(Uint16Array.from(bytes)), plainBytes: bytes.length, heads };
}

const decoder = new TextDecoder();

class Symbols {
  readonly #refs = new Map([["", 0]]);
  /** References by the bytes of a Label message, most of which are the same in many series. */
  readonly #labels = new Map<string, readonly [name: number, value: number]>();

  get texts(): Iterable<string> {
    return this.#refs.keys();
  }

  ref(text: string): number {
    let ref = this.#refs.get(text);
    if (ref === undefined) {
      ref = this.#refs.size;
      this.#refs.set(text, ref);
    }
    return ref;
  }

  /** Names and values of the Label messages of 1.0, in turns. */
  labelRefs(labels: EncodedLabels): number[] {
    const bytes = Buffer.from(labels.buffer, labels.byteOffset, labels.byteLength);
    const refs: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      // Behind its tag a label's length, which is below 128 but for long values.
      let start = at + 2;
      let length = bytes[at + 1]!;
      if (length >= 128) ({ value: length, end: start } = readVarint(bytes, at + 1));
      at = start + length;
      const key = bytes.toString("latin1", start, at);
      let pair = this.#labels.get(key);
      if (pair === undefined) {
        pair = this.#parse(bytes.subarray(start, at));
        this.#labels.set(key, pair);
      }
      refs.push(pair[0], pair[1]);
    }
    return refs;
  }

  #parse(label: Uint8Array): [name: number, value: number] {
    const texts = ["", ""];
    eachField(label, (field, start, end) => {
      texts[field - 1] = decoder.decode(label.subarray(start, end));
    });
    return [this.ref(texts[0]!), this.ref(texts[1]!)];
  }
}
