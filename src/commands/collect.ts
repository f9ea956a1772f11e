// `microview collect`: reads agents at an interval and prints what they hold.

import { defineSubcommand, flag, parseAgent, stopSignal } from "../command-line/index.ts";
import { LISTEN_FLAGS } from "./listen/flags.ts";
import { OUTPUT_FLAGS } from "./output/flags.ts";
import { OTLP_FLAGS, REMOTE_WRITE_FLAGS } from "./push/flags.ts";
import { parseRdmaPort } from "./support/rdma.ts";

const WHAT = "What to read";
const WHEN = "When";
const CONNECTION = "Connection";
const RDMA = "RDMA";

export default defineSubcommand("collect", {
  description:
    "Shows a live table on a terminal and JSON lines otherwise. Missed deadlines and gaps are shown, never hidden.",
  examples: [
    { command: "microview collect", does: "watch the agent of this host" },
    {
      command: "microview collect localhost:7070 --interval 1ms",
      does: "watch an agent every millisecond",
    },
    {
      command: "microview collect a:7070 b:7070 --app shop --metric 'http_*' --format ndjson",
      does: "two agents, one application, some metrics, as JSON lines",
    },
    {
      command: "microview collect db1:7070 --transport verbs --interval 1ms",
      does: "read another host's memory by RDMA, without its processor",
    },
    { command: "microview collect --once --format prometheus", does: "one snapshot as text" },
    {
      command: "microview collect --interval 1ms --out run.parquet",
      does: "record this host, for `microview replay` and for SQL",
    },
    {
      command: "microview collect a:7070 b:7070 --listen 9464",
      does: "let Prometheus scrape both agents in one place",
    },
    {
      command: "microview collect --remote-write http://prometheus:9090/api/v1/write",
      does: "push what this host's services count",
    },
  ],
  operands: flag.list(
    {
      hint: "HOST[:PORT]",
      description: "agents to read, at 7070 where no port is given; URLs are taken too",
      shownDefault: "the agent of this host",
    },
    parseAgent,
  ),
  flags: {
    app: flag.list({ group: WHAT, hint: "GLOB", description: "only these applications" }),
    service: flag.list({ group: WHAT, hint: "GLOB", description: "only these services" }),
    metric: flag.list({ group: WHAT, hint: "GLOB", description: "only these metrics" }),
    perWriter: flag.toggle({
      group: WHAT,
      description: "show each writer by itself instead of their sum",
    }),

    interval: flag.duration({
      group: WHEN,
      description: "time between two reads, from 1ms",
      default: "1s",
      min: "1ms",
    }),
    once: flag.toggle({ group: WHEN, description: "read once and end" }),
    count: flag.integer({ group: WHEN, min: 1, description: "end after so many reads" }),
    duration: flag.duration({ group: WHEN, description: "end after this time" }),

    ...OUTPUT_FLAGS,
    transport: flag.choice(["auto", "mmap", "verbs", "tcp"], {
      group: CONNECTION,
      description: "how to read; auto takes the first of them that can be",
      default: "auto",
    }),
    socket: flag.path({
      group: CONNECTION,
      description: "Unix socket of this host's agent",
      shownDefault: "agent.sock in the run directory",
    }),
    poolDir: flag.directory({
      group: CONNECTION,
      description: "where this host's pools are; needs no agent",
    }),
    tokenFile: flag.path({
      group: CONNECTION,
      description: "file whose first token the agents are sent; read again to reconnect",
    }),
    tls: flag.toggle({ group: CONNECTION, description: "speak TLS with agents named HOST:PORT" }),
    ca: flag.path({
      group: CONNECTION,
      description: "certificates to trust, PEM; implies --tls",
      shownDefault: "the system's",
    }),
    clientCert: flag.path({
      group: CONNECTION,
      description: "certificate to show agents that ask for one, PEM; implies --tls",
    }),
    clientKey: flag.path({ group: CONNECTION, description: "its private key, PEM" }),
    rdma: flag.parsed(parseRdmaPort, {
      group: RDMA,
      hint: "auto|DEVICE[:PORT[:GID]]",
      description: "port to read from; auto takes the first active one",
      default: "auto",
    }),
    rdmaMtu: flag.pathMtu({
      group: RDMA,
      description: "largest packet, if both ports allow it",
    }),
    rdmaTimeout: flag.duration({
      group: RDMA,
      description: "how long to wait for an acknowledgement; rounded up to 4.096 µs · 2^n",
      default: "67ms",
      min: "10us",
      max: "30s",
    }),
    rdmaRetries: flag.integer({
      group: RDMA,
      min: 0,
      max: 7,
      description: "how often to send again what was not acknowledged; 7 is endless on Soft-RoCE",
      default: "6",
    }),
    rdmaCm: flag.toggle({
      group: RDMA,
      description: "connect by rdma_cm, with agents that have --rdma-cm-port",
    }),
    poll: flag.choice(["adaptive", "event", "spin"], {
      group: RDMA,
      description: "how to wait for READs; adaptive spins where they take a few microseconds",
      default: "adaptive",
    }),
    ...LISTEN_FLAGS,
    ...REMOTE_WRITE_FLAGS,
    ...OTLP_FLAGS,
  },
  async run(options, endpoints) {
    const { CollectRun } = await import("./collect/run.ts");
    const run = new CollectRun(options, endpoints, {
      stdout: process.stdout,
      stderr: process.stderr,
      stop: stopSignal(),
    });
    await run.finish();
  },
});
