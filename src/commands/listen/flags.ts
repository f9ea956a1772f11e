// The flags of `microview collect` that let others scrape it.

import {
  type Endpoint,
  flag,
  parseEndpoint,
  parseHostName,
  parseInteger,
} from "../../command-line/index.ts";

const SCRAPES = "Being scraped";

export const LISTEN_FLAGS = {
  listen: flag.parsed(parseListen, {
    group: SCRAPES,
    hint: "[HOST:]PORT",
    description:
      "serve what is read as Prometheus text on /metrics; HOST is 127.0.0.1 unless given",
  }),
  listenTokenFile: flag.path({
    group: SCRAPES,
    description: "tokens that scrapers must send, as the agent's --token-file has them",
  }),
  listenTlsCert: flag.path({
    group: SCRAPES,
    description: "certificate chain that scrapers are shown, PEM; read again when it changes",
  }),
  listenTlsKey: flag.path({ group: SCRAPES, description: "private key of the certificate, PEM" }),
  listenTlsClientCa: flag.path({
    group: SCRAPES,
    description: "only scrapers whose certificate one of these has signed, PEM",
  }),
  listenMaxScrapes: flag.integer({
    group: SCRAPES,
    min: 1,
    description: "answers above 1MiB that are being taken at once",
    shownDefault: "8",
  }),
  listenAllowHost: flag.list(
    {
      group: SCRAPES,
      hint: "NAME",
      description: "host name that scrapers without a token may use, besides the certificate's",
    },
    parseHostName,
  ),
  listenInsecure: flag.toggle({
    group: SCRAPES,
    description: "listen beyond loopback without a token",
  }),
};

export type ListenOptions = flag.Options<typeof LISTEN_FLAGS>;

/** @throws UsageError unless it is a port, or a host and a port; 0 is any that is free */
function parseListen(text: string, label: string): Endpoint {
  if (/^:?\d+$/.test(text)) {
    const port = parseInteger(text.replace(":", ""), label, { min: 0, max: 65_535 });
    return { host: "127.0.0.1", port };
  }
  const [, host, zero] = /^(.+):(0)$/.exec(text) ?? [];
  if (host === undefined || zero === undefined) return parseEndpoint(text, label);
  return { ...parseEndpoint(`${host}:1`, label), port: 0 };
}
