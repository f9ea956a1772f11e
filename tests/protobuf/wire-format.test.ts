import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { eachField, ProtoWriter, readVarint } from "../../src/protobuf/index.ts";

function hex(writer: ProtoWriter): string {
  return Buffer.from(writer.bytes).toString("hex");
}

/** Values of a message's fields: the bytes between a field's begin and its end. */
function valuesOf(bytes: Uint8Array): [number, Uint8Array][] {
  const values: [number, Uint8Array][] = [];
  eachField(bytes, (field, start, end) => values.push([field, bytes.slice(start, end)]));
  return values;
}

describe("protobuf's wire format", () => {
  test("is written as the examples of its manual", () => {
    expect(hex(new ProtoWriter().uint(1, 150))).toBe("089601");
    expect(hex(new ProtoWriter().string(2, "testing"))).toBe("120774657374696e67");
    expect(hex(new ProtoWriter().open(3).uint(1, 150).close())).toBe("1a03089601");
    expect(hex(new ProtoWriter().packedVarints(6, [3, 270, 86_942]))).toBe("3206038e029ea705");
  });

  test("has lengths of four bytes where they are padded", () => {
    expect(hex(new ProtoWriter().paddedString(2, "testing"))).toBe("1287808000" + "74657374696e67");
    const nested = new ProtoWriter().paddedMessage(3, (writer) => writer.uint(1, 150));
    expect(hex(nested)).toBe("1a83808000" + "089601");
  });

  test("says the same with lengths that are padded, in a writer that has to grow", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 300 })), (texts) => {
        const short = new ProtoWriter(1).open(60);
        for (const text of texts) short.string(1, text);
        const padded = new ProtoWriter(1).paddedMessage(60, (writer) => {
          for (const text of texts) writer.paddedString(1, text);
        });
        const [[field, inPadded]] = valuesOf(padded.bytes) as [[number, Uint8Array]];
        const [[, inShort]] = valuesOf(short.close().bytes) as [[number, Uint8Array]];
        expect(field).toBe(60);
        expect(valuesOf(inPadded)).toEqual(valuesOf(inShort));
      }),
    );
  });

  test("has numbers of 64 bits, those up to 2^53 as it has any number", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const written = new ProtoWriter(1).uint64(1, BigInt(value));
        expect(hex(written)).toBe(hex(new ProtoWriter().uint(1, value)));
        expect(readVarint(written.bytes, 1).value).toBe(value);
      }),
    );
    expect(hex(new ProtoWriter(1).uint64(1, 2n ** 53n))).toBe("08" + "8080808080808010");
    expect(hex(new ProtoWriter(1).uint64(1, 2n ** 64n - 1n))).toBe("08" + "ffffffffffffffffff01");
  });
});
