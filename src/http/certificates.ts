// Certificates and keys in files that people name: parsed, and, if a file holds something else, described in words.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { SettingError } from "../settings/index.ts";

/** Says what is wrong with certificates or keys, by the flag that names them, and never what is in them. */
export class TlsError extends SettingError {
  override readonly name = "TlsError";
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** Ends of what `openssl` says in the first line of a block. */
const KINDS: readonly [found: RegExp, what: string][] = [
  [/BEGIN (?:NEW )?CERTIFICATE REQUEST/, "a request for a certificate: have an authority sign it"],
  [
    /BEGIN TRUSTED CERTIFICATE/,
    "a certificate of OpenSSL's own kind: `openssl x509` makes PEM of it",
  ],
  [/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/, "a private key with a passphrase"],
  [/BEGIN (?:\w+ )?PRIVATE KEY/, "a private key"],
  [/BEGIN (?:\w+ )?PUBLIC KEY/, "a public key"],
  [/BEGIN PKCS7/, "PKCS#7: `openssl pkcs7 -print_certs` makes PEM of it"],
  [/BEGIN CERTIFICATE/, "a certificate"],
];

/** The certificates of a PEM file. @throws TlsError when there is none, or one cannot be read */
export function certificatesOf(pem: string, label: string): X509Certificate[] {
  const blocks = pem.match(BLOCK);
  if (blocks === null) {
    const der = "DER: `openssl x509 -inform der -in FILE -out FILE.pem` makes PEM of it";
    throw new TlsError(`${label}: there is no certificate in it (PEM); ${whatIs(pem, der)}`);
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      const which = blocks.length === 1 ? "the certificate" : `certificate ${index + 1}`;
      throw new TlsError(`${label}: ${which} in it cannot be read: it is damaged (PEM)`);
    }
  });
}

/** The private key of a PEM file. @throws TlsError when it cannot be read */
export function privateKeyOf(pem: string, label: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    const der = "DER: `openssl pkey -inform der -in FILE -out FILE.pem` makes PEM of it";
    const what = whatIs(pem, der);
    const advice = what.endsWith("passphrase")
      ? ": `openssl pkey -in FILE -out FILE.pem` takes it off"
      : what.endsWith("a private key")
        ? ", and it is damaged"
        : "";
    throw new TlsError(
      `${label}: it is no private key that can be read (PEM, no passphrase); ${what}${advice}`,
    );
  }
}

/** @throws TlsError when a key is not that of a certificate, the first of its file */
export function checkPair(
  { cert, key }: { cert: string; key: string },
  labels: { cert: string; key: string },
): X509Certificate {
  const [own] = certificatesOf(cert, labels.cert);
  if (own!.checkPrivateKey(privateKeyOf(key, labels.key))) return own!;
  throw new TlsError(`${labels.key}: it is not the key of the certificate of ${labels.cert}`);
}

function whatIs(text: string, der: string): string {
  if (text.startsWith("\uFFFD\uFFFD") || text.slice(0, 4).includes("\0-")) {
    return "it is UTF-16: save it as UTF-8 or ASCII";
  }
  const known = KINDS.find(([found]) => found.test(text));
  if (known !== undefined) return `it is ${known[1]}`;
  // A sequence of ASN.1 with a length of two bytes, of which the first is no text.
  if (text.startsWith("0\uFFFD")) return `it is ${der}`;
  return "its format is unknown";
}
