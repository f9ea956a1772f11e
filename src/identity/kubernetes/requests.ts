// Requests to the API server: bounded in time and size, with the token of the moment, over TLS that is checked.

import { failureOf, proxyOption } from "../../http/index.ts";
import { readPlainFile } from "../../settings/index.ts";
import { type KubernetesAccess, readToken } from "./access.ts";

const REASON_CHARACTERS_MAX = 300;
/** Of an answer that says why it is none. */
const REASON_BYTES_MAX = 65_536;
const RETRY_AFTER_MAX_MS = 300_000;

/** Why a request was not answered as it should be. Its message never has a token in it. */
export class ServerError extends Error {
  override readonly name = "ServerError";

  /** Of HTTP, or of the Status that came instead of what was asked for; 0 when there was no such answer. */
  readonly status: number;
  /** How long the server wants to be left alone. */
  readonly retryAfterMs: number;
  /** One cannot go on from what was known before: the server has forgotten it, or cannot be followed. */
  readonly lost: boolean;

  constructor(message: string, { status = 0, retryAfterMs = 0, lost = false } = {}) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.lost = lost;
  }
}

interface RequestLimits {
  /** Until the answer begins. */
  beginMs: number;
  /** Until all of it is here. */
  wholeMs: number;
  /** Of the answer, or of each of its lines when it is followed. */
  bytesMax: number;
}

/** The whole of an answer, parsed. @throws ServerError */
export async function ask(
  access: KubernetesAccess,
  path: string,
  limits: RequestLimits,
  stop: AbortSignal,
): Promise<unknown> {
  using call = new Call(access, path, limits, stop);
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of call.chunks()) {
    bytes += chunk.length;
    if (bytes > limits.bytesMax) throw tooLong("the answer", limits);
    text += decoder.decode(chunk, { stream: true });
  }
  return parseJson(text);
}

/**
 * The lines of an answer that goes on, each parsed, until the server ends it.
 * @param begun called when the server has begun to answer
 * @throws ServerError
 */
export async function* follow(
  access: KubernetesAccess,
  path: string,
  limits: RequestLimits,
  stop: AbortSignal,
  begun: () => void,
): AsyncGenerator<unknown> {
  using call = new Call(access, path, limits, stop);
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let length = 0;
  for await (const chunk of call.chunks(begun)) {
    const lines = decoder.decode(chunk, { stream: true }).split("\n");
    for (const [i, line] of lines.entries()) {
      pieces.push(line);
      length += line.length;
      if (length > limits.bytesMax) throw tooLong("a line", limits);
      if (i === lines.length - 1) break;
      const whole = pieces.join("");
      pieces = [];
      length = 0;
      if (whole.trim() !== "") yield parseJson(whole);
    }
  }
}

/** One request, with its deadlines. */
class Call implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: Timer;
  readonly #abort = () => this.#controller.abort();
  #late = "";

  constructor(
    readonly access: KubernetesAccess,
    readonly path: string,
    readonly limits: RequestLimits,
    readonly stop: AbortSignal,
  ) {
    if (stop.aborted) this.#abort();
    stop.addEventListener("abort", this.#abort, { once: true });
    this.#timer = setTimeout(() => this.#end("ended", limits.wholeMs), limits.wholeMs);
  }

  /** What the server sends, as it comes. */
  async *chunks(begun?: () => void): AsyncGenerator<Uint8Array> {
    try {
      const response = await this.#send();
      begun?.();
      for await (const chunk of response.body ?? []) yield chunk as Uint8Array;
    } catch (error) {
      if (error instanceof ServerError) throw error;
      if (this.#late !== "" || this.stop.aborted) throw new ServerError(this.#late);
      const { url } = this.access;
      const flags = { ca: "--kubernetes-ca" };
      throw new ServerError(await failureOf(error, { url, isQuiet: true, flags }));
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.stop.removeEventListener("abort", this.#abort);
    // What is left of the answer is not wanted, nor its connection.
    this.#abort();
  }

  async #send(): Promise<Response> {
    const { url, caFile } = this.access;
    const token = readToken(this.access);
    const { beginMs } = this.limits;
    const begin = setTimeout(() => this.#end("begun", beginMs), beginMs);
    try {
      const response = await fetch(`${url}${this.path}`, {
        signal: this.#controller.signal,
        headers: {
          accept: "application/json",
          // What is packed small may be large.
          "accept-encoding": "identity",
          "user-agent": "microview-agent",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        // To wherever that leads the token must not go.
        redirect: "manual",
        ...proxyOption(url),
        decompress: false,
        // Other tokens and certificates may hold by the next request.
        keepalive: false,
        ...(caFile === undefined ? {} : { tls: { ca: readPlainFile(caFile) } }),
      });
      if (response.status === 200) return response;
      throw await refusal(response, token);
    } finally {
      clearTimeout(begin);
    }
  }

  #end(what: "begun" | "ended", afterMs: number): void {
    this.#late = `the answer has not ${what} within ${afterMs / 1000} s`;
    this.#abort();
  }
}

/** What an answer that is none says. */
async function refusal(response: Response, token: string | undefined): Promise<ServerError> {
  const { status, headers } = response;
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > REASON_BYTES_MAX) break;
  }
  let message: unknown;
  try {
    message = (JSON.parse(text) as { message?: unknown } | null)?.message;
  } catch {
    // Of a proxy before the server, it may be.
  }
  const reason = typeof message === "string" ? message : "it does not say why";
  const shown = token === undefined ? reason : reason.replaceAll(token, "…");
  const seconds = Number(headers.get("retry-after") ?? 0);
  const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : 0;
  // Rights may be given and rates fall; what was asked for stays wrong.
  const lost = status >= 400 && status < 500 && ![401, 403, 408, 429].includes(status);
  return new ServerError(shown.slice(0, REASON_CHARACTERS_MAX), { status, retryAfterMs, lost });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message would show what was sent.
    throw new ServerError("what it sends is no JSON", { lost: true });
  }
}

function tooLong(what: string, { bytesMax }: RequestLimits): ServerError {
  return new ServerError(`${what} is longer than ${bytesMax} bytes`, { lost: true });
}
