// Colours for terminals. Set up once per stream: without colour, every function is the identity.

import type { Style } from "../text/index.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Whether to write colours: never with NO_COLOR (https://no-color.org) or TERM=dumb, always with
 * FORCE_COLOR (https://force-color.org), otherwise on a terminal only.
 */
export function wantsColour(
  stream: { readonly isTTY?: boolean | undefined },
  environment: Environment = process.env,
): boolean {
  const set = (name: string): boolean => (environment[name] ?? "") !== "";
  if (set("NO_COLOR")) return false;
  if (set("FORCE_COLOR")) return !["0", "false"].includes(environment["FORCE_COLOR"] ?? "");
  if (environment["TERM"] === "dumb") return false;
  return stream.isTTY === true;
}

/** Select Graphic Rendition, ECMA-48 section 8.3.117: the code and the one that ends it. */
function sgr(enabled: boolean, start: number, end: number): (text: string) => string {
  return enabled ? (text) => `\u001b[${start}m${text}\u001b[${end}m` : (text) => text;
}

/** The style for one stream. */
export function styleFor(
  stream: { readonly isTTY?: boolean | undefined },
  environment: Environment = process.env,
): Style {
  const enabled = wantsColour(stream, environment);
  return {
    bold: sgr(enabled, 1, 22),
    dim: sgr(enabled, 2, 22),
    red: sgr(enabled, 31, 39),
    green: sgr(enabled, 32, 39),
    yellow: sgr(enabled, 33, 39),
    blue: sgr(enabled, 34, 39),
    magenta: sgr(enabled, 35, 39),
    cyan: sgr(enabled, 36, 39),
  };
}
