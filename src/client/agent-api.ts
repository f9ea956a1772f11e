// Calls to the agent over its Unix socket, typed by the contract in layout.

import type {
  ApiError,
  AttachRequest,
  AttachResponse,
  RegisterRequest,
  RegisterResponse,
} from "../layout/index.ts";

const TIMEOUT_MS = 5_000;

/** The agent's refusal of a call. */
export class AgentRefusal extends Error implements ApiError {
  override readonly name = "AgentRefusal";

  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

export class AgentApi {
  constructor(
    readonly socketPath: string,
    readonly app: string,
  ) {}

  attach(request: AttachRequest): Promise<AttachResponse> {
    return this.#call("POST", "writers", request);
  }

  register(writer: number, request: RegisterRequest): Promise<RegisterResponse> {
    return this.#call("POST", `writers/${writer}/series`, request);
  }

  async detach(writer: number): Promise<void> {
    await this.#call("DELETE", `writers/${writer}`);
  }

  /** A call that ends in time, whatever becomes of its connection: one to an agent that was killed may never. */
  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    let timer: Timer | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new DOMException("the agent does not answer", "TimeoutError"));
      }, TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#fetch<T>(method, path, body), timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch<T>(method: string, path: string, body?: unknown): Promise<T> {
    const url = `http://localhost/v1/apps/${encodeURIComponent(this.app)}/${path}`;
    const response = await fetch(url, {
      method,
      unix: this.socketPath,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const answer = await response.json();
    if (!response.ok) {
      const {
        code = "unknown",
        message = `status ${response.status}`,
        hint = "",
      } = answer as Partial<ApiError>;
      throw new AgentRefusal(code, message, hint);
    }
    return answer as T;
  }
}
