// Sixteen writers in three applications count known numbers while writers and the agent are killed at random and two
// collectors read. CHAOS_SEED repeats the choices of a run, CHAOS_SECONDS makes it longer.

import { test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { survive } from "./chaos.ts";
import { seedOf } from "./random.ts";

const SEED = seedOf("CHAOS_SEED");
const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 12);
const EXTRA_SECONDS = patience(15);

test(
  `counts survive the deaths of writers and agents (CHAOS_SEED=${SEED})`,
  async () => {
    await using host = new TestHost();
    const { poolDir, socketPath } = host;
    await survive(host, {
      seed: SEED,
      seconds: SECONDS,
      extraSeconds: EXTRA_SECONDS,
      writers: 16,
      apps: ["shop", "bank", "mail"],
      sessions: 64,
      killPauseMs: [20, 400],
      agentLifeMs: [100, 1_500],
      agentFlags: [],
      readers: [
        { name: "mmap", options: { targets: [{ poolDir }], transport: "mmap" } },
        {
          name: "tcp",
          options: { targets: [{ socketPath }], transport: "tcp", intervalMs: 10 },
        },
      ],
      compactions: true,
    });
  },
  (SECONDS + EXTRA_SECONDS) * 1000 + patience(180_000),
);
