// Where a program of ours is called: the port unless told otherwise, and how addresses are written.

/** Port of an agent's REST interface unless told otherwise. */
export const DEFAULT_PORT = 7070;

/** `HOST:PORT`, with an IPv6 address in brackets. */
export function formatEndpoint({ host, port }: { host: string; port: number | string }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
