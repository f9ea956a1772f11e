// A lake that makes, merges and drops files as fast as it can, until it is killed. Its clock is the time of its events,
// a minute for each block. Started by killed.test.ts with the folder; says on standard output which block it has.

import { FOREVER_NS } from "../../../src/lake/times.ts";
import { Random } from "../../chaos/random.ts";
import { T0 } from "../views/blocks.ts";
import { killedBlock, MINUTE_NS, nextIndex, RETAINED_MINUTES } from "./killed-blocks.ts";
import { SmallLake } from "./small-lake.ts";

const [dir, seed] = process.argv.slice(2) as [string, string];
const random = new Random(Number(seed));
let index = 0;
const lake = await SmallLake.open({
  dir,
  pace: { round: 10, merge: 20, retain: 40 },
  retention: { ageMs: RETAINED_MINUTES * 60_000 },
  nowNs: () => T0 + BigInt(index) * MINUTE_NS,
});
index = await nextIndex(lake.catalogue);
console.log("open");

/** Spans are made when somebody asks. */
async function ask(): Promise<never> {
  for (;;) {
    const opened = await lake.tables.open(
      ["spans"],
      { toNs: FOREVER_NS },
      new AbortController().signal,
    );
    opened.close();
    await Bun.sleep(random.between(1, 60));
  }
}
void ask();
for (;;) {
  const blocks = [killedBlock(index)];
  // An agent that was killed sends again what it had sent.
  for (const before of [1, 2, 40]) {
    if (index >= before && random.between(0, 3) === 0) blocks.push(killedBlock(index - before));
  }
  await lake.add(blocks);
  lake.maintenance.wake();
  console.log(index);
  index++;
  await Bun.sleep(random.between(1, 8));
}
