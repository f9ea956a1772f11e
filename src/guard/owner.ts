// How a server's own user, and root, prove on the Unix socket that they are not just any service: by a secret in a file
// beside the socket, which nobody else can read. Who shows it may administer.

import { timingSafeEqual } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { type Grant, LOCAL, OWNER } from "./grants.ts";

const SECRET = /^[0-9a-f]{64}$/;
const SCHEME = "Bearer ";

/** The file of a socket's server. */
export function ownerFile(socketPath: string): string {
  return `${socketPath}.owner`;
}

export class OwnerSecret {
  readonly #path: string;
  readonly #secret: Buffer;

  private constructor(path: string, secret: string) {
    this.#path = path;
    this.#secret = Buffer.from(secret);
  }

  /** @throws Error when the file cannot be written */
  static make(socketPath: string): OwnerSecret {
    const path = ownerFile(socketPath);
    const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
    // Not at its name: whatever stands there is replaced as a whole, and never written into.
    const fresh = `${path}.${process.pid}`;
    rmSync(fresh, { force: true });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = openSync(fresh, flags, 0o600);
    try {
      writeSync(fd, secret);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, path);
    return new OwnerSecret(path, secret);
  }

  /** The grant of a request on the socket. */
  grantOf(request: Request): Grant {
    const shown = request.headers.get("authorization");
    if (shown === null || !shown.startsWith(SCHEME)) return LOCAL;
    const secret = Buffer.from(shown.slice(SCHEME.length));
    const isRight = secret.length === this.#secret.length && timingSafeEqual(secret, this.#secret);
    return isRight ? OWNER : LOCAL;
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

/**
 * The secret of a socket's server, for its own user and root; undefined where there is none that this user may read.
 * What is no secret is not read: the maker of a socket may have put anything beside it.
 */
export function readOwnerSecret(socketPath: string): string | undefined {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = openSync(ownerFile(socketPath), flags);
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(64);
      if (size !== bytes.length || readSync(fd, bytes, 0, bytes.length, 0) < bytes.length)
        return undefined;
      const secret = bytes.toString("latin1");
      return SECRET.test(secret) ? secret : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
