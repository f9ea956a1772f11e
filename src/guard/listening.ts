// Checks before a server starts whether it can listen where it was told to. Errors name the flag and the cause.

import { formatEndpoint } from "../calling/index.ts";
import { closeFd, SystemError, tcpListen } from "../ffi/index.ts";
import { SOCKET_PATH_BYTES_MAX } from "../layout/index.ts";

/** A server cannot listen where it was told to. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/**
 * @param hint what to do about it; names the server's flag
 * @throws ListenError for a path that is too long for a socket
 */
export function checkSocketPath(path: string, hint: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  throw new ListenError(
    `the path of the socket has ${bytes} bytes, and the system allows ${SOCKET_PATH_BYTES_MAX}: ${path}`,
    hint,
  );
}

/** The flags for host and port, as errors name them. */
interface ListenFlags {
  host: string;
  port: string;
}

/**
 * Tries to listen on a port; 0 stands for any.
 * @throws ListenError saying why that is not possible
 */
export function checkPort(host: string, port: number, flags: ListenFlags): void {
  try {
    closeFd(tcpListen(host, port));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw reasonOf(error, host, port, flags);
  }
}

function reasonOf(
  error: SystemError,
  host: string,
  port: number,
  { host: hostFlag, port: flag }: ListenFlags,
): ListenError {
  switch (error.code) {
    case "EHOSTUNREACH":
      return new ListenError(
        `${hostFlag} ${host}: there is no such host`,
        hostFlag === flag
          ? "give an address of this host and a port, e.g. 127.0.0.1:9464 or 0.0.0.0:9464"
          : "give an address of this host alone, e.g. 127.0.0.1 or 0.0.0.0; the port has a flag of its own",
      );
    case "EADDRNOTAVAIL":
      return new ListenError(
        `${hostFlag} ${host} is no address of this host`,
        "`ip address` lists them; 0.0.0.0 stands for all",
      );
    case "EADDRINUSE":
      return new ListenError(
        `cannot listen on ${formatEndpoint({ host, port })}: the address is already in use`,
        `stop what listens there (\`ss -ltnp\` shows it), or give another ${flag}`,
      );
    case "EACCES":
      return new ListenError(
        `cannot listen on ${formatEndpoint({ host, port })}: this user may not`,
        `give ${flag} a port from 1024 on, or the program CAP_NET_BIND_SERVICE`,
      );
    default:
      return new ListenError(
        error.message,
        hostFlag === flag ? `give another ${flag}` : `give another ${hostFlag} or ${flag}`,
      );
  }
}
