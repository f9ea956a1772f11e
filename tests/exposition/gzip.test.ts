import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { GzipPieces } from "../../src/exposition/index.ts";

function source(pieces: readonly Uint8Array[]) {
  const left = [...pieces];
  return { next: () => left.shift() };
}

function compressed(pieces: readonly Uint8Array[]): Uint8Array[] {
  const gzip = new GzipPieces(source(pieces));
  const all: Uint8Array[] = [];
  for (let piece = gzip.next(); piece !== undefined; piece = gzip.next()) all.push(piece);
  expect(gzip.next()).toBeUndefined();
  return all;
}

test("pieces that are compressed one by one are one gzip stream, whatever they hold", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 5000 }),
    fc.string({ minLength: 1, maxLength: 20 }).map((text) => Buffer.from(text.repeat(200))),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), (pieces) => {
      const stream = Buffer.concat(compressed(pieces));
      expect(gunzipSync(stream)).toEqual(Buffer.concat(pieces));
    }),
  );
});

test("one member is one stream also to those who read no other", async () => {
  const pieces = ["a".repeat(100_000), "b".repeat(300_000), ""].map((text) => Buffer.from(text));
  const blob = new Blob(compressed(pieces) as Uint8Array<ArrayBuffer>[]);
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  expect(await new Response(stream).text()).toBe(Buffer.concat(pieces).toString());
  const child = Bun.spawn(["gzip", "--decompress", "--stdout"], { stdin: blob, stdout: "pipe" });
  expect((await new Response(child.stdout).bytes()).length).toBe(400_000);
  expect(await child.exited).toBe(0);
});

test("what was compressed comes before the next piece is asked for", () => {
  let asked = 0;
  const gzip = new GzipPieces({ next: () => (++asked > 3 ? undefined : Buffer.from("text\n")) });
  expect(gzip.next()?.length).toBeGreaterThan(10);
  expect(asked).toBe(1);
});
