// Services at full load that are killed at random, while their agent is killed at random too: every event that was
// recorded is in the lake once. MICROVIEW_FLIGHTS=1000 says how many services are killed; without, as many as fit.
// EVENTS_SEED repeats the choices of a run.

import { expect, test } from "bun:test";
import type { DecodedBlock } from "../../../src/layout/index.ts";
import { Random, seedOf } from "../../chaos/random.ts";
import { textAt } from "../../support/blocks.ts";
import { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { ringsOf } from "../recording.ts";
import { fly, mortalAgents } from "./flights.ts";
import { LakeStandIn } from "./stand-in.ts";

const FLIGHTS = Number(process.env["MICROVIEW_FLIGHTS"] ?? 0);
const SEED = seedOf("EVENTS_SEED");
const FOR_MS = 25_000;
const AT_ONCE = 2;

function numbersOf(blocks: readonly DecodedBlock[]) {
  const numbers: number[] = [];
  let refused = 0;
  const damaged: string[] = [];
  for (const { logs } of blocks) {
    for (let row = 0; row < logs.rows; row++) {
      const target = textAt(logs.target, row);
      const properties = JSON.parse(textAt(logs.properties, row) || "{}");
      if (target === "microview.gap") refused += properties.severe;
      else if (target.startsWith("microview.")) damaged.push(target);
      else if (typeof properties.n === "number") numbers.push(properties.n);
    }
  }
  return { numbers, refused, damaged };
}

test(
  `every event that was recorded before a SIGKILL is in the lake once, whatever becomes of the agent (EVENTS_SEED=${SEED})`,
  async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const random = new Random(SEED);
    const ofLake = random.branch();
    lake.fate = () => (ofLake.next() < 0.1 ? new Response("", { status: 503 }) : undefined);
    let isOver = false;
    const agents = mortalAgents(host, lake, random.branch(), () => isOver);
    const flown: { pid: number; returned: number }[] = [];
    const endMs = performance.now() + FOR_MS;
    let begun = 0;
    const isEnough = () => (FLIGHTS > 0 ? begun >= FLIGHTS : performance.now() > endMs);
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        const ofFlights = random.branch();
        while (!isEnough()) {
          begun++;
          // An application may have 64 rings; of more, the oldest goes, whether an agent was there or not.
          await until("rings were taken", () => ringsOf(host).length < 40, 120_000);
          flown.push(await fly(host, ofFlights));
        }
      }),
    );
    isOver = true;
    await agents;
    await until("no ring is left", () => ringsOf(host).length === 0, 120_000);
    // A number of a process comes again after a while.
    const flights = Map.groupBy(flown, ({ pid }) => pid);
    for (const blocks of lake.streams().values()) {
      const { numbers, refused, damaged } = numbersOf(blocks);
      expect(damaged).toEqual([]);
      for (const [i, { header }] of blocks.entries()) {
        expect(header.first).toBe(i === 0 ? 0 : blocks[i - 1]!.header.end);
        expect(header.isFinal).toBe(i === blocks.length - 1);
      }
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
      // The call that had not returned may be there too, or have been refused.
      const recorded = numbers.length + refused;
      const ofPid = flights.get(blocks[0]!.header.process.pid)!;
      const at = ofPid.findIndex(
        ({ returned }) => recorded === returned || recorded === returned + 1,
      );
      expect(at < 0 ? { recorded, ofPid } : "found").toBe("found");
      ofPid.splice(at, 1);
    }
    expect([...flights.values()].flat()).toEqual([]);
    console.log(`${flown.length} services and ${await agents} agents were killed`);
  },
  FLIGHTS > 0 ? FLIGHTS * 5_000 + 300_000 : 300_000,
);
