// The flags of `microview collect` that push snapshots to receivers.

import { UsageError } from "../support/errors.ts";
import * as flag from "../support/flags.ts";

const REMOTE_WRITE = "Remote write";
const OTLP = "OTLP";

export const PUSH_FLAGS = {
  remoteWrite: flag.parsed(parseHttpUrl, {
    group: REMOTE_WRITE,
    hint: "URL",
    description:
      "push to a receiver of Prometheus's remote write, e.g. http://host:9090/api/v1/write",
  }),
  remoteWriteWal: flag.directory({
    group: REMOTE_WRITE,
    description: "keep there what was not acknowledged, for when the receiver or collect is away",
    shownDefault: "kept in memory, up to 64MiB",
  }),
  remoteWriteWalSize: flag.size({
    group: REMOTE_WRITE,
    description: "how much may be kept there; the oldest goes first",
    default: "1GiB",
    min: "1MiB",
  }),
  remoteWriteLabel: flag.list(
    {
      group: REMOTE_WRITE,
      hint: "NAME=VALUE",
      description: "label to add to every series that has none of its name",
    },
    parseLabel,
  ),
  remoteWriteTokenFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with the bearer token; read anew for each request",
  }),
  remoteWriteAuthFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with USER:PASSWORD, for basic authentication; read anew likewise",
  }),
  remoteWriteHeaderFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with more headers, a NAME: VALUE on each line; read anew likewise",
  }),
  remoteWriteCa: flag.path({
    group: REMOTE_WRITE,
    description: "certificates to trust, PEM",
    shownDefault: "the system's",
  }),
  otlp: flag.parsed(parseOtlpUrl, {
    group: OTLP,
    hint: "URL",
    description: "push to a receiver of OTLP over HTTP, e.g. http://localhost:4318",
  }),
  otlpFormat: flag.choice(["protobuf", "json"], {
    group: OTLP,
    description: "how requests are written",
    default: "protobuf",
  }),
  otlpTemporality: flag.choice(["cumulative", "delta"], {
    group: OTLP,
    description: "whether sums are since the start, or since the last time",
    default: "cumulative",
  }),
  otlpInterval: flag.duration({
    group: OTLP,
    description: "a snapshot is sent at most so often",
    default: "1s",
    min: "10ms",
  }),
  otlpHeaderFile: flag.path({
    group: OTLP,
    description: "file with headers, a NAME: VALUE on each line; read anew for each request",
  }),
  otlpCa: flag.path({
    group: OTLP,
    description: "certificates to trust, PEM",
    shownDefault: "the system's",
  }),
};

/** Flags that always have a value. */
export const PUSH_DEFAULTS: ReadonlySet<string> = new Set([
  "remoteWriteWalSize",
  "otlpFormat",
  "otlpTemporality",
  "otlpInterval",
]);

export type PushOptions = flag.Options<typeof PUSH_FLAGS>;

/** @throws UsageError unless it is an address that can be posted to */
function parseHttpUrl(text: string, label: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`${label} is no http or https URL`, "write it with its path, as http://…");
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      `${label} has a user or password, which everyone on this host could see`,
      "put USER:PASSWORD into a file, and name that",
    );
  }
  return url.href;
}

/** An address without a path is that of a receiver, whose metrics go to v1/metrics. */
function parseOtlpUrl(text: string, label: string): string {
  const url = new URL(parseHttpUrl(text, label));
  if (url.pathname === "/") url.pathname = "/v1/metrics";
  return url.href;
}

/** @throws UsageError unless it can be a label of Prometheus's */
function parseLabel(text: string, label: string): readonly [string, string] {
  const [, name, value] = /^([a-zA-Z_][a-zA-Z0-9_]*)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined || name.startsWith("__")) {
    throw new UsageError(`${label} is no label: '${text}'`, "write NAME=VALUE, e.g. cluster=eu-1");
  }
  return [name, value];
}
