// `microview demo`: an agent, three small services under load, and a live view of their metrics.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defineSubcommand, finishing, flag, stopSignal } from "../command-line/index.ts";
import type { Child } from "./demo/children.ts";

export default defineSubcommand("demo", {
  description:
    "The services are auth, orders and gateway, which asks the other two. Ctrl-C ends all of it and leaves nothing behind.",
  examples: [
    { command: "microview demo", does: "until Ctrl-C or q" },
    { command: "microview demo --duration 10s --rate 500", does: "ten seconds, more load" },
  ],
  flags: {
    duration: flag.duration({ description: "end after this time", shownDefault: "at Ctrl-C" }),
    rate: flag.integer({
      min: 1,
      max: 100_000,
      description: "requests per second to the services",
      default: "200",
    }),
    interval: flag.duration({
      description: "time between two reads of the metrics, from 1ms",
      default: "10ms",
      min: "1ms",
    }),
    port: flag.port({ description: "port of the agent", default: "0" }),
  },
  async run({ duration, rate, interval, port }) {
    const { startChild } = await import("./demo/children.ts");
    const { DEMO_PREFIX, DEMO_SOCKET, removeLeftovers } = await import("./demo/leftovers.ts");
    const { SERVICES } = await import("./demo/services.ts");
    const { CollectRun } = await import("./collect/run.ts");
    const { SHM_DIR } = await import("../layout/index.ts");
    const stop = stopSignal();
    const say = (text: string) => void process.stderr.write(`${text}\n`);
    // All in shared memory, for the temporary directory may be read-only.
    for (const left of removeLeftovers(SHM_DIR)) {
      say(`removed ${left}, which a demo that was killed had left`);
    }
    const folder = mkdtempSync(`${SHM_DIR}/${DEMO_PREFIX}`);
    const removeFolder = () => rmSync(folder, { recursive: true, force: true });
    // Also when it is given up to end in order.
    process.once("exit", removeFolder);
    const poolDir = join(folder, "pools");
    const socket = join(folder, DEMO_SOCKET);
    const children: Child[] = [];
    const start = async (...args: string[]) => {
      const child = await startChild(args);
      children.push(child);
      return child;
    };
    try {
      const agent = await startAgent({ socket, poolDir, port });
      children.push({ line: "", stop: () => agent.stop() });
      say(`agent: http://127.0.0.1:${agent.port}/openapi, metrics at /metrics`);
      const urls: Record<string, string> = {};
      for (const name of SERVICES) {
        const targets = name === "gateway" ? [urls["auth"]!, urls["orders"]!] : [];
        const flags = targets.flatMap((url) => ["--target", url]);
        const child = await start("demo-service", "--name", name, "--socket", socket, ...flags);
        urls[name] = `http://127.0.0.1:${child.line}`;
        say(`${name}: ${urls[name]}`);
      }
      await start(
        "demo-service",
        "--name",
        "load",
        "--target",
        urls["gateway"]!,
        "--rate",
        String(rate),
      );
      const run = new CollectRun(
        {
          app: ["shop"],
          service: [],
          metric: [],
          perWriter: false,
          interval,
          once: false,
          count: undefined,
          duration,
          format: "table",
          out: undefined,
          outBlock: undefined,
          force: false,
          transport: "mmap",
          socket,
          poolDir,
          tokenFile: undefined,
          tls: false,
          ca: undefined,
          clientCert: undefined,
          clientKey: undefined,
          rdma: "auto",
          rdmaMtu: 4096,
          rdmaTimeout: 67,
          rdmaRetries: 6,
          rdmaCm: false,
          poll: "adaptive",
        },
        [],
        { stdout: process.stdout, stderr: process.stderr, stop },
      );
      await run.finish();
    } finally {
      await finishing("ending its services", endAll(children));
      removeFolder();
      process.off("exit", removeFolder);
    }
  },
});

/** The last one started is the first to end, so that nobody asks who has gone. */
async function endAll(children: Child[]): Promise<void> {
  for (const child of children.reverse()) await child.stop();
}

async function startAgent({
  socket,
  poolDir,
  port,
}: {
  socket: string;
  poolDir: string;
  port: number;
}) {
  const { Agent, DEFAULT_LIMITS } = await import("../agent/index.ts");
  const { createLog } = await import("../guard/index.ts");
  const { version } = await import("../../package.json");
  return Agent.start({
    socketPath: socket,
    poolDir,
    host: "127.0.0.1",
    port,
    dataPort: 0,
    poolMode: 0o600,
    strategy: "page",
    limits: DEFAULT_LIMITS,
    scanIntervalMs: 200,
    insecure: false,
    version,
    log: createLog("warn", false),
  });
}
