// The flags that push snapshots to receivers: of `microview collect`, and OTLP's of `microview agent` too.

import { flag, UsageError } from "../../command-line/index.ts";

const REMOTE_WRITE = "Remote write";
const OTLP = "OTLP";

export const REMOTE_WRITE_FLAGS = {
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
    shownDefault: "1GiB",
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
  remoteWriteProtocol: flag.choice(["auto", "1", "2"], {
    group: REMOTE_WRITE,
    description:
      "version of remote write; auto tries 2.0, and 1.0 where the receiver does not know it",
    shownDefault: "auto",
  }),
  remoteWriteHistograms: flag.choice(["powers", "all", "native"], {
    group: REMOTE_WRITE,
    description: "which buckets of log-linear histograms are sent, or that they are native ones",
    shownDefault: "powers",
  }),
  remoteWriteNames: flag.choice(["underscores", "utf-8"], {
    group: REMOTE_WRITE,
    description: "names of OpenTelemetry's by its rules for Prometheus, or as they are",
    shownDefault: "underscores",
  }),
  remoteWriteTokenFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with the bearer token; read again for each request",
  }),
  remoteWriteAuthFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with USER:PASSWORD, for basic authentication; read again likewise",
  }),
  remoteWriteHeaderFile: flag.path({
    group: REMOTE_WRITE,
    description: "file with more headers, a NAME: VALUE on each line; read again likewise",
  }),
  remoteWriteCa: flag.path({
    group: REMOTE_WRITE,
    description: "certificates to trust, PEM",
    shownDefault: "the system's",
  }),
};

export const OTLP_FLAGS = {
  otlp: flag.parsed(parseOtlpUrl, {
    group: OTLP,
    hint: "URL|env",
    description:
      "push to a receiver of OTLP over HTTP, e.g. http://localhost:4318; env does as OTEL_EXPORTER_OTLP_* say",
  }),
  otlpFormat: flag.choice(["protobuf", "json"], {
    group: OTLP,
    description: "how requests are written",
    shownDefault: "protobuf",
  }),
  otlpCompression: flag.choice(["gzip", "none"], {
    group: OTLP,
    description: "how requests are compressed",
    shownDefault: "gzip",
  }),
  otlpTemporality: flag.choice(["cumulative", "delta"], {
    group: OTLP,
    description: "whether sums are since the start, or since the last time",
    shownDefault: "cumulative",
  }),
  otlpInterval: flag.duration({
    group: OTLP,
    description: "a snapshot is sent at most so often",
    shownDefault: "1s",
    min: "10ms",
  }),
  otlpHeaderFile: flag.path({
    group: OTLP,
    description: "file with headers, a NAME: VALUE on each line; read again for each request",
  }),
  otlpCa: flag.path({
    group: OTLP,
    description: "certificates to trust, PEM",
    shownDefault: "the system's",
  }),
  otlpClientCert: flag.path({
    group: OTLP,
    description: "certificate chain to show the receiver, PEM; read again for each request",
  }),
  otlpClientKey: flag.path({
    group: OTLP,
    description: "private key of that certificate, PEM; read again likewise",
  }),
};

/** Stands for an address that the environment names. */
export const FROM_ENVIRONMENT = "env";

export type RemoteWriteOptions = flag.Options<typeof REMOTE_WRITE_FLAGS>;
export type OtlpFlagOptions = flag.Options<typeof OTLP_FLAGS>;
export type PushOptions = RemoteWriteOptions & OtlpFlagOptions;

/** @throws UsageError unless it is an address that can be posted to */
export function parseHttpUrl(text: string, label: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(
      `${label} is no http or https URL`,
      "give the whole URL, e.g. http://HOST:PORT/PATH",
    );
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
  if (text === FROM_ENVIRONMENT) return text;
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
