// Which RDMA ports this host has and how they are addressed, from sysfs: the kernel tells without rdma-core.

import { readdirSync, readFileSync } from "node:fs";
import type { LinkLayer } from "./verbs.ts";

/** How the GID of an IPv4 address begins. */
const IPV4_MAPPED = "00000000000000000000ffff";

export const RDMA_SYSFS = "/sys/class/infiniband";
const OPENABLE_SYSFS = "/sys/class/infiniband_verbs";

export interface RdmaGid {
  index: number;
  /** 32 hexadecimal digits. */
  gid: string;
  /** Empty for InfiniBand. */
  type: "RoCE v2" | "RoCE v1" | "";
  /** The network device it belongs to, where there is one. */
  netdev: string;
}

export interface RdmaPort {
  device: string;
  port: number;
  linkLayer: LinkLayer;
  /** As sysfs says it, e.g. "ACTIVE". */
  state: string;
  lid: number;
  gids: RdmaGid[];
}

/** Where sysfs is read. */
interface SysfsReader {
  /** Names in a directory; none when it is not there. */
  list(path: string): string[];
  /** A file's text without the end of its line; undefined when it cannot be read. */
  read(path: string): string | undefined;
}

const SYSFS: SysfsReader = {
  list(path) {
    try {
      return readdirSync(path).sort();
    } catch {
      return [];
    }
  },
  read(path) {
    try {
      return readFileSync(path, "utf8").trimEnd();
    } catch {
      return undefined;
    }
  },
};

export function listRdmaPorts(root = RDMA_SYSFS, sysfs = SYSFS): RdmaPort[] {
  return sysfs.list(root).flatMap((device) =>
    sysfs.list(`${root}/${device}/ports`).map((port) => {
      const at = `${root}/${device}/ports/${port}`;
      const read = (name: string) => sysfs.read(`${at}/${name}`) ?? "";
      return {
        device,
        port: Number(port),
        linkLayer: read("link_layer") === "InfiniBand" ? "InfiniBand" : "Ethernet",
        // "4: ACTIVE"
        state: read("state").replace(/^\d+:\s*/, "") || "unknown",
        lid: Number(read("lid")) || 0,
        gids: gidsOf(at, sysfs),
      };
    }),
  );
}

function gidsOf(at: string, sysfs: SysfsReader): RdmaGid[] {
  const gids: RdmaGid[] = [];
  for (const name of sysfs.list(`${at}/gids`)) {
    const gid = (sysfs.read(`${at}/gids/${name}`) ?? "").replaceAll(":", "");
    if (!/^[0-9a-f]{32}$/.test(gid) || /^0*$/.test(gid)) continue;
    const type = sysfs.read(`${at}/gid_attrs/types/${name}`) ?? "";
    gids.push({
      index: Number(name),
      gid,
      type: type === "RoCE v2" ? "RoCE v2" : type.includes("RoCE") ? "RoCE v1" : "",
      netdev: sysfs.read(`${at}/gid_attrs/ndevs/${name}`) ?? "",
    });
  }
  return gids.sort((a, b) => a.index - b.index);
}

/**
 * Where sysfs shows that programs may open a device; undefined when they may not. It goes when the device is about to be
 * removed, which the kernel does not do before those that have it open have closed it, and does not always tell them.
 */
export function openableAt(device: string, sysfs = SYSFS): string | undefined {
  return sysfs
    .list(OPENABLE_SYSFS)
    .map((name) => `${OPENABLE_SYSFS}/${name}`)
    .find((path) => sysfs.read(`${path}/ibdev`) === device);
}

/** A GID as people write addresses: an IPv4 address where it stands for one, else as an IPv6 address in full. */
export function gidText(gid: string): string {
  return ipv4OfGid(gid) ?? gid.replaceAll(/(....)(?=.)/g, "$1:");
}

/** The IPv4 address that a GID stands for, or undefined. */
export function ipv4OfGid(gid: string): string | undefined {
  if (!gid.startsWith(IPV4_MAPPED)) return undefined;
  return Array.from(Uint8Array.fromHex(gid.slice(IPV4_MAPPED.length))).join(".");
}

/** A port and the address to use on it. */
export interface RdmaChoice {
  port: RdmaPort;
  gid: RdmaGid | undefined;
}

/** Why there is no port to use. */
export class NoRdmaPortError extends Error {
  override readonly name = "NoRdmaPortError";
}

/** DEVICE[:PORT[:GID]] as the user gives it. */
export interface RdmaPortSpec {
  device: string;
  port?: number;
  gidIndex?: number;
}

/**
 * Chooses a port that is active, and its address: RoCE v2 with an IPv4 address before an IPv6 one, before a link-local
 * one, before RoCE v1. On InfiniBand the LID is the address, and the first GID goes along.
 * @param gidType kind of address that the other side has, which then comes before all others
 * @throws NoRdmaPortError that says what is missing
 */
export function chooseRdmaPort(
  ports: readonly RdmaPort[],
  spec: RdmaPortSpec | undefined,
  gidType?: string,
): RdmaChoice {
  if (ports.length === 0) throw new NoRdmaPortError("this host has no RDMA device");
  const named = ports.filter(
    ({ device, port }) =>
      spec === undefined ||
      (device === spec.device && (spec.port === undefined || spec.port === port)),
  );
  const have = `there ${ports.length === 1 ? "is" : "are"} ${ports.map(({ device, port }) => `${device}:${port}`).join(", ")}`;
  if (named.length === 0) {
    const asked = `${spec?.device}${spec?.port === undefined ? "" : `:${spec.port}`}`;
    throw new NoRdmaPortError(`this host has no RDMA port ${asked}; ${have}`);
  }
  const port = named.find(({ state }) => state === "ACTIVE");
  if (port === undefined) {
    const states = named.map(({ device, port, state }) => `${device}:${port} is ${state}`);
    throw new NoRdmaPortError(`no RDMA port is active: ${states.join(", ")}`);
  }
  const gid =
    spec?.gidIndex === undefined
      ? port.gids.toSorted((a, b) => rank(a, gidType) - rank(b, gidType) || a.index - b.index)[0]
      : port.gids.find(({ index }) => index === spec.gidIndex);
  if (gid === undefined && (spec?.gidIndex !== undefined || port.linkLayer === "Ethernet")) {
    const which = spec?.gidIndex === undefined ? "no GID" : `no GID ${spec.gidIndex}`;
    throw new NoRdmaPortError(
      `${port.device}:${port.port} has ${which}; a GID comes with an IP address of its network device`,
    );
  }
  return { port, gid };
}

function rank({ gid, type }: RdmaGid, preferred: string | undefined): number {
  const version = (type === "RoCE v1" ? 10 : 0) + (type === (preferred ?? type) ? 0 : 100);
  if (gid.startsWith(IPV4_MAPPED)) return version;
  return version + (gid.startsWith("fe80") ? 2 : 1);
}
