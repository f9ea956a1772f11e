// `microview demo`: a lake, an agent, three small services under load, a live view of their metrics, and at the end a
// query over what they have logged.

import { defineSubcommand, finishing, flag, stopSignal, styleFor } from "../command-line/index.ts";

export default defineSubcommand("demo", {
  description:
    "The services are auth, orders and gateway, which asks the other two. What they log, and a span per request, goes to a lake of the demo's own, which is asked at the end. Ctrl-C ends all of it and leaves nothing behind.",
  examples: [
    { command: "microview demo", does: "until Ctrl-C or q" },
    { command: "microview demo --duration 10s --rate 500", does: "ten seconds, more load" },
  ],
  flags: {
    duration: flag.duration({ description: "end after this time", shownDefault: "at Ctrl-C" }),
    rate: flag.integer({
      min: 1,
      max: 100_000,
      description: "requests per second on average; it swings by 60 %",
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
    const { Demo } = await import("../demo/index.ts");
    const { CollectRun } = await import("./collect/run.ts");
    const { version } = await import("../../package.json");
    const stop = stopSignal();
    const say = (text: string) => void process.stderr.write(`${text}\n`);
    const demo = new Demo({ port, rate, version, say });
    const { socket, poolDir } = demo;
    try {
      await demo.start();
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
      const { lastWords } = await import("./demo/last-words.ts");
      const { stdout } = process;
      const words = lastWords({
        lakeUrl: demo.lakeUrl,
        write: (text) => void stdout.write(text),
        style: styleFor(stdout),
        columns: stdout.isTTY ? stdout.columns : undefined,
      });
      await finishing("asking its lake", words);
    } finally {
      await finishing("ending its services", demo.close());
    }
  },
});
