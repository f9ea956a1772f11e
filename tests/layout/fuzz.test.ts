// A pool is hostile input. Images of a real one are damaged in every way that a bug or an attacker might, mostly with
// checksums that are right again so that the parser looks at what is inside, and read as every reader does it.
//
//   FUZZ_ROUNDS=100000 FUZZ_SEED=1 bun test tests/layout/fuzz.test.ts

import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { compactDirectory } from "../../src/agent/pool/compaction.ts";
import { Pool } from "../../src/agent/pool/pool.ts";
import { Exposition } from "../../src/exposition/index.ts";
import {
  DamageError,
  Directory,
  decodeHeader,
  decodeState,
  directoryHalf,
  directoryWord,
  encodeHeader,
  Gather,
  HEADER,
  HEADER_BYTES_USED,
  HEADER_LIVE_BYTES,
  HEADER_LIVE_OFFSET,
  LIMITS,
  PAGE_BYTES,
  PoolFormatError,
  type PoolHeader,
  planBytes,
  poolGeometry,
  RECORD,
  RecordWriter,
  SLOTS_PER_PAGE,
  SLOTS_PER_PAGE_STRIDE,
  StructureReceiver,
  StructureSender,
  Structures,
} from "../../src/layout/index.ts";
import { seedOf } from "../chaos/random.ts";
import { application, ask, define, Scratch, SMALL, scan, TestWriter } from "../support/pools.ts";
import { patience } from "../support/speed.ts";

const ROUNDS = Number(process.env["FUZZ_ROUNDS"] ?? 3000);
const SEED = seedOf("FUZZ_SEED");
/** Of its processor, far more than reading a pool of 64 pages takes. */
const ROUND_MS_MAX = 2000;
const TIMEOUT_MS = patience(20_000 + ROUNDS * 20);

const scratch = new Scratch();

/** Random numbers that a seed repeats (mulberry32). */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to n − 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** A number at which parsers break, or any. */
  evil(): number {
    return this.of([
      0,
      1,
      2,
      7,
      63,
      64,
      65,
      503,
      504,
      505,
      0xff,
      0xffff,
      0x1_0000,
      0x7fff_ffff,
      0x8000_0000,
      0xffff_fff8,
      0xffff_ffff,
      this.below(2 ** 32),
      this.below(100),
    ]);
  }
}

/** A pool with living, dead and retained writers, shared pages, and every kind of metric. */
function buildImage(): Uint8Array {
  const pool = scratch.pool(SMALL);
  for (const strategy of ["page", "packed"] as const) {
    const app = application(pool, { strategy });
    for (let i = 0; i < 6; i++) {
      const writer = new TestWriter(app, { service: i % 2 === 0 ? "auth" : "cart ☕" });
      const series = Array.from({ length: 40 }, (_, n) => [`/${strategy}/${n}`, `${n % 3}`]);
      const labels = ["path", "status"];
      writer.register(
        ask(define.counter("requests_total", labels), series),
        ask(
          { ...define.gauge("temperature", "mean", ["room"]), unit: "celsius", help: "How\nwarm." },
          [["é"], ["日本"]],
        ),
        ask(define.gauge("version", "last")),
        ask(define.histogram("latency_seconds", [0.1, 1, 10], ["path"]), [["/"], ["/a"]]),
        ask(define.logLinear("size_bytes", { min: 1, max: 1e6, error: 0.2 })),
        ...[[], ["http.method"], ["http.method", "日本"]].map((keys) =>
          ask({ ...define.gauge("http.active", "sum", keys), dialect: "opentelemetry" }, [keys]),
        ),
      );
      writer.put(define.counter("requests_total", labels), series[i]!, 100 + i);
      writer.put(define.histogram("latency_seconds", [0.1, 1, 10], ["path"]), ["/"], 1, 2, 3, 4, 5);
      if (i % 3 === 0) writer.die();
    }
    scan(app);
  }
  const bytes = pool.mapping.bytes().slice();
  pool.close();
  return bytes;
}

const ORIGINAL = buildImage();
const HEADER_OF_ORIGINAL = decodeHeader(ORIGINAL, ORIGINAL.length);
const STATE_OF_ORIGINAL = decodeState(ORIGINAL.subarray(HEADER_LIVE_OFFSET), HEADER_OF_ORIGINAL);
const HALF = directoryHalf(HEADER_OF_ORIGINAL, STATE_OF_ORIGINAL.epoch);
const RECORDS = recordsOf(ORIGINAL.subarray(HALF, HALF + STATE_OF_ORIGINAL.directoryBytes));

function recordsOf(log: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  const view = new DataView(log.buffer, log.byteOffset);
  for (let at = 0; at < log.length; ) {
    const bytes = view.getUint16(at + 2, true) * 8;
    records.push(log.slice(at, at + bytes));
    at += bytes;
  }
  return records;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Gives a record the checksum that it needs to be looked at. */
function seal(record: Uint8Array): Uint8Array {
  if (record.length >= 8) viewOf(record).setUint32(4, Bun.hash.crc32(record.subarray(8)), true);
  return record;
}

/** Puts a number of some width somewhere into a record. */
function forgeField(dice: Dice, record: Uint8Array): void {
  const width = dice.of([1, 2, 4, 4, 4, 8] as const);
  const room = record.length - 8 - width;
  if (room < 0) return;
  // Fields are where numbers do something; they stand at multiples of their width, mostly in front.
  const at = 8 + Math.floor(dice.below(Math.min(room + 1, dice.of([8, 24, 1000]))) / width) * width;
  const view = viewOf(record);
  const value = dice.evil();
  if (width === 1) view.setUint8(at, value & 0xff);
  else if (width === 2) view.setUint16(at, value & 0xffff, true);
  else if (width === 4) view.setUint32(at, value, true);
  else
    view.setFloat64(
      at,
      dice.of([value, -value, Number.NaN, Number.POSITIVE_INFINITY, 1e308, 5e-324]),
      true,
    );
}

/** What can be done to a directory, record by record; checksums are right again afterwards. */
const FORGERIES: ((dice: Dice, records: Uint8Array[]) => void)[] = [
  (dice, records) => {
    for (let i = dice.below(4); i >= 0; i--) forgeField(dice, dice.of(records));
  },
  // One number in every record of a type.
  (dice, records) => {
    const type = dice.of(Object.values(RECORD));
    for (const record of records) {
      if (viewOf(record).getUint16(0, true) === type) forgeField(dice, record);
    }
  },
  (dice, records) => {
    const a = dice.below(records.length);
    const b = dice.below(records.length);
    [records[a], records[b]] = [records[b]!, records[a]!];
  },
  (dice, records) => {
    records.splice(dice.below(records.length), 0, dice.of(records).slice());
  },
  (dice, records) => {
    records.splice(dice.below(records.length), 1 + dice.below(3));
  },
  // Another type, for which the fields mean something else.
  (dice, records) => {
    viewOf(dice.of(records)).setUint16(0, dice.of([...Object.values(RECORD), 0, 10, 0xffff]), true);
  },
  // Cut short, with a length that says so.
  (dice, records) => {
    const i = dice.below(records.length);
    const words = 1 + dice.below(records[i]!.length / 8);
    records[i] = records[i]!.slice(0, words * 8);
    viewOf(records[i]!).setUint16(2, words, true);
  },
  // Made of nothing.
  (dice, records) => {
    const words = 1 + dice.below(40);
    const record = new Uint8Array(words * 8);
    const view = viewOf(record);
    view.setUint16(0, dice.of(Object.values(RECORD)), true);
    view.setUint16(2, words, true);
    for (let at = 8; at < record.length; at += 4) view.setUint32(at, dice.evil(), true);
    records.splice(dice.below(records.length + 1), 0, record);
  },
  // The same binding, hundreds of times, each for as many series as it can.
  (dice, records) => {
    const binds = records.filter(
      (r) => viewOf(r).getUint16(0, true) === RECORD.bind && r.length >= 28,
    );
    if (binds.length === 0) return;
    for (let i = 0; i < 300; i++) {
      const record = dice.of(binds).slice();
      if (dice.below(2) === 0) viewOf(record).setUint32(16, dice.below(600), true);
      records.push(record);
    }
  },
];

/** What can be done to the bytes as they are, checksums or not. Gives the image that is read. */
const DAMAGES: ((dice: Dice, image: Uint8Array) => Uint8Array)[] = [
  (dice, image) => {
    const [from, length] = dice.of([
      [0, HEADER_BYTES_USED],
      [HALF, STATE_OF_ORIGINAL.directoryBytes],
      [0, image.length],
    ] as const);
    for (let i = dice.below(32); i >= 0; i--) {
      image[from + dice.below(length)]! ^= 1 << dice.below(8);
    }
    return image;
  },
  (dice, image) => image.subarray(0, dice.below(image.length)),
  (dice, image) => image.subarray(0, dice.below(2 * HEADER_BYTES_USED)),
  // A record's length.
  (dice, image) => {
    let at = HALF;
    for (let i = dice.below(RECORDS.length); i > 0; i--) at += RECORDS[i]!.length;
    viewOf(image).setUint16(at + 2, dice.evil() & 0xffff, true);
    return image;
  },
  // The directory's length and epoch, the high-water mark.
  (dice, image) => {
    const word = directoryWord(dice.evil(), 8 * dice.evil());
    viewOf(image).setBigUint64(HEADER.directoryWord, BigInt.asUintN(64, word), true);
    return image;
  },
  (dice, image) => {
    viewOf(image).setUint32(dice.below(HEADER_BYTES_USED / 4) * 4, dice.evil(), true);
    return image;
  },
  // Another geometry, which holds together.
  (dice, image) => {
    const geometry = poolGeometry({
      pageCapacity: dice.of([1, 2, 64, 65, LIMITS.pageCapacity, dice.evil()]),
      directoryCapacity: PAGE_BYTES * dice.of([1, 2, 8, 16, 17]),
      journalCapacity: PAGE_BYTES * dice.of([1, 2, 5]),
    });
    const live = image.slice(HEADER_LIVE_OFFSET, HEADER_LIVE_OFFSET + HEADER_LIVE_BYTES);
    image.set(encodeHeader({ ...HEADER_OF_ORIGINAL, ...geometry }));
    image.set(live, HEADER_LIVE_OFFSET);
    return image;
  },
];

// The image lies inside of a larger buffer, so that whoever reads beside it reads this.
const MARGIN = 4096;
const arena = new Uint8Array(ORIGINAL.length + 2 * MARGIN).fill(0xaa);

/** A damaged image; valid until the next one is made. */
function damagedImage(dice: Dice): Uint8Array {
  const image = arena.subarray(MARGIN, MARGIN + ORIGINAL.length);
  image.set(ORIGINAL);
  if (dice.below(4) > 0) {
    const records = RECORDS.map((record) => record.slice());
    for (let i = dice.below(3); i >= 0 && records.length > 0; i--) {
      dice.of(FORGERIES)(dice, records);
    }
    let length = 0;
    for (const record of records) {
      if (length + record.length > SMALL.directoryCapacity) break;
      image.set(seal(record), HALF + length);
      length += record.length;
    }
    const word = directoryWord(STATE_OF_ORIGINAL.epoch, length);
    viewOf(image).setBigUint64(HEADER.directoryWord, word, true);
    if (dice.below(4) > 0) return image;
  }
  return dice.of(DAMAGES)(dice, image);
}

/** Reads an image as a collector does, and holds every promise that the parser makes. */
function readAll(bytes: Uint8Array, dice?: Dice): "refused" | "damaged" | "whole" {
  let header: PoolHeader;
  let log: Uint8Array;
  let epoch: number;
  try {
    header = decodeHeader(bytes.subarray(0, HEADER_BYTES_USED), bytes.length);
    const live = bytes.subarray(HEADER_LIVE_OFFSET, HEADER_LIVE_OFFSET + HEADER_LIVE_BYTES);
    const state = decodeState(live, header);
    const half = directoryHalf(header, state.epoch);
    epoch = state.epoch;
    log = bytes.subarray(half, half + state.directoryBytes);
    expect(log.length).toBe(state.directoryBytes);
  } catch (error) {
    if (error instanceof PoolFormatError || error instanceof DamageError) return "refused";
    throw error;
  }
  const directory = new Directory(epoch, header.pageCapacity);
  if (dice === undefined || dice.below(4) > 0) {
    directory.append(log);
  } else {
    // Cut anywhere, which no agent does.
    for (let at = 0; at < log.length; ) {
      const end = Math.min(log.length, at + 1 + dice.below(4000));
      directory.append(log.subarray(at, end));
      at = end;
    }
  }
  checkDirectory(directory);
  checkValues(directory, header, bytes);
  const again = new Directory(epoch + 1, header.pageCapacity);
  again.append(compactDirectory(directory, new RecordWriter()).bytes.bytes());
  if (again.damageCount > 0) throw new Error(`compaction: ${JSON.stringify(again.damage[0])}`);
  return directory.damageCount > 0 ? "damaged" : "whole";
}

/** Comparisons, and not `expect`, for there are millions of them. */
function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function checkDirectory(directory: Directory): void {
  const { damage, damageCount, length, pageCapacity, valueCount, seriesCount } = directory;
  must(damage.length === Math.min(damageCount, 100), "damage is counted");
  for (const { offset, reason } of damage) {
    must(offset >= 0 && offset < length && reason !== "", `damage at ${offset} of ${length}`);
  }
  must(valueCount <= pageCapacity * SLOTS_PER_PAGE * 4, `${valueCount} values`);
  must(seriesCount <= length / 16, `${seriesCount} series from ${length} bytes`);
  for (let id = 0; id <= seriesCount + 1; id++) {
    const metric = directory.metricOf(id);
    const index = directory.valueIndexOf(id);
    must(index < 0 || index + metric!.slots <= valueCount, `values of series ${id}`);
    must(
      directory.labelValues(id).length === (metric?.definition.labelNames.length ?? 0),
      `labels of series ${id}`,
    );
  }
  for (const writer of directory.writers.values()) {
    for (const { page, pages, slot, slots } of writer.grants) {
      must(page + pages <= pageCapacity && slot + slots <= SLOTS_PER_PAGE, "a grant's bounds");
    }
    for (const run of writer.runs) {
      const slots = run.count * run.metric.slots;
      must(run.page < pageCapacity && run.slot + slots <= SLOTS_PER_PAGE, "a run's place");
      must(run.valueIndex >= 0 && run.valueIndex + slots <= valueCount, "a run's values");
      directory.find(writer, run.firstSeries);
    }
  }
}

function checkValues(directory: Directory, header: PoolHeader, bytes: Uint8Array): void {
  const structure = new Structures().of(directory);
  const { plan } = structure;
  const slots = new Float64Array(planBytes(plan) / 8);
  const into = new Uint8Array(slots.buffer);
  let position = 0;
  for (const { first, count } of plan.ranges) {
    must(
      count > 0 && first + count <= header.pageCapacity * SLOTS_PER_PAGE_STRIDE,
      "a range's bounds",
    );
    const from = header.pagesOffset + first * 8;
    const part = bytes.subarray(from, from + count * 8);
    into.set(part, position);
    position += part.length;
  }
  must(position === slots.byteLength, "the plan's bytes");
  const values = new Float64Array(structure.valueCount);
  new Gather(structure).into(slots, values);
  const received = new StructureReceiver().take(new StructureSender().newsOf(structure)!)!;
  for (const entry of received.metrics) {
    for (const [at, index] of entry.indexes.entries()) {
      must(index + entry.metric.slots <= values.length, "a place among the values");
      received.labelValues(entry, at);
    }
  }
  const mapped = new Structures({ isMapped: true }).of(directory);
  must(mapped.plan.slotCount === plan.slotCount, "the mapped plan's slots");
  for (const format of ["text", "openmetrics"] as const) {
    const scrape = new Exposition().scrape([{ app: header.app, structure, values }], { format });
    for (let piece = scrape.next(); piece !== undefined; piece = scrape.next()) {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(piece);
      must(text.endsWith("\n") && !text.includes(" undefined\n"), "lines with numbers");
    }
  }
}

/** Runs something for one damaged image after the other, and says how to see a failure again. */
function eachRound(rounds: number, run: (dice: Dice) => void): void {
  console.log(`fuzz: FUZZ_SEED=${SEED}, ${rounds} rounds`);
  for (let round = 0; round < rounds; round++) {
    const before = process.threadCpuUsage();
    try {
      run(new Dice(SEED + round));
    } catch (error) {
      const again = `FUZZ_ROUNDS=1 FUZZ_SEED=${(SEED + round) >>> 0}`;
      throw new Error(`${again} shows it: ${(error as Error).stack}`, { cause: error });
    }
    const { user, system } = process.threadCpuUsage(before);
    const tookMs = (user + system) / 1000;
    if (tookMs > ROUND_MS_MAX) {
      throw new Error(`FUZZ_SEED=${(SEED + round) >>> 0} took ${tookMs.toFixed()} ms`);
    }
  }
}

describe("a hostile pool", () => {
  test("is read whole as long as nobody has damaged it", () => {
    expect(readAll(ORIGINAL)).toBe("whole");
    expect(RECORDS.length).toBeGreaterThan(100);
  });

  test(
    "never makes a reader throw, loop, take much memory, or read beside it",
    () => {
      const outcomes = { refused: 0, damaged: 0, whole: 0 };
      eachRound(ROUNDS, (dice) => {
        outcomes[readAll(damagedImage(dice), dice)]++;
      });
      if (ROUNDS < 500) return;
      // The fuzzer does get past the checks.
      expect(outcomes.damaged).toBeGreaterThan(ROUNDS / 4);
      expect(outcomes.refused).toBeGreaterThan(ROUNDS / 100);
      expect(outcomes.whole).toBeGreaterThan(ROUNDS / 100);
    },
    TIMEOUT_MS,
  );

  test(
    "never makes an agent throw that takes it over, but to refuse it",
    () => {
      eachRound(Math.ceil(ROUNDS / 20), (dice) => {
        const path = scratch.image(damagedImage(dice));
        try {
          const pool = Pool.adopt(path)!;
          // A damaged directory is the agent's reason to set the pool aside.
          if (pool.directory.damageCount === 0) scan(application(pool));
          pool.close();
        } catch (error) {
          if (!(error instanceof PoolFormatError)) throw error;
        } finally {
          rmSync(path);
        }
      });
    },
    TIMEOUT_MS,
  );
});
