// A lake in a process of its own, for benchmarks: as `microview lake` has it, on a free port, until its parent closes its
// stdin.

import { createLog } from "../../src/guard/index.ts";
import { startLake } from "../../src/lake/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";

const { dir } = childOptions<{ dir: string }>();
const lake = await startLake({
  ...{ dir, host: "127.0.0.1", port: 0, insecure: false, version: "bench" },
  log: createLog("warn", false),
});
offer({ url: lake.url });
await serveParent();
await lake.stop();
process.exit(0);
