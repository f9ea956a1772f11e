// Blocks of a stream that goes on: each has logs, measures, a whole span, and the end of the span that the one before began.

import type { Catalogue } from "../../../src/lake/index.ts";
import { FOREVER_NS } from "../../../src/lake/times.ts";
import { type MadeBlock, makeBlock, T0 } from "../views/blocks.ts";

export const MINUTE_NS = 60_000_000_000n;
export const RETAINED_MINUTES = 60;
export const ROWS = 3;
const WORDS = 100;

export function killedBlock(index: number): MadeBlock {
  const fromNs = T0 + BigInt(index) * MINUTE_NS;
  const rows = Array.from({ length: ROWS }, (_, i) => ({
    timeNs: fromNs + BigInt(i),
    message: `${index}.${i}`,
    value: index * ROWS + i,
  }));
  const spanId = BigInt(index + 1);
  return makeBlock(
    {
      logs: rows,
      measures: rows,
      spans: [{ beginNs: fromNs, endNs: fromNs + 1n, spanId: (1n << 32n) + spanId }],
      opens: [{ beginNs: fromNs + 1n, spanId }],
      closes: index === 0 ? [] : [{ endNs: fromNs, spanId: spanId - 1n }],
    },
    { first: index * WORDS, end: (index + 1) * WORDS },
  );
}

/** The first block that a catalogue has not had. */
export async function nextIndex(catalogue: Catalogue): Promise<number> {
  const blocks = await catalogue.blocksIn({ fromNs: 0n, toNs: FOREVER_NS });
  return blocks.reduce((next, { endWord }) => Math.max(next, endWord / WORDS), 0);
}
