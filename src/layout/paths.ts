// Where things lie on a host by default. Pure naming: nothing here touches a file.

import { checkAppName, isAppName } from "./definitions/metric.ts";

/** Where pools live unless `--pool-dir` says otherwise. */
export const SHM_DIR = "/dev/shm";
const SHM_PREFIX = "microview.";
/** No application's name has it. */
const SPARE = "~";
const SPARE_MARK = /~[a-z0-9]+$/;
const LINK_PREFIX = "microview-link.";

/** Bytes that a Unix socket's path may have: sun_path of unix(7), without the zero at its end. */
export const SOCKET_PATH_BYTES_MAX = 107;

/**
 * The file of an application's pool: `/dev/shm/microview.<app>`, or `DIR/<app>/pool` below a pool directory,
 * so that a container can be given just its application's folder.
 * @throws DefinitionError when the name cannot be an application's
 */
export function poolPath(app: string, poolDir?: string): string {
  checkAppName(app);
  return poolDir === undefined ? `${SHM_DIR}/${SHM_PREFIX}${app}` : `${poolDir}/${app}/pool`;
}

/** The pool directory that a pool's path is below; undefined for one in {@link SHM_DIR}. */
export function poolDirOf(path: string, app: string): string | undefined {
  const end = `/${app}/pool`;
  return path.endsWith(end) ? path.slice(0, -end.length) : undefined;
}

/**
 * The file of a pool whose usual name in {@link SHM_DIR} somebody else has taken.
 * @param mark letters and digits that nobody could foresee
 */
export function sparePoolPath(app: string, mark: string): string {
  return `${poolPath(app)}${SPARE}${mark}`;
}

/** The application whose pool a file name in {@link SHM_DIR} is, or undefined. */
export function appOfShmFile(fileName: string): string | undefined {
  if (!fileName.startsWith(SHM_PREFIX)) return undefined;
  return fileName.slice(SHM_PREFIX.length).replace(SPARE_MARK, "");
}

/** A file that has a pool's name. */
export interface NamedPool {
  app: string;
  path: string;
}

/**
 * Where there may be pools, by the names in {@link SHM_DIR} or in a pool directory. Those with an application's usual name
 * come first.
 */
export function poolsNamed(fileNames: readonly string[], poolDir?: string): NamedPool[] {
  if (poolDir === undefined) return poolsInShm(fileNames);
  return fileNames.filter(isAppName).map((app) => ({ app, path: poolPath(app, poolDir) }));
}

function poolsInShm(fileNames: readonly string[]): NamedPool[] {
  return fileNames
    .flatMap((name): NamedPool[] => {
      const app = appOfShmFile(name);
      return app !== undefined && isAppName(app) ? [{ app, path: `${SHM_DIR}/${name}` }] : [];
    })
    .sort((a, b) => a.path.length - b.path.length || (a.path < b.path ? -1 : 1));
}

/**
 * A second name of a pool, given to the prototype's Python clients: their resource tracker unlinks,
 * when they exit, whatever name they opened.
 */
export function shmLinkName(app: string): string {
  return `${LINK_PREFIX}${app}`;
}

/** The agent's socket: MICROVIEW_SOCKET, else below XDG_RUNTIME_DIR for a user, else in /run. */
export function defaultSocketPath(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string {
  const { MICROVIEW_SOCKET: given, XDG_RUNTIME_DIR: runtimeDir } = env;
  if (given) return given;
  if (uid !== 0 && runtimeDir) return `${runtimeDir}/microview/agent.sock`;
  return "/run/microview/agent.sock";
}

/** Where a service of ours keeps what has to outlive it: in systemd's, root's or the user's directory of state. */
export function defaultStateDir(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string {
  const { STATE_DIRECTORY: given, XDG_STATE_HOME: state, HOME: home } = env;
  if (given) return given.split(":")[0]!;
  if (uid === 0 || (!state && !home)) return "/var/lib/microview";
  return `${state || `${home}/.local/state`}/microview`;
}

/** Not {@link SHM_PREFIX}: "events.shop" may be an application's name. */
const RING_PREFIX = "microview-events.";
const RING_IN_SHM = /^microview-events\.(.+)\.[0-9a-f]{16}$/;
const RING_IN_FOLDER = /^events\.[0-9a-f]{16}$/;

/** The file of a ring of events: `/dev/shm/microview-events.<app>.<id>`, or `DIR/<app>/events.<id>`. */
export function ringPath(app: string, ringId: string, poolDir?: string): string {
  return poolDir === undefined
    ? `${SHM_DIR}/${RING_PREFIX}${app}.${ringId}`
    : `${poolDir}/${app}/events.${ringId}`;
}

/** The application whose ring a file name in {@link SHM_DIR} is, or undefined. */
export function appOfRingInShm(fileName: string): string | undefined {
  const app = RING_IN_SHM.exec(fileName)?.[1];
  return app !== undefined && isAppName(app) ? app : undefined;
}

/** Whether a file in an application's folder of a pool directory is a ring, by its name. */
export function isRingFile(fileName: string): boolean {
  return RING_IN_FOLDER.test(fileName);
}
