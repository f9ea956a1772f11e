// Reads a server's certificates and key, and checks that they fit together.

import { readTextFile, SettingError } from "../settings/index.ts";
import { checkTls, type TlsIdentity } from "./tls.ts";

/** Paths of the files, or the names that messages use for them. */
export interface TlsFiles<Path = string | undefined> {
  cert: Path;
  key: Path;
  clientCa: Path;
}

/**
 * The certificate of a server, and the authorities for its clients.
 * @param labels how messages name the files
 * @returns undefined if no file is given
 * @throws SettingError for files that cannot be read or do not fit together
 */
export function readServerTls(
  { cert, key, clientCa }: TlsFiles,
  labels: TlsFiles<string>,
): TlsIdentity | undefined {
  if ((cert === undefined) !== (key === undefined)) {
    throw new SettingError(`${labels.cert} and ${labels.key} are given together`);
  }
  if (cert === undefined || key === undefined) {
    if (clientCa === undefined) return undefined;
    throw new SettingError(`${labels.clientCa} wants ${labels.cert} and ${labels.key} beside it`);
  }
  const tls: TlsIdentity = {
    cert: readTextFile(cert, labels.cert),
    key: readTextFile(key, labels.key),
    ...(clientCa === undefined ? {} : { clientCa: readTextFile(clientCa, labels.clientCa) }),
  };
  checkTls(tls, labels);
  return tls;
}
