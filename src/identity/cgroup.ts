// Which container, pod or unit a process belongs to, by the path of its cgroup (cgroups(7), "/proc files"). The paths are
// each runtime's own habit; they are known for docker, containerd, CRI-O, podman, LXC, systemd-nspawn and systemd, with
// both versions of cgroups and both of the kubelet's drivers.

/** What a path tells. Empty texts are what it does not. */
export interface CgroupPlace {
  /** As {@link ProcessIdentity.runtime}. */
  runtime: string;
  containerId: string;
  /** Only of runtimes that write a name into the path: LXC and systemd-nspawn. */
  containerName: string;
  podUid: string;
  unit: string;
}

const ID = "([0-9a-f]{64})";

/** Before a container's id, by the runtime that writes it so. */
const RUNTIMES: readonly [runtime: string, pattern: RegExp][] = [
  ["containerd", new RegExp(`cri-containerd[-:]${ID}`)],
  ["cri-o", new RegExp(`crio-${ID}`)],
  // `payload` is what --cgroups=split calls it, as Quadlet's units do.
  ["podman", new RegExp(`libpod-(?:payload-)?${ID}`)],
  ["docker", new RegExp(`docker[-/]${ID}`)],
];
/** The kubelet's cgroupfs driver names no runtime. */
const BARE = new RegExp(`/${ID}(?:/|$)`);
const POD =
  /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./:]|$)/;
/** Runtimes whose paths have the container's name instead of an id. */
const NAMED: readonly [runtime: string, pattern: RegExp][] = [
  ["lxc", /\/lxc\.payload\.([^/]+)/],
  ["lxc", /\/lxc\/([^/]+)/],
  ["systemd-nspawn", /\/machine-([^/]+)\.scope/],
  ["systemd-nspawn", /\/systemd-nspawn@([^/]+)\.service/],
];
const UNIT = /\/([^/]+\.service)(?:\/|$)/g;
/** Units that hold what they run for others: a container's own unit is another. */
const KEEPERS = /^(?:docker|containerd|crio|kubelet|podman|user@\d+)\.service$/;

/** @param text what /proc/PID/cgroup holds */
export function parseCgroup(text: string): CgroupPlace | undefined {
  const paths = text
    .split("\n")
    .map((line) => /^\d+:[^:]*:(\/.*)$/.exec(line)?.[1])
    .filter((path): path is string => path !== undefined && path !== "/");
  // With version 1 there is a path per controller, and not all of them are used.
  for (const path of paths) {
    const place = containerIn(path);
    if (place !== undefined) return place;
  }
  for (const path of paths) {
    const unit = [...path.matchAll(UNIT)][0]?.[1];
    if (unit === undefined) continue;
    return { runtime: "systemd", containerId: "", containerName: "", podUid: "", unit };
  }
  return undefined;
}

function containerIn(path: string): CgroupPlace | undefined {
  const podUid = POD.exec(path)?.[1]?.replaceAll("_", "-") ?? "";
  const unit = podUid === "" ? unitOf(path) : "";
  for (const [runtime, pattern] of RUNTIMES) {
    const containerId = pattern.exec(path)?.[1];
    if (containerId === undefined) continue;
    return { runtime, containerId, containerName: "", podUid, unit };
  }
  if (podUid !== "") {
    const containerId = BARE.exec(path)?.[1] ?? "";
    return { runtime: "kubernetes", containerId, containerName: "", podUid, unit: "" };
  }
  for (const [runtime, pattern] of NAMED) {
    const name = pattern.exec(path)?.[1];
    if (name === undefined) continue;
    return { runtime, containerId: "", containerName: unescaped(name), podUid: "", unit: "" };
  }
  return undefined;
}

/** The unit that a container was started as, such as a Quadlet's. */
function unitOf(path: string): string {
  const units = [...path.matchAll(UNIT)].map(([, unit]) => unit!);
  return units.find((unit) => !KEEPERS.test(unit)) ?? "";
}

/** systemd writes what a unit's name cannot have as \xHH (systemd.unit(5), "String Escaping"). */
function unescaped(name: string): string {
  return name.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
