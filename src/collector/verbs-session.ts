// A collector's session with an agent: while its connection stands, the agent keeps the collector's queue pairs. Runs
// on the main thread, and asks the agent on behalf of the reading thread.

import { parseFlatJson, RDMA_SESSION_PATH } from "../calling/index.ts";
import type { RdmaSessionMessage } from "../rest/index.ts";
import type { AgentClient } from "./agent-client.ts";

const OPEN_TIMEOUT_MS = 5_000;

export class VerbsSession {
  #onLost: (reason: string) => void = () => {};
  #over: string | undefined;

  private constructor(
    readonly agent: AgentClient,
    readonly socket: WebSocket,
    /** By which queue pairs are asked for. */
    readonly id: string,
  ) {
    socket.onclose = () => this.#end("the agent ended the session");
  }

  /** @throws Error when the agent does not give one */
  static async open(agent: AgentClient): Promise<VerbsSession> {
    const socket = agent.webSocket(RDMA_SESSION_PATH);
    const timeout = AbortSignal.timeout(OPEN_TIMEOUT_MS);
    try {
      const id = await new Promise<string>((resolve, reject) => {
        const refuse = (reason: string) =>
          reject(new Error(`no RDMA session with ${agent.name}: ${reason}`));
        timeout.onabort = () => refuse("it does not answer");
        socket.onerror = (event) => refuse((event as ErrorEvent).message);
        socket.onclose = () => refuse("it closed the connection");
        socket.onmessage = ({ data }) => {
          const session = sessionIn(String(data));
          if (session !== undefined) resolve(session);
          else refuse("its greeting makes no sense");
        };
      });
      return new VerbsSession(agent, socket, id);
    } catch (error) {
      socket.onclose = null;
      socket.close();
      throw error;
    }
  }

  /** Called once, also when the session is over already. */
  set onLost(handler: (reason: string) => void) {
    this.#onLost = handler;
    if (this.#over !== undefined) handler(this.#over);
  }

  close(): void {
    this.#over = undefined;
    this.#onLost = () => {};
    this.socket.onclose = null;
    this.socket.close();
  }

  #end(reason: string): void {
    this.#over = reason;
    this.#onLost(reason);
  }
}

/** What a greeting names, if it is one. */
function sessionIn(text: string): string | undefined {
  try {
    const { session } = parseFlatJson(text) as Partial<RdmaSessionMessage>;
    return typeof session === "string" ? session : undefined;
  } catch {
    return undefined;
  }
}
