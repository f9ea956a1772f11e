// What the agent's ports, and others that serve, show and ask for by TLS; checked before it is used.

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Log } from "./log.ts";

/** How long before its end a certificate is warned of. */
const WARN_AHEAD_MS = 7 * 24 * 3600e3;

/** All of it as PEM. */
export interface TlsIdentity {
  /** Certificate chain, the server's own first. */
  cert: string;
  key: string;
  /** Authorities one of which must have signed a client's certificate; undefined asks clients for none. */
  clientCa?: string;
}

/** Says what is wrong with certificates or keys, by the flag that names them, and never what is in them. */
export class TlsError extends Error {
  override readonly name = "TlsError";
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates of a PEM file. @throws TlsError when there is none, or one cannot be read */
export function certificatesOf(pem: string, label: string): X509Certificate[] {
  const blocks = pem.match(BLOCK);
  if (blocks === null) throw new TlsError(`${label}: there is no certificate in it (PEM)`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new TlsError(`${label}: a certificate in it cannot be read (PEM)`);
    }
  });
}

/**
 * @param labels how messages name the parts, e.g. `--tls-cert`
 * @returns the certificate that is shown
 * @throws TlsError when they cannot be used together
 */
export function checkTls(
  { cert, key, clientCa }: TlsIdentity,
  labels = { cert: "--tls-cert", key: "--tls-key", clientCa: "--tls-client-ca" },
): X509Certificate {
  const [own] = certificatesOf(cert, labels.cert);
  if (clientCa !== undefined) certificatesOf(clientCa, labels.clientCa);
  let isPair: boolean;
  try {
    isPair = own!.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new TlsError(`${labels.key}: it is no private key that can be read (PEM, no passphrase)`);
  }
  if (!isPair) throw new TlsError(`${labels.key}: it is not the key of the certificate`);
  return own!;
}

/** Says in time when a certificate ends that nobody has renewed. */
export class CertificateEnd {
  #endsAtMs = Number.POSITIVE_INFINITY;
  #said: "nothing" | "soon" | "over" = "nothing";

  constructor(readonly log: Log) {}

  /** Another certificate is shown from now on. */
  set({ validTo }: X509Certificate): void {
    this.#endsAtMs = Date.parse(validTo);
    this.#said = "nothing";
    this.look();
  }

  look(nowMs = Date.now()): void {
    const isOver = nowMs >= this.#endsAtMs;
    const isSoon = nowMs >= this.#endsAtMs - WARN_AHEAD_MS;
    const say = isOver ? "over" : isSoon ? "soon" : "nothing";
    if (say === this.#said) return;
    this.#said = say;
    if (say === "nothing") return;
    this.log.warn(isOver ? "the certificate has expired" : "the certificate ends soon", {
      ends: new Date(this.#endsAtMs).toISOString(),
      hint: "renew the files of --tls-cert and --tls-key: they are read anew",
    });
  }
}

/** As Bun's listeners take it. */
export function serverTls({ cert, key, clientCa }: TlsIdentity): Bun.TLSOptions {
  if (clientCa === undefined) return { cert, key };
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true };
}
