// `microview lake`: keeps events of many hosts and answers SQL about them. `microview lake status` says how a lake is.

import { version } from "../../package.json";
import {
  defineSubcommand,
  finishing,
  flag,
  once,
  onHangUp,
  stopSignal,
  styleFor,
} from "../command-line/index.ts";
import { LAKE_FLAGS, openLake } from "./explore/lake-flags.ts";
import { ACCESS_FLAGS, accessFiles, tokenFileFlag } from "./support/access.ts";

const LISTENING = "Listening";
const KEEPING = "Keeping";
const LOG = "Log";

export default defineSubcommand("lake", {
  description:
    "Takes blocks of events from agents and OpenTelemetry's OTLP/HTTP from everybody else, keeps them as Parquet in a folder, and answers SQL. Beyond loopback it listens only with --token-file or --tls-client-ca. With status it says how a lake is that runs.",
  examples: [
    { command: "microview lake", does: "a lake for this host" },
    { command: "microview lake --dir /srv/lake --retain-days 30", does: "keep a month" },
    {
      command: "microview lake --host 0.0.0.0 --token-file tokens --tls-cert c.pem --tls-key k.pem",
      does: "take events of other hosts, with tokens, over TLS",
    },
    { command: "microview lake status", does: "what it holds, and how far its tables are" },
  ],
  flagsOf: {
    status: ["lake", "tokenFile", "ca", "json"],
    "": [
      ...["dir", "retainDays", "retainSize", "host", "port", "tokenFile", "tlsCert", "tlsKey"],
      ...["tlsClientCa", "allowHost", "insecure", "maxBody", "maxRequests", "queryTime"],
      ...["queryMemory", "queries", "logLevel", "jsonLogs"],
    ] as const,
  },
  operands: flag.choice(["status"], { hint: "status", description: "say how a lake is" }),
  flags: {
    dir: flag.directory({
      group: KEEPING,
      description: "folder of the lake, made if need be",
      shownDefault: "lake in the state directory",
    }),
    retainDays: flag.integer({
      group: KEEPING,
      hint: "DAYS",
      min: 1,
      max: 36_500,
      description: "drop events that are older",
      shownDefault: "never",
    }),
    retainSize: flag.size({
      group: KEEPING,
      min: "16MiB",
      description: "drop the oldest events when all files together are larger",
      shownDefault: "no limit",
    }),
    host: flag.text({
      group: LISTENING,
      hint: "HOST",
      description: "address to listen on",
      default: "127.0.0.1",
    }),
    port: flag.port({ group: LISTENING, description: "port to listen on", default: "7080" }),
    tokenFile: tokenFileFlag(
      "ingest,events:read,read",
      ". With status: the file whose first token is sent",
    ),
    ...ACCESS_FLAGS,
    maxBody: flag.size({
      group: "Limits",
      min: "1MiB",
      max: "256MiB",
      description: "size of a segment or request",
      default: "32MiB",
    }),
    maxRequests: flag.integer({
      group: "Limits",
      min: 1,
      description: "requests per second of a token, and twice that at once",
      default: "1000",
    }),
    queryTime: flag.duration({
      group: "Limits",
      min: "1s",
      description: "how long a query may take",
      default: "60s",
    }),
    queryMemory: flag.size({
      group: "Limits",
      min: "64MiB",
      description: "memory of a query; rows on their way out have 192 MiB more",
      default: "512MiB",
    }),
    queries: flag.integer({
      group: "Limits",
      hint: "N",
      min: 1,
      description: "queries that run at once; others wait, up to 32 of them",
      shownDefault: "half of the cores, at least 2",
    }),
    logLevel: flag.choice(["error", "warn", "info", "debug"], {
      group: LOG,
      description: "what to log",
      default: "info",
    }),
    jsonLogs: flag.toggle({ group: LOG, description: "log as JSON lines" }),
    lake: { ...LAKE_FLAGS.lake, group: "Status" },
    ca: { ...LAKE_FLAGS.ca, group: "Status" },
    json: flag.toggle({ group: "Status", description: "print the answer as JSON" }),
  },
  async run(options, operand) {
    if (operand === "status") {
      const { statusText } = await import("./lake/status-text.ts");
      const status = await (await openLake(options)).status();
      const isText = !options.json;
      process.stdout.write(
        isText ? statusText(status, styleFor(process.stdout)) : `${JSON.stringify(status)}\n`,
      );
      return;
    }
    const { defaultLakeDir, startLake } = await import("../lake/index.ts");
    const { createLog } = await import("../guard/index.ts");
    const files = await accessFiles(options, "ingest,events:read");
    const log = createLog(options.logLevel, options.jsonLogs);
    const stop = stopSignal();
    const lake = await startLake({
      dir: options.dir ?? defaultLakeDir(process.env, process.getuid?.()),
      ...{ host: options.host, port: options.port, insecure: options.insecure },
      ...{ allowHosts: options.allowHost, version, log, ...files.first },
      retention: {
        ageMs: options.retainDays === undefined ? undefined : options.retainDays * 86_400_000,
        bytes: options.retainSize,
      },
      ...{ bodyBytesMax: options.maxBody, requestsPerS: options.maxRequests },
      queries: {
        ...{ timeMs: options.queryTime, memoryBytes: options.queryMemory },
        ...(options.queries === undefined ? {} : { concurrent: options.queries }),
      },
    });
    const renewal = files.follow(lake, log);
    // Also without files to reload: SIGHUP must not end a server.
    onHangUp(() => renewal.renewNow());
    const { url, dir, port } = lake;
    const uses = {
      send: `microview agent --lake ${url}`,
      otlp: `OTEL_EXPORTER_OTLP_ENDPOINT=${url}`,
      ask: `microview query --lake ${url}`,
    };
    // People copy them from a terminal: a line each, without quotes.
    const isForPeople = process.stderr.isTTY === true && !options.jsonLogs;
    log.info("the lake is open", { url, dir, port, ...(isForPeople ? {} : uses) });
    if (isForPeople && options.logLevel !== "error" && options.logLevel !== "warn") {
      const lines = Object.entries(uses).map(([name, text]) => `  ${name.padEnd(5)} ${text}\n`);
      process.stderr.write(lines.join(""));
    }
    await once(stop);
    renewal.stop();
    await finishing("ending requests and writing what is left", lake.stop());
    log.info("the lake is closed");
  },
});
