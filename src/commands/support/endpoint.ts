// Addresses of agents: `host:port`, `[::1]:7070`.

import { UsageError } from "./errors.ts";
import { parseInteger } from "./integer.ts";

/** Where an agent listens. `host` is without brackets. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Parses `HOST:PORT`; an IPv6 host stands in brackets.
 *
 * @throws UsageError when host or port is missing or the port is out of range
 */
export function parseEndpoint(text: string, label: string): Endpoint {
  const match = /^(?:\[([0-9a-f:.%\w]+)\]|([^\s:[\]/]+)):([^:]*)$/i.exec(text);
  if (!match) {
    throw new UsageError(
      `${label} is not an address: '${text}'`,
      "write HOST:PORT, e.g. localhost:7070 or [::1]:7070",
    );
  }
  const port = parseInteger(match[3] ?? "", `the port in '${text}'`, { min: 1, max: 65_535 });
  return { host: match[1] ?? match[2] ?? "", port };
}

/** The opposite of {@link parseEndpoint}. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
