// The data port's thread when it fails: this is reported, and nothing waits for it.

import { expect, test } from "bun:test";
import type { Pool } from "../../src/agent/pool/pool.ts";
import { DEFAULT_LIMITS } from "../../src/agent/registry/limits.ts";
import { DataServer } from "../../src/agent/serve/data-server.ts";
import { until } from "../support/wait.ts";

test("a thread that has failed is reported with its reason, and the server ends at once", async () => {
  const reasons: string[] = [];
  const { connections, connectionsEach, wrongPerS, idleMs } = DEFAULT_LIMITS;
  const server = await DataServer.start({
    host: "127.0.0.1",
    port: 0,
    maxConnections: connections,
    maxConnectionsEach: connectionsEach,
    wrongPerS,
    idleMs,
    mayTry: () => true,
    refused: () => {},
    failed: (reason) => reasons.push(reason),
  });
  // Memory that does not exist.
  const pool = {
    app: "shop",
    header: { poolId: 1, fileBytes: -1 },
    mapping: { address: 0 },
  } as unknown as Pool;
  server.add(pool);
  await until("it is reported", () => reasons.length > 0);
  expect(reasons[0]).toMatch(/\w{3}/);
  await server.drop(pool);
  await server.stop();
});
