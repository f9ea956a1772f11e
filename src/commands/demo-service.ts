// `microview demo-service`: one service of the demo, or its load, started by `microview demo`. Hidden.

import { defineSubcommand, flag, once, stopSignal } from "../command-line/index.ts";

export default defineSubcommand("demo-service", {
  examples: [{ command: "microview demo-service --name auth", does: "the auth service" }],
  flags: {
    name: flag.required(
      flag.text({ hint: "NAME", description: "which service to be; load sends requests" }),
    ),
    port: flag.port({ description: "port of the service", default: "0" }),
    socket: flag.path({ description: "Unix socket of the agent" }),
    target: flag.list({ hint: "URL", description: "services that it calls" }),
    rate: flag.integer({ min: 1, description: "requests per second, for load", default: "200" }),
  },
  async run({ name, port, socket, target, rate }) {
    const { parentGone, startLoad, startService } = await import("../demo/index.ts");
    const stop = stopSignal();
    let end: () => Promise<void> | void;
    if (name === "load") {
      end = startLoad(target[0]!, rate).stop;
      process.stdout.write("sending\n");
    } else {
      const service = startService({ name, port, socket: socket ?? "", targets: target });
      end = service.stop;
      process.stdout.write(`${service.port}\n`);
    }
    await Promise.race([once(stop), parentGone()]);
    await end();
    process.exit(0);
  },
});
