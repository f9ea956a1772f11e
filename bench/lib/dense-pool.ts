// A pool with thousands of full pages, written as the agent would: through its Pool, in a few commits, without the
// registration of millions of series one by one. An agent that is started afterwards adopts it.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Pool } from "../../src/agent/pool/pool.ts";
import { poolPath, RecordWriter, SLOTS_PER_PAGE, WRITER_FLAGS } from "../../src/layout/index.ts";

const SERVICE = 1;
const METRIC = 1;
const WRITER = 1;
const PAGES_PER_COMMIT = 100;

/** Makes the pool of `app`, with one counter per slot of `pages` pages, and a value in each. */
export function writeDensePool(poolDir: string, app: string, pages: number): void {
  const path = poolPath(app, poolDir);
  mkdirSync(dirname(path), { recursive: true });
  // 24 bytes per series, and the binds.
  const directoryCapacity = Math.max(
    1 << 20,
    2 ** Math.ceil(Math.log2(pages * SLOTS_PER_PAGE * 26)),
  );
  const pool = Pool.create(path, app, { mode: 0o600, sizes: { directoryCapacity } });
  try {
    pool.commit(declare());
    for (let first = 0; first < pages; first += PAGES_PER_COMMIT) {
      fill(pool, first, Math.min(PAGES_PER_COMMIT, pages - first));
    }
  } finally {
    pool.close();
  }
}

function declare(): RecordWriter {
  const records = new RecordWriter();
  records.service(SERVICE, "dense");
  records.metric(METRIC, SERVICE, {
    name: "requests",
    kind: "counter",
    unit: "",
    help: "",
    labelNames: ["id"],
    combine: "sum",
    bounds: [],
  });
  // A writer without a lock, which is not taken for dead.
  records.writer({
    id: WRITER,
    service: SERVICE,
    flags: WRITER_FLAGS.unlocked,
    pid: process.pid,
    threadId: 0,
    startedAtMs: Date.now(),
    lockOffset: 0,
    lockBytes: 0,
  });
  return records;
}

function fill(pool: Pool, first: number, count: number): void {
  pool.preparePages(first, count, WRITER);
  const records = new RecordWriter();
  records.grant({ writer: WRITER, page: first, pages: count, slot: 0, slots: 0 });
  for (let page = first; page < first + count; page++) {
    const firstSeries = page * SLOTS_PER_PAGE + 1;
    for (let slot = 0; slot < SLOTS_PER_PAGE; slot++) {
      records.series(firstSeries + slot, METRIC, [(firstSeries + slot).toString(36)]);
    }
    records.bind({ writer: WRITER, firstSeries, count: SLOTS_PER_PAGE, page, slot: 0 });
    const at = pool.slotIndexOf(page, 0);
    for (let slot = 0; slot < SLOTS_PER_PAGE; slot++) pool.slots[at + slot] = firstSeries + slot;
  }
  pool.commit(records);
}
