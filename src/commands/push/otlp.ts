// How to push by OTLP, as the flags or the environment ask for it. For `collect` and `agent`.

import { version } from "../../../package.json" with { type: "json" };
import { UsageError } from "../../command-line/index.ts";
import { readAuthorities, readIdentity } from "../../http/index.ts";
import { headersFrom } from "../../sinks/delivery/index.ts";
import {
  type OtlpOptions,
  otlpEnvironment,
  resourceAttributes,
  resourceOf,
} from "../../sinks/otlp/index.ts";
import { FROM_ENVIRONMENT, type OtlpFlagOptions, parseHttpUrl } from "./flags.ts";

/**
 * @param node of Kubernetes that this is
 * @param onNotice told what a person should know, in words
 * @throws UsageError for files that cannot be read, and for an environment that says nothing or what cannot be
 */
export function otlpOptions(
  options: Partial<OtlpFlagOptions>,
  given: string,
  node: string | undefined,
  onNotice: (text: string) => void,
): OtlpOptions {
  const isEnvironment = given === FROM_ENVIRONMENT;
  const reading = { label: "--otlp env", parseUrl: parseHttpUrl, onWarning: onNotice };
  // All of it or nothing: headers that were meant for one receiver must not go to another.
  const environment = isEnvironment ? otlpEnvironment(process.env, reading) : undefined;
  const url = environment === undefined ? given : environment.url;
  if (url === undefined) {
    throw new UsageError(
      "--otlp env: the environment names no receiver",
      "set OTEL_EXPORTER_OTLP_ENDPOINT, or give --otlp URL",
    );
  }
  const { otlpHeaderFile: path, otlpCa: ca = environment?.ca } = options;
  const headers = path === undefined ? undefined : headersFrom(path, "--otlp-header-file");
  headers?.check();
  const identity = identityOf(
    options.otlpClientCert ?? environment?.clientCert,
    options.otlpClientKey ?? environment?.clientKey,
  );
  const attributes = resourceAttributes(process.env["OTEL_RESOURCE_ATTRIBUTES"] ?? "");
  return {
    url,
    format: options.otlpFormat ?? environment?.format ?? "protobuf",
    compression: options.otlpCompression ?? environment?.compression ?? "gzip",
    temporality: options.otlpTemporality ?? environment?.temporality ?? "cumulative",
    intervalMs: options.otlpInterval ?? environment?.intervalMs ?? 1000,
    headers: () => ({ ...environment?.headers, ...headers?.read() }),
    resourceOf: (source) => resourceOf(source, { node, given: attributes }),
    version,
    onNotice,
    flags: {
      ca: "--otlp-ca",
      identity: "--otlp-client-cert and --otlp-client-key",
      tls: "an https URL",
    },
    ...(environment?.timeoutMs === undefined ? {} : { timeoutMs: environment.timeoutMs }),
    ...(ca === undefined ? {} : { ca: readAuthorities(ca, "--otlp-ca") }),
    ...(identity === undefined ? {} : { identity }),
  };
}

/** What we show the receiver of ourselves, read again each time: such certificates are short-lived. */
function identityOf(cert: string | undefined, key: string | undefined): OtlpOptions["identity"] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new UsageError("--otlp-client-cert and --otlp-client-key are given together");
  }
  // What cannot be read is said now, and not with the first request.
  const flags = { cert: "--otlp-client-cert", key: "--otlp-client-key" };
  readIdentity({ cert, key }, flags);
  return () => readIdentity({ cert, key }, flags);
}
