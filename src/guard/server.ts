// The HTTP server of every program of ours: on TCP with or without TLS, and on this host's Unix socket where it is asked
// to. Nothing comes to what answers that a guard has not let in.

import { lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Scope } from "../calling/index.ts";
import { shareSocket } from "../ffi/index.ts";
import type { Problem } from "../rest/index.ts";
import { checkScope } from "./check-scope.ts";
import { type ConnectionLimits, Connections } from "./connections.ts";
import { CallError, responseOf } from "./errors.ts";
import { type Grant, LOCAL, NOBODY, withGrant } from "./grants.ts";
import type { Guard } from "./guard.ts";
import type { KnownPaths } from "./methods.ts";
import { addressed, LIVENESS_PATH, pathOf } from "./request-target.ts";
import { serverTls, type TlsIdentity } from "./tls.ts";

/** How long requests that were taken on may take while the server stops. */
const DRAIN_TIMEOUT_MS = 1000;

/** A connection that has been silent for this long is closed. */
const IDLE_TIMEOUT_S = 30;

/** Of a server that turns no request into a WebSocket. */
const NO_SOCKETS: Bun.WebSocketHandler<unknown> = { message() {} };

type Listener = Bun.Server<unknown>;

interface ServeOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  tls?: TlsIdentity;
  /** This host's, whose permissions are the right to call. */
  socket?: {
    path: string;
    /** Its group. */
    gid?: number;
    /** It was removed, and was made again. */
    made(): void;
  };
  limits: ConnectionLimits;
  /** Of a request, beyond which it is refused before anything looks at it. */
  maxBodyBytes: number;
  /** What there is, looked at before anybody is asked who he is; undefined where what answers knows. */
  paths?: KnownPaths;
  /** What callers have to be allowed; undefined where what answers looks at that. */
  scope?: Scope;
  /** Answers a request that was let in; `grantOf` tells as whose. */
  answer(request: Request): Response | Promise<Response>;
  websocket?: Bun.WebSocketHandler<unknown>;
  /** The answer when the fault is ours. */
  failure: CallError;
  /** Told of each answer's status. */
  answered?(status: number): void;
  /** What keeps the program from its work. */
  problems?(): readonly Problem[];
}

/**
 * Serves until it is stopped. `/healthz` is answered to everybody.
 * @throws Error when an address cannot be listened on
 */
export function serve(guard: Guard, options: ServeOptions): GuardedServer {
  return new GuardedServer(guard, options);
}

export class GuardedServer {
  readonly port: number;
  readonly #guard: Guard;
  readonly #options: ServeOptions;
  readonly #connections: Connections;
  #unix: Listener | undefined;
  /** Of the socket that this has made. */
  #inode = 0;
  #tcp: Listener;
  #hasPort = true;
  /** Whose certificate was replaced; they end with what was under way. */
  readonly #replaced = new Set<Listener>();
  /** Where requests came in that may become a WebSocket, and those that have. */
  readonly #listeners = new WeakMap<Request, { listener: Listener; given: Request }>();
  readonly #upgraded = new WeakSet<Request>();

  constructor(guard: Guard, options: ServeOptions) {
    this.#guard = guard;
    this.#options = options;
    this.#connections = new Connections(options.limits, (peer) => guard.refusals.ended(peer));
    this.#unix = options.socket && this.#listenUnix(options.socket);
    try {
      this.#tcp = this.#listen(options.port, options.tls);
      this.port = this.#tcp.port!;
    } catch (error) {
      void this.#unix?.stop(true);
      throw error;
    }
  }

  /**
   * Shows another certificate to those who connect from now on. Bun takes no other one for a listener that stands, so
   * it is replaced: requests under way end as they would, and WebSockets stay.
   * @throws Error when nothing listens now, because the port could not be taken again; it may be called again
   */
  renewTls(tls: TlsIdentity): void {
    this.#replace(this.#tcp);
    this.#hasPort = false;
    this.#tcp = this.#listen(this.port, tls);
    this.#hasPort = true;
  }

  /** Ends connections that are too many. To be called now and then. */
  sweep(): void {
    this.#connections.sweep(this.port, this.#options.socket?.path);
  }

  /** What is wrong with the socket; one that somebody has removed is made again. */
  lookAtSocket(): Problem | undefined {
    const { socket } = this.#options;
    if (socket === undefined) return undefined;
    const { path } = socket;
    const inode = inodeAt(path);
    if (inode === this.#inode) return undefined;
    if (inode !== undefined) {
      return {
        message: `something else has taken the place of the agent's socket ${path}`,
        hint: "remove that: the agent makes its socket again; services that are attached go on meanwhile",
      };
    }
    // First, for it removes what is under its name.
    this.#replace(this.#unix);
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      this.#unix = this.#listenUnix(socket);
      socket.made();
      return undefined;
    } catch (error) {
      return {
        message: `the agent's socket ${path} was removed and cannot be made again: ${(error as Error).message}`,
        hint: "let the agent's user write to its folder; services that are attached go on meanwhile",
      };
    }
  }

  /** What is wrong with the port. */
  lookAtPort(): Problem | undefined {
    if (this.#hasPort) return undefined;
    return {
      message: `the REST port ${this.port} could not be taken again with another certificate`,
      hint: "see who listens there: `ss -ltnp`",
    };
  }

  /** Turns a request into a WebSocket. @returns false when it cannot be one */
  upgrade(request: Request, data: unknown): boolean {
    const { listener, given } = this.#listeners.get(request) ?? {};
    const done = given !== undefined && listener?.upgrade(given, { data }) === true;
    if (done) this.#upgraded.add(request);
    return done;
  }

  /** Answers what was taken on, for a moment and at most for so long, then closes everything. */
  async stop(withinMs = DRAIN_TIMEOUT_MS): Promise<void> {
    const all = [this.#tcp, ...this.#replaced, ...(this.#unix === undefined ? [] : [this.#unix])];
    let timer: Timer | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(withinMs, DRAIN_TIMEOUT_MS));
    });
    await Promise.race([Promise.all(all.map((listener) => listener.stop())), timeout]);
    clearTimeout(timer);
    for (const listener of all) void listener.stop(true);
  }

  /** Another listener takes the place of one, which goes on with what it has taken on. */
  #replace(before: Listener | undefined): void {
    if (before === undefined) return;
    this.#replaced.add(before);
    void before.stop().finally(() => this.#replaced.delete(before));
  }

  #listenUnix({ path, gid }: NonNullable<ServeOptions["socket"]>): Listener {
    // Nobody else connects before the socket has its group: it is made for this user alone.
    const umask = process.umask(0o177);
    let listener: Listener;
    try {
      listener = Bun.serve({
        unix: path,
        ...this.#common(
          () => LOCAL,
          () => "",
        ),
      });
    } finally {
      process.umask(umask);
    }
    try {
      // The directory's permissions and the group decide who may attach.
      this.#inode = shareSocket(path, 0o660, gid);
      return listener;
    } catch (error) {
      void listener.stop(true);
      throw error;
    }
  }

  #listen(port: number, tls: TlsIdentity | undefined): Listener {
    const { admission } = this.#guard.refusals;
    return Bun.serve({
      hostname: this.#options.host,
      port,
      // Bun shares ports unless told otherwise: two programs would answer in turns.
      reusePort: false,
      idleTimeout: IDLE_TIMEOUT_S,
      ...(tls === undefined ? {} : { tls: serverTls(tls) }),
      ...this.#common(
        (request, peer) => admission.admit(request, peer),
        (request, listener) => listener.requestIP(request)?.address ?? "",
      ),
    });
  }

  #common(
    admit: (request: Request, peer: string) => Grant,
    addressOf: (request: Request, listener: Listener) => string,
  ) {
    const { websocket = NO_SOCKETS, maxBodyBytes, answered } = this.#options;
    return {
      maxRequestBodySize: maxBodyBytes,
      development: false as const,
      websocket,
      fetch: async (request: Request, listener: Listener) => {
        const peer = addressOf(request, listener);
        const response = await this.#answer(request, listener, peer, admit);
        quietly(() => answered?.(response?.status ?? 101));
        return response;
      },
      // Bun would write the error to stderr, with its stack and the source around it.
      error: (error: unknown) => this.#failed(error),
    };
  }

  /**
   * Answers a request that may be answered, and refuses any other before it is read.
   * @returns undefined when it has become a WebSocket
   */
  async #answer(
    given: Request,
    listener: Listener,
    peer: string,
    admit: (request: Request, peer: string) => Grant,
  ): Promise<Response | undefined> {
    const { paths, scope, answer, problems } = this.#options;
    let grant = NOBODY;
    try {
      const request = addressed(given);
      if (paths?.has(request) === false) return responseOf(paths.refusalOf(request));
      if (isLivenessProbe(request)) return livenessOf(problems?.() ?? []);
      grant = admit(request, peer);
      if (scope !== undefined) checkScope(grant, scope);
      this.#listeners.set(request, { listener, given });
      const response = await answer(withGrant(request, grant, peer));
      return this.#upgraded.has(request) ? undefined : response;
    } catch (error) {
      if (!(error instanceof CallError)) return this.#failed(error);
      quietly(() => this.#guard.refusals.atTheDoor(error, given, grant, peer));
      return responseOf(error);
    }
  }

  #failed(error: unknown): Response {
    quietly(() => this.#guard.refusals.failed(error));
    return responseOf(this.#options.failure);
  }
}

/** What is noted of an answer changes none: where that fails, nobody is left to tell. */
function quietly(note: () => void): void {
  try {
    note();
  } catch {
    // It is not noted.
  }
}

/** What a path leads to, whatever it is; undefined when it leads nowhere. */
function inodeAt(path: string): number | undefined {
  try {
    return lstatSync(path).ino;
  } catch {
    return undefined;
  }
}

/** It reveals nothing, so a health check needs no token and leaves no line about a refusal. */
function isLivenessProbe(request: Request): boolean {
  const { method } = request;
  return (method === "GET" || method === "HEAD") && pathOf(request) === LIVENESS_PATH;
}

function livenessOf(problems: readonly Problem[]): Response {
  if (problems.length === 0) return new Response("ok\n");
  return new Response(problems.map(({ message }) => `${message}\n`).join(""), { status: 503 });
}
