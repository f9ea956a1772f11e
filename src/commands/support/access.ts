// The flags by which agent and lake are given tokens and certificates, and the files that they name.

import { flag, parseHostName } from "../../command-line/index.ts";
import type { AccessFiles } from "../../guard/index.ts";

const ACCESS = "Access";

/** `tokenFile` is each server's own: its description names the server's scopes. */
export const ACCESS_FLAGS = {
  tlsCert: flag.path({
    group: ACCESS,
    description: "certificate chain, PEM; read again when it changes",
  }),
  tlsKey: flag.path({ group: ACCESS, description: "private key of the certificate, PEM" }),
  tlsClientCa: flag.path({
    group: ACCESS,
    description: "only callers whose certificate one of these has signed, PEM",
  }),
  allowHost: flag.list(
    {
      group: ACCESS,
      hint: "NAME",
      description: "host name that callers without a token may use, besides the certificate's",
    },
    parseHostName,
  ),
  insecure: flag.toggle({
    group: ACCESS,
    description: "listen beyond loopback without a token and TLS",
  }),
};

/** @param scopes that a line of the file may have, as an example; `more` follows the description */
export function tokenFileFlag(scopes: string, more = "") {
  return flag.path({
    group: ACCESS,
    description: `tokens that callers must send, one per line: TOKEN [apps=GLOB,…] [scopes=${scopes}] [expires=TIME] [name=NAME]; read again when it changes${more}`,
  });
}

interface AccessOptions {
  tokenFile: string | undefined;
  tlsCert: string | undefined;
  tlsKey: string | undefined;
  tlsClientCa: string | undefined;
}

/** @param scopes of an example in errors about the token file; the agent's unless given */
export async function accessFiles(options: AccessOptions, scopes?: string): Promise<AccessFiles> {
  const { AccessFiles } = await import("../../guard/index.ts");
  const { tokenFile: tokens, tlsCert: cert, tlsKey: key, tlsClientCa: clientCa } = options;
  const flags = {
    ...{ tokens: "--token-file", cert: "--tls-cert", key: "--tls-key" },
    clientCa: "--tls-client-ca",
  };
  return new AccessFiles({ tokens, cert, key, clientCa }, flags, {
    tokens: "the tokens",
    certificates: "the certificates",
    ...(scopes === undefined ? {} : { scopes }),
  });
}
