// Whether reads cost the process that is read anything, by its own clock.

import type { Reader } from "./reader.ts";

/** Rounds before and after which it is certain that what reads seem to cost is not noise. */
const ROUNDS_LEAST = 3;
const ROUNDS_MOST = 30;
/** A moment of reading is longer where a loaded machine reads more slowly. */
const READS_LEAST = 20;
/** What a read may cost at most: an answer by TCP takes an emulated agent two milliseconds. */
const READ_MS = 0.1;

/** How long the process ran, in milliseconds, while it was read so many times. */
interface Moment {
  reads: number;
  ranMs: number;
}

/** What reads cost the process, in milliseconds, in its quietest moments, and what they may cost at most. */
export interface ReadingCost {
  costMs: number;
  allowedMs: number;
}

/**
 * Reads again and again for a moment, then next to nothing, in turns. Now and then a process collects its garbage or
 * compiles, and a loaded machine makes it run longer: so not all moments count, but those in which it ran least, and
 * there are more of them until one was quiet. READs that cost it something would do so in each.
 * @param ranMs the process's clock
 */
export async function costOfReading(
  reader: Reader,
  ranMs: () => number | Promise<number>,
  momentMs = 250,
): Promise<ReadingCost> {
  let lengthMs = momentMs;
  const moment = async (isBusy: boolean): Promise<Moment> => {
    const before = await ranMs();
    const start = performance.now();
    let reads = 0;
    if (isBusy) {
      while (reads < READS_LEAST || performance.now() - start < momentMs) {
        await reader.read();
        reads++;
      }
      lengthMs = performance.now() - start;
    } else {
      await Bun.sleep(lengthMs);
    }
    return { reads, ranMs: (await ranMs()) - before };
  };
  const less = (a: Moment | undefined, b: Moment) =>
    a !== undefined && a.ranMs <= b.ranMs ? a : b;
  let idle: Moment | undefined;
  let busy: Moment | undefined;
  for (let round = 1; ; round++) {
    busy = less(busy, await moment(true));
    idle = less(idle, await moment(false));
    const costMs = busy.ranMs - idle.ranMs;
    const allowedMs = READ_MS * busy.reads + 1;
    const isQuiet = round >= ROUNDS_LEAST && costMs < allowedMs;
    if (!isQuiet && round < ROUNDS_MOST) continue;
    console.log(`the agent ran ${JSON.stringify({ idle, busy, round })}`);
    return { costMs, allowedMs };
  }
}
