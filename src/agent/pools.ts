// All pools of a host: found and adopted at the start, made when an application's first writer attaches.

import { mkdirSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import {
  appOfShmFile,
  checkAppName,
  DamageError,
  isAppName,
  POOL_DEFAULTS,
  PoolFormatError,
  poolPath,
  SHM_DIR,
} from "../layout/index.ts";
import { Application, type ApplicationEvents } from "./application.ts";
import { AgentError, LimitError, unknownApp } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { Log } from "./log.ts";
import { Pool } from "./pool.ts";
import { checked } from "./register.ts";
import type { AllocationStrategy } from "./strategies/index.ts";

export interface PoolsOptions {
  /** Keeps pools as DIR/<app>/pool; default is /dev/shm/microview.<app>. */
  poolDir?: string;
  mode: number;
  gid?: number;
  limits: Limits;
  strategy: AllocationStrategy;
}

export interface PoolsEvents extends ApplicationEvents {
  opened(application: Application): void;
  /** A pool could not be used and has another name now, or was left as it is. */
  setAside(path: string, reason: Error): void;
}

export class Pools {
  readonly #applications = new Map<string, Application>();

  constructor(
    readonly options: PoolsOptions,
    readonly log: Log,
    readonly events: PoolsEvents,
  ) {}

  [Symbol.iterator](): IterableIterator<Application> {
    return this.#applications.values();
  }

  /** @throws AgentError 404 when the host has no such application */
  get(app: string): Application {
    const application = this.#applications.get(app);
    if (application === undefined) throw unknownApp(app);
    return application;
  }

  /** Adopts every pool that an earlier agent left. */
  adoptAll(): void {
    for (const app of this.#known()) this.#adopt(app);
  }

  /** The application, with a pool made for it if it has none. */
  open(app: string): Application {
    checked(() => checkAppName(app));
    const known = this.#applications.get(app);
    if (known !== undefined) return known;
    const adopted = this.#adopt(app);
    if (adopted !== undefined) return adopted;
    const { limits, mode, gid, poolDir } = this.options;
    if (this.#applications.size >= limits.apps) {
      throw new LimitError(
        "apps-full",
        `this host has ${this.#applications.size} applications, at most ${limits.apps} are allowed`,
        "start the agent with a higher --max-apps",
      );
    }
    const path = poolPath(app, poolDir);
    const pageCapacity = Math.max(limits.pages, POOL_DEFAULTS.pageCapacity);
    const pool = asPoolError(path, () => {
      if (poolDir !== undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      return Pool.create(path, app, {
        mode,
        ...(gid === undefined ? {} : { gid }),
        sizes: { pageCapacity },
      });
    });
    this.log.info("pool created", { app, path });
    return this.#add(pool);
  }

  /** Lets go of pools that a member of their application has cut short; the caller closes them. */
  dropDamaged(): Application[] {
    const dropped: Application[] = [];
    for (const application of [...this]) {
      const { pool, name } = application;
      const { bytes } = pool.file.stat();
      if (bytes >= pool.header.fileBytes) continue;
      this.#applications.delete(name);
      dropped.push(application);
      const reason = `somebody has cut it to ${bytes} of ${pool.header.fileBytes} bytes`;
      this.#setAside(pool.path, new PoolFormatError(reason));
    }
    return dropped;
  }

  /** Lets go of every pool; the files stay, and services go on storing. */
  close(): void {
    for (const application of this) application.pool.close();
    this.#applications.clear();
  }

  #known(): string[] {
    const { poolDir } = this.options;
    try {
      const names = readdirSync(poolDir ?? SHM_DIR);
      const apps = poolDir === undefined ? names.map(appOfShmFile) : names;
      return apps.filter((app): app is string => app !== undefined && isAppName(app));
    } catch {
      return [];
    }
  }

  #adopt(app: string): Application | undefined {
    const path = poolPath(app, this.options.poolDir);
    let pool: Pool | undefined;
    try {
      pool = Pool.adopt(path);
      if (pool === undefined) {
        this.events.setAside(path, new Error("another agent holds the pool: it is left to it"));
        return undefined;
      }
      const { damageCount, damage } = pool.directory;
      if (damageCount > 0 || pool.app !== app) {
        pool.close();
        const first = damage[0]
          ? `, the first at byte ${damage[0].offset}: ${damage[0].reason}`
          : "";
        throw new PoolFormatError(`its directory has ${damageCount} damaged places${first}`);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      this.#setAside(path, error as Error);
      return undefined;
    }
    this.log.info("pool adopted", {
      app,
      path,
      writers: pool.directory.writers.size,
      series: pool.directory.seriesCount,
    });
    return this.#add(pool);
  }

  /** A pool that cannot be used keeps its bytes under another name. What is no pool at all is not touched. */
  #setAside(path: string, error: Error): void {
    if (error instanceof PoolFormatError || error instanceof DamageError) {
      const aside = Pool.setAside(path);
      this.events.setAside(path, new Error(`${error.message}; it is now ${aside}`));
    } else {
      this.events.setAside(path, error);
    }
  }

  #add(pool: Pool): Application {
    const { limits, strategy } = this.options;
    const application = new Application(pool, limits, strategy, this.events);
    this.#applications.set(pool.app, application);
    this.events.opened(application);
    return application;
  }
}

/** What the system says when a pool cannot be made, as the caller is told it. */
function asPoolError<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    switch (code) {
      case "ENOSPC":
        throw new LimitError(
          "memory-full",
          `no memory is left for the pool ${path}`,
          "enlarge the tmpfs (e.g. `mount -o remount,size=1G /dev/shm`)",
        );
      case "EEXIST":
        throw new AgentError(
          "pool-in-use",
          `${path} exists and is not this agent's`,
          "stop the other agent, or use --pool-dir",
          409,
        );
      case "EACCES":
      case "EPERM":
      case "EROFS":
      case "ENOTDIR":
      case "ENOENT":
        throw new AgentError(
          "pool-denied",
          `the agent cannot make the pool ${path}: ${(error as Error).message}`,
          "see to it that the agent may write there, or give it another --pool-dir",
          503,
        );
      default:
        throw error;
    }
  }
}
