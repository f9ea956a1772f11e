// Samples the processes of services from outside, so that they pay nothing for it.
//
// Each process is a writer in the agent's own pool, under its service's name and with its application as a label. So the
// rules for writers hold for it: what it has counted is kept when it dies, its gauges expire, and its page returns. The
// pools of the applications are left alone.

import { findProcess, ProcessLook, type WriterLock } from "../../identity/index.ts";
import { AGENT_APP, isUnlocked, UNKNOWN_IDENTITY } from "../../layout/index.ts";
import type { ProcessesResponse } from "../../rest/index.ts";
import type { LocalWriters } from "../local-writer.ts";
import type { Application } from "../registry/application.ts";
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
  /** Each process is one of them. */
  readonly #writers: LocalWriters;
  readonly #who: Who;
  readonly #memoryIntervalMs: number | undefined;
  readonly #bootS = bootTimeS();
  /** By application, service and pid as the agent sees it. */
  readonly #sampled = new Map<string, SampledProcess>();
  /** The key there of the process that a writer is of, by the writer's own. */
  readonly #processOf = new Map<string, string>();
  /** How many samples to wait for a writer whose process was not found. */
  readonly #waiting = new Map<string, number>();

  /** @param memoryIntervalMs how often to look at memory that is shared; undefined does not */
  constructor(writers: LocalWriters, who: Who, memoryIntervalMs?: number) {
    this.#writers = writers;
    this.#who = who;
    this.#memoryIntervalMs = memoryIntervalMs;
  }

  /** Takes a sample of every process that writes into one of the pools. */
  sample(applications: Iterable<Application>): void {
    const named = namedProcesses(applications);
    for (const key of this.#processOf.keys()) if (!named.has(key)) this.#processOf.delete(key);
    const writing = new Set(this.#processOf.values());
    for (const [key, sampled] of this.#sampled) {
      if (!writing.has(key) || !sampled.sample()) this.#forget(key, sampled);
    }
    this.#lookForNew(named);
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

  #lookForNew(named: ReadonlyMap<string, Named>): void {
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
        const sampled = this.#start(process, pid);
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

  #start(process: Named, pid: number): SampledProcess | undefined {
    const writer = this.#writers.writer(process.service, pid);
    const sampled = new SampledProcess(writer, process, pid, {
      bootS: this.#bootS,
      who: this.#who,
      memory: this.#memoryIntervalMs !== undefined,
    });
    if (sampled.sample()) return sampled;
    writer.end();
    return undefined;
  }

  #forget(key: string, { writer }: SampledProcess): void {
    this.#sampled.delete(key);
    // Its writers are looked for again: they may be of the next process of that number.
    for (const [of, process] of this.#processOf) if (process === key) this.#processOf.delete(of);
    writer.end();
  }
}

/** The living writers of services, and what they say of their processes. */
function namedProcesses(applications: Iterable<Application>): Map<string, Named> {
  const named = new Map<string, Named>();
  for (const application of applications) {
    const { name: app } = application;
    if (app === AGENT_APP) continue;
    for (const writer of application.writers()) {
      const { id, serviceName: service, pid, lockOffset, lockBytes } = writer;
      // The prototype's clients hold no file of ours by which they could be known again.
      if (pid <= 0 || isUnlocked(writer)) continue;
      const lock = { offset: lockOffset, bytes: lockBytes };
      named.set(`${app} ${id}`, { app, service, pid, application, lock });
    }
  }
  return named;
}
