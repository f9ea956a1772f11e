// What keeps the agent from its work. Logged once when it begins, when its reason changes and when it ends; shown by
// `/health` and `/healthz`.

import type { Log } from "../guard/index.ts";
import type { Problem } from "../rest/index.ts";

/** Something that can fail while the agent runs. */
export type Part =
  | "pools"
  | "lost-pools"
  | "socket"
  | "rest-port"
  | "data-port"
  | "events"
  | "lake";

/** What people have to mend elsewhere: it is shown, and no reason to start this agent again. */
const ELSEWHERE: ReadonlySet<Part> = new Set<Part>(["lake"]);

export class Health {
  readonly #problems = new Map<Part, Problem>();

  constructor(readonly log: Log) {}

  /** All that is wrong now. */
  get problems(): Problem[] {
    return [...this.#problems.values()];
  }

  /** Those that keep the agent itself from its work. */
  get ownProblems(): Problem[] {
    return [...this.#problems].flatMap(([part, each]) => (ELSEWHERE.has(part) ? [] : [each]));
  }

  /**
   * @param problem what is wrong with a part now; undefined when all is well
   * @param isLogged whether the log has it already
   */
  set(part: Part, problem: Problem | undefined, isLogged = false): void {
    const before = this.#problems.get(part);
    if (before?.message === problem?.message) return;
    if (problem === undefined) this.#problems.delete(part);
    else this.#problems.set(part, problem);
    if (isLogged) return;
    if (problem === undefined) {
      this.log.info("the agent can do its work again", { part, was: before?.message });
    } else {
      this.log.error("the agent cannot do its work", {
        part,
        reason: problem.message,
        hint: problem.hint,
      });
    }
  }
}
