// Which Host headers are accepted without a token, as a defence against DNS rebinding. A site may let its name resolve
// to this host. Requests of its pages then come from a browser here, and carry the site's name.

import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { hostname } from "node:os";

export class HostNames {
  readonly #given: readonly string[];
  #certified: readonly string[] = [];

  /** @param given more names; `*.example.com` stands for every name one level below */
  constructor(given: readonly string[] = []) {
    this.#given = given.map(canonical);
  }

  /** Allows the names of a new certificate instead of the previous one's. */
  certify(certificate: X509Certificate): void {
    const names = certificate.subjectAltName?.split(", ") ?? [];
    this.#certified = names.flatMap((name) =>
      name.startsWith("DNS:") ? [canonical(name.slice("DNS:".length))] : [],
    );
  }

  /** @param host without port and brackets */
  has(host: string): boolean {
    const name = canonical(host);
    if (name === "" || isIP(name) !== 0) return true;
    if (name === "localhost" || name === canonical(hostname())) return true;
    return [...this.#given, ...this.#certified].some((known) => fits(known, name));
  }
}

function fits(known: string, name: string): boolean {
  if (!known.startsWith("*.")) return known === name;
  const dot = name.indexOf(".");
  return dot > 0 && name.slice(dot) === known.slice(1);
}

/** Names do not differ by case or by a final dot. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
