// Reads an agent by RDMA as the collector does: found by REST, the queue pairs held by a session.

import { AgentClient } from "../../src/collector/agent-client.ts";
import { discover } from "../../src/collector/discovery.ts";
import { VERBS_DEFAULTS, VerbsTransport } from "../../src/collector/index.ts";
import { Spinner } from "../../src/collector/spinner.ts";
import { VerbsSession } from "../../src/collector/verbs-session.ts";
import type { PollMode } from "../../src/collector/worker-protocol.ts";
import type { AgentProcess } from "./agent.ts";
import { Connection } from "./reader.ts";

/** Soft-RoCE takes 7 for "without end": a READ of an agent that has ended the session would never fail. */
const RETRIES = 6;

export interface VerbsConnection {
  connection: Connection;
  /** Ends the session too. */
  close(): void;
}

/**
 * @param poll how completions are waited for
 * @throws Error when one side has no RDMA
 */
export async function connectVerbs(agent: AgentProcess, poll: PollMode): Promise<VerbsConnection> {
  const verbs = { ...VERBS_DEFAULTS, retries: RETRIES };
  const target = { host: "127.0.0.1", port: agent.port };
  const { spec } = await discover(target, { transport: "verbs", verbs });
  if (spec.transport !== "verbs") throw new Error(`the agent is read by ${spec.transport}`);
  const client = new AgentClient(target, {});
  const session = await VerbsSession.open(client);
  const spinner = new Spinner(poll);
  const transport = new VerbsTransport(
    { ...spec, session: session.id },
    (question, done) => {
      connection.asked++;
      const answered = (answer: unknown, error: string | undefined) => {
        connection.asked--;
        done(answer, error);
      };
      client.ask(question).then(
        (answer) => answered(answer, undefined),
        (error: Error) => answered(undefined, error.message),
      );
    },
    poll === "adaptive" ? (ns) => spinner.took(ns) : undefined,
  );
  const connection = new Connection(transport, spinner);
  return {
    connection,
    close() {
      connection.close();
      session.close();
    },
  };
}
