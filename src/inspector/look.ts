// One look at the pools of a host: opens what is there, reports what cannot be opened, and leaves out what is not wanted.

import { ForeignFileError } from "../ffi/index.ts";
import { AGENT_APP } from "../layout/index.ts";
import { globs, NOTHING_FITS_ALL, UnmatchedError, unmatched } from "../text/index.ts";
import { type FoundFile, findPools, readersOwners } from "./discovery.ts";
import { PoolFile, type PoolReading } from "./pool-file.ts";
import { ProcessFinder, ToldProcesses } from "./processes.ts";
import { type RawField, rawHeader } from "./raw.ts";
import { type PoolReport, type ReportFilter, reportPool } from "./report.ts";

/** What the person asks for: globs, none of which means all. */
export interface Wanted {
  app: readonly string[];
  service: readonly string[];
  metric: readonly string[];
  poolDir: string | undefined;
}

export type Look =
  | { kind: "read"; file: FoundFile; pool: PoolFile; reading: PoolReading; report: PoolReport }
  | { kind: "unreadable"; file: FoundFile; error: Error; header: RawField[] };

/** The pools of a host, kept open from one look to the next so that only what is new is read. */
export class Looker {
  readonly filter: ReportFilter;
  /** What others have put there under names of pools, by path, and why it is left alone. */
  readonly foreign = new Map<string, string>();
  readonly #open = new Map<string, PoolFile>();
  readonly #finder = new ProcessFinder();

  constructor(readonly wanted: Wanted) {
    this.filter = { service: globs(wanted.service), metric: globs(wanted.metric) };
  }

  /**
   * Files that the globs want, and those that an agent has set aside.
   * @throws UnmatchedError when a glob fits nothing, naming what it may have meant; ListingError
   */
  find(): { pools: FoundFile[]; setAside: FoundFile[] } {
    const { app, poolDir } = this.wanted;
    const files = list(poolDir);
    const pools = files.filter(({ kind }) => kind === "pool");
    checkGlobs(
      "application",
      app,
      files.map((file) => file.app),
    );
    this.#beginLook(pools);
    const wants = globs(app);
    return {
      pools: pools.filter((file) => wants(file.app)),
      setAside: files.filter((file) => file.kind === "set-aside" && wants(file.app)),
    };
  }

  /** @returns undefined for a file of a user who has nothing to do with the pools */
  look(file: FoundFile): Look | undefined {
    try {
      const pool = this.#poolOf(file.path);
      const reading = pool.read();
      const report = reportPool(pool, reading, this.filter, this.#finder);
      return { kind: "read", file, pool, reading, report: this.#narrowed(report) };
    } catch (error) {
      this.#close(file.path);
      if (error instanceof ForeignFileError) {
        this.foreign.set(file.path, error.message);
        return undefined;
      }
      return { kind: "unreadable", file, error: error as Error, header: headerOf(file.path) };
    }
  }

  /** Whether a look shows anything of what was asked for. */
  shows(look: Look): boolean {
    const { service, metric } = this.wanted;
    if (look.kind === "unreadable" || (service.length === 0 && metric.length === 0)) return true;
    return look.report.services.length > 0 || look.report.damageCount > 0;
  }

  /** @throws UnmatchedError when a glob of services or metrics fits nothing in the pools that were read */
  check(looks: readonly Look[]): void {
    const readings = looks.flatMap((each) => (each.kind === "read" ? [each.reading] : []));
    // A pool that cannot be read is reported, and may have what the glob names.
    if (readings.length === 0 && looks.length > 0) return;
    const services = readings.flatMap(({ directory }) => [...directory.services.values()]);
    checkGlobs("service", this.wanted.service, services);
    const metrics = readings.flatMap(({ directory }) =>
      [...directory.metrics.values()].map(({ definition }) => definition.name),
    );
    checkGlobs("metric", this.wanted.metric, metrics);
    if (looks.length > 0 && !looks.some((look) => this.shows(look))) {
      throw new UnmatchedError(NOTHING_FITS_ALL);
    }
  }

  close(): void {
    for (const path of [...this.#open.keys()]) this.#close(path);
  }

  /** The agent's own pool tells who processes are, whether it is asked for or not. */
  #beginLook(pools: readonly FoundFile[]): void {
    this.#finder.begin();
    this.#finder.told = new ToldProcesses();
    const own = pools.find(({ app }) => app === AGENT_APP);
    if (own === undefined) return;
    try {
      const pool = this.#poolOf(own.path);
      this.#finder.told = ToldProcesses.of(pool, pool.read());
    } catch {
      // Not for this user, or damaged: who asks for it is told so.
    }
  }

  /** Who asks for metrics does not ask for services that have none of them. */
  #narrowed(report: PoolReport): PoolReport {
    if (this.wanted.metric.length === 0) return report;
    return { ...report, services: report.services.filter(({ metrics }) => metrics.length > 0) };
  }

  #poolOf(path: string): PoolFile {
    const known = this.#open.get(path);
    if (known?.isCurrent === true) return known;
    this.#close(path);
    const pool = PoolFile.open(path, readersOwners(this.wanted.poolDir));
    this.#open.set(path, pool);
    return pool;
  }

  #close(path: string): void {
    this.#open.get(path)?.close();
    this.#open.delete(path);
  }
}

/** The directory of the pools cannot be listed. */
class ListingError extends Error {
  override readonly name = "ListingError";
  readonly hint = "--pool-dir names the directory that the agent was given";
}

const LISTING: Readonly<Record<string, string>> = {
  ENOENT: "is not there",
  ENOTDIR: "is not a directory",
  EACCES: "may not be listed by this user",
};

function list(poolDir: string | undefined): FoundFile[] {
  try {
    return findPools(poolDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ListingError(
      `${poolDir ?? "/dev/shm"} ${LISTING[code ?? ""] ?? `cannot be listed: ${code}`}`,
      { cause: error },
    );
  }
}

/** What can be said of a file that is no pool. */
function headerOf(path: string): RawField[] {
  try {
    return rawHeader(path);
  } catch {
    return [];
  }
}

function checkGlobs(what: string, patterns: readonly string[], names: readonly string[]): void {
  const [first] = unmatched(what, patterns, names);
  if (first !== undefined) throw new UnmatchedError(first);
}
