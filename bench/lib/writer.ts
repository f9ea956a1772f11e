// A writer as the agent meets it, without the client around it: attached, holding its lock, registering in batches.

import { AgentApi } from "../../src/client/agent-api.ts";
import { Attachment } from "../../src/client/attachment.ts";
import type { RegisterResponse, SeriesRequest } from "../../src/rest/index.ts";
import type { AgentProcess } from "./agent.ts";

export class RestWriter {
  private constructor(
    readonly api: AgentApi,
    readonly attachment: Attachment,
  ) {}

  static async attach(agent: AgentProcess, app: string, service: string): Promise<RestWriter> {
    const api = new AgentApi(agent.socketPath, app);
    const answer = await api.attach({ service, pid: process.pid, threadId: 0 });
    const attachment = Attachment.open(answer, app, agent.poolDir);
    if (attachment === undefined) throw new Error("the agent gave the writer up");
    return new RestWriter(api, attachment);
  }

  /** @throws Error when not every series got a place */
  async register(metric: SeriesRequest): Promise<void> {
    const response = await this.api.register(this.attachment.writer, { metrics: [metric] });
    const placed = placedSeries(response);
    if (placed !== metric.series.length) {
      throw new Error(`${placed} of ${metric.series.length} series were placed`);
    }
  }

  close(): void {
    this.attachment.close();
  }
}

function placedSeries({ results }: RegisterResponse): number {
  let placed = 0;
  for (const { runs } of results) for (const [, , count] of runs) placed += count;
  return placed;
}

/** Counters by route and method, as one request has them. */
export function counterRequest(name: string, first: number, count: number): SeriesRequest {
  return {
    name,
    kind: "counter",
    unit: "",
    help: "Requests by route and method.",
    labelNames: ["route", "method"],
    combine: "sum",
    bounds: [],
    series: Array.from({ length: count }, (_, i) => [`/users/${first + i}`, "GET"]),
  };
}
