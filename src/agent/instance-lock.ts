// One agent per socket: an open-file-description lock beside it, which a dead agent cannot hold.

import { lstatSync, mkdirSync, readFileSync, readSync, rmSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { openOwned, ownUids, SharedFile, SystemError } from "../ffi/index.ts";

/** Of the lock's file: whoever may read it could take a lock for reading, and keep every agent from its own. */
const LOCK_MODE = 0o600;

/** Of a number of a process; whatever else is in a lock's file, no more is read. */
const PID_BYTES_MAX = 20;

/** Another agent serves the socket. */
export class AgentRunningError extends Error {
  override readonly name = "AgentRunningError";
  readonly hint = "stop it first, or give this one another --socket";

  /** @param who its pid, or its user where that is another one */
  constructor(socket: string, who: string) {
    super(`an agent ${who} serves ${socket} already`);
  }
}

/** The socket cannot be made at its path. */
class SocketError extends Error {
  override readonly name = "SocketError";

  constructor(
    message: string,
    readonly hint = "name other places with --socket FILE (services find it by MICROVIEW_SOCKET) and --pool-dir DIR",
  ) {
    super(message);
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
   * @throws AgentRunningError naming the pid of the agent that holds it, SocketError where no socket can be made
   */
  static take(socketPath: string): InstanceLock {
    for (;;) {
      const lock = InstanceLock.#attempt(socketPath);
      if (lock !== undefined) return lock;
    }
  }

  /** @returns undefined when the lock was another agent's, which has removed it meanwhile */
  static #attempt(socketPath: string): InstanceLock | undefined {
    const file = openLock(socketPath);
    try {
      if (!file.lock(0, 1)) {
        throw new AgentRunningError(socketPath, `with pid ${pidIn(file.path)}`);
      }
      if (!isThere(file)) {
        file.close();
        return undefined;
      }
      file.setMode(LOCK_MODE);
      const pid = new TextEncoder().encode(`${process.pid}\n`);
      file.truncate(pid.length);
      const mapping = file.map(0, pid.length, true);
      mapping.bytes().set(pid);
      mapping.unmap();
      removeSocket(socketPath);
      return new InstanceLock(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  release(): void {
    rmSync(this.#file.path, { force: true });
    this.#file.close();
  }
}

function removeSocket(path: string): void {
  const known = lstatSync(path, { throwIfNoEntry: false });
  if (known === undefined) return;
  if (!known.isSocket()) throw new SocketError(`${path} exists and is no socket`);
  try {
    rmSync(path, { force: true });
  } catch {
    throw new SocketError(
      `an agent of user ${known.uid} that died has left ${path}, and this user may not remove it`,
      "remove it as that user, or give another --socket",
    );
  }
}

/** The lock's file beside a socket, made if need be. */
function openLock(socketPath: string): SharedFile {
  const path = `${socketPath}.lock`;
  try {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
    return openOrCreate(path);
  } catch (error) {
    const known = statOf(path);
    if (known?.isFile() !== true) {
      throw new SocketError(`the socket ${socketPath} cannot be made: ${(error as Error).message}`);
    }
    const whose = `of user ${known.uid}`;
    if (isListenedOn(socketPath)) throw new AgentRunningError(socketPath, whose);
    throw new SocketError(
      `an agent ${whose} lives or has left its lock ${path}, which this user may not take`,
      "remove it as that user if its agent is gone, or give another --socket",
    );
  }
}

/** Whether a lock's file has its name still. */
function isThere(file: SharedFile): boolean {
  const known = statOf(file.path);
  const { inode, device } = file.stat();
  return known?.ino === inode && known.dev === device;
}

/** Whether somebody listens there, as the kernel tells everybody, proc_net(5). */
function isListenedOn(socketPath: string): boolean {
  try {
    return readFileSync("/proc/net/unix", "utf8")
      .split("\n")
      .some((line) => line.endsWith(` ${socketPath}`));
  } catch {
    return false;
  }
}

/** Undefined for what is not there, or not this user's to look at. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function pidIn(lockPath: string): string {
  try {
    const file = SharedFile.open(lockPath, false);
    try {
      const bytes = Buffer.alloc(PID_BYTES_MAX);
      const length = readSync(file.fd, bytes, 0, bytes.length, 0);
      return /^\d+/.exec(bytes.toString("latin1", 0, length))?.[0] ?? "unknown";
    } finally {
      file.close();
    }
  } catch {
    return "unknown";
  }
}

function openOrCreate(path: string): SharedFile {
  try {
    return SharedFile.create(path, LOCK_MODE);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EEXIST") throw error;
    return openOwned(path, true, { uids: ownUids() });
  }
}
