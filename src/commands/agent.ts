// `microview agent`: the process that keeps a host's pools.

import { isIP } from "node:net";
import { version } from "../../package.json";
import type { Agent } from "../agent/index.ts";
import {
  defineSubcommand,
  finishing,
  flag,
  once,
  onHangUp,
  sayEndBy,
  stopSignal,
  UsageError,
} from "../command-line/index.ts";
import type { Log } from "../guard/index.ts";
import type { AgentPush } from "./agent/push.ts";
import { LAKE_FLAGS, shippingOf } from "./agent/shipping.ts";
import { OTLP_FLAGS, type OtlpFlagOptions } from "./push/flags.ts";
import { ACCESS_FLAGS, accessFiles, tokenFileFlag } from "./support/access.ts";
import { refuseAlone } from "./support/alone.ts";
import { kubernetesOf } from "./support/kubernetes.ts";
import { parseProcessMemory, parseProcessMetrics } from "./support/process-metrics.ts";
import { parseRdma } from "./support/rdma.ts";

const LISTENING = "Listening";
const ACCESS = "Access";
const RDMA = "RDMA";
const POOLS = "Pools";
const KUBERNETES = "Kubernetes";
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
      command: "microview agent --otlp http://localhost:4318",
      does: "push what this host's services count to an OpenTelemetry collector",
    },
    {
      command: "microview agent --lake http://lake:7080 --lake-token-file token",
      does: "ship logs, measures and spans of this host's services to a lake",
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
    host: flag.parsed(parseHost, {
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

    tokenFile: tokenFileFlag("read,register,admin"),
    ...ACCESS_FLAGS,
    allowRegister: flag.toggle({
      group: ACCESS,
      description:
        "without --token-file, allow callers over TCP to register too, as the prototype's clients do",
    }),

    rdma: flag.parsed(parseRdma, {
      group: RDMA,
      hint: "auto|off|DEVICE[:PORT[:GID]]",
      description: "let collectors read by RDMA; auto takes the first active port",
      default: "auto",
    }),
    rdmaMtu: flag.pathMtu({
      group: RDMA,
      description: "largest packet, if the port allows it",
    }),
    rdmaCmPort: flag.port({
      group: RDMA,
      description: "listen there by rdma_cm too, for collectors with --rdma-cm",
    }),
    maxQueuePairs: flag.integer({
      group: RDMA,
      min: 1,
      description: "queue pairs of the collectors of one token",
      default: "1024",
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
      default: "500ms",
      min: "10ms",
    }),
    processMetrics: flag.parsed(parseProcessMetrics, {
      group: POOLS,
      hint: "off|INTERVAL",
      description: "how often to sample processor time, memory, … of services' processes",
      default: "5s",
    }),
    processMemory: flag.parsed(parseProcessMemory, {
      group: POOLS,
      hint: "off|INTERVAL",
      description:
        "how often to look at their private and proportional memory, which holds them up",
      default: "off",
    }),

    kubernetes: flag.text({
      group: KUBERNETES,
      hint: "auto|off|URL",
      description: "whom to ask for the names of pods; auto is the cluster that this is a pod of",
      default: "auto",
    }),
    kubernetesTokenFile: flag.path({
      group: KUBERNETES,
      description: "token to show it, read again for each request",
      shownDefault: "the pod's service account's",
    }),
    kubernetesCa: flag.path({
      group: KUBERNETES,
      description: "certificates to trust there, PEM",
      shownDefault: "the pod's service account's",
    }),
    nodeName: flag.text({
      group: KUBERNETES,
      hint: "NAME",
      description: "this node, whose pods alone are asked for",
      shownDefault: "$NODE_NAME",
    }),

    maxApps: flag.integer({
      group: LIMITS,
      min: 1,
      description: "applications",
      default: "64",
    }),
    maxAppsEach: flag.integer({
      group: LIMITS,
      min: 1,
      description: "of those, the ones that one token has made over TCP",
      default: "16",
    }),
    maxPages: flag.integer({
      group: LIMITS,
      min: 1,
      // With the directory that makes 4 GiB, which is the most that is mapped.
      max: 1_000_000,
      description: "pages of 4 KiB per application",
      default: "65536",
    }),
    maxSeries: flag.integer({
      group: LIMITS,
      min: 1,
      description: "series per application",
      default: "1000000",
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
      default: "10000",
    }),
    maxBody: flag.size({
      group: LIMITS,
      min: "1KiB",
      description: "size of a request",
      default: "16MiB",
    }),
    maxScrapes: flag.integer({
      group: LIMITS,
      min: 1,
      description: "answers of /metrics above 1MiB that are being taken at once",
      default: "8",
    }),
    maxConnections: flag.integer({
      group: LIMITS,
      min: 1,
      description: "connections to each port and to the socket",
      default: "1024",
    }),
    maxConnectionsEach: flag.integer({
      group: LIMITS,
      min: 1,
      description: "of those, the ones of one address, and to the data port of one token",
      default: "256",
    }),
    maxIdle: flag.duration({
      group: LIMITS,
      description:
        "how long a connection to the data port may be idle before it is closed when there is no room for others",
      default: "10s",
      min: "10ms",
    }),
    maxRequests: flag.integer({
      group: LIMITS,
      min: 1,
      description: "requests per second of a token over TCP, and twice that at once",
      default: "1000",
    }),
    maxWrongTokens: flag.integer({
      group: LIMITS,
      min: 1,
      description: "wrong tokens per second of an address, and six times that at once",
      default: "5",
    }),

    ...OTLP_FLAGS,
    ...LAKE_FLAGS,

    logLevel: flag.choice(["error", "warn", "info", "debug"], {
      group: LOG,
      description: "what to log",
      default: "info",
    }),
    jsonLogs: flag.toggle({ group: LOG, description: "log as JSON lines" }),
  },
  async run(options) {
    const { Agent, groupId } = await import("../agent/index.ts");
    const { createLog } = await import("../guard/index.ts");
    const { defaultSocketPath } = await import("../layout/index.ts");
    if (options.port === options.dataPort && options.port !== 0) {
      throw new UsageError(
        `--port and --data-port are both ${options.port}`,
        "REST and the data port are two listeners: give them two ports",
      );
    }
    const files = await accessFiles(options);
    const gid = options.group === undefined ? undefined : groupId(options.group, "--group");
    const log = createLog(options.logLevel, options.jsonLogs);
    const pushing = await pushingBy(options, log);
    const stop = stopSignal();
    sayEndBy((text) => log.warn(text));
    if (options.allowRegister && options.tokenFile !== undefined) {
      throw new UsageError(
        "--allow-register is for an agent without --token-file: give the token scopes=register",
      );
    }
    if (options.processMemory !== "off" && options.processMetrics === "off") {
      throw new UsageError("--process-memory is of what --process-metrics samples, which is off");
    }
    const shipping = await shippingOf(options);
    const kubernetes = await kubernetesOf(options, process.env);
    if (kubernetes !== undefined && "unused" in kubernetes) {
      log.warn("the names of pods are not asked for", {
        reason: kubernetes.unused,
        hint: "set NODE_NAME by the downward API (spec.nodeName), or --kubernetes off",
      });
    }
    const agent = await Agent.start({
      socketPath: options.socket ?? defaultSocketPath(process.env, process.getuid?.()),
      host: options.host,
      port: options.port,
      dataPort: options.dataPort,
      poolMode: options.poolMode,
      strategy: options.strategy,
      scanIntervalMs: options.scanInterval,
      ...(options.processMetrics === "off" ? {} : { processIntervalMs: options.processMetrics }),
      ...(options.processMemory === "off"
        ? {}
        : { processMemoryIntervalMs: options.processMemory }),
      ...(kubernetes === undefined || "unused" in kubernetes ? {} : { kubernetes }),
      insecure: options.insecure,
      allowRegister: options.allowRegister,
      allowHosts: options.allowHost,
      version,
      log,
      limits: {
        apps: options.maxApps,
        appsEach: options.maxAppsEach,
        pages: options.maxPages,
        series: options.maxSeries,
        seriesPerMetric: options.maxSeriesPerMetric,
        writers: options.maxWriters,
        bodyBytes: options.maxBody,
        connections: options.maxConnections,
        scrapes: options.maxScrapes,
        connectionsEach: options.maxConnectionsEach,
        idleMs: options.maxIdle,
        requestsPerS: options.maxRequests,
        wrongPerS: options.maxWrongTokens,
      },
      ...(options.rdma === "off"
        ? {}
        : {
            rdma: {
              port: options.rdma,
              mtu: options.rdmaMtu,
              queuePairs: options.maxQueuePairs,
              ...(options.rdmaCmPort === undefined
                ? {}
                : { manager: { host: options.host, port: options.rdmaCmPort } }),
            },
          }),
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
      ...(gid === undefined ? {} : { gid }),
      ...(shipping === undefined ? {} : { shipping }),
      ...files.first,
    });
    const renewal = files.follow(agent, log);
    // Also without files to reload: SIGHUP must not end a server.
    onHangUp(() => renewal.renewNow());
    const push = pushing?.(agent);
    await once(stop);
    const pushed = push?.close();
    renewal.stop();
    await finishing("ending connections", agent.stop());
    const end = pushed && (await finishing("pushing what is left", pushed));
    if (end !== undefined) log.info("pushing has ended", { summary: end.summary });
  },
});

/** What begins to push an agent's snapshots, where that is asked for. @throws UsageError before anything has begun */
async function pushingBy(
  options: Partial<OtlpFlagOptions> & { nodeName: string | undefined },
  log: Log,
): Promise<((agent: Agent) => AgentPush) | undefined> {
  const { otlp } = options;
  refuseAlone(options, "otlp");
  if (otlp === undefined) return undefined;
  const { AgentPush } = await import("./agent/push.ts");
  return AgentPush.prepare(options, otlp, log);
}

/** An address or name alone, of IPv6 also in brackets. @throws UsageError for one with more to it */
function parseHost(typed: string, label: string): string {
  const host = /^\[([^\]]*)\]$/.exec(typed)?.[1] ?? typed;
  if (host === "") throw new UsageError(`${label} is empty`);
  if (isIP(host) === 0 && /[:/]/.test(host)) {
    throw new UsageError(
      `${label} takes an address alone: '${typed}'`,
      "e.g. 127.0.0.1; ports are given by --port and --data-port",
    );
  }
  return host;
}
