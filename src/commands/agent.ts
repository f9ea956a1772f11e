// `microview agent`: the process that keeps a host's pools.

import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

const LISTENING = "Listening";
const ACCESS = "Access";
const POOLS = "Pools";
const LIMITS = "Limits";
const LOG = "Log";

export default defineSubcommand("agent", {
  description:
    "Services attach through the Unix socket; collectors read through the data port or, on this host, the pools themselves. Beyond loopback it listens only with --token-file or TLS.",
  examples: [
    { command: "microview agent", does: "serve this host" },
    {
      command: "microview agent --host 0.0.0.0 --token-file token --tls-cert c.pem --tls-key k.pem",
      does: "let collectors on other hosts read, with a token, over TLS",
    },
    {
      command: "microview agent --strategy slab --max-series 500000",
      does: "for a few services with very many series",
    },
  ],
  flags: {
    socket: flag.path({
      group: LISTENING,
      description: "Unix socket of the REST interface",
      shownDefault: "agent.sock in the run directory",
    }),
    host: flag.text({
      group: LISTENING,
      hint: "HOST",
      description: "address of the REST and data ports",
      default: "127.0.0.1",
    }),
    port: flag.port({
      group: LISTENING,
      description: "port of the REST interface",
      default: "7070",
    }),
    dataPort: flag.port({
      group: LISTENING,
      description: "port of the binary read protocol",
      default: "7071",
    }),

    tokenFile: flag.path({
      group: ACCESS,
      description: "file with the token that TCP clients must send",
    }),
    tlsCert: flag.path({ group: ACCESS, description: "certificate chain, PEM" }),
    tlsKey: flag.path({ group: ACCESS, description: "private key of the certificate, PEM" }),
    insecure: flag.toggle({
      group: ACCESS,
      description: "listen beyond loopback without a token and TLS",
    }),

    poolDir: flag.directory({
      group: POOLS,
      description: "keep pools as DIR/<app>/pool instead of /dev/shm/microview.<app>",
    }),
    group: flag.text({
      group: POOLS,
      hint: "GROUP",
      description: "group that owns the socket and the pools",
      shownDefault: "the agent's own",
    }),
    poolMode: flag.fileMode({
      group: POOLS,
      description: "file mode of the pools",
      default: "0660",
    }),
    strategy: flag.choice(["page", "packed", "slab"], {
      group: POOLS,
      description: "how pages are handed out to writers",
      default: "page",
    }),
    scanInterval: flag.duration({
      group: POOLS,
      description: "how often to look for dead writers",
      default: "1s",
      min: "10ms",
    }),

    maxApps: flag.integer({
      group: LIMITS,
      min: 1,
      description: "applications",
      default: "64",
    }),
    maxPages: flag.integer({
      group: LIMITS,
      min: 1,
      description: "pages of 4 KiB per application",
      default: "16384",
    }),
    maxSeries: flag.integer({
      group: LIMITS,
      min: 1,
      description: "series per application",
      default: "200000",
    }),
    maxSeriesPerMetric: flag.integer({
      group: LIMITS,
      min: 1,
      description: "series (label values) per metric",
      default: "10000",
    }),
    maxWriters: flag.integer({
      group: LIMITS,
      min: 1,
      description: "living writers per application",
      default: "4096",
    }),
    maxBody: flag.size({
      group: LIMITS,
      min: "1KiB",
      description: "size of a request",
      default: "4MiB",
    }),
    maxConnections: flag.integer({
      group: LIMITS,
      min: 1,
      description: "connections to the data port",
      default: "1024",
    }),

    logLevel: flag.choice(["error", "warn", "info", "debug"], {
      group: LOG,
      description: "what to log",
      default: "info",
    }),
    jsonLogs: flag.toggle({ group: LOG, description: "log as JSON lines" }),
  },
  run() {
    throw new CliError({ message: "the agent is not part of this build yet" });
  },
});
