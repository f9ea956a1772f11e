// Where things lie on a host by default. Pure naming: nothing here touches a file.

import { checkAppName } from "./metric.ts";

/** Where pools live unless `--pool-dir` says otherwise. */
export const SHM_DIR = "/dev/shm";
const SHM_PREFIX = "microview.";
const LINK_PREFIX = "microview-link.";

/** Bytes that a Unix socket's path may have: sun_path of unix(7), without the zero at its end. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Ports of an agent unless told otherwise: REST, and the binary read protocol beside it. */
export const DEFAULT_PORT = 7070;
export const DEFAULT_DATA_PORT = 7071;

/**
 * The file of an application's pool: `/dev/shm/microview.<app>`, or `DIR/<app>/pool` below a pool directory,
 * so that a container can be given just its application's folder.
 * @throws DefinitionError when the name cannot be an application's
 */
export function poolPath(app: string, poolDir?: string): string {
  checkAppName(app);
  return poolDir === undefined ? `${SHM_DIR}/${SHM_PREFIX}${app}` : `${poolDir}/${app}/pool`;
}

/** The application whose pool a file name in {@link SHM_DIR} is, or undefined. */
export function appOfShmFile(fileName: string): string | undefined {
  return fileName.startsWith(SHM_PREFIX) ? fileName.slice(SHM_PREFIX.length) : undefined;
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
