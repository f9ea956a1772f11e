// Writes c/layout.h from src/layout/constants.ts; with --check it only says whether the file is up to date.

import {
  HEADER,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  JOURNAL,
  LAYOUT_VERSION,
  PAGE,
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_HEADER_SLOTS,
  PAGE_MAGIC,
  SLOT_BYTES,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
} from "../src/layout/constants.ts";

// What has to hold together before anything is built.
const invariants: [string, boolean][] = [
  [
    "a page is its header and its slots",
    PAGE_HEADER_BYTES + SLOTS_PER_PAGE * SLOT_BYTES === PAGE_BYTES,
  ],
  ["the stride is a page in slots", SLOTS_PER_PAGE_STRIDE * SLOT_BYTES === PAGE_BYTES],
  ["a page's header is whole slots", PAGE_HEADER_SLOTS * SLOT_BYTES === PAGE_HEADER_BYTES],
  ["the directory word is aligned", HEADER.directoryWord % 8 === 0],
  [
    "the pool's changing fields lie in what readers fetch",
    HEADER.notices + 4 <= HEADER_LIVE_OFFSET + HEADER_LIVE_BYTES,
  ],
  [
    "the journal's entries are aligned",
    JOURNAL.headerBytes % 8 === 0 && JOURNAL.entryBytes % 8 === 0,
  ],
];
for (const [sentence, holds] of invariants) {
  if (!holds) throw new Error(`src/layout/constants.ts: it does not hold that ${sentence}`);
}

const snake = (name: string) => name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase();
const define = (name: string, value: number) => `#define MV_${name} ${value}u`;
const lines = [
  "// Made by scripts/gen-layout.ts from src/layout/constants.ts; do not edit.",
  "#pragma once",
  "",
  define("LAYOUT_VERSION", LAYOUT_VERSION),
  define("PAGE_BYTES", PAGE_BYTES),
  define("PAGE_HEADER_BYTES", PAGE_HEADER_BYTES),
  define("SLOT_BYTES", SLOT_BYTES),
  define("SLOTS_PER_PAGE", SLOTS_PER_PAGE),
  define("PAGE_MAGIC_VALUE", PAGE_MAGIC),
  ...Object.entries(PAGE).map(([name, at]) => define(`PAGE_${snake(name)}`, at)),
  ...Object.entries(HEADER).map(([name, at]) => define(`HEADER_${snake(name)}`, at)),
  define("JOURNAL_COMMIT", JOURNAL.commit),
  define("JOURNAL_HEADER_BYTES", JOURNAL.headerBytes),
  define("JOURNAL_ENTRY_BYTES", JOURNAL.entryBytes),
  "",
];
const text = lines.join("\n");
const path = new URL("../c/layout.h", import.meta.url).pathname;
const known = await Bun.file(path)
  .text()
  .catch(() => "");
if (process.argv.includes("--check")) {
  if (known !== text) {
    console.error(
      "c/layout.h is not what src/layout/constants.ts says: run `bun scripts/gen-layout.ts`",
    );
    process.exit(1);
  }
} else if (known !== text) {
  await Bun.write(path, text);
  console.log("wrote c/layout.h");
}
