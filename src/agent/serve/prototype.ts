// The prototype's POST /metrics: a client names a microservice and a metric, and is told a file and a byte in it.
// Its Python client opens that file by name and stores doubles there; it knows no locks, so its writers live on.

import { linkSync, lstatSync, readdirSync, rmSync, type Stats } from "node:fs";
import {
  isUnlocked,
  type MetricDefinition,
  SHM_DIR,
  SLOT_BYTES,
  shmLinkName,
  type Writer,
} from "../../layout/index.ts";
import type { PrototypeRequest, PrototypeResponse } from "../../rest/index.ts";
import { AgentError } from "../errors.ts";
import type { Pool } from "../pool/pool.ts";
import type { Application } from "../registry/application.ts";
import type { Pools } from "../registry/pools.ts";

/** The prototype has one pool for all; here its clients share an application. */
const LEGACY_APP = "legacy";

/** Where the value goes: a file in /dev/shm, and the byte in it at which an f64 stands. */
export function registerPrototype(
  apps: Pick<Pools, "open">,
  request: PrototypeRequest,
): PrototypeResponse {
  const application = apps.open(LEGACY_APP);
  const { path } = application.pool;
  if (!path.startsWith(`${SHM_DIR}/`)) {
    throw new AgentError(
      "no-shm-name",
      `the pool is ${path}, which SharedMemory cannot open`,
      "start the agent without --pool-dir for the prototype's clients",
      409,
    );
  }
  const writer = writerOf(application, request.microservice_id);
  const known = writer.runs.length;
  const definition: MetricDefinition = {
    name: request.name,
    kind: request.type ? "gauge" : "counter",
    unit: "",
    help: "",
    labelNames: [],
    combine: "sum",
    bounds: [],
  };
  const isNew = !hasMetric(application, writer, request.name);
  const { results } = application.register(writer.id, [{ ...definition, series: [[]] }]);
  const [result] = results;
  if (result?.error !== undefined || result?.runs[0] === undefined) {
    const { code, message, hint } = result?.error ?? {
      code: "internal",
      message: "the metric was not placed",
      hint: "see the agent's log",
    };
    throw new AgentError(code, message, hint, known === 0 ? 400 : 409);
  }
  const [page, slot] = result.runs[0];
  const index = application.pool.slotIndexOf(page, slot);
  // Who asks again for a metric goes on where it was; the first one says where it starts.
  if (isNew) application.pool.slots[index] = request.value;
  return { shm_name: linkedName(application.pool), addr: index * SLOT_BYTES };
}

/** The writer of a service's prototype clients. Never one that holds a lock: its slots are its thread's alone. */
function writerOf(application: Application, service: string): Writer {
  const known = application
    .writers()
    .find((writer) => writer.serviceName === service && isUnlocked(writer));
  return known ?? application.attach({ service, pid: 0, threadId: 0 }, { unlocked: true });
}

function hasMetric(application: Application, writer: Writer, name: string): boolean {
  return application.directory.writers
    .get(writer.id)!
    .runs.some((run) => run.metric.definition.name === name && !run.metric.retired);
}

/**
 * A second name of the pool. Python's resource tracker unlinks what a process has opened when it exits;
 * it may have this name, the pool keeps its own. Agents with pools of their own have names of their own, and what
 * somebody else has put there under such a name is neither used nor in the way.
 */
function linkedName(pool: Pool): string {
  const prefix = `${shmLinkName(LEGACY_APP)}.${pool.header.poolId.toString(36)}`;
  const { inode, device } = pool.file.stat();
  const isPool = (name: string) => {
    const found = statOf(name);
    return found?.ino === inode && found.dev === device;
  };
  const names = readdirSync(SHM_DIR).filter((name) => name.startsWith(prefix));
  const known = names.find(isPool);
  if (known !== undefined) return known;
  removeOrphans();
  const name = names.includes(prefix) ? `${prefix}-${Math.random().toString(36).slice(2)}` : prefix;
  linkSync(pool.path, `${SHM_DIR}/${name}`);
  return name;
}

/** Links to pools that have no other name any more would keep their memory for good. */
function removeOrphans(): void {
  for (const name of readdirSync(SHM_DIR)) {
    if (!name.startsWith(shmLinkName(LEGACY_APP))) continue;
    const found = statOf(name);
    if (!found?.isFile() || found.nlink !== 1 || found.uid !== process.geteuid?.()) continue;
    rmSync(`${SHM_DIR}/${name}`, { force: true });
  }
}

function statOf(name: string): Stats | undefined {
  return lstatSync(`${SHM_DIR}/${name}`, { throwIfNoEntry: false });
}
