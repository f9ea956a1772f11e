// Who the processes of a service are, for OTLP's resources: by what the agent knows of them, or by what it tells
// collectors in its own application.

import type { Agent } from "../../agent/index.ts";
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

export interface Processes {
  /** As they have them themselves, each in its own pid namespace. */
  pids: number[];
  identities: ProcessIdentity[];
}

/** The processes that write for a service; undefined while it is not known who all of them are. */
export type ProcessesOf = (origin: Origin) => Processes | undefined;

/** By what an agent of this process knows. */
export function processesOfAgent(agent: Pick<Agent, "processesOf">): ProcessesOf {
  return ({ app, service, directory }) => {
    const pids = writingPids(directory, service);
    if (pids === undefined) return undefined;
    const known = new Map<number, ProcessIdentity>();
    for (const each of agent.processesOf(app)) {
      if (each.service === service) known.set(each.pid, each.identity);
    }
    if (pids.some((pid) => !known.has(pid))) return undefined;
    return { pids, identities: pids.map((pid) => known.get(pid)!) };
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
    const pids = writingPids(directory, service);
    const identities = this.#told.get(source)?.get(`${app} ${service}`);
    // Numbers as processes have them do not tell which is which: that all are told of is seen by their count.
    if (pids === undefined || identities?.length !== pids.length) return undefined;
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

/** Of living writers; undefined when some of them cannot be known again, or there are none. */
function writingPids(directory: Directory, service: string): number[] | undefined {
  const pids = new Set<number>();
  for (const { serviceName, retained, flags, pid } of directory.writers.values()) {
    if (retained || serviceName !== service) continue;
    if (pid <= 0 || (flags & WRITER_FLAGS.unlocked) !== 0) return undefined;
    pids.add(pid);
  }
  return pids.size === 0 ? undefined : [...pids];
}
