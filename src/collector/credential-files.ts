// What a collector shows its agents, read from files: at the start, and again whenever an agent is connected to.

import { readToken } from "../guard/index.ts";
import { readAuthorities, readIdentity } from "../http/index.ts";
import { SettingError } from "../settings/index.ts";
import type { Credentials } from "./agent-client.ts";

/** Paths, or what messages call them. */
interface CredentialPaths<Path = string | undefined> {
  token: Path;
  /** Authorities to trust. */
  ca: Path;
  /** Shown to agents that ask for it. */
  cert: Path;
  key: Path;
}

/**
 * Reads the files, now and at each call of what is returned. A file that cannot be used later leaves what was read
 * before, and `complain` is told, once for each reason.
 * @param isTls TLS is spoken even without certificates of our own choice
 * @param labels how messages name the files
 * @throws SettingError for files that cannot be used now
 */
export function credentialFiles(
  paths: CredentialPaths,
  isTls: boolean,
  labels: CredentialPaths<string>,
  complain: (message: string) => void,
): () => Credentials {
  const read = () => readCredentials(paths, isTls, labels);
  let last = read();
  let said = "";
  return () => {
    try {
      last = read();
      said = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== said) complain(message);
      said = message;
    }
    return last;
  };
}

function readCredentials(
  { token: tokenPath, ca, cert, key }: CredentialPaths,
  isTls: boolean,
  labels: CredentialPaths<string>,
): Credentials {
  if ((cert === undefined) !== (key === undefined)) {
    throw new SettingError(`${labels.cert} and ${labels.key} are given together`);
  }
  const token = readToken(tokenPath, labels.token);
  const pem = {
    ...(ca === undefined ? {} : { ca: readAuthorities(ca, labels.ca) }),
    ...(cert === undefined || key === undefined ? {} : readIdentity({ cert, key }, labels)),
  };
  return {
    ...(token === undefined ? {} : { token }),
    ...(isTls || Object.keys(pem).length > 0 ? { tls: pem } : {}),
  };
}
