// An agent's REST interface as a collector calls it: by HOST:PORT, with or without TLS, or through this host's socket.

import {
  DEFAULT_PORT,
  fieldsOf,
  foreignWords,
  formatEndpoint,
  parseFlatJson,
  requestLine,
} from "../calling/index.ts";
import { proxyFor, proxyOption } from "../http/index.ts";
import { defaultSocketPath, LOCAL_SOURCE } from "../layout/index.ts";
import type { ApiError, Body, Call, PathValues } from "../rest/index.ts";

const TIMEOUT_MS = 5_000;
/** An answer that is longer is not an agent's. */
const BODY_BYTES_MAX = 1 << 20;

/** An agent to read; without `host` the one of this host. */
export interface Target {
  host?: string;
  port?: number;
  /** Socket of this host's agent, when `host` is not given; default is that of services. */
  socketPath?: string;
  /** The agent has to answer at its socket; else this host's pools are mapped without one. */
  mustAnswer?: boolean;
  /** Where this host's pools lie when no agent says so. */
  poolDir?: string;
}

/** What one has to show an agent, and to see of it. */
export interface Credentials {
  token?: string;
  /** Speaks TLS. */
  tls?: ClientTls;
}

/** How TLS is spoken, all of it as PEM. */
export interface ClientTls {
  /** Authorities to trust; the system's when there are none. */
  ca?: string;
  /** Shown to agents that ask for it. */
  cert?: string;
  key?: string;
}

/** Where an agent is asked, for those who look for it there. */
export function targetAddress(target: Target): string {
  return target.host === undefined ? socketOf(target) : targetName(target);
}

/** The socket at which this host's agent is asked. */
export function socketOf({ socketPath }: Target): string {
  return socketPath ?? defaultSocketPath(process.env, process.getuid?.());
}

/** How an agent is named to the user. */
export function targetName({ host, port }: Target): string {
  return host === undefined ? LOCAL_SOURCE : formatEndpoint({ host, port: port ?? DEFAULT_PORT });
}

/** An agent that stands in a list more than once, as it is named to the user. */
export function namedTwice(targets: readonly Target[]): string | undefined {
  const keys = targets.map((target) =>
    JSON.stringify([targetName(target), targetAddress(target), target.poolDir]),
  );
  const twice = targets.find((_, i) => keys.indexOf(keys[i]!) !== i);
  return twice && targetName(twice);
}

/** A call to an agent, with what goes along. */
export type Question = { [C in Call]: { call: C; values: PathValues<C>; body: Body<C> } }[Call];

export class AgentClient {
  readonly name: string;
  readonly #local: boolean;

  constructor(
    readonly target: Target,
    readonly credentials: Credentials,
  ) {
    this.name = targetName(target);
    this.#local = target.host === undefined;
  }

  /** Where a path is, as a URL. */
  url(path: string): string {
    const base = this.#local
      ? "http://localhost"
      : `${this.credentials.tls ? "https" : "http"}://${this.name}`;
    return `${base}${path}`;
  }

  /** @throws Error when nothing answers in time */
  async fetch(method: string, path: string, body?: unknown): Promise<Response> {
    const { tls } = this.credentials;
    const url = this.url(path);
    return fetch(url, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        ...this.#headers(),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(this.#local ? { unix: socketOf(this.target) } : {}),
      ...(tls === undefined ? {} : { tls }),
      ...proxyOption(url),
    });
  }

  /** What stands in an answer's body; undefined for what no agent answers. */
  async answerOf({ body }: Response): Promise<unknown> {
    const decoder = new TextDecoder();
    let text = "";
    try {
      for await (const chunk of body ?? []) {
        text += decoder.decode(chunk as Uint8Array, { stream: true });
        if (text.length > BODY_BYTES_MAX) return undefined;
      }
      return parseFlatJson(text);
    } catch {
      return undefined;
    }
  }

  /** The answer to a call, of which nothing is known yet. @throws Error with what the agent says */
  async ask({ call, values, body }: Question): Promise<unknown> {
    const { method, path } = requestLine(call, values);
    const response = await this.fetch(method, path, body);
    const answer = await this.answerOf(response);
    if (response.ok && answer !== undefined) return answer;
    const { message, hint } = fieldsOf<ApiError>(answer);
    const why = foreignWords(message) ?? "it does not say why";
    const advice = foreignWords(hint);
    const end = advice === undefined ? "" : `; ${advice}`;
    throw new Error(`the agent refuses (${response.status}): ${why}${end}`);
  }

  webSocket(path: string): WebSocket {
    const { tls } = this.credentials;
    const url = this.#local
      ? `ws+unix://${socketOf(this.target)}:${path}`
      : `${tls ? "wss" : "ws"}://${this.name}${path}`;
    // Bun's own options; the type that bun-types give WebSocket's second parameter leaves them out.
    const proxy = this.#local ? undefined : proxyFor(url)?.url;
    const options = {
      headers: this.#headers(),
      ...(proxy === undefined ? {} : { proxy }),
      ...(this.#local || tls === undefined ? {} : { tls }),
    };
    return new WebSocket(url, options as never);
  }

  #headers(): Record<string, string> {
    const { token } = this.credentials;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }
}
