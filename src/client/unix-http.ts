// One request of HTTP/1.1 to a server behind a Unix socket, on a connection of its own (RFC 9112).
// Not fetch: that keeps a process from ending while it waits, and a service that is done must not wait for a hung agent.

import type { Socket, SocketHandler } from "bun";
import { NOT_AN_AGENT } from "./agent-unavailable.ts";

const HEAD_BYTES_MAX = 16 * 1024;
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const HEAD_END = "\r\n\r\n";

export interface UnixRequest {
  method: string;
  /** With its leading slash, encoded. */
  path: string;
  headers?: Readonly<Record<string, string>>;
  /** JSON. */
  body?: string;
  /** When to give up. */
  timeoutMs: number;
  /** For how long the process is kept from ending by this. */
  holdMs: number;
}

interface UnixResponse {
  status: number;
  body: string;
}

/**
 * Sends a request and waits for the answer; when the process has nothing else to do, no longer than `holdMs`.
 * @throws DOMException TimeoutError after `timeoutMs`; Error with the system's code when nobody listens, with
 *   "ConnectionClosed" when the server goes before it has answered, or for an answer that is none
 */
export async function requestUnix(socketPath: string, request: UnixRequest): Promise<UnixResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<UnixResponse>();
  // Who fails before there is a connection is told by the connection.
  promise.catch(() => {});
  const timeout = setTimeout(() => {
    reject(new DOMException("the agent does not answer", "TimeoutError"));
  }, request.timeoutMs);
  // Only the connection keeps the process, and only for so long.
  timeout.unref();
  let hold: Timer | undefined;
  let unsent = encode(request);
  const answer = new Answer();
  const send = (socket: Socket) => {
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
  };
  try {
    const socket = await connect(socketPath, {
      open: send,
      drain: send,
      data: (_, bytes) => {
        try {
          const response = answer.add(bytes);
          if (response !== undefined) resolve(response);
        } catch (error) {
          reject(error);
        }
      },
      error: (_, error) => reject(error),
      close: () => reject(closed()),
    });
    hold = setTimeout(() => socket.unref(), request.holdMs);
    try {
      return await promise;
    } finally {
      socket.terminate();
    }
  } finally {
    clearTimeout(timeout);
    clearTimeout(hold);
  }
}

async function connect(
  socketPath: string,
  socket: SocketHandler<undefined>,
): Promise<Socket<undefined>> {
  try {
    return await Bun.connect<undefined>({ unix: socketPath, socket });
  } catch (error) {
    const { code } = error as { code?: string };
    throw Object.assign(new Error(`cannot connect to ${socketPath}: ${code}`), { code });
  }
}

function encode({ method, path, headers = {}, body }: UnixRequest): Uint8Array {
  const lines = [`${method} ${path} HTTP/1.1`, "Host: localhost", "Connection: close"];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== undefined) {
    lines.push("Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`);
  }
  return Buffer.from(lines.join("\r\n") + HEAD_END + (body ?? ""));
}

/** An answer as it comes in, which has to say how long it is. */
class Answer {
  #parts: Buffer[] = [];
  #bytes = 0;
  #head: { status: number; bodyStart: number; end: number } | undefined;

  /** @returns the answer when it is whole. @throws Error for what is no answer, or too long */
  add(bytes: Buffer): UnixResponse | undefined {
    this.#parts.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    this.#head ??= this.#parseHead();
    if (this.#head === undefined || this.#bytes < this.#head.end) return undefined;
    const { status, bodyStart, end } = this.#head;
    return { status, body: Buffer.concat(this.#parts).toString("utf8", bodyStart, end) };
  }

  #parseHead() {
    const received = Buffer.concat(this.#parts);
    this.#parts = [received];
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd < 0 && received.length < HEAD_BYTES_MAX) return undefined;
    const head = received.toString("latin1", 0, Math.max(0, headEnd));
    const status = head.match(/^HTTP\/1\.1 (\d{3}) /)?.[1];
    const length = head.match(/\r\nContent-Length: *(\d+) *(?:\r\n|$)/i)?.[1];
    if (status === undefined || length === undefined || Number(length) > BODY_BYTES_MAX) {
      throw notAnAgent();
    }
    const bodyStart = headEnd + HEAD_END.length;
    return { status: Number(status), bodyStart, end: bodyStart + Number(length) };
  }
}

function closed(): Error {
  const error = new Error("the agent has closed the connection before it answered");
  return Object.assign(error, { code: "ConnectionClosed" });
}

function notAnAgent(): Error {
  const error = new Error("what listens on the agent's socket does not answer as an agent does");
  return Object.assign(error, { code: NOT_AN_AGENT });
}
