// What `microview collect` shows its agents, read from files: at the start, and anew whenever an agent is connected to.

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Credentials } from "../../collector/index.ts";
import { UsageError } from "../support/errors.ts";
import { readTextFile } from "../support/files.ts";
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
    ...(ca === undefined ? {} : { ca: readTextFile(ca, "--ca") }),
    ...(clientCert === undefined ? {} : { cert: readTextFile(clientCert, "--client-cert") }),
    ...(clientKey === undefined ? {} : { key: readTextFile(clientKey, "--client-key") }),
  };
  if (pem.cert !== undefined && pem.key !== undefined) checkPair(pem.cert, pem.key);
  const isTls = options.tls || Object.keys(pem).length > 0;
  return { ...(token === undefined ? {} : { token }), ...(isTls ? { tls: pem } : {}) };
}

/** Of two that do not fit, a connection would say nothing that helps. @throws UsageError */
function checkPair(cert: string, key: string): void {
  const certificate = parsed(
    () => new X509Certificate(cert),
    "--client-cert: it is no certificate",
  );
  const privateKey = parsed(() => createPrivateKey(key), "--client-key: it is no private key");
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new UsageError("--client-key: it is not the key of the certificate --client-cert");
  }
}

function parsed<T>(parse: () => T, complaint: string): T {
  try {
    return parse();
  } catch {
    throw new UsageError(`${complaint} that can be read (PEM, no passphrase)`);
  }
}
