// Whether a request goes directly or by a proxy that the environment names. Every request of ours asks here. Bun's own
// choice would take a proxy for loopback too, and send the token with it.

import { BlockList, isIP } from "node:net";

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy that the environment asks for. */
export interface Proxy {
  /** With user and password, where there are any. */
  url: string;
  /** Its name in messages, e.g. `proxy:3128 (HTTPS_PROXY)`; never with a password. */
  name: string;
}

/** What stands for this host. `address` is without brackets. */
export function isLoopback(address: string): boolean {
  const host = address.toLowerCase().replace(/\.$/, "");
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return host === "::1" || (isIP(host) !== 0 && contains("127.0.0.0/8", host) === true);
}

/**
 * The proxy for a URL, or undefined when it is asked directly. Loopback never has one, nor what NO_PROXY names. The
 * variables are those of curl: the lower case goes before the upper.
 * @throws Error for a proxy that cannot be used
 */
export function proxyFor(url: string, env: Environment = process.env): Proxy | undefined {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (isLoopback(host)) return undefined;
  const isTls = protocol === "https:" || protocol === "wss:";
  const names = [isTls ? "https_proxy" : "http_proxy", "all_proxy"];
  const variable = names
    .flatMap((name) => [name, name.toUpperCase()])
    .find((name) => (env[name] ?? "") !== "");
  if (variable === undefined) return undefined;
  const exceptions = env["no_proxy"] ?? env["NO_PROXY"] ?? "";
  if (isExcepted(host, port === "" ? (isTls ? "443" : "80") : port, exceptions)) return undefined;
  return parseProxy(env[variable]!, variable);
}

/** What fetch() is given for a URL, so that it asks as {@link proxyFor} says. @throws Error as that does */
export function proxyOption(url: string): { proxy: string } {
  const proxy = proxyFor(url)?.url ?? false;
  // Only `false` keeps Bun from taking what the environment says; bun-types do not know it.
  return { proxy: proxy as string };
}

/** Says in a message through which proxy something was asked; empty for what was asked directly. */
export function byProxy(url: string): string {
  let proxy: Proxy | undefined;
  try {
    proxy = proxyFor(url);
  } catch {
    // The message says it.
  }
  return proxy === undefined ? "" : `, through the proxy ${proxy.name}`;
}

function parseProxy(text: string, variable: string): Proxy {
  const parsed = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (parsed === null) throw new Error(`${variable} is no URL of a proxy`);
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
    const kind = parsed.protocol.replace(/:$/, "");
    throw new Error(
      `${variable} names a proxy of ${kind}: only those of http and https can be used; NO_PROXY says for which hosts to take none`,
    );
  }
  return { url: parsed.href, name: `${parsed.host} (${variable})` };
}

/** Whether NO_PROXY has a host: `*`, names with all below them, addresses, networks; each with or without a port. */
function isExcepted(host: string, port: string, exceptions: string): boolean {
  return exceptions
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((each) => each !== "")
    .some((each) => {
      if (each === "*") return true;
      const [, bracketed, name = "", only] =
        /^(?:\[([^\]]*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(each) ?? [];
      if (only !== undefined && only !== port) return false;
      return fits(host, bracketed ?? name);
    });
}

function fits(host: string, exception: string): boolean {
  if (isIP(host) !== 0) return contains(exception, host) ?? false;
  const name = exception.replace(/^\*?\./, "").replace(/\.$/, "");
  return name !== "" && (host === name || host.endsWith(`.${name}`));
}

/** Whether a network, or an address, contains an address; undefined when it is neither. */
function contains(network: string, address: string): boolean | undefined {
  const [base = "", bits] = network.split("/");
  const version = isIP(base);
  if (version === 0 || !(bits === undefined || /^\d+$/.test(bits))) return undefined;
  const longest = version === 4 ? 32 : 128;
  const length = bits === undefined ? longest : Number(bits);
  if (length > longest) return undefined;
  const list = new BlockList();
  list.addSubnet(base, length, version === 4 ? "ipv4" : "ipv6");
  if (version === 4) list.addSubnet(`::ffff:${base}`, 96 + length, "ipv6");
  return list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}
