// What `microview collect` shows its agents, read from files: at the start, and anew whenever an agent is connected to.

import type { Credentials } from "../../collector/index.ts";
import { UsageError } from "../../command-line/index.ts";
import { readAuthorities, readIdentity } from "../support/certificate-files.ts";
import { readToken } from "../support/token-file.ts";

export interface CredentialOptions {
  tokenFile: string | undefined;
  tls: boolean;
  ca: string | undefined;
  clientCert: string | undefined;
  clientKey: string | undefined;
}

/**
 * Reads what the flags name, now and at each call of what is returned. A file that cannot be used later leaves what
 * was read before, and `complain` is told, once for each reason.
 * @throws UsageError for files that cannot be used now
 */
export function credentialsOf(
  options: CredentialOptions,
  complain: (message: string) => void,
): () => Credentials {
  let last = readCredentials(options);
  let said = "";
  return () => {
    try {
      last = readCredentials(options);
      said = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== said) complain(message);
      said = message;
    }
    return last;
  };
}

function readCredentials(options: CredentialOptions): Credentials {
  const { tokenFile, ca, clientCert, clientKey } = options;
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw new UsageError("--client-cert and --client-key are given together");
  }
  const token = readToken(tokenFile);
  const pem = {
    ...(ca === undefined ? {} : { ca: readAuthorities(ca, "--ca") }),
    ...(clientCert === undefined || clientKey === undefined
      ? {}
      : readIdentity(
          { cert: clientCert, key: clientKey },
          { cert: "--client-cert", key: "--client-key" },
        )),
  };
  const isTls = options.tls || Object.keys(pem).length > 0;
  return { ...(token === undefined ? {} : { token }), ...(isTls ? { tls: pem } : {}) };
}
