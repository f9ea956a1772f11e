// Reads what clients show and trust by TLS from the files that flags name, and checks that it can be used.

import { readTextFile, UsageError } from "../../command-line/index.ts";
import { certificatesOf, checkPair, TlsError } from "../../http/index.ts";

/** Authorities to trust, PEM. @throws UsageError for a file that has none */
export function readAuthorities(path: string, flag: string): string {
  const pem = readTextFile(path, flag);
  checked(() => certificatesOf(pem, flag));
  return pem;
}

/** What a client shows. @throws UsageError for files that cannot be read, or do not fit each other */
export function readIdentity(
  paths: { cert: string; key: string },
  flags: { cert: string; key: string },
): { cert: string; key: string } {
  const cert = readTextFile(paths.cert, flags.cert);
  const key = readTextFile(paths.key, flags.key);
  checked(() => checkPair({ cert, key }, flags));
  return { cert, key };
}

/** @throws UsageError for what a check finds wrong with certificates */
export function checked(check: () => void): void {
  try {
    check();
  } catch (error) {
    if (error instanceof TlsError) throw new UsageError(error.message);
    throw error;
  }
}
