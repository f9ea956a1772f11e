// Makes the exporters that the flags of `microview collect` ask for.

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { version } from "../../../package.json" with { type: "json" };
import { type Filter, wantedBy } from "../../collector/index.ts";
import {
  type Attributes,
  type Exporter,
  Otlp,
  RemoteWrite,
  WriteAheadError,
} from "../../export/index.ts";
import { CliError, UsageError } from "../support/errors.ts";
import { readTextFile } from "../support/files.ts";
import { flagName } from "../support/flags.ts";
import { PUSH_DEFAULTS, type PushOptions } from "./push-flags.ts";

/** @param onNotice told what a person should know, in words */
export function exportersOf(
  options: Partial<PushOptions>,
  filter: Filter,
  onNotice: (text: string) => void,
): Exporter[] {
  const exporters: Exporter[] = [];
  if (options.remoteWrite === undefined) {
    refuseAlone(options, "remoteWrite");
  } else {
    exporters.push(remoteWriteOf(options, options.remoteWrite, filter, onNotice));
  }
  if (options.otlp === undefined) refuseAlone(options, "otlp");
  else exporters.push(otlpOf(options, options.otlp, filter, onNotice));
  return exporters;
}

/** @throws UsageError for flags that say how to push when nothing says where to */
function refuseAlone(options: Partial<PushOptions>, main: "remoteWrite" | "otlp"): void {
  for (const [name, value] of Object.entries(options)) {
    if (!name.startsWith(main) || name === main || PUSH_DEFAULTS.has(name)) continue;
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    throw new UsageError(`${flagName(name)} needs ${flagName(main)}`);
  }
}

function remoteWriteOf(
  options: Partial<PushOptions>,
  url: string,
  filter: Filter,
  onNotice: (text: string) => void,
): Exporter {
  const { remoteWriteWal: folder, remoteWriteCa: ca } = options;
  const { remoteWriteTokenFile: token, remoteWriteAuthFile: auth } = options;
  if (token !== undefined && auth !== undefined) {
    throw new UsageError(
      "--remote-write-token-file and --remote-write-auth-file exclude each other",
    );
  }
  const headers = [
    ...(token === undefined ? [] : [bearerFrom(token, "--remote-write-token-file")]),
    ...(auth === undefined ? [] : [basicFrom(auth, "--remote-write-auth-file")]),
    ...(options.remoteWriteHeaderFile === undefined
      ? []
      : [headersFrom(options.remoteWriteHeaderFile, "--remote-write-header-file")]),
  ];
  // What cannot be read is said now, and not with the first request.
  for (const each of headers) each.check();
  try {
    return new RemoteWrite({
      url,
      headers: () => Object.assign({}, ...headers.map((each) => each.read())),
      labels: options.remoteWriteLabel ?? [],
      wanted: wantedBy(filter).metric,
      instanceOf,
      version,
      onNotice,
      ...(folder === undefined
        ? {}
        : { writeAhead: { folder, maxBytes: options.remoteWriteWalSize ?? 1 << 30 } }),
      ...(ca === undefined ? {} : { ca: readTextFile(ca, "--remote-write-ca") }),
    });
  } catch (error) {
    if (!(error instanceof WriteAheadError)) throw error;
    throw new CliError({ message: `--remote-write-wal: ${error.message}` });
  }
}

function otlpOf(
  options: Partial<PushOptions>,
  url: string,
  filter: Filter,
  onNotice: (text: string) => void,
): Exporter {
  const { otlpHeaderFile: path, otlpCa: ca } = options;
  const headers = path === undefined ? undefined : headersFrom(path, "--otlp-header-file");
  headers?.check();
  const given = resourceAttributes(process.env["OTEL_RESOURCE_ATTRIBUTES"] ?? "");
  return new Otlp({
    url,
    format: options.otlpFormat ?? "protobuf",
    temporality: options.otlpTemporality ?? "cumulative",
    intervalMs: options.otlpInterval ?? 1000,
    headers: () => headers?.read() ?? {},
    resourceOf: (source) => resourceOf(source, given),
    wanted: wantedBy(filter).metric,
    version,
    onNotice,
    ...(ca === undefined ? {} : { ca: readTextFile(ca, "--otlp-ca") }),
  });
}

/** What is known of where a service runs; what the environment says goes first, but for the service itself. */
function resourceOf(source: string, given: ReadonlyMap<string, string>): Attributes {
  const host = source === "local" ? hostname() : source.replace(/:\d+$/, "");
  const all = new Map([["service.instance.id", instanceOf(source)], ["host.name", host], ...given]);
  for (const name of ["service.name", "service.namespace"]) all.delete(name);
  return [...all];
}

/**
 * OTEL_RESOURCE_ATTRIBUTES: `k8s.pod.name=a,container.id=b`, values percent-encoded. What is none is left out.
 * https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
 */
function resourceAttributes(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of text.split(",")) {
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) continue;
    try {
      found.set(name, decodeURIComponent(value));
    } catch {
      found.set(name, value);
    }
  }
  return found;
}

/** An agent's name, which tells its series from those of others; this host's has none but the host's. */
function instanceOf(source: string): string {
  return source === "local" ? hostname() : source;
}

/** Headers that a file holds. Its text is never shown: it is a secret. */
class FileHeaders {
  constructor(
    readonly path: string,
    readonly label: string,
    readonly parse: (text: string) => Record<string, string> | undefined,
    readonly syntax: string,
  ) {}

  /** @throws UsageError telling what is wrong with the file */
  check(): void {
    if (this.#isWrong(readTextFile(this.path, this.label))) {
      throw new UsageError(`${this.label}: ${this.path} is not understood`, this.syntax);
    }
  }

  /** @throws Error when the file has become unreadable since */
  read(): Record<string, string> {
    const parsed = this.parse(readFileSync(this.path, "utf8").trim());
    if (parsed === undefined) throw new Error(`${this.path} is not understood`);
    return parsed;
  }

  #isWrong(text: string): boolean {
    return this.parse(text.trim()) === undefined;
  }
}

const VISIBLE = /^[\x21-\x7e]+$/;

function bearerFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) =>
    VISIBLE.test(text) ? { authorization: `Bearer ${text}` } : undefined;
  return new FileHeaders(path, label, parse, "it holds the token and nothing else");
}

function basicFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) =>
    /^[^:\r\n]+:[^\r\n]*$/.test(text)
      ? { authorization: `Basic ${Buffer.from(text).toString("base64")}` }
      : undefined;
  return new FileHeaders(path, label, parse, "it holds USER:PASSWORD and nothing else");
}

function headersFrom(path: string, label: string): FileHeaders {
  const parse = (text: string) => {
    const headers: Record<string, string> = {};
    for (const line of text.split("\n")) {
      if (line.trim() === "") continue;
      const [, name, value] =
        /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*([\x20-\x7e]*?)\s*$/.exec(line) ?? [];
      if (name === undefined || value === undefined) return undefined;
      headers[name.toLowerCase()] = value;
    }
    return headers;
  };
  return new FileHeaders(path, label, parse, "it holds a NAME: VALUE on each line");
}
