// Reads remote-write requests without the code under test: Snappy's blocks by their description, the message by
// protobufjs.

import protobuf from "protobufjs";
import { type Stored, seriesName } from "./receivers.ts";

// https://github.com/prometheus/prometheus/blob/v2.42.0/prompb/{remote,types}.proto
const root = protobuf.parse(`
  syntax = "proto3";
  message WriteRequest { repeated TimeSeries timeseries = 1; reserved 2; }
  message TimeSeries {
    repeated Label labels = 1;
    repeated Sample samples = 2;
    repeated bytes histograms = 4;
  }
  message Label { string name = 1; string value = 2; }
  message Sample { double value = 1; int64 timestamp = 2; }
`).root;
export const WriteRequest = root.lookupType("WriteRequest");

export interface DecodedSeries {
  labels: { name: string; value: string }[];
  samples: { value: number; timestamp: number; stale: boolean }[];
  /** Native histograms: the bytes of each in 1.0, decoded in 2.0. */
  histograms: unknown[];
}

/** @throws Error for a block or message that is not as specified */
export function decodeWriteRequest(body: Uint8Array): DecodedSeries[] {
  const plain = decompress(body);
  const message = WriteRequest.decode(plain) as unknown as {
    timeseries: {
      labels: { name: string; value: string }[];
      samples: { value: number; timestamp: { toNumber(): number } | number }[];
      histograms: Uint8Array[];
    }[];
  };
  const bits = new DataView(new ArrayBuffer(8));
  return message.timeseries.map(({ labels, samples, histograms }) => ({
    histograms,
    labels: labels.map(({ name, value }) => ({ name, value })),
    samples: samples.map(({ value, timestamp }) => {
      bits.setFloat64(0, value);
      const stale = Number.isNaN(value) && bits.getUint32(4) === 2;
      return { value, timestamp: Number(timestamp), stale };
    }),
  }));
}

/** Whether the message ends a series, which protobufjs may not keep: engines are free to make all NaN one. */
export function staleCount(body: Uint8Array): number {
  const plain = Buffer.from(decompress(body));
  const mark = Buffer.from([0x09, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f]);
  let count = 0;
  for (let at = plain.indexOf(mark); at >= 0; at = plain.indexOf(mark, at + 1)) count++;
  return count;
}

/** What a receiver stores that takes all of these requests, NaN for the end of a series. */
export class Store {
  readonly stored: Stored = new Map();

  take(body: Uint8Array): void {
    this.takeAll(decodeWriteRequest(body));
  }

  /** @throws Error for labels that are not in order or stand twice, and samples that are not newer than the one before */
  takeAll(all: readonly DecodedSeries[]): void {
    for (const { labels, samples } of all) {
      const names = labels.map(({ name }) => name);
      const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
      if (!Bun.deepEquals(names, [...new Set(names)].sort(byBytes)))
        throw new Error(`labels ${names}`);
      if (labels.some(({ value }) => value === "")) throw new Error("an empty label");
      const series = seriesName(Object.fromEntries(labels.map((each) => [each.name, each.value])));
      const known = this.stored.get(series) ?? new Map<number, number>();
      this.stored.set(series, known);
      for (const { value, timestamp } of samples) {
        const last = [...known.keys()].at(-1) ?? 0;
        if (timestamp <= last) throw new Error(`${series}: ${timestamp} after ${last}`);
        known.set(timestamp, value);
      }
    }
  }
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
export function decompress(block: Uint8Array): Uint8Array {
  let at = 0;
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = block[at++]!;
    size += (byte & 127) * 2 ** shift;
    if (byte < 128) break;
  }
  const out = new Uint8Array(size);
  let length = 0;
  while (at < block.length) {
    const tag = block[at++]!;
    let count: number;
    let offset: number;
    switch (tag & 3) {
      case 0: {
        count = tag >> 2;
        if (count >= 60) {
          const bytes = count - 59;
          count = 0;
          for (let i = 0; i < bytes; i++) count += block[at++]! * 256 ** i;
        }
        count++;
        if (at + count > block.length || length + count > size) throw new Error("a long literal");
        out.set(block.subarray(at, at + count), length);
        at += count;
        length += count;
        continue;
      }
      case 1:
        count = ((tag >> 2) & 7) + 4;
        offset = ((tag >> 5) << 8) | block[at++]!;
        break;
      case 2:
        count = (tag >> 2) + 1;
        offset = block[at]! | (block[at + 1]! << 8);
        at += 2;
        break;
      default:
        throw new Error("a copy with four bytes of offset, which nobody writes");
    }
    if (offset === 0 || offset > length || length + count > size) throw new Error("a wrong copy");
    for (let i = 0; i < count; i++, length++) out[length] = out[length - offset]!;
  }
  if (length !== size) throw new Error(`${length} bytes instead of ${size}`);
  return out;
}
