// One process of a service: what was read of it last, and the writer that stands for it in the agent's own pool.

import type { ProcessIdentity } from "../../layout/index.ts";
import type { LocalSeries, LocalWriter } from "../local-writer.ts";
import { INFO, infoOf, MEMORY_SERIES, SERIES, type SeriesName } from "./definitions.ts";
import {
  openFiles,
  readAnonymousBytes,
  readOpenFilesMax,
  readRollup,
  readStat,
  readWaitS,
  startTimeS,
} from "./proc.ts";
import { Threads } from "./threads.ts";

/** What hardly ever changes is read again after so many samples. */
const SLOW_SAMPLES = 12;

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
  readonly #bootS: number;
  readonly #startTicks: number;
  readonly #series = new Map<SeriesName, LocalSeries>();
  /** What counters stood at when they were looked at last; they start when the agent first sees the process. */
  readonly #last = new Map<SeriesName, number>();
  readonly #threads: Threads;
  #samples = 0;
  /** When its memory was looked at last. */
  memoryAtMs = Number.NEGATIVE_INFINITY;
  readonly #who: Who;
  #identity: ProcessIdentity | undefined;
  /** Tells the identity. */
  #info: LocalSeries | undefined;

  constructor(
    readonly writer: LocalWriter,
    readonly named: NamedProcess,
    /** As the agent sees it. */
    readonly pid: number,
    known: { bootS: number; who: Who; memory: boolean },
  ) {
    this.#bootS = known.bootS;
    this.#startTicks = readStat(pid)?.startTicks ?? -1;
    this.#threads = new Threads(pid);
    const { app } = named;
    const all = Object.entries({ ...SERIES, ...(known.memory ? MEMORY_SERIES : {}) });
    for (const [name, [definition, labels]] of all) {
      this.#series.set(name as SeriesName, writer.series(definition, [app, ...labels]));
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
    this.#threads.sample((series, amount) => this.#add(series, amount));
    this.#count("waited", readWaitS(this.pid));
    this.#set("processes", 1);
    this.#set("virtual", stat.virtualBytes);
    this.#set("resident", stat.residentBytes);
    this.#set("anonymous", readAnonymousBytes(this.pid));
    if (this.#samples++ % SLOW_SAMPLES === 0) {
      this.#set("openFilesMax", readOpenFilesMax(this.pid));
    }
    this.#set("threads", stat.threads);
    this.#set("openFiles", files);
    this.#set("start", startTimeS(stat, this.#bootS));
    return true;
  }

  /**
   * Looks how much memory it has to itself, which takes milliseconds of both.
   * @param nowMs kept as {@link memoryAtMs}
   */
  measureMemory(nowMs: number): void {
    this.memoryAtMs = nowMs;
    const shares = readRollup(this.pid);
    if (shares === undefined) return;
    for (const [name, bytes] of Object.entries(shares)) this.#set(name as SeriesName, bytes);
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
    const info = this.writer.series(INFO, infoOf(this.named.app, identity));
    if (this.#info !== undefined && this.#info !== info) this.writer.remove(this.#info);
    this.#info = info;
    info.set(1);
  }

  /** Takes a counter of the kernel's to where it stands now. */
  #count(name: SeriesName, total: number | undefined): void {
    if (total === undefined) return;
    const last = this.#last.get(name);
    if (last !== undefined) this.#add(name, total - last);
    this.#last.set(name, total);
  }

  #add(name: SeriesName, amount: number): void {
    if (amount > 0) this.#series.get(name)?.add(amount);
  }

  #set(name: SeriesName, value: number | undefined): void {
    if (value !== undefined) this.#series.get(name)?.set(value);
  }
}
