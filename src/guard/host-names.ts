// Which Host headers are accepted where no token is required, against DNS rebinding. A browser shows pages of any site, and a site may let its
// name lead here: what a page then asks for carries the site's name.

import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { hostname } from "node:os";

export class HostNames {
  readonly #given: readonly string[];
  #certified: readonly string[] = [];

  /** @param given further names; `*.example.com` is every name one level below */
  constructor(given: readonly string[] = []) {
    this.#given = given.map(canonical);
  }

  /** Names of the certificate that is shown from now on. */
  certify(certificate: X509Certificate): void {
    const names = certificate.subjectAltName?.split(", ") ?? [];
    this.#certified = names.flatMap((name) =>
      name.startsWith("DNS:") ? [canonical(name.slice("DNS:".length))] : [],
    );
  }

  /** @param host without a port, and without brackets */
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

/** Names are the same in any case, and with a dot at their end. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
