// Makes blocks of parts of rings, for the shipper: copies their words, and has them built by the layout's builder.

import { BLOCK_WORDS_MAX, BlockBuilder, Definitions } from "../../layout/index.ts";
import type { OpenRing } from "../rings.ts";
import type { MakeBlock } from "./ring-part.ts";

/** The quickest; what it leaves is mostly what cannot be packed at all. */
const LEVEL = 1;

const builder = new BlockBuilder((bytes) =>
  Bun.zstdCompressSync(bytes as Uint8Array<ArrayBuffer>, { level: LEVEL }),
);
const definitionsOf = new WeakMap<OpenRing, Definitions>();
let copied = new Uint8Array(0);

export const makeBlock: MakeBlock = ({ ring, first, end, isFinal, process, timeline }) =>
  builder.build({
    header: ring.header,
    definitions: definitionsBeside(ring),
    words: copyOf(ring, first, Math.min(end - first, BLOCK_WORDS_MAX)),
    first,
    timeline,
    isFinal,
    process,
  });

function definitionsBeside(ring: OpenRing): Definitions {
  let definitions = definitionsOf.get(ring);
  if (definitions === undefined) {
    const { definitionsOffset, definitionsBytes } = ring.header;
    const copy = (offset: number, bytes: number) => ring.copy(offset, bytes);
    definitions = new Definitions(copy, definitionsOffset, definitionsBytes);
    definitionsOf.set(ring, definitions);
  }
  return definitions;
}

/** Valid until the next call. */
function copyOf(ring: OpenRing, first: number, words: number): Uint8Array {
  const { ringOffset, ringBytes } = ring.header;
  if (copied.length < words * 8) copied = new Uint8Array(words * 8);
  const start = (first * 8) % ringBytes;
  const before = Math.min(words * 8, ringBytes - start);
  ring.read(copied.subarray(0, before), ringOffset + start);
  ring.read(copied.subarray(before, words * 8), ringOffset);
  return copied.subarray(0, words * 8);
}
