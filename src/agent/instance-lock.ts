// One agent per socket: an open-file-description lock beside it, which a dead agent cannot hold.

import { lstatSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { SharedFile, SystemError } from "../ffi/index.ts";

/** Another agent serves the socket. */
export class AgentRunningError extends Error {
  override readonly name = "AgentRunningError";
  readonly hint = "stop it first, or give this one another --socket";

  constructor(socket: string, pid: string) {
    super(`an agent with pid ${pid} serves ${socket} already`);
  }
}

/**
 * Whether an agent that lives serves a socket; undefined when none has taken it yet.
 * Only looks: an agent that begins meanwhile is not hindered.
 */
export function isServed(socketPath: string): boolean | undefined {
  let file: SharedFile;
  try {
    file = SharedFile.open(`${socketPath}.lock`, false);
  } catch {
    return undefined;
  }
  try {
    if (file.locked(0, 1)) return true;
    // The pid is written when the lock is held.
    return file.stat().bytes > 0 ? false : undefined;
  } finally {
    file.close();
  }
}

export class InstanceLock {
  readonly #file: SharedFile;

  private constructor(file: SharedFile) {
    this.#file = file;
  }

  /**
   * Takes the lock and clears away a socket that a dead agent left.
   * @throws AgentRunningError naming the pid of the agent that holds it, Error where something else has its name
   */
  static take(socketPath: string): InstanceLock {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
    const path = `${socketPath}.lock`;
    const file = openOrCreate(path);
    if (!file.lock(0, 1)) {
      file.close();
      throw new AgentRunningError(socketPath, readFileSync(path, "utf8").trim() || "unknown");
    }
    const pid = new TextEncoder().encode(`${process.pid}\n`);
    file.truncate(pid.length);
    const mapping = file.map(0, pid.length, true);
    mapping.bytes().set(pid);
    mapping.unmap();
    removeSocket(socketPath, file);
    return new InstanceLock(file);
  }

  release(): void {
    rmSync(this.#file.path, { force: true });
    this.#file.close();
  }
}

function removeSocket(path: string, lock: SharedFile): void {
  const known = lstatSync(path, { throwIfNoEntry: false });
  if (known === undefined) return;
  if (known.isSocket()) return rmSync(path, { force: true });
  lock.close();
  throw new Error(`${path} exists and is no socket: give another --socket`);
}

function openOrCreate(path: string): SharedFile {
  try {
    return SharedFile.create(path, 0o644);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EEXIST") throw error;
    return SharedFile.open(path, true);
  }
}
