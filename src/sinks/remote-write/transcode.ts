// A request of remote write 2.0 as one of 1.0: for what was written before it was known that the receiver speaks only
// that. Slower than writing it at once, by as much as unpacking and packing take. What 1.0 has no place for is left out:
// metadata, and when series began.

import { eachField, ProtoWriter, putVarint, readVarint } from "../../protobuf/index.ts";
import { compress, decompress } from "./snappy.ts";

/** Requests of ours are a few MiB; one from a file that is damaged must not take all memory. */
const MAX_PLAIN_BYTES = 256 << 20;

// Request, TimeSeries, Histogram of 2.0
const SYMBOLS = 4;
const SERIES = 5;
const LABELS_REFS = 1;
const SAMPLES = 2;
const HISTOGRAMS = 3;
const SAMPLE_VALUE = 1;
const SAMPLE_TIMESTAMP = 2;
const HISTOGRAM_START = 17;
// TimeSeries of 1.0
const HISTOGRAMS_1 = 4;

/** @throws RangeError for what is no request of 2.0 */
export function toVersion1(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const plain = decompress(body, MAX_PLAIN_BYTES);
  const symbols: Uint8Array[] = [];
  const series: Uint8Array[] = [];
  eachField(plain, (field, start, end) => {
    if (field === SYMBOLS) symbols.push(plain.subarray(start, end));
    else if (field === SERIES) series.push(plain.subarray(start, end));
  });
  const w = new ProtoWriter(plain.length);
  for (const each of series) {
    w.open(1);
    writeSeries(w, each, symbols);
    w.close();
  }
  const { bytes } = compress(Uint16Array.from(w.bytes));
  const head = new Uint8Array(5);
  return Buffer.concat([head.subarray(0, putVarint(head, 0, w.length)), bytes]);
}

function writeSeries(w: ProtoWriter, series: Uint8Array, symbols: readonly Uint8Array[]): void {
  eachField(series, (field, start, end) => {
    const value = series.subarray(start, end);
    switch (field) {
      case LABELS_REFS:
        writeLabels(w, value, symbols);
        return;
      case SAMPLES:
        w.open(SAMPLES);
        copyFields(w, value, (each) => each === SAMPLE_VALUE || each === SAMPLE_TIMESTAMP);
        w.close();
        return;
      case HISTOGRAMS:
        w.open(HISTOGRAMS_1);
        copyFields(w, value, (each) => each !== HISTOGRAM_START);
        w.close();
    }
  });
}

function writeLabels(w: ProtoWriter, refs: Uint8Array, symbols: readonly Uint8Array[]): void {
  for (let at = 0; at < refs.length; ) {
    const name = readVarint(refs, at);
    const value = readVarint(refs, name.end);
    at = value.end;
    w.open(1).bytesField(1, symbolOf(symbols, name.value));
    w.bytesField(2, symbolOf(symbols, value.value)).close();
  }
}

function symbolOf(symbols: readonly Uint8Array[], ref: number): Uint8Array {
  const symbol = symbols[ref];
  if (symbol === undefined) throw new RangeError(`a reference to the missing symbol ${ref}`);
  return symbol;
}

function copyFields(w: ProtoWriter, message: Uint8Array, isKept: (field: number) => boolean): void {
  eachField(message, (field, _start, end, tagStart) => {
    if (isKept(field)) w.raw(message.subarray(tagStart, end));
  });
}
