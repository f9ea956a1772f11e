// Which processes write, and where they live: by their cgroups as far as this user may look, and by what the agent tells of
// them in its own pool, which has the names of pods.

import { findProcess, identityOf, type OpenFile, ProcessLook } from "../identity/index.ts";
import {
  AGENT_APP,
  CONTAINER_ID_SHOWN,
  INFO_METRIC,
  identityOfLabels,
  type Metric,
  type ProcessIdentity,
  type StructureWriter,
  snapshotIndex,
  UNKNOWN_IDENTITY,
  type Writer,
} from "../layout/index.ts";
import type { PoolFile, PoolReading } from "./pool-file.ts";

/** Writers of a service, beyond which their processes are not looked for. */
const LOOKED_FOR_MAX = 1000;
/** Writers come and go while one watches. */
const FOUND_MAX = 10_000;

export interface ProcessReport {
  /** As its writers have it, in its own pid namespace. */
  pid: number;
  /** As it is seen here; null when it was not found, or this user may not look. */
  hostPid: number | null;
  identity: ProcessIdentity;
}

/** What an agent tells of processes, in its own pool. */
export class ToldProcesses {
  readonly #ofProcess = new Map<string, ProcessIdentity>();
  readonly #ofContainer = new Map<string, ProcessIdentity>();

  /** Takes in a reading of the pool of application {@link AGENT_APP}. */
  static of(pool: PoolFile, { structure }: PoolReading): ToldProcesses {
    const told = new ToldProcesses();
    const { pageSlots } = pool;
    for (const writer of structure.writers) {
      if (writer.retained) continue;
      for (const run of writer.runs) {
        if (run.metric.definition.name !== INFO_METRIC) continue;
        for (let i = 0; i < run.count; i++) {
          // A series that was withdrawn for one that tells more is no number.
          const slot = snapshotIndex(structure.plan, run.page, run.slot + i * run.metric.slots);
          if (slot < 0 || pageSlots[slot] !== 1) continue;
          told.#take(writer, run.metric, structure.labelValuesOf(run.metric, run.firstSeries + i));
        }
      }
    }
    return told;
  }

  /** @param hostPid as the agent sees it */
  find(app: string, service: string, hostPid: number): ProcessIdentity | undefined {
    return this.#ofProcess.get(`${app} ${service} ${hostPid}`);
  }

  /** What is told of any process of a container. */
  inContainer(containerId: string): ProcessIdentity | undefined {
    return this.#ofContainer.get(containerId.slice(0, CONTAINER_ID_SHOWN));
  }

  #take(
    { serviceName, pid }: StructureWriter,
    { definition }: Metric,
    labelValues: readonly string[],
  ): void {
    const label = (name: string) => labelValues[definition.labelNames.indexOf(name)];
    const identity = identityOfLabels(label);
    this.#ofProcess.set(`${label("app")} ${serviceName} ${pid}`, identity);
    if (identity.containerId !== "") this.#ofContainer.set(identity.containerId, identity);
  }
}

/** Finds the processes that write into pools. What was found is remembered for as long as its writer lives. */
export class ProcessFinder {
  /** What the agent tells now. */
  told = new ToldProcesses();
  readonly #found = new Map<string, { hostPid: number; identity: ProcessIdentity | undefined }>();
  #look = new ProcessLook();

  /** Forgets which processes there are: call it before each look. */
  begin(): void {
    this.#look = new ProcessLook();
    if (this.#found.size > FOUND_MAX) this.#found.clear();
  }

  /** The processes of a service's living writers. */
  of(pool: PoolFile, service: string, writers: readonly Writer[]): ProcessReport[] {
    const { app } = pool.header;
    // What lies there under the names of services are samples of their processes, which the agent writes.
    if (app === AGENT_APP) return [];
    const file = pool.file.stat();
    const reports = new Map<string, ProcessReport>();
    for (const writer of writers.slice(0, LOOKED_FOR_MAX)) {
      const { pid } = writer;
      const found = this.#find(pool.path, writer, file);
      const hostPid = found?.hostPid ?? null;
      // One process may write by many threads. What is not found is told apart by what it says of itself.
      const key = `${pid} ${hostPid}`;
      if (reports.has(key)) continue;
      const own = found?.identity;
      const told =
        this.told.find(app, service, hostPid ?? pid) ??
        (own === undefined ? undefined : this.told.inContainer(own.containerId));
      const identity = told ?? own ?? UNKNOWN_IDENTITY;
      // The agent tells a container's first digits.
      const containerId = own?.containerId ?? identity.containerId;
      reports.set(key, { pid, hostPid, identity: { ...identity, containerId } });
    }
    return [...reports.values()];
  }

  #find(path: string, { id, pid, startedAtMs, lockOffset, lockBytes }: Writer, file: OpenFile) {
    const key = `${path} ${id} ${startedAtMs}`;
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    const hostPid = findProcess(pid, file, { offset: lockOffset, bytes: lockBytes }, this.#look);
    if (hostPid === undefined) return undefined;
    const found = { hostPid, identity: identityOf(hostPid) };
    this.#found.set(key, found);
    return found;
  }
}
