// Reads what clients trust and show by TLS from the files that a person names, and checks that it can be used.

import { readTextFile } from "../settings/index.ts";
import { certificatesOf, checkPair } from "./certificates.ts";

/** Authorities to trust, PEM. @throws SettingError for a file that has none */
export function readAuthorities(path: string, label: string): string {
  const pem = readTextFile(path, label);
  certificatesOf(pem, label);
  return pem;
}

/** What a client shows. @throws SettingError for files that cannot be read, or do not fit each other */
export function readIdentity(
  paths: { cert: string; key: string },
  labels: { cert: string; key: string },
): { cert: string; key: string } {
  const cert = readTextFile(paths.cert, labels.cert);
  const key = readTextFile(paths.key, labels.key);
  checkPair({ cert, key }, labels);
  return { cert, key };
}
