import { expect, test } from "bun:test";
import fc from "fast-check";
import { putVarint } from "../../../src/protobuf/index.ts";
import { compress, LATER, UNIQUE } from "../../../src/sinks/remote-write/snappy.ts";
import { decompress } from "../../support/remote-write.ts";

/** What becomes of symbols when they are compressed, filled in, and decompressed. */
function through(symbols: readonly number[], later: (symbol: number, turn: number) => number) {
  const { bytes, places } = compress(Uint16Array.from(symbols));
  for (let i = 0; i < places.length; i += 2) bytes[places[i]!] = later(places[i + 1]!, i);
  const head = new Uint8Array(5);
  return [
    ...decompress(Buffer.concat([head.subarray(0, putVarint(head, 0, symbols.length)), bytes])),
  ];
}

const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 90 }), fc.nat(9)))
  .map((parts) =>
    parts.flatMap(
      ([part, times]) =>
        Array(times)
          .fill([...part])
          .flat() as number[],
    ),
  );

test("what is compressed is the same when it is decompressed", () => {
  fc.assert(
    fc.property(repetitive, (bytes) => {
      expect(through(bytes, () => 0)).toEqual(bytes);
    }),
  );
});

test("bytes that come later are where they should be, also where others were copied from them", () => {
  const symbol = fc.oneof(
    fc.nat(3),
    fc.nat(3).map((name) => LATER + name),
    fc.constant(UNIQUE),
  );
  const parts = fc.array(fc.tuple(fc.array(symbol, { minLength: 1, maxLength: 40 }), fc.nat(5)));
  fc.assert(
    fc.property(parts, (chosen) => {
      const symbols = chosen.flatMap(([part, times]) => Array(times).fill(part).flat() as number[]);
      // Those of one name are equal, those that are unique all differ from their neighbours.
      const later = (name: number, turn: number) => (name === UNIQUE ? turn : name * 7) & 255;
      const result = through(symbols, later);
      for (const [i, each] of symbols.entries()) {
        if (each < LATER) expect(result[i]).toBe(each);
        else if (each !== UNIQUE) expect(result[i]).toBe((each * 7) & 255);
      }
      const { places } = compress(Uint16Array.from(symbols));
      const unique = places.filter((name, i) => i % 2 === 1 && name === UNIQUE);
      expect(unique).toHaveLength(symbols.filter((each) => each === UNIQUE).length);
    }),
  );
});

test("what is repeated far away, and for long, becomes small", () => {
  const random = new Uint8Array(60_000).map((_, i) => Math.imul(i, 0x9e37_79b1) >>> 13);
  const twice = [...random, ...random];
  expect(through(twice, () => 0)).toEqual(twice);
  expect(compress(Uint16Array.from(twice)).bytes.length).toBeLessThan(64_000);
  expect(compress(new Uint16Array(100_000)).bytes.length).toBeLessThan(5_000);
});
