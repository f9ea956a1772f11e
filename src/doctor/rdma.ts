// Whether collectors can read this host's pools by RDMA, and over what.

import {
  chooseRdmaPort,
  gidText,
  listRdmaPorts,
  RDMA_SYSFS,
  type RdmaGid,
  type RdmaPort,
} from "../ffi/index.ts";
import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";

const LIBRARY = "libibverbs.so.1";
const LIBRARY_DIRECTORIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/lib64",
  "/lib",
  "/usr/local/lib",
];
const NODES = "/dev/infiniband";
/** A port may have hundreds of addresses. */
const MAX_GIDS_SHOWN = 8;

/** Names of RDMA devices. */
export function rdmaDevices(host: Host): string[] {
  return host.list(RDMA_SYSFS);
}

/** Devices, ports, their link layers and addresses, and which of them microview takes unless told otherwise. */
export function checkRdmaDevices(host: Host): Finding {
  const check = new Check("rdma-devices", "RDMA devices", "rdma");
  const ports = listRdmaPorts(RDMA_SYSFS, host);
  if (ports.length === 0) {
    return check.warn(
      "none",
      "optional: collectors read over TCP. A card's driver, or `rdma link add rxe0 type rxe netdev eth0` for Soft-RoCE, brings one",
    );
  }
  const shown = ports.map(describePort).join("; ");
  try {
    const { port, gid } = chooseRdmaPort(ports, undefined);
    const used = `${port.device}:${port.port}${gid === undefined ? "" : `:${gid.index}`}`;
    return check.ok(`${used} is used unless told otherwise; ${shown}`);
  } catch (error) {
    return check.warn(
      shown,
      `${(error as Error).message}: see \`rdma link\`, the cable, and \`ip address\``,
    );
  }
}

function describePort({ device, port, state, linkLayer, lid, gids }: RdmaPort): string {
  const parts = [`${device}:${port} ${state}`, linkLayer];
  if (linkLayer === "InfiniBand") parts.push(`LID ${lid}`);
  parts.push(...gids.slice(0, MAX_GIDS_SHOWN).map(describeGid));
  if (gids.length > MAX_GIDS_SHOWN) parts.push(`${gids.length - MAX_GIDS_SHOWN} GIDs more`);
  return parts.join(", ");
}

function describeGid({ index, gid, type, netdev }: RdmaGid): string {
  const of = [type, netdev].filter((each) => each !== "").join(" ");
  return `GID ${index} ${gidText(gid)}${of === "" ? "" : ` (${of})`}`;
}

/** Whether this process may open the devices: a container has them only if it was given them. */
export function checkRdmaNodes(host: Host): Finding {
  const check = new Check("rdma-access", "RDMA access", "rdma");
  if (rdmaDevices(host).length === 0) return check.ok("not needed without a device");
  const nodes = host.list(NODES).filter((name) => name.startsWith("uverbs"));
  if (nodes.length === 0) {
    return check.warn(
      `${NODES} has no uverbs device`,
      "load the module ib_uverbs; for a container: `docker run --device /dev/infiniband/uverbs0`, or the cluster's RDMA device plugin",
    );
  }
  const closed = nodes.filter((name) => !host.writable(`${NODES}/${name}`));
  if (closed.length === 0) return check.ok(nodes.map((name) => `${NODES}/${name}`).join(", "));
  return check.warn(
    `${closed.map((name) => `${NODES}/${name}`).join(", ")} may not be opened by this user`,
    'run as root, or let the user\'s group in: a udev rule with MODE="0660", GROUP="rdma"',
  );
}

export function checkVerbs(host: Host): Finding {
  const check = new Check("rdma-library", "RDMA library", "rdma");
  const directory = LIBRARY_DIRECTORIES.find((each) => host.exists(`${each}/${LIBRARY}`));
  if (directory !== undefined) return check.ok(`${directory}/${LIBRARY}`);
  return check.warn(
    `${LIBRARY} is not installed`,
    "optional, with RDMA only: `apt install libibverbs1 ibverbs-providers`, or `dnf install libibverbs`",
  );
}
