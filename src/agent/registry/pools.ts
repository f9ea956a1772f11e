// All pools of a host: found and adopted at the start, made when an application's first writer attaches.

import { lstatSync, readdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import {
  ForeignFileError,
  OTHERS_WRITE,
  type Owners,
  ownUids,
  type SystemError,
} from "../../ffi/index.ts";
import { type Grant, LOCAL, type Log, Recurring } from "../../guard/index.ts";
import {
  AGENT_APP,
  checkAppName,
  DamageError,
  LAYOUT_VERSION,
  type NamedPool,
  POOL_DEFAULTS,
  PoolFormatError,
  poolPath,
  poolsNamed,
  SHM_DIR,
  skippedRecords,
  sparePoolPath,
} from "../../layout/index.ts";
import { counted } from "../../text/index.ts";
import { AgentError, LimitError, unknownApp } from "../errors.ts";
import { folderMode, makeFolder } from "../pool/folder.ts";
import { Pool, type PoolFileOptions } from "../pool/pool.ts";
import { Application, type ApplicationEvents } from "./application.ts";
import type { Limits } from "./limits.ts";
import { checked } from "./register.ts";
import type { AllocationStrategy } from "./strategies/index.ts";

/** A pool that could not be put under its name is tried again so much later. */
const RESTORE_RETRY_MS = 1_000;

/** An application that has been empty for this long is removed. */
const EMPTY_MS = 60_000;

interface PoolsOptions {
  /** Keeps pools as DIR/<app>/pool; default is /dev/shm/microview.<app>. */
  poolDir?: string;
  mode: number;
  gid?: number;
  limits: Limits;
  strategy: AllocationStrategy;
}

interface PoolsEvents extends ApplicationEvents {
  opened(application: Application): void;
  /** A pool was damaged and has another name now, if it could be given one. */
  setAside(path: string, reason: Error): void;
  /** A file that has the name of a pool is not used and stays: another user's, another agent's, or of another version. */
  leftAlone(path: string, reason: Error): void;
  /**
   * The file of a pool was removed or replaced, and the application has one under its name again.
   * @param lost the pool that was there, when another had to be made; see {@link ApplicationEvents.abandoned} for when
   *   nobody needs it any more
   */
  restored(application: Application, lost: Pool | undefined): void;
}

/** Files that cannot be used are logged one by one up to so many; anybody may make more of them. */
const TOLD_MAX = 50;

export class Pools {
  readonly #applications = new Map<string, Application>();
  /** What was said last of files that cannot be used, by path. */
  readonly #told = new Map<string, string>();
  /** Of these, pools of layout versions that this agent does not know, or with features that it does not. */
  readonly #unknown = new Set<string>();
  #untold = 0;
  /** Names that others have taken, as they were found last. */
  readonly #foreign = new Set<string>();
  /** Applications that no pool can be made for. */
  readonly #refused: Recurring;
  /** Applications whose pool cannot be put back, with the reason and when it is tried again. */
  readonly #troubles = new Map<Application, { reason: string; retryAtMs: number }>();
  /** By which grant each application was made; those of earlier agents have none. */
  readonly #makers = new Map<string, string>();
  /** Since when applications have been empty. */
  readonly #emptySinceMs = new Map<string, number>();

  constructor(
    readonly options: PoolsOptions,
    readonly log: Log,
    readonly events: PoolsEvents,
  ) {
    this.#refused = new Recurring(
      log,
      "a pool cannot be made",
      "the pool is made after all",
      "warn",
    );
  }

  [Symbol.iterator](): IterableIterator<Application> {
    return this.#applications.values();
  }

  /** @throws AgentError 404 when the host has no such application */
  get(app: string): Application {
    const application = this.#applications.get(app);
    if (application === undefined) throw unknownApp(app);
    return application;
  }

  /** The application, if the host has it. */
  find(app: string): Application | undefined {
    return this.#applications.get(app);
  }

  /** Adopts every pool that an earlier agent left. */
  adoptAll(): void {
    for (const app of new Set(this.#named().map((pool) => pool.app))) this.#adopt(app);
  }

  /**
   * The application, with a pool made for it if it has none.
   * @param by the caller; each has a limit, so that none takes all the room
   */
  open(app: string, by: Pick<Grant, "name"> = LOCAL): Application {
    checked(() => checkAppName(app));
    const known = this.#applications.get(app);
    if (known !== undefined) {
      this.#look(known);
      return known;
    }
    const adopted = this.#adopt(app);
    if (adopted !== undefined) return adopted;
    const { limits, poolDir } = this.options;
    if (this.#applications.size >= limits.apps) {
      throw new LimitError(
        "apps-full",
        `this host has ${counted(this.#applications.size, "application")}, at most ${limits.apps} are allowed`,
        "start the agent with a higher --max-apps",
      );
    }
    this.#checkMaker(by.name);
    const pageCapacity = Math.max(limits.pages, POOL_DEFAULTS.pageCapacity);
    const create = (path: string) =>
      asPoolError(path, this.#foundAt(path), () => {
        this.#makeFolders(path);
        return Pool.create(path, app, { ...this.#fileOptions, sizes: { pageCapacity } });
      });
    const usual = poolPath(app, poolDir);
    // Anybody may make a file there, and agents of other users do: ours goes beside it.
    const isBeside = poolDir === undefined && this.#isTaken(usual);
    let pool: Pool;
    try {
      pool = create(isBeside ? spareFor(app) : usual);
    } catch (error) {
      this.#noteRefused(app, error as Error);
      throw error;
    }
    this.log.info("pool created", { app, path: pool.path, by: by.name });
    this.#makers.set(app, by.name);
    return this.#add(pool);
  }

  /** Puts pools back whose files were removed or replaced. */
  restoreLost(): void {
    for (const application of this) this.#look(application);
  }

  /** Why the pool of an application is not under its name, while it cannot be put back. */
  troubleOf(application: Application): string | undefined {
    return this.#troubles.get(application)?.reason;
  }

  /** Lets go of pools that a member of their application has cut short; the caller closes them. */
  dropDamaged(): Application[] {
    const dropped: Application[] = [];
    for (const application of [...this]) {
      const { pool } = application;
      if (!isCut(pool)) continue;
      this.#forget(application);
      dropped.push(application);
      const reason = `somebody has cut it to ${pool.file.stat().bytes} of ${pool.header.fileBytes} bytes`;
      // Not another file that has its name by now.
      if (pool.isCurrent) this.#setAside(pool.path, new PoolFormatError(reason));
      else this.events.setAside(pool.path, new Error(`${reason}, and has taken its name`));
    }
    return dropped;
  }

  /**
   * Removes applications that were empty for a while, with their files: else anybody who may attach could take all room
   * for good.
   * @returns those that are gone; the caller closes them
   */
  dropEmpty(nowMs: number): Application[] {
    const dropped: Application[] = [];
    for (const application of [...this]) {
      const { name, pool } = application;
      const sinceMs = this.#emptySinceMs.get(name);
      if (!application.isEmpty || name === AGENT_APP) {
        this.#emptySinceMs.delete(name);
      } else if (sinceMs === undefined || sinceMs > nowMs) {
        this.#emptySinceMs.set(name, nowMs);
      } else if (nowMs - sinceMs >= EMPTY_MS) {
        this.#forget(application);
        // Somebody may have put another file in its place.
        if (pool.isCurrent) rmSync(pool.path);
        this.log.info("an empty application is removed", { app: name, path: pool.path });
        dropped.push(application);
      }
    }
    return dropped;
  }

  #forget(application: Application): void {
    this.#applications.delete(application.name);
    this.#makers.delete(application.name);
    this.#emptySinceMs.delete(application.name);
    this.#troubles.delete(application);
  }

  /** @throws LimitError when somebody has made as many applications as one may */
  #checkMaker(by: string): void {
    const { appsEach } = this.options.limits;
    const made = [...this.#makers.values()].filter((maker) => maker === by).length;
    if (by === LOCAL.name || made < appsEach) return;
    throw new LimitError(
      "apps-each-full",
      `${by} has made ${counted(made, "application")} over TCP, at most ${appsEach} are allowed`,
      "attach through the agent's Unix socket, or start the agent with a higher --max-apps-each",
    );
  }

  /** Lets go of every pool; the files stay, and services go on storing. */
  close(): void {
    for (const application of this) application.close();
    this.#applications.clear();
  }

  /** Sees to it that an application's pool is under its name, if that can be. */
  #look(application: Application): void {
    const { pool, name: app } = application;
    const trouble = this.#troubles.get(application);
    if (pool.isCurrent) {
      if (trouble !== undefined)
        this.log.info("the pool is under its name again", { app, path: pool.path });
      this.#troubles.delete(application);
      return;
    }
    if (trouble !== undefined && Date.now() < trouble.retryAtMs) return;
    // What is left of it is worth nothing: the next scan lets go of it.
    if (isCut(pool)) return;
    let lost: Pool | undefined;
    try {
      lost = this.#restore(application);
    } catch (error) {
      const reason = (error as Error).message;
      this.#troubles.set(application, { reason, retryAtMs: Date.now() + RESTORE_RETRY_MS });
      if (trouble?.reason === reason) return;
      this.log.error("the file of a pool was removed or replaced, and cannot be put back", {
        app,
        path: pool.path,
        reason,
        hint: "services go on, and the agent shows what they count; collectors on this host do not see it until the path is free and there is room",
      });
      return;
    }
    this.#troubles.delete(application);
    this.log.error("the file of a pool was removed or replaced", {
      app,
      path: application.pool.path,
      done:
        lost === undefined
          ? "the file has its name again"
          : "a new pool has its place, with all counts; writers move to it by themselves",
    });
    this.events.restored(application, lost);
  }

  /** @returns the pool that was lost, unless its file has its name again */
  #restore(application: Application): Pool | undefined {
    const { pool } = application;
    const path = this.#clear(application);
    this.#makeFolders(path);
    try {
      pool.link(path);
      return undefined;
    } catch (error) {
      // Mostly because no name at all is left of it.
      if ((error as SystemError).code === "EEXIST") throw error;
    }
    const writers = application.writers().length;
    application.replace(
      asPoolError(path, this.#foundAt(path), () =>
        Pool.replace(pool, path, writers, this.#fileOptions),
      ),
    );
    return pool;
  }

  /**
   * Gives another name to what took a pool's name, when that is ours and nobody keeps it.
   * @returns where the pool may be: beside its name, where a stranger has that and the place is everybody's
   * @throws Error when a stranger has it, and the place is ours
   */
  #clear({ name, pool: { path } }: Application): string {
    try {
      const other = Pool.adopt(path, this.#owners);
      if (other === undefined) throw new Error(`another agent holds ${path}`);
      other.close();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return path;
      if (!isDamage(error)) {
        if (this.options.poolDir === undefined) return spareFor(name);
        throw error;
      }
    }
    this.#setAside(path, new PoolFormatError("it has taken the name of a pool that is in use"));
    return path;
  }

  get #fileOptions(): PoolFileOptions {
    const { mode, gid } = this.options;
    return { mode, ...(gid === undefined ? {} : { gid }) };
  }

  /** Files that have the name of a pool: this agent's or not, those with an application's usual name first. */
  #named(): NamedPool[] {
    const { poolDir } = this.options;
    try {
      return poolsNamed(readdirSync(poolDir ?? SHM_DIR), poolDir);
    } catch {
      return [];
    }
  }

  /** Whose pools are adopted. */
  get #owners(): Owners {
    const { poolDir, mode } = this.options;
    return {
      uids: ownUids(),
      refusedMode: OTHERS_WRITE & ~mode,
      ...(poolDir === undefined ? {} : { folder: poolDir }),
    };
  }

  /** The folders that a pool is in, so that those may enter who may open it. */
  #makeFolders(path: string): void {
    const { poolDir, mode, gid } = this.options;
    if (poolDir === undefined) return;
    makeFolder(poolDir, folderMode(mode), gid);
    makeFolder(dirname(path), folderMode(mode), gid);
  }

  /** Whether a name was found to be another user's. */
  #isTaken(path: string): boolean {
    return this.#foreign.has(path);
  }

  /** Takes over an application's pool, of several files with its name the first that can be. */
  #adopt(app: string): Application | undefined {
    for (const { path } of this.#named().filter((pool) => pool.app === app)) {
      const adopted = this.#adoptFile(app, path);
      if (adopted !== undefined) return adopted;
    }
    return undefined;
  }

  #adoptFile(app: string, path: string): Application | undefined {
    let pool: Pool | undefined;
    this.#foreign.delete(path);
    try {
      pool = Pool.adopt(path, this.#owners);
      if (pool === undefined) {
        // Two agents of this user may be a mistake; one of another user is not our concern.
        if (lstatSync(path).uid !== process.geteuid?.()) this.#foreign.add(path);
        this.#tell(path, new Error("another agent holds the pool: it is left to it"));
        return undefined;
      }
      const { damageCount, damage } = pool.directory;
      if (damageCount > 0 || pool.app !== app) {
        pool.close();
        const first = damage[0]
          ? `, the first at byte ${damage[0].offset}: ${damage[0].reason}`
          : "";
        throw new PoolFormatError(
          damageCount > 0
            ? `its directory has ${damageCount} damaged places${first}`
            : `it is a pool of ${pool.app}`,
        );
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      if (isDamage(error)) {
        this.#setAside(path, error);
      } else {
        const isLeftAlone =
          error instanceof ForeignFileError ||
          error instanceof PoolFormatError ||
          code === "EACCES" ||
          code === "EPERM";
        if (isLeftAlone) this.#foreign.add(path);
        if (error instanceof PoolFormatError) this.#unknown.add(path);
        this.#tell(path, error as Error);
      }
      return undefined;
    }
    this.#told.delete(path);
    this.#unknown.delete(path);
    this.#makeFolders(path);
    const { version } = pool.header;
    this.log.info("pool adopted", {
      app,
      path,
      ...(version === LAYOUT_VERSION ? {} : { layout: version }),
      writers: pool.directory.writers.size,
      series: pool.directory.seriesCount,
    });
    const leftOut = skippedRecords(pool.directory);
    if (leftOut !== undefined) {
      this.log.warn("a pool has more than this agent knows", {
        app,
        path,
        leftOut,
        hint: "the agent uses what it knows and drops the rest when it next rewrites the directory. Start a newer agent to keep it",
      });
    }
    return this.#add(pool);
  }

  /** What was found under a name, where that is not used. */
  #foundAt(path: string): Found {
    return { reason: this.#told.get(path), isUnknown: this.#unknown.has(path) };
  }

  /** A pool that cannot be used keeps its bytes under another name. What is no pool at all is not touched. */
  #setAside(path: string, damage: Error): void {
    try {
      const aside = Pool.setAside(path);
      this.events.setAside(path, new Error(`${damage.message}; it is now ${aside}`));
    } catch (failure) {
      this.#foreign.add(path);
      this.#tell(path, new Error(`${damage.message}; it stays: ${(failure as Error).message}`));
    }
  }

  /** Answers the service with the reason, and logs it for the operator. */
  #noteRefused(app: string, error: Error): void {
    // Of its own one the agent says itself what becomes of its metrics.
    if (app === AGENT_APP) return;
    const identity = error instanceof AgentError ? error.code : error.message;
    this.#refused.failed(app, error.message, { app }, identity);
  }

  /** Says once of a file why it is not used, and again when that is for another reason. */
  #tell(path: string, error: Error): void {
    if (this.#told.get(path) === error.message) return;
    const isNew = !this.#told.has(path);
    if (isNew && this.#told.size >= TOLD_MAX) {
      if (this.#untold++ === 0) {
        this.log.error("more files have names of pools and are not used", {
          first: path,
          reason: error.message,
          hint: "list them with `ls -l`: whoever may write there can make them",
        });
      }
      return;
    }
    this.#told.set(path, error.message);
    this.events.leftAlone(path, error);
  }

  #add(pool: Pool): Application {
    const { limits, strategy } = this.options;
    const application = new Application(pool, limits, strategy, this.events);
    this.#applications.set(pool.app, application);
    this.#refused.worked(pool.app, { app: pool.app });
    this.events.opened(application);
    return application;
  }
}

/** Whether no agent can use a pool. One of another version is left to those that can: its services store on. */
function isDamage(error: unknown): error is Error {
  return (
    error instanceof DamageError ||
    (error instanceof PoolFormatError && error.version === undefined)
  );
}

/** Whether a member of its application has cut the file of a pool short. */
function isCut({ file, header }: Pool): boolean {
  return file.stat().bytes < header.fileBytes;
}

function spareFor(app: string): string {
  return sparePoolPath(app, Math.random().toString(36).slice(2, 10));
}

interface Found {
  reason: string | undefined;
  /** A pool that only other versions know. */
  isUnknown: boolean;
}

/** What the system says when a pool cannot be made, as the caller is told it. */
function asPoolError<T>(path: string, found: Found, run: () => T): T {
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
        if (found.isUnknown) {
          throw new AgentError(
            "pool-unknown",
            `the agent does not know the pool ${path}: ${found.reason}`,
            "start an agent of a version that reads it, or remove the file when its services have ended",
            409,
          );
        }
        throw new AgentError(
          "pool-in-use",
          `${path} exists and is not this agent's${found.reason === undefined ? "" : `: ${found.reason}`}`,
          "remove it if nobody needs it, stop the other agent, or start this one with another --pool-dir",
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
          "let the agent write there, or give it another --pool-dir",
          503,
        );
      default:
        throw error;
    }
  }
}
