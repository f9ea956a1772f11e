// Samples the processes of services from outside, so that they pay nothing for it.
//
// Each process is a writer in the agent's own pool, under its service's name and with its application as a label. So the
// rules for writers hold for it: what it has counted is kept when it dies, its gauges expire, and its page returns. The
// pools of the applications are left alone.

import { SharedFile } from "../../ffi/index.ts";
import { WRITER_FLAGS, type Writer } from "../../layout/index.ts";
import type { Application } from "../application.ts";
import type { Log } from "../log.ts";
import { SELF_APP } from "../self-metrics.ts";
import { parseCgroup } from "./cgroup.ts";
import { INFO, SERIES, type SeriesName } from "./definitions.ts";
import {
  bootTimeS,
  holds,
  openFiles,
  processesInside,
  readCgroup,
  readStat,
  readSwitches,
  type Switches,
  startTimeS,
  threadsOf,
} from "./proc.ts";

/** A process that could not be told from others is looked for again after so many samples. */
const RETRY_SAMPLES = 12;
/** Threads above this many are not asked for their context switches. */
const MAX_THREADS = 256;

/** A process as a writer's record names it. */
interface Named {
  app: string;
  service: string;
  /** In the pid namespace of the process. */
  pid: number;
  application: Application;
}

export class Processes {
  readonly #log: Log;
  readonly #bootS = bootTimeS();
  readonly #sampled = new Map<string, SampledProcess>();
  /** How many samples to wait for what was not found. */
  readonly #waiting = new Map<string, number>();
  #home: Application | undefined;
  /** Holds the locks of the writers that stand for processes. */
  #file: SharedFile | undefined;
  #warned = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Takes a sample of every process that writes into one of the pools. */
  sample(applications: Iterable<Application>): void {
    const all = [...applications];
    const home = all.find(({ name }) => name === SELF_APP);
    if (home !== this.#home) this.#move(home);
    if (home === undefined) return;
    const named = namedProcesses(all);
    for (const [key, sampled] of this.#sampled) {
      if (!named.has(key) || !sampled.sample()) this.#forget(key, sampled);
    }
    this.#lookForNew(named, home);
  }

  close(): void {
    this.#move(undefined);
  }

  /** The agent's own pool is another one, or none. */
  #move(home: Application | undefined): void {
    this.#sampled.clear();
    this.#waiting.clear();
    this.#file?.close();
    this.#file = home === undefined ? undefined : SharedFile.open(home.pool.path, true);
    this.#home = home;
  }

  #lookForNew(named: ReadonlyMap<string, Named>, home: Application): void {
    for (const key of this.#waiting.keys()) if (!named.has(key)) this.#waiting.delete(key);
    let inside: Map<number, number[]> | undefined;
    for (const [key, process] of named) {
      if (this.#sampled.has(key)) continue;
      const left = this.#waiting.get(key) ?? 0;
      if (left > 0) {
        this.#waiting.set(key, left - 1);
        continue;
      }
      const pid = find(process, () => {
        inside ??= processesInside();
        return inside;
      });
      const sampled = pid === undefined ? undefined : this.#start(process, pid, home);
      if (sampled === undefined) this.#waiting.set(key, RETRY_SAMPLES);
      else this.#sampled.set(key, sampled);
    }
  }

  #start(process: Named, pid: number, home: Application): SampledProcess | undefined {
    const { app, service } = process;
    let writer: Writer | undefined;
    try {
      writer = home.attach({ service, pid, threadId: 0 });
      this.#file!.lock(writer.lockOffset, writer.lockBytes);
      const sampled = new SampledProcess(home, writer, app, pid, this.#bootS);
      if (sampled.sample()) {
        this.#waiting.delete(`${app} ${service} ${process.pid}`);
        return sampled;
      }
    } catch (error) {
      // A limit of the agent's own pool: it has counted it.
      if (!this.#warned) {
        this.#log.warn("a process is not sampled", { app, service, pid, error: String(error) });
      }
      this.#warned = true;
    }
    if (writer !== undefined) this.#release(writer);
    return undefined;
  }

  #forget(key: string, { writer }: SampledProcess): void {
    this.#sampled.delete(key);
    this.#release(writer);
  }

  #release(writer: Writer): void {
    this.#file?.unlock(writer.lockOffset, writer.lockBytes);
    try {
      this.#home?.detach(writer.id);
    } catch (error) {
      // The next look for dead writers finds it.
      this.#log.debug("a process's counts are kept later", { error: String(error) });
    }
  }
}

/** One process, and the writer that stands for it. */
class SampledProcess {
  readonly #home: Application;
  readonly #pid: number;
  readonly #bootS: number;
  readonly #startTicks: number;
  /** Index among the pool's f64s, by series. */
  readonly #slots = new Map<SeriesName, number>();
  /** What counters stood at when they were looked at last; they start when the agent first sees the process. */
  readonly #last = new Map<SeriesName, number>();
  #threads = new Map<string, Switches>();

  constructor(
    home: Application,
    readonly writer: Writer,
    app: string,
    pid: number,
    bootS: number,
  ) {
    this.#home = home;
    this.#pid = pid;
    this.#bootS = bootS;
    this.#startTicks = readStat(pid)?.startTicks ?? -1;
    const names = Object.keys(SERIES) as SeriesName[];
    const cgroup = parseCgroup(readCgroup(pid));
    const requests = names.map((name) => {
      const [definition, labels] = SERIES[name];
      return { ...definition, series: [[app, ...labels]] };
    });
    const info = cgroup && [app, cgroup.runtime, cgroup.container, cgroup.pod, cgroup.unit];
    const { results } = home.register(
      writer.id,
      info === undefined ? requests : [...requests, { ...INFO, series: [info] }],
    );
    for (const [i, { runs }] of results.entries()) {
      const place = runs[0];
      if (place === undefined) continue;
      const slot = home.pool.slotIndexOf(place[0], place[1]);
      const name = names[i];
      if (name === undefined) home.pool.slots[slot] = 1;
      else this.#slots.set(name, slot);
    }
  }

  /** @returns whether it is still the same process */
  sample(): boolean {
    const stat = readStat(this.#pid);
    const files = openFiles(this.#pid);
    if (stat === undefined || files === undefined || stat.startTicks !== this.#startTicks) {
      return false;
    }
    this.#count("user", stat.userS);
    this.#count("system", stat.systemS);
    this.#count("minorFaults", stat.minorFaults);
    this.#count("majorFaults", stat.majorFaults);
    this.#countSwitches();
    this.#set("processes", 1);
    this.#set("resident", stat.residentBytes);
    this.#set("threads", stat.threads);
    this.#set("openFiles", files);
    this.#set("start", startTimeS(stat, this.#bootS));
    return true;
  }

  /** The kernel counts them by thread, and forgets those of a thread that ended. */
  #countSwitches(): void {
    const threads = new Map<string, Switches>();
    for (const thread of threadsOf(this.#pid).slice(0, MAX_THREADS)) {
      const now = readSwitches(this.#pid, thread);
      if (now === undefined) continue;
      threads.set(thread, now);
      const before = this.#threads.get(thread);
      if (before === undefined) continue;
      this.#add("voluntary", now.voluntary - before.voluntary);
      this.#add("involuntary", now.involuntary - before.involuntary);
    }
    this.#threads = threads;
  }

  /** Takes a counter of the kernel's to where it stands now. */
  #count(name: SeriesName, total: number): void {
    const last = this.#last.get(name);
    if (last !== undefined) this.#add(name, total - last);
    this.#last.set(name, total);
  }

  #add(name: SeriesName, amount: number): void {
    const slot = this.#slots.get(name);
    if (slot !== undefined && amount > 0) this.#home.pool.slots[slot]! += amount;
  }

  #set(name: SeriesName, value: number): void {
    const slot = this.#slots.get(name);
    if (slot !== undefined) this.#home.pool.slots[slot] = value;
  }
}

/** The processes that write, each once for a service however many threads of it do. */
function namedProcesses(applications: readonly Application[]): Map<string, Named> {
  const named = new Map<string, Named>();
  for (const application of applications) {
    const { name: app } = application;
    if (app === SELF_APP) continue;
    for (const { serviceName: service, pid, flags } of application.writers()) {
      // The prototype's clients hold no file of ours by which they could be known again.
      if (pid <= 0 || (flags & WRITER_FLAGS.unlocked) !== 0) continue;
      named.set(`${app} ${service} ${pid}`, { app, service, pid, application });
    }
  }
  return named;
}

/**
 * The process that a writer's record means: it has the pool open. A pid alone proves nothing, for it may be one of
 * another pid namespace, and it may be somebody else's by now.
 */
function find(
  { pid, application }: Named,
  inside: () => ReadonlyMap<number, readonly number[]>,
): number | undefined {
  const file = application.pool.file.stat();
  if (holds(pid, file)) return pid;
  const others = (inside().get(pid) ?? []).filter((other) => holds(other, file));
  // Two containers may each have a process of that number in one pool: better none than the wrong one.
  return others.length === 1 ? others[0] : undefined;
}
