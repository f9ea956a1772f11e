// `microview collect --listen`: lets others scrape what is read, with tokens and certificates from files.

import { CliError, onHangUp, UsageError } from "../../command-line/index.ts";
import {
  checkPort,
  createLog,
  ListenError,
  listensOnLoopback,
  Renewal,
  type TlsIdentity,
  WatchedFiles,
} from "../../guard/index.ts";
import { formatEndpoint } from "../../layout/index.ts";
import { ScrapeServer, type ScrapeServerOptions } from "../../sinks/prometheus/index.ts";
import { readServerTls } from "../support/tls-files.ts";
import { readTokens } from "../support/token-file.ts";
import type { ListenOptions } from "./listen-flags.ts";

const TOKEN_FLAG = "--listen-token-file";
const TLS_FLAGS = {
  cert: "--listen-tls-cert",
  key: "--listen-tls-key",
  clientCa: "--listen-tls-client-ca",
};

type Options = Partial<ListenOptions> & { listen: NonNullable<ListenOptions["listen"]> };

/** What the flags do not say. */
type Rest = Pick<
  ScrapeServerOptions,
  "intervalMs" | "wants" | "labelSource" | "statistics" | "pushes" | "clashes"
> & {
  /** Takes lines that are for whoever runs it. */
  say: (line: string) => void;
};

export class Scraping {
  readonly server: ScrapeServer;
  readonly #renewal: Renewal;

  /** @throws UsageError when strangers could read and nobody has said that they may; CliError when the port is taken */
  constructor(options: Options, { say, ...rest }: Rest) {
    const { listenTokenFile, listenTlsCert, listenTlsKey, listenTlsClientCa } = options;
    const tokenFiles = new WatchedFiles("the tokens of scrapers", [listenTokenFile], () =>
      readTokens(listenTokenFile, TOKEN_FLAG),
    );
    const pem = { cert: listenTlsCert, key: listenTlsKey, clientCa: listenTlsClientCa };
    const tlsFiles = new WatchedFiles(
      "the certificates shown to scrapers",
      Object.values(pem),
      () => readServerTls(pem, TLS_FLAGS),
    );
    const log = createLog("info", false, (line) => say(line.trimEnd()));
    const given = { tokens: tokenFiles.first, tls: tlsFiles.first };
    checkExposure(options, given);
    this.server = listening(options.listen, {
      ...rest,
      ...given,
      ...options.listen,
      allowHosts: options.listenAllowHost,
      scrapesAtOnce: options.listenMaxScrapes,
      log,
    });
    this.#renewal = new Renewal(log);
    this.#renewal.follow(tokenFiles, (changed) => this.server.renewTokens(changed!));
    this.#renewal.follow(tlsFiles, (changed) => this.server.renewTls(changed!));
    // Also without files to reload: SIGHUP must not end a server.
    onHangUp(() => this.#renewal.renewNow());
  }

  async close(graceMs: number): Promise<void> {
    this.#renewal.stop();
    await this.server.close(graceMs);
  }
}

/** @throws UsageError */
function checkExposure(
  { listen: { host }, listenInsecure = false }: Options,
  { tokens, tls }: { tokens: unknown; tls: TlsIdentity | undefined },
): void {
  const isKnown = tokens !== undefined || tls?.clientCa !== undefined;
  if (listensOnLoopback(host) || isKnown || listenInsecure) return;
  throw new UsageError(
    `--listen: ${host} is reachable from other hosts, and anybody there could read`,
    `give ${TOKEN_FLAG} FILE or ${TLS_FLAGS.clientCa} FILE, listen on 127.0.0.1, or say --listen-insecure`,
  );
}

/** @throws CliError when the address cannot be listened on */
function listening({ host, port }: Options["listen"], options: ScrapeServerOptions): ScrapeServer {
  try {
    checkPort(host, port, { host: "--listen", port: "--listen" });
    return new ScrapeServer(options);
  } catch (error) {
    if (error instanceof ListenError) throw new CliError(error);
    throw new CliError({
      message: `--listen: cannot listen on ${formatEndpoint({ host, port })}: ${(error as Error).message}`,
      hint: "something listens there already, or the address is not this host's",
      cause: error,
    });
  }
}
