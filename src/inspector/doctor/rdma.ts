// Whether collectors can read this host's pools by RDMA.

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
const DEVICES = "/sys/class/infiniband";

/** Names of RDMA devices. */
export function rdmaDevices(host: Host): string[] {
  return host.list(DEVICES);
}

export function checkRdmaDevices(host: Host): Finding {
  const check = new Check("rdma-devices", "RDMA devices", "rdma");
  const devices = rdmaDevices(host);
  if (devices.length === 0) {
    return check.warn(
      "none",
      "optional: collectors read over TCP. A card's driver, or `rdma link add` for Soft-RoCE, brings one",
    );
  }
  const ports = devices.flatMap((device) =>
    host.list(`${DEVICES}/${device}/ports`).map((port) => {
      const at = `${DEVICES}/${device}/ports/${port}`;
      // "4: ACTIVE"
      const state = host.read(`${at}/state`)?.replace(/^\d+:\s*/, "") ?? "unknown";
      return { name: `${device}/${port}`, state, link: host.read(`${at}/link_layer`) ?? "unknown" };
    }),
  );
  const finding = ports.map(({ name, state, link }) => `${name} ${state} (${link})`).join(", ");
  if (ports.some(({ state }) => state === "ACTIVE")) return check.ok(finding);
  return check.warn(
    finding || devices.join(", "),
    "no port is active: see `rdma link` and the cable",
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
