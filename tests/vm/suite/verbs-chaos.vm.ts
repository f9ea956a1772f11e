// The core's chaos, tests/chaos, read by RDMA: writers and the agent are killed at random, and every sum is what was
// counted. CHAOS_SEED repeats the choices of a run, CHAOS_SECONDS makes it longer.

import { test } from "bun:test";
import { survive } from "../../chaos/chaos.ts";
import { seedOf } from "../../chaos/random.ts";
import { patience, slowness } from "../../support/speed.ts";
import { MachineHost, PATIENT } from "./support/rig.ts";

const SEED = seedOf("CHAOS_SEED");
const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 3);
const EXTRA_SECONDS = patience(30);
/** The times below are for a machine that is emulated on one that is free, and so some twenty times slower than others. */
const SLOWER = slowness();

test(
  `counts that are read by RDMA survive the deaths of writers and agents (CHAOS_SEED=${SEED})`,
  async () => {
    await using host = new MachineHost();
    await survive(host, {
      seed: SEED,
      seconds: SECONDS,
      extraSeconds: EXTRA_SECONDS,
      // Everything here takes some twenty times as long as elsewhere.
      writers: 4,
      apps: ["shop", "bank"],
      sessions: 4,
      killPauseMs: [500 * SLOWER, 1_500 * SLOWER],
      agentLifeMs: [1_500 * SLOWER, 4_000 * SLOWER],
      agentFlags: ["--scan-interval", "100ms"],
      readers: [
        {
          name: "verbs",
          options: {
            targets: [{ socketPath: host.socketPath }],
            transport: "verbs",
            verbs: PATIENT,
            intervalMs: 20,
          },
        },
      ],
      compactions: false,
    });
  },
  (SECONDS + EXTRA_SECONDS) * 1000 + patience(60_000),
);
