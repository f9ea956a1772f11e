// Certificates of servers: checked before use, and watched for their expiry.

import type { X509Certificate } from "node:crypto";
import { certificatesOf, checkPair } from "../http/index.ts";
import type { Log } from "./log.ts";

/** How long before a certificate expires a warning is logged. */
const WARN_AHEAD_MS = 7 * 24 * 3600e3;

/** All fields are PEM. */
export interface TlsIdentity {
  /** Certificate chain, the server's own first. */
  cert: string;
  key: string;
  /** A client needs a certificate that one of these authorities has signed. Undefined: clients need none. */
  clientCa?: string;
}

/**
 * @param labels how messages name the parts, e.g. `--tls-cert`
 * @returns the server's certificate
 * @throws TlsError if they do not fit together
 */
export function checkTls(
  { cert, key, clientCa }: TlsIdentity,
  labels: { cert: string; key: string; clientCa: string },
): X509Certificate {
  const own = checkPair({ cert, key }, labels);
  if (clientCa !== undefined) certificatesOf(clientCa, labels.clientCa);
  return own;
}

/** Warns before a certificate expires, and when it has. */
export class CertificateEnd {
  #endsAtMs = Number.POSITIVE_INFINITY;
  #said: "nothing" | "soon" | "over" = "nothing";

  constructor(readonly log: Log) {}

  /** Watches another certificate from now on. */
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
      hint: "replace the files of the certificate and its key: they are reloaded",
    });
  }
}

/** In the form that Bun's listeners take. */
export function serverTls({ cert, key, clientCa }: TlsIdentity): Bun.TLSOptions {
  if (clientCa === undefined) return { cert, key };
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true };
}
