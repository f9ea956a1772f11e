// Addresses of agents: `host:port`, `[::1]:7070`, and other ways in which people write them.

import { isIPv6 } from "node:net";
import { DEFAULT_PORT } from "../calling/index.ts";
import { UsageError } from "./errors.ts";
import { parseInteger } from "./integer.ts";

/** Where an agent listens. `host` is without brackets. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** An agent, as it is named on the command line. */
export interface AgentEndpoint extends Endpoint {
  /** A URL says whether TLS is spoken. */
  readonly tls?: boolean;
}

const HOW = "write HOST:PORT, e.g. localhost:7070 or [::1]:7070";

/**
 * Parses where an agent is: `HOST:PORT`, a host alone, an IPv6 address with or without brackets, or a URL of http or
 * https. The port is 7070 where none is given.
 *
 * @throws UsageError for anything else, and for a URL with more in it than an address
 */
export function parseAgent(text: string, label: string): AgentEndpoint {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (scheme === null) return parseAddress(text, label);
  const kind = scheme[1]!.toLowerCase();
  const rest = text.slice(scheme[0].length);
  const at = rest.lastIndexOf("@", rest.search(/[/?#]|$/));
  // What may be a secret is not repeated.
  if (at >= 0) {
    throw new UsageError(
      `${label} has a user or password in its URL, which an agent does not take`,
      "put the token into a file and give --token-file",
    );
  }
  if (kind !== "http" && kind !== "https") {
    throw new UsageError(`${label} is no URL of an agent: '${text}' is of ${kind}`, HOW);
  }
  const [, address = "", path = ""] = /^([^/?#]*)\/?(.*)$/.exec(rest) ?? [];
  if (path !== "") {
    throw new UsageError(
      `${label} has more in its URL than an address: '${text}'`,
      `an agent is named without a path: ${kind}://${address}`,
    );
  }
  return { ...parseAddress(address, label), tls: kind === "https" };
}

/** An address whose port may be left out. */
function parseAddress(text: string, label: string): Endpoint {
  if (isIPv6(text)) return { host: text, port: DEFAULT_PORT };
  const isBare = /^(?:\[[^\]]*\]|[^\s:[\]/]+)$/.test(text);
  // A number alone would be a host; it was meant as a port.
  if (/^\d+$/.test(text)) {
    throw new UsageError(`${label} has no host: '${text}'`, `write localhost:${text}`);
  }
  return parseEndpoint(isBare ? `${text}:${DEFAULT_PORT}` : text, label);
}

/**
 * Parses `HOST:PORT`; an IPv6 host stands in brackets.
 *
 * @throws UsageError when host or port is missing or the port is out of range
 */
export function parseEndpoint(text: string, label: string): Endpoint {
  const match = /^(?:\[([0-9a-f:.%\w]+)\]|([^\s:[\]/]+)):([^:]*)$/i.exec(text);
  if (!match || (match[1] !== undefined && !isIPv6(match[1]))) {
    throw new UsageError(`${label} is not an address: '${text}'`, HOW);
  }
  const port = parseInteger(match[3] ?? "", `the port in '${text}'`, { min: 1, max: 65_535 });
  return { host: match[1] ?? match[2] ?? "", port };
}
