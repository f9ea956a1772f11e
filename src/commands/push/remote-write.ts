// Makes what pushes by remote write, as the flags ask for it.

import { version } from "../../../package.json" with { type: "json" };
import { CliError, UsageError } from "../../command-line/index.ts";
import { readAuthorities } from "../../http/index.ts";
import {
  basicFrom,
  bearerFrom,
  headersFrom,
  type PushSink,
  WriteAheadError,
} from "../../sinks/delivery/index.ts";
import { instanceOf, RemoteWrite } from "../../sinks/remote-write/index.ts";
import type { RemoteWriteOptions } from "./flags.ts";
import type { PushSource } from "./source.ts";

export function remoteWriteOf(
  options: Partial<RemoteWriteOptions>,
  url: string,
  { isRecorded, onNotice, clashes }: PushSource,
): PushSink {
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
      histograms: options.remoteWriteHistograms ?? "powers",
      names: options.remoteWriteNames === "utf-8" ? "allow-utf-8" : "underscores",
      protocol: options.remoteWriteProtocol ?? "auto",
      instanceOf,
      version,
      onNotice,
      flags: { ca: "--remote-write-ca", tls: "an https URL" },
      clashes,
      ...(isRecorded ? { awayMs: Number.POSITIVE_INFINITY } : {}),
      ...(folder === undefined
        ? {}
        : { writeAhead: { folder, maxBytes: options.remoteWriteWalSize ?? 1 << 30 } }),
      ...(ca === undefined ? {} : { ca: readAuthorities(ca, "--remote-write-ca") }),
    });
  } catch (error) {
    if (!(error instanceof WriteAheadError)) throw error;
    throw new CliError({ message: `--remote-write-wal: ${error.message}` });
  }
}
