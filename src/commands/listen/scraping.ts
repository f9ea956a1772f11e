// `microview collect --listen`: lets others scrape what is read, with tokens and certificates from files.

import { formatEndpoint } from "../../calling/index.ts";
import { CliError, onHangUp, UsageError } from "../../command-line/index.ts";
import {
  AccessFiles,
  checkPort,
  createLog,
  ListenError,
  listensOnLoopback,
  type Renewal,
  type TlsIdentity,
} from "../../guard/index.ts";
import { ScrapeServer, type ScrapeServerOptions } from "../../sinks/prometheus/index.ts";
import type { ListenOptions } from "./flags.ts";

const FLAGS = {
  allowHost: "--listen-allow-host",
  tokens: "--listen-token-file",
  cert: "--listen-tls-cert",
  key: "--listen-tls-key",
  clientCa: "--listen-tls-client-ca",
};

type Options = Partial<ListenOptions> & { listen: NonNullable<ListenOptions["listen"]> };

/** What the flags do not say. */
type Rest = Pick<
  ScrapeServerOptions,
  "intervalMs" | "labelSource" | "statistics" | "pushes" | "clashes"
> & {
  /** Takes lines that are for whoever runs it. */
  say: (line: string) => void;
};

export class Scraping {
  readonly server: ScrapeServer;
  readonly #renewal: Renewal;

  /** @throws UsageError when strangers could read and nobody has said that they may; CliError when the port is taken */
  constructor(options: Options, { say, ...rest }: Rest) {
    const files = new AccessFiles(
      {
        tokens: options.listenTokenFile,
        cert: options.listenTlsCert,
        key: options.listenTlsKey,
        clientCa: options.listenTlsClientCa,
      },
      FLAGS,
      { tokens: "the tokens of scrapers", certificates: "the certificates shown to scrapers" },
    );
    const log = createLog("info", false, (line) => say(line.trimEnd()));
    checkExposure(options, files.first);
    this.server = listening(options.listen, {
      ...rest,
      ...files.first,
      ...options.listen,
      allowHosts: options.listenAllowHost,
      flags: FLAGS,
      scrapesAtOnce: options.listenMaxScrapes,
      log,
    });
    this.#renewal = files.follow(this.server, log);
    // Also without files to reload: SIGHUP must not end a server.
    onHangUp(() => this.#renewal.renewNow());
  }

  /** Watches the files no more; the server goes on. */
  stop(): void {
    this.#renewal.stop();
  }
}

/** @throws UsageError */
function checkExposure(
  { listen: { host }, listenInsecure = false }: Options,
  { tokens, tls }: { tokens?: unknown; tls?: TlsIdentity },
): void {
  const isKnown = tokens !== undefined || tls?.clientCa !== undefined;
  if (listensOnLoopback(host) || isKnown || listenInsecure) return;
  throw new UsageError(
    `--listen: ${host} is reachable from other hosts, and anybody there could read`,
    `give ${FLAGS.tokens} FILE or ${FLAGS.clientCa} FILE, listen on 127.0.0.1, or give --listen-insecure`,
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
