// Pools for tests: small, real files in shared memory below a folder of their own, gone when the tests are done.
// Also writers as a service would have them, and sums that are computed without the code under test.

import { afterAll } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { AgentError } from "../../src/agent/errors.ts";
import { Pool } from "../../src/agent/pool/pool.ts";
import { Application, type ApplicationEvents } from "../../src/agent/registry/application.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/agent/registry/limits.ts";
import { STRATEGIES, type StrategyName } from "../../src/agent/registry/strategies/index.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import {
  Directory,
  type DirectoryMetric,
  decodeHeader,
  decodeState,
  directoryHalf,
  HEADER_LIVE_OFFSET,
  LAYOUT_VERSION,
  type MetricDefinition,
  type PoolGeometry,
  type PoolHeader,
  type PoolSizes,
  type PoolState,
  SLOTS_PER_PAGE,
  slotIndex,
  type Writer,
} from "../../src/layout/index.ts";
import type {
  AttachRequest,
  RegisterResult,
  SeriesRelease,
  SeriesRequest,
} from "../../src/rest/index.ts";

/** A pool of about 400 KiB, so that a test can copy it hundreds of times. */
export const SMALL = {
  pageCapacity: 64,
  directoryCapacity: 64 << 10,
  journalCapacity: 4 << 10,
} as const satisfies PoolSizes;

/** The header of a pool as it is made. */
export function headerOf(geometry: PoolGeometry): PoolHeader {
  return {
    ...geometry,
    version: LAYOUT_VERSION,
    compatible: 0,
    incompatible: 0,
    app: "shop",
    createdAtMs: 0,
    poolId: 1,
    lineage: 1,
    replacements: 0,
  };
}

/** A folder in shared memory for one test file. */
export class Scratch {
  #path: string | undefined;
  #count = 0;
  readonly #mounted: string[] = [];

  constructor() {
    afterAll(() => {
      // Lazily, for writers that were not told to die hold their files open.
      for (const path of this.#mounted) Bun.spawnSync(["umount", "--lazy", path]);
      if (this.#path !== undefined) rmSync(this.#path, { recursive: true, force: true });
    });
  }

  /** A path that nothing else has. */
  path(): string {
    this.#path ??= mkdtempSync("/dev/shm/microview-test-");
    return `${this.#path}/${++this.#count}`;
  }

  /** A tmpfs of its own, or undefined where mounting is not permitted; says so then. */
  tmpfs(size: string): string | undefined {
    const path = this.path();
    mkdirSync(path);
    const { success, stderr } = Bun.spawnSync(
      ["mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path],
      { stderr: "pipe" },
    );
    if (success) {
      this.#mounted.push(path);
      return path;
    }
    console.warn(`no tmpfs can be mounted, tests that need one are skipped: ${stderr}`);
    return undefined;
  }

  pool(sizes: PoolSizes = SMALL): Pool {
    return Pool.create(this.path(), "shop", { mode: 0o600, sizes });
  }

  /** Writes an image of a pool into a new file and hands out its path. */
  image(bytes: Uint8Array): string {
    const path = this.path();
    writeFileSync(path, bytes);
    return path;
  }
}

/** What an application has told, added up. */
export class Told implements ApplicationEvents {
  attachedCount = 0;
  registeredSeries = 0;
  foldedWriters: number[] = [];
  foldedSeries = 0;
  postponed: string[] = [];
  refusedValues = 0;
  abandonedPools: Pool[] = [];

  attached(): void {
    this.attachedCount++;
  }
  registered(series: number): void {
    this.registeredSeries += series;
  }
  folded(_app: string, writer: Writer, series: number): void {
    this.foldedWriters.push(writer.id);
    this.foldedSeries += series;
  }
  foldPostponed(_app: string, _writer: Writer, reason: { code: string }): void {
    this.postponed.push(reason.code);
  }
  valuesRefused(count: number): void {
    this.refusedValues += count;
  }
  abandoned(lost: Pool): void {
    this.abandonedPools.push(lost);
    lost.close();
  }
}

export function limits(some: Partial<Limits> = {}): Limits {
  return { ...DEFAULT_LIMITS, ...some };
}

export function application(
  pool: Pool,
  options: { limits?: Partial<Limits>; strategy?: StrategyName; told?: Told } = {},
): Application {
  const { strategy = "page", told = new Told() } = options;
  return new Application(pool, limits(options.limits), STRATEGIES[strategy], told);
}

const BASE = {
  unit: "",
  help: "",
  labelNames: [] as string[],
  combine: "sum",
  bounds: [] as number[],
} as const satisfies Partial<MetricDefinition>;

/** Definitions with what a test does not care for filled in. */
export const define = {
  counter: (name: string, labelNames: string[] = []): MetricDefinition => ({
    ...BASE,
    name,
    kind: "counter",
    labelNames,
  }),
  gauge: (
    name: string,
    combine: MetricDefinition["combine"] = "sum",
    labelNames: string[] = [],
  ): MetricDefinition => ({ ...BASE, name, kind: "gauge", combine, labelNames }),
  histogram: (name: string, bounds: number[], labelNames: string[] = []): MetricDefinition => ({
    ...BASE,
    name,
    kind: "histogram",
    bounds,
    labelNames,
  }),
  logLinear: (
    name: string,
    options: { min: number; max: number; error: number } = { min: 1e-6, max: 1e3, error: 0.0625 },
  ): MetricDefinition => ({ ...BASE, name, kind: "loglinear", logLinear: options }),
};

/** A request for series of a metric; without labels for its only one. */
export function ask(definition: MetricDefinition, series: string[][] = [[]]): SeriesRequest {
  return { ...definition, series };
}

/** Places of a result's series, one by one. */
export function places({ runs }: RegisterResult, slots: number): { page: number; slot: number }[] {
  return runs.flatMap(([page, slot, count]) =>
    Array.from({ length: count }, (_, i) => ({ page, slot: slot + i * slots })),
  );
}

/** A thread of a service, as the agent meets it: attached, holding its lock until it dies. */
export class TestWriter {
  readonly id: number;
  readonly #file: SharedFile;

  constructor(
    public app: Application,
    request: Partial<AttachRequest> = {},
  ) {
    const writer = app.attach({ service: "auth", pid: 1, threadId: 1, ...request });
    this.id = writer.id;
    this.#file = SharedFile.open(app.pool.path, true);
    if (!this.#file.lock(writer.lockOffset, writer.lockBytes)) throw new Error("it is locked");
  }

  get record(): Writer {
    return this.app.writer(this.id);
  }

  /** Registers and expects that nothing is refused. */
  register(...requests: SeriesRequest[]): void {
    for (const { error } of this.app.register(this.id, requests).results) {
      if (error !== undefined) throw new Error(`${error.code}: ${error.message}`);
    }
  }

  /** Gives series back, as of now. @returns how many it had */
  release(...releases: SeriesRelease[]): number {
    const { turn } = this.app.register(this.id, []);
    return this.app.release(this.id, releases, turn);
  }

  /** Stores values into consecutive slots of a series. */
  store(name: string, labelValues: string[], ...values: number[]): void {
    const { directory, pool } = this.app;
    const series = seriesOf(directory, this.record.service, name, labelValues);
    const place = directory.find(this.record, series);
    if (place === undefined) throw new Error(`${name} is not bound`);
    pool.slots.set(values, pool.slotIndexOf(place.page, place.slot));
  }

  /** Declares a series and stores its values. */
  put(definition: MetricDefinition, labelValues: string[], ...values: number[]): void {
    this.register(ask(definition, [labelValues]));
    this.store(definition.name, labelValues, ...values);
  }

  /** The kernel drops the lock, as it does when a process ends. */
  die(): void {
    this.#file.close();
  }
}

/** Looks for the dead as an agent does that waits no longer for writers to take their locks. */
export function scan(app: Application): number {
  return app.scan(Date.now() + 60_000);
}

/** The id of a living metric's series. */
export function seriesOf(
  directory: Directory,
  service: number,
  name: string,
  labelValues: readonly string[],
): number {
  for (const metric of directory.metrics.values()) {
    if (metric.retired || metric.service !== service || metric.definition.name !== name) continue;
    for (const id of metric.series) {
      if (Bun.deepEquals(directory.labelValues(id), labelValues)) return id;
    }
  }
  throw new Error(`${name} has no series ${JSON.stringify(labelValues)}`);
}

/** A name for a series that stays when the directory is rewritten. */
export function seriesName(directory: Directory, series: number): string {
  const metric = directory.metricOf(series)!;
  const service = directory.services.get(metric.service);
  return `${service}/${metric.definition.name}${JSON.stringify(directory.labelValues(series))}`;
}

/** Sums of every counter and histogram over all writers, living and retained, straight from the slots. */
export function totals({ header, directory, slots }: Pool | Image): Record<string, number[]> {
  const sums: Record<string, number[]> = {};
  eachPlace(directory, (_writer, metric, series, page, slot) => {
    if (metric.definition.kind === "gauge" || metric.retired) return;
    const first = slotIndex(header, page, slot);
    const name = seriesName(directory, series);
    sums[name] ??= new Array<number>(metric.slots).fill(0);
    for (let i = 0; i < metric.slots; i++) sums[name][i]! += slots[first + i]!;
  });
  // A series that nobody has counted yet may be bound or not.
  for (const [name, values] of Object.entries(sums)) {
    if (values.every((value) => value === 0)) delete sums[name];
  }
  return sums;
}

/** A pool as a reader sees it who has its bytes and nothing else. */
export interface Image {
  header: PoolHeader;
  state: PoolState;
  directory: Directory;
  slots: Float64Array;
}

export function readImage(bytes: Uint8Array): Image {
  const header = decodeHeader(bytes, bytes.length);
  const state = decodeState(bytes.subarray(HEADER_LIVE_OFFSET), header);
  const half = directoryHalf(header, state.epoch);
  const directory = new Directory(state.epoch, header.pageCapacity);
  directory.append(bytes.subarray(half, half + state.directoryBytes));
  const slots = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  return { header, state, directory, slots };
}

/** Calls back for each series of each writer. */
export function eachPlace(
  directory: Directory,
  visit: (
    writer: Writer,
    metric: DirectoryMetric,
    series: number,
    page: number,
    slot: number,
  ) => void,
): void {
  for (const writer of directory.writers.values()) {
    for (const run of writer.runs) {
      for (let i = 0; i < run.count; i++) {
        visit(writer, run.metric, run.firstSeries + i, run.page, run.slot + i * run.metric.slots);
      }
    }
  }
}

/** Where each writer keeps each series, by names that survive a compaction. */
export function placesByName(directory: Directory): Record<string, string> {
  const found: Record<string, string> = {};
  eachPlace(directory, (writer, metric, series, page, slot) => {
    if (metric.retired) return;
    found[`${writer.id} ${seriesName(directory, series)}`] = `${page}:${slot}`;
  });
  return found;
}

/** Pages that the directory grants to anybody. */
export function grantedPages(directory: Directory): number {
  const pages = new Set<number>();
  for (const writer of directory.writers.values()) {
    for (const { page, pages: count } of writer.grants) {
      for (let i = 0; i < count; i++) pages.add(page + i);
    }
  }
  return pages.size;
}

/** The first slot that two grants hold; undefined when everything is apart. */
export function doubleGrant(directory: Directory): string | undefined {
  const owner = new Map<string, number>();
  for (const writer of directory.writers.values()) {
    for (const grant of writer.grants) {
      for (let page = grant.page; page < grant.page + grant.pages; page++) {
        const end = grant.slots === 0 ? SLOTS_PER_PAGE : grant.slot + grant.slots;
        for (let slot = grant.slot; slot < end; slot++) {
          const at = `page ${page} slot ${slot}`;
          if (owner.has(at)) return `${at}: writers ${owner.get(at)} and ${writer.id}`;
          owner.set(at, writer.id);
        }
      }
    }
  }
  return undefined;
}

/** The first pair of series places that overlap, over all writers; undefined when everything is apart. */
export function overlap(directory: Directory): string | undefined {
  const owner = new Map<string, string>();
  let found: string | undefined;
  eachPlace(directory, (writer, metric, series, page, slot) => {
    for (let i = 0; i < metric.slots; i++) {
      const at = `page ${page} slot ${slot + i}`;
      const who = `writer ${writer.id} series ${series}`;
      const before = owner.get(at);
      if (before !== undefined) found ??= `${at}: ${before} and ${who}`;
      owner.set(at, who);
    }
  });
  return found;
}

/** The agent's error that a call throws. */
export function errorOf(call: () => unknown): AgentError {
  try {
    call();
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
