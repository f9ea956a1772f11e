// Whether reads cost the process that is read anything, by its own clock.

import type { Reader } from "./reader.ts";

const MOMENTS = 5;

/** How long the process ran, in milliseconds, while it was read so many times. */
export interface Moment {
  reads: number;
  ranMs: number;
}

/**
 * Reads again and again for a moment, then next to nothing, in turns. Now and then a process collects its garbage, so
 * not all moments count, but those in which it does least; READs that cost it something would do so in each.
 * @param ranMs the process's clock
 */
export async function leastMoments(
  reader: Reader,
  ranMs: () => number | Promise<number>,
  momentMs = 250,
): Promise<{ idle: Moment; busy: Moment }> {
  const moment = async (isBusy: boolean): Promise<Moment> => {
    const before = await ranMs();
    const start = performance.now();
    let reads = 0;
    if (!isBusy) await Bun.sleep(momentMs);
    for (; isBusy && performance.now() - start < momentMs; reads++) await reader.read();
    return { reads, ranMs: (await ranMs()) - before };
  };
  const idle: Moment[] = [];
  const busy: Moment[] = [];
  for (let i = 0; i < MOMENTS; i++) {
    idle.push(await moment(false));
    busy.push(await moment(true));
  }
  const least = (moments: Moment[]) => moments.toSorted((a, b) => a.ranMs - b.ranMs)[0]!;
  const found = { idle: least(idle), busy: least(busy) };
  console.log(`the agent ran ${JSON.stringify(found)}`);
  return found;
}

/** What a read may cost at most: an answer by TCP takes an emulated agent two milliseconds. */
export const READ_MS = 0.1;
