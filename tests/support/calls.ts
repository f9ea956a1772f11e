// Calls to an agent of ours, whose answers are believed to be as the contract says. Collectors believe none.

import type { AgentClient, Question } from "../../src/collector/agent-client.ts";
import type { Answer, Body, Call, PathValues } from "../../src/rest/index.ts";

/** The answer to a call. @throws Error with what the agent says */
export async function call<C extends Call>(
  agent: AgentClient,
  name: C,
  values: PathValues<C>,
  body?: Body<C>,
): Promise<Answer<C>> {
  return (await agent.ask({ call: name, values, body } as Question)) as Answer<C>;
}
