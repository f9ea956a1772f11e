// Who the processes of a service are, for OTLP's resources: by what the agent knows of them, or by what it tells
// collectors in its own application.

import type { Agent, WriterProcess } from "../../agent/index.ts";
import type { Origin } from "../../export/index.ts";
import {
  AGENT_APP,
  type Directory,
  INFO_METRIC,
  identityOfLabels,
  type PoolSnapshot,
  type ProcessIdentity,
  type Run,
  snapshotIndex,
  UNKNOWN_IDENTITY,
  WRITER_FLAGS,
  type Writer,
} from "../../layout/index.ts";

/** Each sampled process that writes has a series of it there. */
const PROCESSES_METRIC = "microview_processes";

/** What the agent knows changes with its looks at processes, which are at least so long apart. */
const SAME_LOOK_MS = 100;

export interface Processes {
  /** As they have them themselves, each in its own pid namespace; the same number may stand once for several. */
  pids: number[];
  identities: ProcessIdentity[];
}

/** The processes that write for a service; undefined while it is not known who all of them are. */
export type ProcessesOf = (origin: Origin) => Processes | undefined;

/** By what an agent of this process knows. */
export function processesOfAgent(agent: Pick<Agent, "processesByWriter">): ProcessesOf {
  // Asked for service by service, and the same for all of an application.
  let last = { app: "", atMs: Number.NEGATIVE_INFINITY, known: new Map<number, WriterProcess>() };
  return ({ app, service, directory }) => {
    const nowMs = performance.now();
    if (last.app !== app || nowMs - last.atMs > SAME_LOOK_MS) {
      last = { app, atMs: nowMs, known: agent.processesByWriter(app) };
    }
    const { known } = last;
    const processes = new Map<number, WriterProcess>();
    for (const { id } of living(directory, service)) {
      const process = known.get(id);
      if (process === undefined) return undefined;
      processes.set(process.hostPid, process);
    }
    if (processes.size === 0) return undefined;
    const all = [...processes.values()];
    return { pids: all.map(({ pid }) => pid), identities: all.map(({ identity }) => identity) };
  };
}

/** By what agents tell in their own application, where that is read too. */
export class ToldProcesses {
  /** By source, and by application and service. */
  readonly #told = new Map<string, Map<string, ProcessIdentity[]>>();

  /** Takes in a snapshot while its arrays hold. */
  observe(snapshot: PoolSnapshot): void {
    if (snapshot.app !== AGENT_APP) return;
    const told = new Map<string, ProcessIdentity[]>();
    for (const writer of snapshot.directory.writers.values()) {
      const process = writer.retained ? undefined : processOf(writer, snapshot);
      if (process === undefined) continue;
      const key = `${process.app} ${writer.serviceName}`;
      const others = told.get(key);
      if (others === undefined) told.set(key, [process.identity]);
      else others.push(process.identity);
    }
    this.#told.set(snapshot.source, told);
  }

  readonly of: ProcessesOf = ({ source, app, service, directory }) => {
    const writers = living(directory, service);
    const pids = [...new Set(writers.map(({ pid }) => pid))];
    const identities = this.#told.get(source)?.get(`${app} ${service}`) ?? [];
    // Which is which is not told. That all are told of is seen by their count: in containers several may be process 1.
    if (writers.some(isUnlocked) || identities.length < Math.max(1, pids.length)) return undefined;
    return { pids, identities };
  };
}

/** The process that a writer of the agent's own application stands for; undefined when it stands for none. */
function processOf(
  writer: Writer,
  { directory, plan, slots }: PoolSnapshot,
): { app: string; identity: ProcessIdentity } | undefined {
  let app: string | undefined;
  let identity = UNKNOWN_IDENTITY;
  for (const run of writer.runs) {
    const { name } = run.metric.definition;
    if (name === PROCESSES_METRIC) app = labelsOf(directory, run, 0)("app");
    if (name !== INFO_METRIC || run.metric.retired) continue;
    for (let i = 0; i < run.count; i++) {
      // A series that was withdrawn for one that tells more is no number.
      const slot = snapshotIndex(plan, run.page, run.slot + i * run.metric.slots);
      if (slot >= 0 && slots[slot] === 1) identity = identityOfLabels(labelsOf(directory, run, i));
    }
  }
  return app === undefined ? undefined : { app, identity };
}

function labelsOf(directory: Directory, { metric, firstSeries }: Run, index: number) {
  const values = directory.labelValues(firstSeries + index);
  return (name: string) => values[metric.definition.labelNames.indexOf(name)];
}

const byService = new WeakMap<Directory, { length: number; writers: Map<string, Writer[]> }>();

/** Writers of a service, without those that keep the counts of the dead. */
function living(directory: Directory, service: string): readonly Writer[] {
  let known = byService.get(directory);
  if (known?.length !== directory.length) {
    const all = [...directory.writers.values()].filter(({ retained }) => !retained);
    known = { length: directory.length, writers: Map.groupBy(all, (each) => each.serviceName) };
    byService.set(directory, known);
  }
  return known.writers.get(service) ?? [];
}

/** The prototype's clients hold no lock by which they could be known again. */
function isUnlocked({ flags }: Writer): boolean {
  return (flags & WRITER_FLAGS.unlocked) !== 0;
}
