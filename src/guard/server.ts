// The HTTP server of every program of ours: on TCP with or without TLS, and on this host's Unix socket where it is asked
// to. Nothing comes to what answers that a guard has not let in.

import { lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { shareSocket } from "../ffi/index.ts";
import type { Problem } from "../rest/index.ts";
import { type ConnectionLimits, Connections } from "./connections.ts";
import { CallError, responseOf } from "./errors.ts";
import { type Grant, LOCAL, NOBODY, withGrant } from "./grants.ts";
import type { Guard } from "./guard.ts";
import { limited } from "./request-body.ts";
import { addressed, LIVENESS_PATH, pathOf } from "./request-target.ts";
import type { Routes } from "./routes.ts";
import { checkTls, serverTls, type TlsIdentity } from "./tls.ts";

/** How long requests that were taken on may take while the server stops. */
const DRAIN_TIMEOUT_MS = 1000;

/** A connection that has been silent for this long is closed. */
const IDLE_TIMEOUT_S = 30;

const CALLED = { server: "the server", port: "the port" };

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
    /** What goes on while it cannot be reached, e.g. `services that are attached go on`. */
    meanwhile: string;
  };
  /** What problems call the server and its port, e.g. `the agent` and `the REST port`. */
  called?: { server: string; port: string };
  limits: ConnectionLimits;
  /** Of a body: a longer one is refused, and not read on. Undefined where what answers limits bodies itself. */
  maxBodyBytes?: number;
  /**
   * What there is: a request that leads nowhere is refused before its token is looked at, and a caller without the
   * route's scope before it is answered. Undefined where what answers finds routes itself, and calls
   * {@link Routes.authorize} for each.
   */
  routes?: Routes;
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
  /** Undefined without TLS, and where a renewal has failed half-way. */
  #shownTls: TlsIdentity | undefined;

  /** @throws Error when an address cannot be listened on, TlsError for a certificate that cannot be used */
  constructor(guard: Guard, options: ServeOptions) {
    this.#guard = guard;
    this.#options = options;
    this.#connections = new Connections(options.limits, (peer) => guard.refusals.ended(peer));
    this.#shownTls = options.tls;
    if (options.tls !== undefined) guard.certify(checkTls(options.tls, guard.flags));
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
   * @throws TlsError for one that cannot be used; Error when nothing listens now, because the port could not be taken
   *   again: then it may be called again
   */
  renewTls(tls: TlsIdentity): void {
    const certificate = checkTls(tls, this.#guard.flags);
    // The same one again is no reason to cut handshakes.
    if (Bun.deepEquals(tls, this.#shownTls)) return;
    this.#shownTls = undefined;
    this.#replace(this.#tcp);
    this.#hasPort = false;
    this.#tcp = this.#listen(this.port, tls);
    this.#hasPort = true;
    this.#shownTls = tls;
    this.#guard.certify(certificate);
  }

  /** Ends connections that are too many. To be called now and then. */
  sweep(): void {
    this.#connections.sweep(this.port, this.#options.socket?.path);
  }

  /** What is wrong with the socket; one that somebody has removed is made again. */
  lookAtSocket(): Problem | undefined {
    const { socket, called = CALLED } = this.#options;
    if (socket === undefined) return undefined;
    const { path, meanwhile } = socket;
    const { server } = called;
    const inode = inodeAt(path);
    if (inode === this.#inode) return undefined;
    if (inode !== undefined) {
      return {
        message: `something else has taken the place of ${server}'s socket ${path}`,
        hint: `remove that: ${server} makes its socket again; ${meanwhile} meanwhile`,
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
        message: `${server}'s socket ${path} was removed and cannot be made again: ${(error as Error).message}`,
        hint: `let ${server}'s user write to its folder; ${meanwhile} meanwhile`,
      };
    }
  }

  /** What is wrong with the port. */
  lookAtPort(): Problem | undefined {
    if (this.#hasPort) return undefined;
    const { port } = this.#options.called ?? CALLED;
    return {
      message: `${port} ${this.port} could not be taken again with another certificate`,
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
    const { websocket = NO_SOCKETS, answered } = this.#options;
    return {
      // Bun would answer a longer one by itself, without a line in the audit. The limit is ours.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
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
    const { routes, maxBodyBytes, answer, problems } = this.#options;
    let request: Request | undefined;
    try {
      const asked = addressed(given);
      if (routes?.has(asked) === false) return responseOf(routes.refusalOf(asked));
      if (isLivenessProbe(asked)) return livenessOf(problems?.() ?? []);
      const grant = admit(asked, peer);
      request = withGrant(asked, grant, peer);
      routes?.authorizeByPath(request);
      if (maxBodyBytes !== undefined) {
        request = withGrant(limited(request, maxBodyBytes), grant, peer);
      }
      this.#listeners.set(request, { listener, given });
      const response = await answer(request);
      return this.#upgraded.has(request) ? undefined : response;
    } catch (error) {
      if (request !== undefined) return this.answerTo(error, request);
      if (!(error instanceof CallError)) return this.#failed(error);
      quietly(() => this.#guard.refusals.atTheDoor(error, given, NOBODY, peer));
      return responseOf(error);
    }
  }

  /**
   * The answer to a request that was let in and whose route has thrown: a refusal is noted and told. Of anything else the
   * log is told, and the caller learns that it failed. For frameworks that answer for errors themselves.
   */
  answerTo(error: unknown, request: Request): Response {
    if (!(error instanceof CallError)) return this.#failed(error);
    quietly(() => this.#guard.refusals.byRoute(error, request));
    return responseOf(error);
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
