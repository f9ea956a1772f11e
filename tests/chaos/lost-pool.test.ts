// As in chaos.test.ts, while files of pools are removed, renamed away and back, and replaced under everybody.
// CHAOS_SEED repeats the choices of a run, CHAOS_SECONDS makes it longer.

import { test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { type ChaosOptions, survive } from "./chaos.ts";
import { seedOf } from "./random.ts";

const SEED = seedOf("CHAOS_SEED");
const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 8);
const EXTRA_SECONDS = 15;

const cases: [string, Partial<ChaosOptions>][] = [
  ["deaths of writers", { filePauseMs: [50, 700], killPauseMs: [20, 400] }],
  ["deaths of agents", { filePauseMs: [100, 900], agentLifeMs: [300, 2_000] }],
];
for (const [what, some] of cases) {
  test(
    `counts survive lost files and ${what} (CHAOS_SEED=${SEED})`,
    async () => {
      await using host = new TestHost();
      const { poolDir, socketPath } = host;
      await survive(host, {
        seed: SEED,
        seconds: SECONDS,
        extraSeconds: EXTRA_SECONDS,
        writers: 8,
        apps: ["shop", "bank"],
        sessions: 8,
        // Sessions come faster than they are given up.
        agentFlags: ["--max-series-per-metric", "100000"],
        readers: [
          { name: "mmap", options: { targets: [{ poolDir }], transport: "mmap" } },
          {
            name: "tcp",
            options: { targets: [{ socketPath }], transport: "tcp", intervalMs: 10 },
          },
        ],
        compactions: false,
        ...some,
      });
    },
    (SECONDS + EXTRA_SECONDS) * 1000 + 180_000,
  );
}
