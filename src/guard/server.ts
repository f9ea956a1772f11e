// The HTTP server of all our programs: on TCP, with or without TLS, and optionally on a Unix socket. A request is only
// answered after the guard has let it in.

import { lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { formatEndpoint } from "../calling/index.ts";
import { shareSocket } from "../ffi/index.ts";
import type { Problem } from "../rest/index.ts";
import { type ConnectionLimits, Connections } from "./connections.ts";
import { CallError, responseOf } from "./errors.ts";
import { type Grant, LOCAL, NOBODY, withGrant } from "./grants.ts";
import type { Guard } from "./guard.ts";
import { userOfPeer } from "./peer-user.ts";
import { limited } from "./request-body.ts";
import { addressed, LIVENESS_PATH, pathOf } from "./request-target.ts";
import type { Routes } from "./routes.ts";
import { checkTls, serverTls, type TlsIdentity } from "./tls.ts";

/** How often a server that keeps house by itself does so. */
const HOUSEKEEPING_MS = 1000;
/** How long requests that are under way may take while the server stops. */
const DRAIN_TIMEOUT_MS = 1000;

/** Connections are closed after this long without traffic. */
const IDLE_TIMEOUT_S = 30;

const CALLED = { server: "the server", port: "the port" };

/** For servers without WebSockets. */
const NO_SOCKETS: Bun.WebSocketHandler<unknown> = { message() {} };

type Listener = Bun.Server<unknown>;

interface ServeOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  tls?: TlsIdentity;
  /** A Unix socket. Its permissions decide who may call. */
  socket?: {
    path: string;
    /** The socket's group. */
    gid?: number;
    /** Called when the socket was removed and has been made again. */
    made(): void;
    /** Who a caller is; any service unless given. */
    grantOf?: (request: Request) => Grant;
    /** What still works while the socket cannot be reached, e.g. `services that are attached go on`. */
    meanwhile: string;
  };
  /** The names of the server and its port in problems, e.g. `the agent` and `the REST port`. */
  called?: { server: string; port: string };
  limits: ConnectionLimits;
  /** Longer bodies are refused, of all routes or of each. Undefined: `answer` limits bodies itself. */
  maxBodyBytes?: number | ((request: Request) => number);
  /**
   * A request that matches none of these is refused before its token is checked. A caller without the route's scope is
   * refused before `answer` is called. Undefined: `answer` does its own routing and calls {@link Routes.authorize}.
   */
  routes?: Routes;
  /** Answers a request that the guard has let in. `grantOf(request)` says who the caller is. */
  answer(request: Request): Response | Promise<Response>;
  websocket?: Bun.WebSocketHandler<unknown>;
  /** The answer to a request that failed through a fault of ours. */
  failure: CallError;
  /** Called with the status of each answer. */
  answered?(status: number): void;
  /** What keeps the program from working; `/healthz` shows it. */
  problems?(): readonly Problem[];
}

/**
 * Serves until it is stopped. Every caller may ask for `/healthz`.
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
  /** The inode of the socket that this server has made. */
  #inode = 0;
  #tcp: Listener;
  #hasPort = true;
  #housekeeping: Timer | undefined;
  /** Listeners whose certificate was replaced. They end after their last request. */
  readonly #replaced = new Set<Listener>();
  /** The listener of each request, needed to upgrade it to a WebSocket; and the requests that were upgraded. */
  readonly #listeners = new WeakMap<Request, { listener: Listener; given: Request }>();
  readonly #upgraded = new WeakSet<Request>();
  /** Undefined without TLS, and after a renewal that failed half-way. */
  #shownTls: TlsIdentity | undefined;

  /** @throws Error if it cannot listen on an address, TlsError for a certificate that cannot be used */
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

  /** Where it is called: scheme, host and port. */
  get url(): string {
    const { host, tls } = this.#options;
    return `${tls === undefined ? "http" : "https"}://${formatEndpoint({ host, port: this.port })}`;
  }

  /** Looks after limits and connections each second until it stops, for programs that have no round of their own. */
  keepHouse(): void {
    this.#housekeeping = setInterval(() => {
      this.#guard.look();
      this.sweep();
    }, HOUSEKEEPING_MS);
    this.#housekeeping.unref();
  }

  /**
   * Uses another certificate for new connections. Bun cannot change the certificate of a listener, so the listener is
   * replaced. Requests under way are completed, and WebSockets stay open.
   * @throws TlsError for a certificate that cannot be used; Error if the port could not be taken again. Nothing listens
   *   then, and this may be called again
   */
  renewTls(tls: TlsIdentity): void {
    const certificate = checkTls(tls, this.#guard.flags);
    // Replacing the listener cuts handshakes, so the same certificate is ignored.
    if (Bun.deepEquals(tls, this.#shownTls)) return;
    this.#shownTls = undefined;
    this.#replace(this.#tcp);
    this.#hasPort = false;
    this.#tcp = this.#listen(this.port, tls);
    this.#hasPort = true;
    this.#shownTls = tls;
    this.#guard.certify(certificate);
  }

  /** Ends connections beyond the limits. Call it at intervals. */
  sweep(): void {
    this.#connections.sweep(this.port, this.#options.socket?.path);
  }

  /** What is wrong with the socket. If somebody has removed it, it is made again. */
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
    // Stop the old listener first: stopping removes the file at its path.
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

  /** The user of this host that has sent a request over loopback; undefined when that cannot be known. */
  userOf(request: Request): number | undefined {
    const { listener, given } = this.#listeners.get(request) ?? {};
    const peer = given === undefined ? null : listener!.requestIP(given);
    return peer === null ? undefined : userOfPeer(peer, this.port);
  }

  /** Turns a request into a WebSocket. @returns false when it cannot be one */
  upgrade(request: Request, data: unknown): boolean {
    const { listener, given } = this.#listeners.get(request) ?? {};
    const done = given !== undefined && listener?.upgrade(given, { data }) === true;
    if (done) this.#upgraded.add(request);
    return done;
  }

  /** Completes requests that are under way, for a second or `withinMs` if that is less, then closes everything. */
  async stop(withinMs = DRAIN_TIMEOUT_MS): Promise<void> {
    clearInterval(this.#housekeeping);
    const all = [this.#tcp, ...this.#replaced, ...(this.#unix === undefined ? [] : [this.#unix])];
    let timer: Timer | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(withinMs, DRAIN_TIMEOUT_MS));
    });
    await Promise.race([Promise.all(all.map((listener) => listener.stop())), timeout]);
    clearTimeout(timer);
    for (const listener of all) void listener.stop(true);
  }

  /** Stops a listener that another one replaces. It still completes its requests. */
  #replace(before: Listener | undefined): void {
    if (before === undefined) return;
    this.#replaced.add(before);
    void before.stop().finally(() => this.#replaced.delete(before));
  }

  #listenUnix({ path, gid, grantOf = () => LOCAL }: NonNullable<ServeOptions["socket"]>): Listener {
    // Only this user can connect until the socket has its group and mode.
    const umask = process.umask(0o177);
    let listener: Listener;
    try {
      listener = Bun.serve({
        unix: path,
        ...this.#common(grantOf, () => ""),
      });
    } finally {
      process.umask(umask);
    }
    try {
      // The directory's permissions and the group decide who may connect.
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
      // By default Bun shares ports, and two programs would answer in turns.
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
      // Bun would refuse longer bodies itself, and the audit would not show it. `limited` does it instead.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false as const,
      websocket,
      fetch: async (request: Request, listener: Listener) => {
        const peer = addressOf(request, listener);
        const response = await this.#answer(request, listener, peer, admit);
        quietly(() => answered?.(response?.status ?? 101));
        return response;
      },
      // Otherwise Bun writes the error to stderr, with its stack and source code.
      error: (error: unknown) => this.#failed(error),
    };
  }

  /**
   * Answers a request, or refuses it before its body is read.
   * @returns undefined if it was upgraded to a WebSocket
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
        const bytes = typeof maxBodyBytes === "function" ? maxBodyBytes(request) : maxBodyBytes;
        request = withGrant(limited(request, bytes), grant, peer);
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
   * The answer to a request whose route has thrown. A refusal is recorded and sent to the caller. Any other error goes
   * to the log, and the caller only learns that the request failed. Call this from the error hook of a framework.
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

/** Records something. The answer must not depend on it, so errors are ignored. */
function quietly(note: () => void): void {
  try {
    note();
  } catch {
    // It is not recorded.
  }
}

/** The inode at a path, without following links; undefined if there is none. */
function inodeAt(path: string): number | undefined {
  try {
    return lstatSync(path).ino;
  } catch {
    return undefined;
  }
}

/** The answer reveals nothing, so it needs no token and is never refused. */
function isLivenessProbe(request: Request): boolean {
  const { method } = request;
  return (method === "GET" || method === "HEAD") && pathOf(request) === LIVENESS_PATH;
}

function livenessOf(problems: readonly Problem[]): Response {
  if (problems.length === 0) return new Response("ok\n");
  return new Response(problems.map(({ message }) => `${message}\n`).join(""), { status: 503 });
}
