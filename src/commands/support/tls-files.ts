// Reads the certificates and keys that flags name, and checks that they can be used.

import { readTextFile, UsageError } from "../../command-line/index.ts";
import { checkTls, type TlsIdentity } from "../../guard/index.ts";
import { checked } from "./certificate-files.ts";

/** Flags, or what they name. */
interface TlsFiles {
  cert: string | undefined;
  key: string | undefined;
  clientCa: string | undefined;
}

/**
 * What a server shows, and asks of its clients.
 * @param flags how messages name the files
 * @returns undefined when no file is given
 * @throws UsageError for files that cannot be read, or not be used together
 */
export function readServerTls(files: TlsFiles, flags: Record<keyof TlsFiles, string>) {
  const { cert, key, clientCa } = files;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${flags.cert} and ${flags.key} are given together`);
  }
  if (cert === undefined || key === undefined) {
    if (clientCa === undefined) return undefined;
    throw new UsageError(`${flags.clientCa} wants ${flags.cert} and ${flags.key} beside it`);
  }
  const tls: TlsIdentity = {
    cert: readTextFile(cert, flags.cert),
    key: readTextFile(key, flags.key),
    ...(clientCa === undefined ? {} : { clientCa: readTextFile(clientCa, flags.clientCa) }),
  };
  checked(() => checkTls(tls, flags));
  return tls;
}
