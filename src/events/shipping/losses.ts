// Counts what is lost by its cause, and warns of it: at once, and then at most each minute of all since.

import { counted } from "../../text/index.ts";
import { LOSS_CAUSES, type LossCause } from "./spool.ts";

const SAY_EVERY_MS = 60_000;

const WHY: Readonly<Record<LossCause, [reason: string, hint: string]>> = {
  size: ["the spool had no room for them", "raise --spool-size, or look at the lake"],
  age: ["they have waited for longer than --spool-age", "raise it, or look at the lake"],
  damaged: [
    "their file in the spool was removed, cut or changed",
    "nobody but the agent may change the spool",
  ],
  refused: [
    "the lake has refused them for good",
    "they are in the folder refused of the spool: move them back and restart the agent to send them again",
  ],
};

export class Losses {
  readonly counts = Object.fromEntries(LOSS_CAUSES.map((cause) => [cause, 0])) as Record<
    LossCause,
    number
  >;
  readonly #unsaid = new Map<LossCause, number>();
  readonly #saidMs = new Map<LossCause, number>();

  constructor(readonly warn: (message: string, fields: Record<string, string | number>) => void) {}

  add(cause: LossCause, events: number): void {
    this.counts[cause] += events;
    this.#unsaid.set(cause, (this.#unsaid.get(cause) ?? 0) + events);
  }

  /** Says what is due. */
  tell(nowMs = performance.now()): void {
    for (const [cause, events] of this.#unsaid) {
      if (events === 0 || nowMs - (this.#saidMs.get(cause) ?? -SAY_EVERY_MS) < SAY_EVERY_MS)
        continue;
      this.#saidMs.set(cause, nowMs);
      this.#unsaid.set(cause, 0);
      const [reason, hint] = WHY[cause];
      this.warn(`${counted(events, "event was", "events were")} not shipped: ${reason}`, {
        cause,
        events,
        hint,
      });
    }
  }
}
