// What `microview agent --otlp` does beside the agent: takes a snapshot of every application at an interval, hands it to
// a sink, and tells that of applications that have gone.

import { hostname } from "node:os";
import type { Agent } from "../../agent/index.ts";
import { type Log, Recurring } from "../../guard/index.ts";
import { nodeOfPod } from "../../identity/index.ts";
import { LOCAL_SOURCE } from "../../layout/index.ts";
import type { SinkEnd } from "../../sinks/index.ts";
import { Otlp, passingName, resourceAttributes } from "../../sinks/otlp/index.ts";
import type { OtlpFlagOptions } from "../push/flags.ts";
import { otlpOptions } from "../push/otlp.ts";

/** How long the agent's end waits for the receiver: together with its own second it is within two. */
const GRACE_MS = 1_500;

export class AgentPush {
  readonly #agent: Agent;
  readonly #sink: Otlp;
  readonly #pushes: Recurring;
  readonly #timer: Timer;
  #apps = new Set<string>();

  private constructor(agent: Agent, sink: Otlp, intervalMs: number, log: Log) {
    this.#agent = agent;
    this.#sink = sink;
    this.#pushes = new Recurring(
      log,
      "a snapshot could not be pushed",
      "snapshots are pushed again",
    );
    this.#timer = setInterval(() => this.push(), intervalMs);
  }

  /**
   * Checks what is asked for, before there is an agent.
   * @throws UsageError telling what is wrong with it
   */
  static prepare(
    options: Partial<OtlpFlagOptions> & { nodeName: string | undefined },
    otlp: string,
    log: Log,
  ): (agent: Agent) => AgentPush {
    const node = options.nodeName ?? nodeOfPod(process.env);
    const given = resourceAttributes(process.env["OTEL_RESOURCE_ATTRIBUTES"] ?? "");
    const warning = node === undefined ? passingName(hostname(), given) : undefined;
    if (warning !== undefined) log.warn(warning);
    const all = otlpOptions(options, otlp, node, (text) => log.warn(text));
    // A snapshot is taken when one is to be sent: the sink sends them all.
    return (agent) =>
      new AgentPush(agent, new Otlp({ ...all, intervalMs: 0 }), all.intervalMs, log);
  }

  /** Pushes what every application holds now. */
  push(): void {
    try {
      this.#agent.reportPush(this.#sink.counters);
      const apps = new Set<string>();
      for (const snapshot of this.#agent.snapshots()) {
        apps.add(snapshot.app);
        this.#sink.write(snapshot);
      }
      for (const app of this.#apps) if (!apps.has(app)) this.#sink.gone(LOCAL_SOURCE, app);
      this.#apps = apps;
      this.#pushes.worked("");
    } catch (error) {
      // The agent goes on whatever becomes of what it tells others.
      this.#pushes.failed("", (error as Error).message);
    }
  }

  /** Pushes once more, and sends what is left for at most {@link GRACE_MS}. Call it while there are pools. */
  close(): Promise<SinkEnd> {
    clearInterval(this.#timer);
    this.push();
    return this.#sink.close(GRACE_MS);
  }
}
