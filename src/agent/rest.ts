// The listeners of the REST interface: this host's Unix socket, and TCP with or without TLS.

import { lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { shareSocket } from "../ffi/index.ts";
import {
  addressed,
  CallError,
  type Grant,
  LIVENESS_PATH,
  LOCAL,
  NOBODY,
  pathOf,
  serverTls,
  type TlsIdentity,
  TooManyError,
  withGrant,
} from "../guard/index.ts";
import type { Problem } from "../layout/index.ts";
import type { SocketData } from "./rdma/routes.ts";
import type { createRoutes } from "./routes.ts";

/** How long requests that were taken on may take while the agent stops. */
const DRAIN_TIMEOUT_MS = 1000;

/** A connection that has been silent for this long is closed. */
const IDLE_TIMEOUT_S = 30;

/** The answer when the fault is ours. */
const INTERNAL = new CallError("internal", "the agent failed to answer", "its log says why", 500);

type Listener = Bun.Server<SocketData>;

/** What takes note of something, from `refused` to `answered`, never throws: the answer stays as it is. */
interface RestOptions {
  socketPath: string;
  /** Group of the socket. */
  gid?: number;
  host: string;
  /** 0 takes any free port. */
  port: number;
  tls?: TlsIdentity;
  routes: ReturnType<typeof createRoutes>;
  websocket: Bun.WebSocketHandler<SocketData>;
  /** Says what a request over TCP may see. @throws AgentError when it is to be refused */
  check(request: Request, peer: string): Grant;
  /** A request was refused before it came to a route. */
  refused(error: CallError, request: Request, grant: Grant, peer: string): void;
  /** A request could not be answered, by a fault of ours. */
  failed(error: unknown): void;
  answered(status: number): void;
  /** The socket was removed, and was made again. */
  socketMade(): void;
  /** What keeps the agent from its work. */
  problems(): readonly Problem[];
}

export class RestServer {
  readonly #options: RestOptions;
  readonly port: number;
  #unix: Listener;
  /** Of the socket that this has made. */
  #inode = 0;
  #tcp: Listener;
  #hasPort = true;
  /** Whose certificate was replaced; they end with what was under way. */
  readonly #replaced = new Set<Listener>();
  /** Where requests came in that may become a WebSocket, and those that have. */
  readonly #listeners = new WeakMap<Request, { listener: Listener; given: Request }>();
  readonly #upgraded = new WeakSet<Request>();

  /** @throws Error when an address cannot be listened on */
  constructor(options: RestOptions) {
    this.#options = options;
    this.#unix = this.#listenUnix();
    try {
      this.#tcp = this.#listen(options.port, options.tls);
      this.port = this.#tcp.port!;
    } catch (error) {
      void this.#unix.stop(true);
      throw error;
    }
  }

  /**
   * Shows another certificate to those who connect from now on. Bun takes no other one for a listener that stands, so
   * it is replaced: requests under way end as they would, and WebSockets stay.
   * @throws Error when nothing listens now, because the port could not be taken again; it may be called again
   */
  renewTls(tls: TlsIdentity): void {
    const before = this.#tcp;
    this.#replaced.add(before);
    void before.stop().finally(() => this.#replaced.delete(before));
    this.#hasPort = false;
    this.#tcp = this.#listen(this.port, tls);
    this.#hasPort = true;
  }

  /** What is wrong with the socket; one that somebody has removed is made again. */
  lookAtSocket(): Problem | undefined {
    const { socketPath } = this.#options;
    const inode = inodeAt(socketPath);
    if (inode === this.#inode) return undefined;
    if (inode !== undefined) {
      return {
        message: `something else has taken the place of the agent's socket ${socketPath}`,
        hint: "remove that: the agent makes its socket again; services that are attached go on meanwhile",
      };
    }
    const before = this.#unix;
    this.#replaced.add(before);
    // First, for it removes what is under its name.
    void before.stop().finally(() => this.#replaced.delete(before));
    try {
      mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
      this.#unix = this.#listenUnix();
      this.#options.socketMade();
      return undefined;
    } catch (error) {
      return {
        message: `the agent's socket ${socketPath} was removed and cannot be made again: ${(error as Error).message}`,
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
  upgrade(request: Request, data: SocketData): boolean {
    const { listener, given } = this.#listeners.get(request) ?? {};
    const done = given !== undefined && listener?.upgrade(given, { data }) === true;
    if (done) this.#upgraded.add(request);
    return done;
  }

  /** Answers what was taken on, for a moment, then closes everything. */
  async stop(): Promise<void> {
    const all = [this.#unix, this.#tcp, ...this.#replaced];
    let timer: Timer | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DRAIN_TIMEOUT_MS);
    });
    await Promise.race([Promise.all(all.map((listener) => listener.stop())), timeout]);
    clearTimeout(timer);
    for (const listener of all) void listener.stop(true);
  }

  #listenUnix(): Listener {
    const { socketPath, gid } = this.#options;
    // Nobody else connects before the socket has its group: it is made for this user alone.
    const umask = process.umask(0o177);
    let listener: Listener;
    try {
      listener = Bun.serve({
        unix: socketPath,
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
      this.#inode = shareSocket(socketPath, 0o660, gid);
      return listener;
    } catch (error) {
      void listener.stop(true);
      throw error;
    }
  }

  #listen(port: number, tls: TlsIdentity | undefined): Listener {
    return Bun.serve({
      hostname: this.#options.host,
      port,
      // Bun shares ports unless told otherwise: two agents would answer in turns.
      reusePort: false,
      idleTimeout: IDLE_TIMEOUT_S,
      ...(tls === undefined ? {} : { tls: serverTls(tls) }),
      ...this.#common(
        (request, peer) => this.#options.check(request, peer),
        (request, server) => server.requestIP(request)?.address ?? "",
      ),
    });
  }

  #common(
    check: (request: Request, peer: string) => Grant,
    peerOf: (request: Request, server: Listener) => string,
  ) {
    const { websocket, answered, failed } = this.#options;
    return {
      // The limit is our own, so that exceeding it is answered like every other refusal.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      websocket,
      fetch: async (request: Request, server: Listener) => {
        const peer = peerOf(request, server);
        const response = await this.#answer(request, server, peer, check);
        answered(response?.status ?? 101);
        return response;
      },
      // Bun would write the error to stderr, with its stack and the source around it.
      error: (error: unknown) => {
        failed(error);
        return errorResponse(INTERNAL);
      },
    };
  }

  /**
   * Answers a request that may be answered, and refuses any other before it is read.
   * @returns undefined when it has become a WebSocket
   */
  async #answer(
    given: Request,
    server: Listener,
    peer: string,
    check: (request: Request, peer: string) => Grant,
  ): Promise<Response | undefined> {
    const { routes, refused, failed } = this.#options;
    let grant = NOBODY;
    try {
      const request = addressed(given);
      if (isLivenessProbe(request)) return livenessOf(this.#options.problems());
      grant = check(request, peer);
      this.#listeners.set(request, { listener: server, given });
      const response = await routes.handle(withGrant(request, grant, peer));
      return this.#upgraded.has(request) ? undefined : response;
    } catch (error) {
      if (error instanceof CallError) {
        refused(error, given, grant, peer);
        return errorResponse(error);
      }
      failed(error);
      return errorResponse(INTERNAL);
    }
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

/** An error as the caller gets it. */
function errorResponse(error: CallError): Response {
  const { status, code, message, hint } = error;
  const headers =
    error instanceof TooManyError ? { "retry-after": String(error.retryAfterS) } : undefined;
  return Response.json({ code, message, hint }, { status, ...(headers && { headers }) });
}
