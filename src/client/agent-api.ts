// Calls to the agent over its Unix socket, typed by the contract in src/rest.

import {
  fieldsOf,
  foreignWords,
  parseFlatJson,
  requestLine,
  WRITER_SECRET_HEADER,
} from "../calling/index.ts";
import type {
  Answer,
  ApiError,
  AttachRequest,
  AttachResponse,
  Body,
  Call,
  HoldRequest,
  PathValues,
  RegisterRequest,
  RegisterResponse,
  ReleaseRequest,
  ReleaseResponse,
} from "../rest/index.ts";
import { AgentUnavailable } from "./agent-unavailable.ts";
import { requestUnix } from "./unix-http.ts";

const TIMEOUT_MS = 5_000;
/** How long a service that is done waits for an agent that does not answer. */
const HOLD_MS = 250;

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

/** Writers whose secrets are kept: the one that stores, and one that is to take its place. */
const SECRETS_MAX = 2;

export class AgentApi {
  readonly #secrets = new Map<number, string>();

  constructor(
    readonly socketPath: string,
    readonly app: string,
  ) {}

  async attach(request: AttachRequest): Promise<AttachResponse> {
    const before = request.previous?.writer;
    const answer = await this.#call(
      "POST /v1/apps/:app/writers",
      { app: this.app },
      request,
      before,
    );
    // The secret of its current place is the last to be forgotten.
    const known = before === undefined ? undefined : this.#secrets.get(before);
    if (before !== undefined && known !== undefined) {
      this.#secrets.delete(before);
      this.#secrets.set(before, known);
    }
    this.#secrets.delete(answer.writer);
    this.#secrets.set(answer.writer, answer.secret);
    const [oldest] = this.#secrets.keys();
    if (this.#secrets.size > SECRETS_MAX) this.#secrets.delete(oldest!);
    return answer;
  }

  async hold(writer: number, request: HoldRequest): Promise<void> {
    const call = "PUT /v1/apps/:app/writers/:writer/lock";
    await this.#call(call, this.#place(writer), request, writer);
  }

  register(writer: number, request: RegisterRequest): Promise<RegisterResponse> {
    const call = "POST /v1/apps/:app/writers/:writer/series";
    return this.#call(call, this.#place(writer), request, writer);
  }

  release(writer: number, request: ReleaseRequest): Promise<ReleaseResponse> {
    const call = "DELETE /v1/apps/:app/writers/:writer/series";
    return this.#call(call, this.#place(writer), request, writer);
  }

  async detach(writer: number): Promise<void> {
    const call = "DELETE /v1/apps/:app/writers/:writer";
    await this.#call(call, this.#place(writer), undefined, writer);
  }

  /** What stands in the path of a call about a writer. */
  #place(writer: number) {
    return { app: this.app, writer };
  }

  /**
   * @param writer whose secret is shown
   * @throws AgentRefusal, AgentUnavailable
   */
  async #call<C extends Call>(
    call: C,
    values: PathValues<C>,
    body: Body<C>,
    writer?: number,
  ): Promise<Answer<C>> {
    const secret = writer === undefined ? undefined : this.#secrets.get(writer);
    const headers: Record<string, string> =
      secret === undefined ? {} : { [WRITER_SECRET_HEADER]: secret };
    const { method, path } = requestLine(call, values);
    const { status, answer } = await this.#ask(method, path, body, headers);
    if (status >= 300) {
      const { code, message, hint } = fieldsOf<ApiError>(answer);
      throw new AgentRefusal(
        foreignWords(code) ?? "unknown",
        foreignWords(message) ?? `status ${status}`,
        foreignWords(hint) ?? "",
      );
    }
    return answer as Answer<C>;
  }

  async #ask(method: string, path: string, body: unknown, headers: Record<string, string>) {
    try {
      const { status, body: text } = await requestUnix(this.socketPath, {
        method,
        path,
        timeoutMs: TIMEOUT_MS,
        holdMs: HOLD_MS,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status, answer: parseFlatJson(text) };
    } catch (error) {
      throw new AgentUnavailable((error as Error).message, { cause: error });
    }
  }
}
