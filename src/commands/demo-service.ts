// `microview demo-service`: one service of the demo, or its load, started by `microview demo`. Hidden.

import { defineSubcommand, flag, once, stopSignal } from "../command-line/index.ts";

export default defineSubcommand("demo-service", {
  examples: [{ command: "microview demo-service --name auth", does: "the auth service" }],
  flags: {
    name: flag.required(
      flag.text({
        hint: "NAME",
        description: "which service to be; load sends requests, lake keeps events",
      }),
    ),
    port: flag.port({ description: "port of the service", default: "0" }),
    poolDir: flag.directory({ description: "where it records its events" }),
    dir: flag.directory({ description: "folder of the lake, for lake" }),
    socket: flag.path({ description: "Unix socket of the agent" }),
    target: flag.list({ hint: "URL", description: "services that it calls" }),
    rate: flag.integer({ min: 1, description: "requests per second, for load", default: "200" }),
  },
  async run({ name, port, socket, poolDir = "", dir = "", target, rate }) {
    const { parentGone, startDemoLake, startLoad, startService } = await import("../demo/index.ts");
    // Ctrl-C reaches all processes of a terminal at once; the lake is asked once more before it ends.
    if (name === "lake") process.on("SIGINT", () => {});
    const stop = name === "lake" ? terminated() : stopSignal();
    let end: () => Promise<void> | void;
    if (name === "load") {
      end = startLoad(target[0]!, rate).stop;
      process.stdout.write("sending\n");
    } else if (name === "lake") {
      const { version } = await import("../../package.json");
      const lake = await startDemoLake(dir, version);
      end = () => lake.stop();
      process.stdout.write(`${lake.url}\n`);
    } else {
      const options = { name, port, socket: socket ?? "", poolDir, targets: target };
      const service = startService(options);
      end = service.stop;
      process.stdout.write(`${service.port}\n`);
    }
    await Promise.race([once(stop), parentGone()]);
    await end();
    process.exit(0);
  },
});

function terminated(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGTERM", () => controller.abort());
  return controller.signal;
}
