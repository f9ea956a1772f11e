// Where to push and how, as OpenTelemetry's environment variables say it. For `--otlp env`.
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/

import { SettingError } from "../../settings/index.ts";

/** What the environment says; nothing of what it does not. */
interface OtlpEnvironment {
  url?: string;
  headers: Record<string, string>;
  format?: "protobuf" | "json";
  compression?: "gzip" | "none";
  temporality?: "cumulative" | "delta";
  intervalMs?: number;
  timeoutMs?: number;
  /** Files. */
  ca?: string;
  clientCert?: string;
  clientKey?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Reading {
  /** How messages name the environment, e.g. `--otlp env`. */
  label: string;
  /** Checks an address and completes it. @throws Error for what is none */
  parseUrl: (text: string, label: string) => string;
  /** Receives what is ignored: the variable's name, never its value, which may be a secret. */
  onWarning: (text: string) => void;
}

const PROTOCOLS = { "http/protobuf": "protobuf", "http/json": "json" } as const;
const COMPRESSIONS = { gzip: "gzip", none: "none" } as const;
// "lowmemory" wants deltas where nothing has to be remembered for them; we remember anyway.
const TEMPORALITIES = { cumulative: "cumulative", delta: "delta", lowmemory: "delta" } as const;

/**
 * As the specification asks, a word or number that is not understood is ignored, with a warning. What would send
 * values elsewhere, in another protocol or without a password is refused.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
 * @throws SettingError for what cannot be done, without repeating what is set, which may be a secret
 */
export function otlpEnvironment(
  environment: Environment,
  { label, parseUrl, onWarning }: Reading,
): OtlpEnvironment {
  /** That of metrics goes before that of all signals. */
  const read = (name: string): [variable: string, text: string] | undefined => {
    for (const prefix of ["OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_"]) {
      const text = environment[prefix + name]?.trim() ?? "";
      if (text !== "") return [prefix + name, text];
    }
    return undefined;
  };
  const word = <Word>(name: string, words: Readonly<Record<string, Word>>): Word | undefined => {
    const found = read(name);
    if (found === undefined) return undefined;
    const [variable, text] = found;
    if (Object.hasOwn(words, text.toLowerCase())) return words[text.toLowerCase()];
    const known = Object.keys(words).join(", ");
    if (text.toLowerCase() === "grpc") {
      throw new SettingError(
        `${label}: ${variable} asks for gRPC, which is not spoken here`,
        `set it to one of ${known}, and the endpoint to the receiver's port for HTTP, mostly 4318`,
      );
    }
    onWarning(`${label}: ${variable} is not one of ${known}: it is ignored`);
    return undefined;
  };
  /** Whole milliseconds. */
  const milliseconds = (found: Found): number | undefined => {
    if (found === undefined) return undefined;
    if (/^\d{1,9}$/.test(found[1]) && Number(found[1]) >= 10) return Number(found[1]);
    onWarning(`${label}: ${found[0]} is no number of milliseconds from 10 on: it is ignored`);
    return undefined;
  };
  const found = {
    url: endpointOf(read("ENDPOINT"), (text, variable) => parseUrl(text, `${label}: ${variable}`)),
    headers: headersOf(read("HEADERS"), label),
    format: word("PROTOCOL", PROTOCOLS),
    compression: word("COMPRESSION", COMPRESSIONS),
    temporality: word("TEMPORALITY_PREFERENCE", TEMPORALITIES),
    timeoutMs: milliseconds(read("TIMEOUT")),
    intervalMs: milliseconds(
      pair("OTEL_METRIC_EXPORT_INTERVAL", environment["OTEL_METRIC_EXPORT_INTERVAL"]),
    ),
    ca: read("CERTIFICATE")?.[1],
    clientCert: read("CLIENT_CERTIFICATE")?.[1],
    clientKey: read("CLIENT_KEY")?.[1],
  };
  return Object.fromEntries(
    Object.entries(found).filter(([, value]) => value !== undefined),
  ) as unknown as OtlpEnvironment;
}

type Found = readonly [variable: string, text: string] | undefined;

function pair(variable: string, text: string | undefined): Found {
  return text === undefined || text.trim() === "" ? undefined : [variable, text.trim()];
}

/** "As is" for metrics' own, with `v1/metrics` behind that of all signals. */
function endpointOf(
  found: Found,
  parse: (text: string, variable: string) => string,
): string | undefined {
  if (found === undefined) return undefined;
  const [variable, text] = found;
  const url = new URL(parse(text, variable));
  if (variable.includes("_METRICS_")) return url.href;
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/metrics`;
  return url.href;
}

const NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\x20-\x7e]*$/;

/** W3C's baggage without properties: `name=value,name=value`, values percent-encoded. */
function headersOf(found: Found, label: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const entry of (found?.[1] ?? "").split(",")) {
    if (entry.trim() === "") continue;
    const [name = "", value] = split(entry);
    if (!NAME.test(name) || value === undefined || !VALUE.test(value)) {
      throw new SettingError(
        `${label}: ${found![0]} is not understood`,
        "it holds NAME=VALUE,NAME=VALUE, values percent-encoded",
      );
    }
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

function split(entry: string): [name: string, value: string | undefined] {
  const at = entry.indexOf("=");
  const text = entry.slice(at + 1).trim();
  if (at < 0) return [entry.trim(), undefined];
  const name = entry.slice(0, at).trim();
  try {
    return [name, decodeURIComponent(text)];
  } catch {
    return [name, text];
  }
}
