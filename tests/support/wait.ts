// Waiting for what will become true, instead of sleeping and hoping.

import { patience, slowness } from "./speed.ts";

/** Long enough on a machine that is free; a test that works never comes near it. */
const PATIENCE_MS = 30_000;

/**
 * Resolves with the first answer of `condition` that is neither false, undefined nor null.
 * @param condition asked again and again; what it throws counts as "not yet", and is told in the end
 * @param patienceMs as for a machine that is fast and free: longer on one that was found slow at the start, or is so when
 * this time has passed
 * @throws Error naming `what` when patience runs out
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<Exclude<T, false | undefined | null>> {
  const start = performance.now();
  let end = start + patience(patienceMs);
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, 20)) {
    let reason = "";
    try {
      const answer = await condition();
      if (answer !== false && answer !== undefined && answer !== null) {
        return answer as Exclude<T, false | undefined | null>;
      }
    } catch (error) {
      reason = `: ${(error as Error).message}`;
    }
    if (performance.now() > end) {
      end = Math.max(end, start + patienceMs * slowness());
      if (performance.now() > end) {
        const seconds = ((end - start) / 1000).toFixed(0);
        throw new Error(`waited ${seconds} s in vain until ${what}${reason}`);
      }
    }
    await Bun.sleep(pauseMs);
  }
}
