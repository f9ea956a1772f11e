// One process of a service: what was read of it last, and the writer that stands for it in the agent's own pool.

import type { ProcessIdentity, Writer } from "../../layout/index.ts";
import type { Application } from "../application.ts";
import { INFO, infoOf, SERIES, type SeriesName } from "./definitions.ts";
import { openFiles, readStat, readSwitches, type Switches, startTimeS, threadsOf } from "./proc.ts";

/** Threads above this many are not asked for their context switches. */
const MAX_THREADS = 256;

/** Tells who processes are. */
export interface Who {
  identityOf(pid: number): ProcessIdentity | undefined;
  /** The same with the names that are known by now; the same one when there are none. */
  complete(identity: ProcessIdentity): ProcessIdentity;
}

/** A process as a writer's record names it. */
export interface NamedProcess {
  app: string;
  service: string;
  /** In the pid namespace of the process. */
  pid: number;
}

/** One process, and the writer that stands for it. */
export class SampledProcess {
  readonly #home: Application;
  readonly #bootS: number;
  readonly #startTicks: number;
  /** Index among the pool's f64s, by series. */
  readonly #slots = new Map<SeriesName, number>();
  /** What counters stood at when they were looked at last; they start when the agent first sees the process. */
  readonly #last = new Map<SeriesName, number>();
  #threads = new Map<string, Switches>();
  readonly #who: Who;
  #identity: ProcessIdentity | undefined;
  /** Slot of the series that tells the identity; -1 before there is one. */
  #infoSlot = -1;

  constructor(
    home: Application,
    readonly writer: Writer,
    readonly named: NamedProcess,
    /** As the agent sees it. */
    readonly pid: number,
    known: { bootS: number; who: Who },
  ) {
    this.#home = home;
    this.#bootS = known.bootS;
    this.#startTicks = readStat(pid)?.startTicks ?? -1;
    const names = Object.keys(SERIES) as SeriesName[];
    const { app } = named;
    const requests = names.map((name) => {
      const [definition, labels] = SERIES[name];
      return { ...definition, series: [[app, ...labels]] };
    });
    const { results } = home.register(writer.id, requests);
    for (const [i, { runs }] of results.entries()) {
      const place = runs[0];
      if (place !== undefined)
        this.#slots.set(names[i]!, home.pool.slotIndexOf(place[0], place[1]));
    }
    this.#who = known.who;
    this.#identity = known.who.identityOf(pid);
    if (this.#identity !== undefined) this.#showIdentity(this.#identity);
  }

  /** Undefined when it is in no container and no unit. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }

  /** @returns whether it is still the same process */
  sample(): boolean {
    const stat = readStat(this.pid);
    const files = openFiles(this.pid);
    if (stat === undefined || files === undefined || stat.startTicks !== this.#startTicks) {
      return false;
    }
    this.#completeIdentity();
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
    for (const thread of threadsOf(this.pid).slice(0, MAX_THREADS)) {
      const now = readSwitches(this.pid, thread);
      if (now === undefined) continue;
      threads.set(thread, now);
      const before = this.#threads.get(thread);
      if (before === undefined) continue;
      this.#add("voluntary", now.voluntary - before.voluntary);
      this.#add("involuntary", now.involuntary - before.involuntary);
    }
    this.#threads = threads;
  }

  /** Names come when an API server knows the pod, and the container's a little later. What is known stays. */
  #completeIdentity(): void {
    const known = this.#identity;
    if (known === undefined || (known.podName !== "" && known.containerName !== "")) return;
    const complete = this.#who.complete(known);
    if (complete.podName === known.podName && complete.containerName === known.containerName)
      return;
    this.#showIdentity(complete);
    this.#identity = complete;
  }

  /** Tells who it is, and withdraws what was told before. */
  #showIdentity(identity: ProcessIdentity): void {
    const { pool } = this.#home;
    const series = [infoOf(this.named.app, identity)];
    const { results } = this.#home.register(this.writer.id, [{ ...INFO, series }]);
    const place = results[0]?.runs[0];
    if (place === undefined) return;
    if (this.#infoSlot >= 0) pool.slots[this.#infoSlot] = Number.NaN;
    this.#infoSlot = pool.slotIndexOf(place[0], place[1]);
    pool.slots[this.#infoSlot] = 1;
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
