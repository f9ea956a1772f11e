// Samples the processes of services from outside, so that they pay nothing for it.
//
// Each process is a writer in the agent's own pool, under its service's name and with its application as a label. So the
// rules for writers hold for it: what it has counted is kept when it dies, its gauges expire, and its page returns. The
// pools of the applications are left alone.

import { SharedFile } from "../../ffi/index.ts";
import type { Log } from "../../guard/index.ts";
import { findProcess, ProcessLook, type WriterLock } from "../../identity/index.ts";
import {
  type ProcessesResponse,
  UNKNOWN_IDENTITY,
  WRITER_FLAGS,
  type Writer,
} from "../../layout/index.ts";
import type { Application } from "../application.ts";
import { SELF_APP } from "../self-metrics.ts";
import { bootTimeS } from "./proc.ts";
import { type NamedProcess, SampledProcess, type Who } from "./sampled-process.ts";

/** A process that could not be told from others is looked for again after so many samples. */
const RETRY_SAMPLES = 12;

/** How long memory may be looked at in one sample: the agent does nothing else meanwhile. */
const MEMORY_BUDGET_MS = 20;

/** A process as a writer's record names it, in a pool of its application. */
interface Named extends NamedProcess {
  application: Application;
  lock: WriterLock;
}

export class Processes {
  readonly #log: Log;
  readonly #who: Who;
  readonly #memoryIntervalMs: number | undefined;
  readonly #bootS = bootTimeS();
  /** By application, service and pid as the agent sees it. */
  readonly #sampled = new Map<string, SampledProcess>();
  /** The key there of the process that a writer is of, by the writer's own. */
  readonly #processOf = new Map<string, string>();
  /** How many samples to wait for a writer whose process was not found. */
  readonly #waiting = new Map<string, number>();
  #home: Application | undefined;
  /** Holds the locks of the writers that stand for processes. */
  #file: SharedFile | undefined;
  #warned = false;

  /** @param memoryIntervalMs how often to look at memory that is shared; undefined does not */
  constructor(log: Log, who: Who, memoryIntervalMs?: number) {
    this.#log = log;
    this.#who = who;
    this.#memoryIntervalMs = memoryIntervalMs;
  }

  /** Takes a sample of every process that writes into one of the pools. */
  sample(applications: Iterable<Application>): void {
    const all = [...applications];
    const home = all.find(({ name }) => name === SELF_APP);
    if (home !== this.#home) this.#move(home);
    if (home === undefined) return;
    const named = namedProcesses(all);
    for (const key of this.#processOf.keys()) if (!named.has(key)) this.#processOf.delete(key);
    const writing = new Set(this.#processOf.values());
    for (const [key, sampled] of this.#sampled) {
      if (!writing.has(key) || !sampled.sample()) this.#forget(key, sampled);
    }
    this.#lookForNew(named, home);
    if (this.#memoryIntervalMs !== undefined) this.#measureMemory(this.#memoryIntervalMs);
  }

  /** Whose turn it is, the longest ago first, as far as the budget goes: the next samples do the rest. */
  #measureMemory(intervalMs: number): void {
    const start = performance.now();
    const due = [...this.#sampled.values()]
      .filter(({ memoryAtMs }) => start - memoryAtMs >= intervalMs)
      .sort((a, b) => a.memoryAtMs - b.memoryAtMs);
    for (const sampled of due) {
      const now = performance.now();
      if (now - start > MEMORY_BUDGET_MS) return;
      sampled.measureMemory(now);
    }
  }

  /** Who the processes of an application are, as far as they are sampled. */
  of(app: string): ProcessesResponse["processes"] {
    return [...this.#sampled.values()]
      .filter((sampled) => sampled.named.app === app)
      .map(({ named: { service, pid }, pid: hostPid, identity = UNKNOWN_IDENTITY }) => ({
        service,
        pid,
        hostPid,
        identity,
      }));
  }

  /**
   * The agent's own application has another pool, in which all places are the same.
   * @throws Error when the locks could not be taken there: the next sample starts over
   */
  follow(): void {
    const home = this.#home;
    if (home === undefined) return;
    try {
      const file = this.#open(home);
      for (const { writer } of this.#sampled.values()) {
        file.lock(writer.lockOffset, writer.lockBytes);
        home.hold(writer.id, home.pool.header.poolId);
      }
    } catch (error) {
      this.#move(undefined);
      throw error;
    }
  }

  #open(home: Application): SharedFile {
    this.#file?.close();
    // Not to be closed twice when the next one cannot be opened: its number may be another file's by then.
    this.#file = undefined;
    this.#file = SharedFile.open(home.pool.path, true);
    return this.#file;
  }

  close(): void {
    this.#move(undefined);
  }

  /** The agent's own pool is another one, or none. */
  #move(home: Application | undefined): void {
    this.#sampled.clear();
    this.#processOf.clear();
    this.#waiting.clear();
    this.#home = undefined;
    if (home === undefined) {
      this.#file?.close();
      this.#file = undefined;
    } else {
      this.#open(home);
    }
    this.#home = home;
  }

  #lookForNew(named: ReadonlyMap<string, Named>, home: Application): void {
    for (const key of this.#waiting.keys()) if (!named.has(key)) this.#waiting.delete(key);
    const look = new ProcessLook();
    for (const [writer, process] of named) {
      if (this.#processOf.has(writer)) continue;
      const left = this.#waiting.get(writer) ?? 0;
      if (left > 0) {
        this.#waiting.set(writer, left - 1);
        continue;
      }
      const { app, service, application, lock } = process;
      const pid = findProcess(process.pid, application.pool.file.stat(), lock, look);
      const key = `${app} ${service} ${pid}`;
      if (pid !== undefined && !this.#sampled.has(key)) {
        const sampled = this.#start(process, pid, home);
        if (sampled !== undefined) this.#sampled.set(key, sampled);
      }
      if (this.#sampled.has(key)) {
        this.#processOf.set(writer, key);
        this.#waiting.delete(writer);
      } else {
        this.#waiting.set(writer, RETRY_SAMPLES);
      }
    }
  }

  #start(process: Named, pid: number, home: Application): SampledProcess | undefined {
    const { app, service } = process;
    let writer: Writer | undefined;
    try {
      writer = home.attach({ service, pid, threadId: 0 });
      this.#file!.lock(writer.lockOffset, writer.lockBytes);
      const sampled = new SampledProcess(home, writer, process, pid, {
        bootS: this.#bootS,
        who: this.#who,
        memory: this.#memoryIntervalMs !== undefined,
      });
      if (sampled.sample()) return sampled;
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
    // Its writers are looked for anew: they may be of the next process of that number.
    for (const [of, process] of this.#processOf) if (process === key) this.#processOf.delete(of);
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

/** The living writers of services, and what they say of their processes. */
function namedProcesses(applications: readonly Application[]): Map<string, Named> {
  const named = new Map<string, Named>();
  for (const application of applications) {
    const { name: app } = application;
    if (app === SELF_APP) continue;
    for (const writer of application.writers()) {
      const { id, serviceName: service, pid, flags, lockOffset, lockBytes } = writer;
      // The prototype's clients hold no file of ours by which they could be known again.
      if (pid <= 0 || (flags & WRITER_FLAGS.unlocked) !== 0) continue;
      const lock = { offset: lockOffset, bytes: lockBytes };
      named.set(`${app} ${id}`, { app, service, pid, application, lock });
    }
  }
  return named;
}
