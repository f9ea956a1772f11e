// How RDMA ports are written on the command line.

import { parseInteger, UsageError } from "../../command-line/index.ts";
import type { RdmaPortSpec } from "../../ffi/index.ts";

const RDMA_PORT_HINT = "DEVICE[:PORT[:GID]]";

/**
 * Parses `auto` or `DEVICE[:PORT[:GID]]`, e.g. `mlx5_0:1:3`.
 * @throws UsageError
 */
export function parseRdmaPort(text: string, label: string): RdmaPortSpec | "auto" {
  if (text === "auto") return "auto";
  const [device = "", port, gid, ...rest] = text.split(":");
  if (!/^[\w-]+$/.test(device) || rest.length > 0) {
    throw new UsageError(
      `${label} is not an RDMA port: '${text}'`,
      `write ${RDMA_PORT_HINT}, e.g. mlx5_0:1:3; \`microview doctor\` lists them`,
    );
  }
  const spec: RdmaPortSpec = { device };
  if (port !== undefined) {
    spec.port = parseInteger(port, `the port in '${text}'`, { min: 1, max: 255 });
  }
  if (gid !== undefined) {
    spec.gidIndex = parseInteger(gid, `the GID in '${text}'`, { min: 0, max: 65_535 });
  }
  return spec;
}

/** As {@link parseRdmaPort}, or `off`. */
export function parseRdma(text: string, label: string): RdmaPortSpec | "auto" | "off" {
  return text === "off" ? "off" : parseRdmaPort(text, label);
}
