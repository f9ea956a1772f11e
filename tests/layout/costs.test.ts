// What a hostile directory costs its reader: time and memory per byte, beside a plain directory of the same length on the
// same machine at the same time. What is quadratic in the log's length would be hundreds of times as dear.

import { describe, expect, test } from "bun:test";
import {
  Directory,
  Gather,
  RecordWriter,
  SLOTS_PER_PAGE,
  StructureReceiver,
  StructureSender,
  Structures,
} from "../../src/layout/index.ts";
import { define } from "../support/pools.ts";
import { patience } from "../support/speed.ts";

const PAGE_CAPACITY = 65_536;
/** Long enough that what is quadratic shows. */
const LOG_BYTES = 3 << 20;

const writer = (id: number) => ({
  id,
  service: 1,
  flags: 0,
  pid: 1,
  threadId: 1,
  startedAtMs: 0,
  lockOffset: 64,
  lockBytes: 4032,
});
const page = (id: number, first: number, pages = 1) => ({
  writer: id,
  page: first,
  pages,
  slot: 0,
  slots: 0,
});
const granule = (id: number, at: number, slots = 1) => ({
  writer: id,
  page: Math.floor(at / SLOTS_PER_PAGE),
  pages: 1,
  slot: at % SLOTS_PER_PAGE,
  slots,
});
const bind = (id: number, series: number, first: number, slot: number, count = 1) => ({
  writer: id,
  firstSeries: series,
  count,
  page: first,
  slot,
});

/** Writes records until the log is long enough. */
type Forge = (records: RecordWriter, more: () => boolean) => void;

/** Series of one counter, each bound on pages of one writer: what an agent writes. */
const plain: Forge = (records, more) => {
  records.metric(1, 1, define.counter("c", ["path"])).writer(writer(1));
  for (let id = 1; more(); id++) {
    const at = id - 1;
    const first = Math.floor(at / SLOTS_PER_PAGE);
    records.series(id, 1, [`/orders/${id}`]);
    if (at % SLOTS_PER_PAGE === 0) records.grant(page(1, first));
    records.bind(bind(1, id, first, at % SLOTS_PER_PAGE));
  }
};

const widest = define.histogram(
  "h",
  Array.from({ length: 500 }, (_, i) => i),
  ["path"],
);

const worst: Record<string, Forge> = {
  "series without labels on one page, again and again": (records, more) => {
    records
      .metric(1, 1, { ...widest, labelNames: [] })
      .writer(writer(1))
      .grant(page(1, 0));
    for (let id = 1; more(); id++) records.series(id, 1, []).bind(bind(1, id, 0, 0));
  },
  "series with other labels on one page": (records, more) => {
    records.metric(1, 1, widest).writer(writer(1)).grant(page(1, 0));
    for (let id = 1; more(); id++) records.series(id, 1, [`${id}`]).bind(bind(1, id, 0, 0));
  },
  "un-grants of very many grants, from the last": (records, more) => {
    records.writer(writer(1));
    let count = 0;
    for (; more() && records.bytes.length < LOG_BYTES / 2; count++) {
      records.grant(granule(1, count));
    }
    while (count-- > 0 && more()) {
      records.ungrant(1, Math.floor(count / SLOTS_PER_PAGE), count % SLOTS_PER_PAGE);
    }
  },
  "un-grants of a writer with very many runs": (records, more) => {
    records
      .metric(1, 1, define.counter("c", ["n"]))
      .writer(writer(1))
      .grant(page(1, 100, 100));
    let series = 0;
    while (records.bytes.length < LOG_BYTES / 2) {
      records.series(++series, 1, [`${series}`]);
      // Every other slot, so that no two runs join.
      const at = series * 2;
      if (at < 100 * SLOTS_PER_PAGE) {
        const first = 100 + Math.floor(at / SLOTS_PER_PAGE);
        records.bind(bind(1, series, first, at % SLOTS_PER_PAGE));
      }
    }
    while (more()) {
      records
        .grant(page(1, 0))
        .bind(bind(1, series, 0, 0))
        .ungrant(1, 0, 0);
    }
  },
  "bindings in the order that suits nobody": (records, more) => {
    records
      .metric(1, 1, define.counter("c", ["n"]))
      .writer(writer(1))
      .grant(page(1, 0, 1000));
    let series = 0;
    while (records.bytes.length < LOG_BYTES / 3) records.series(++series, 1, [`${series}`]);
    for (let at = 0; series > 0 && more(); at += 2, series--) {
      records.bind(bind(1, series, Math.floor(at / SLOTS_PER_PAGE), at % SLOTS_PER_PAGE));
    }
  },
  "grants of all pages, taken back at once": (records, more) => {
    records.writer(writer(1));
    while (more()) records.grant(page(1, 0, PAGE_CAPACITY)).ungrant(1, 0, 0);
  },
  "grants of all pages that many small ones stand in the way of": (records, more) => {
    records.writer(writer(1)).writer(writer(2));
    for (let at = 0; at < 20_000; at += 2) records.grant(granule(1, at));
    while (more()) records.grant(page(2, 0, PAGE_CAPACITY));
  },
  "releases of writers that have never been": (records, more) => {
    for (let id = 1; more(); id++) records.release(id);
  },
  "writers that come and go on one page": (records, more) => {
    records.metric(1, 1, define.counter("c"));
    records.series(1, 1, []);
    for (let id = 1; more(); id++) {
      records
        .writer(writer(id))
        .grant(page(id, 0))
        .bind(bind(id, 1, 0, 0))
        .release(id);
    }
  },
  "bindings over slots that were granted one by one": (records, more) => {
    records.metric(1, 1, define.counter("c", ["n"])).writer(writer(1));
    for (let id = 1; id <= SLOTS_PER_PAGE; id++) records.series(id, 1, [`${id}`]);
    // All but the last, so that none succeeds and each looks at all of them.
    for (let at = 0; at < SLOTS_PER_PAGE - 1; at++) records.grant(granule(1, at));
    while (more()) records.bind(bind(1, 1, 0, 0, SLOTS_PER_PAGE));
  },
  "metrics of one name, retired and declared again": (records, more) => {
    for (let id = 1; more(); id++) records.metric(id, 1, define.counter("c")).retire(id);
  },
  "metrics of one name with other labels, as OpenTelemetry has them": (records, more) => {
    for (let id = 1; more(); id++) {
      records.metric(id, 1, { ...define.counter("c", [`n${id}`]), dialect: "opentelemetry" });
    }
  },
  "metrics of one name, never retired": (records, more) => {
    for (let id = 1; more(); id++) records.metric(id, 1, define.counter("c"));
  },
  "services of one name": (records, more) => {
    for (let id = 2; more(); id++) records.service(id, "auth");
  },
  "labels that are long and alike": (records, more) => {
    const long = "x".repeat(1000);
    records.metric(1, 1, define.counter("c", ["n"]));
    for (let id = 1; more(); id++) records.series(id, 1, [`${long}${id}`]);
  },
  "records without anything": (records, more) => {
    while (more()) records.bytes.u16(99).u16(1).u32(0);
  },
};

function forged(forge: Forge): Uint8Array {
  const records = new RecordWriter().service(1, "auth");
  forge(records, () => records.bytes.length < LOG_BYTES);
  return records.bytes.bytes().slice();
}

/** What somebody does who reads a pool, all but fetching it. */
function read(log: Uint8Array): Directory {
  const directory = new Directory(0, PAGE_CAPACITY);
  directory.append(log);
  for (const { grants, runs } of directory.writers.values()) {
    if (grants.length > PAGE_CAPACITY * SLOTS_PER_PAGE || runs.length > directory.seriesCount) {
      throw new Error("more than there is");
    }
  }
  const structure = new Structures().of(directory);
  const values = new Float64Array(structure.valueCount);
  new Gather(structure).into(new Float64Array(structure.plan.slotCount), values);
  new StructureReceiver().take(new StructureSender().newsOf(structure)!);
  return directory;
}

/** The fastest of some times: others run on the machine, too. */
function cpuMs(log: Uint8Array): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const { user, system } = process.cpuUsage();
    read(log);
    const used = process.cpuUsage({ user, system });
    least = Math.min(least, (used.user + used.system) / 1000);
  }
  return least;
}

/** Bytes of the heap and of buffers that a directory and its plan keep. */
function keptBytes(log: Uint8Array): number {
  const used = () => {
    Bun.gc(true);
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + Math.max(external, arrayBuffers);
  };
  const before = used();
  const directory = read(log);
  const values = new Float64Array(directory.valueCount);
  const kept = used() - before;
  if (directory.length !== log.length || values.length !== directory.valueCount) throw new Error();
  return kept;
}

describe("a hostile directory", () => {
  const plainLog = forged(plain);
  read(plainLog);

  test.each(Object.entries(worst))(
    "of %s costs no more than a few plain ones",
    (_, forge) => {
      const log = forged(forge);
      read(log);
      const times = cpuMs(log) / log.length / (cpuMs(plainLog) / plainLog.length);
      const memory = keptBytes(log) / log.length / (keptBytes(plainLog) / plainLog.length);
      console.log(
        `costs: ${times.toFixed(1)} times the time, ${memory.toFixed(1)} times the memory`,
      );
      expect(times).toBeLessThan(25);
      expect(memory).toBeLessThan(12);
    },
    patience(120_000),
  );
});
