// What `microview agent --otlp` does beside the agent: takes a snapshot of every application at an interval, hands it to
// an exporter, and tells it of applications that have gone.

import type { Agent } from "../../agent/index.ts";
import type { ExportEnd, Exporter } from "../../export/index.ts";

/** How long the agent's end waits for the receiver: together with its own second it is within two. */
export const PUSH_GRACE_MS = 1_500;

export class AgentPush {
  #apps = new Set<string>();
  readonly #timer: Timer;

  constructor(
    readonly agent: Agent,
    readonly exporter: Exporter,
    intervalMs: number,
    readonly onError: (error: unknown) => void,
  ) {
    this.#timer = setInterval(() => this.push(), intervalMs);
  }

  /** Pushes what every application holds now. */
  push(): void {
    try {
      this.agent.reportPush(this.exporter.counters);
      const apps = new Set<string>();
      for (const snapshot of this.agent.snapshots()) {
        apps.add(snapshot.app);
        this.exporter.write(snapshot);
      }
      for (const app of this.#apps) if (!apps.has(app)) this.exporter.gone("local", app);
      this.#apps = apps;
    } catch (error) {
      // The agent goes on whatever becomes of what it tells others.
      this.onError(error);
    }
  }

  /** Pushes once more, and sends what is left for at most {@link PUSH_GRACE_MS}. Call it while there are pools. */
  close(): Promise<ExportEnd> {
    clearInterval(this.#timer);
    this.push();
    return this.exporter.close(PUSH_GRACE_MS);
  }
}
