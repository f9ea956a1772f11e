// Which container, pod or unit a process belongs to, by the path of its cgroup (cgroups(7), "/proc files"). The paths are
// each runtime's own habit; a path is read from its end, because containers are nested: the innermost is the one.

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

/** What runtimes make for a container: `ID`, `docker-ID.scope`, `kubepods-….slice:cri-containerd:ID`. */
const CONTAINER = /^(?:(?:.*:)?([^:]*)[-:])?([0-9a-f]{64})(?:\.scope)?$/;
/** The runtime that writes such a word before an id. */
const BY_PREFIX: Readonly<Record<string, string>> = {
  docker: "docker",
  "cri-containerd": "containerd",
  nerdctl: "containerd",
  crio: "cri-o",
  libpod: "podman",
  // `--cgroups=split` calls it so, as Quadlet's units do.
  "libpod-payload": "podman",
};
/** They watch a container and are no part of it. */
const MONITOR = /(?:^|-)conmon$/;
/** The runtime, or what drives it, whose folder the ids are in. Names of containerd's namespaces are the user's choice. */
const BY_FOLDER: Readonly<Record<string, string>> = {
  docker: "docker",
  "k8s.io": "containerd",
  default: "containerd",
  moby: "containerd",
  garden: "garden",
  mesos: "mesos",
};
/** Ids of containers in such folders that are no hash. */
const OWN_ID = /^[0-9a-f]{4,}(?:-[0-9a-f]{4,})+$/;
const ECS = "ecs";
/** Of Fargate: the task's id, and a number. */
const FARGATE_ID = /^[0-9a-f]{32}-\d+$/;

const POD =
  /(?:^|[-_])pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[.:]|$)/;
/** The kubelet's cgroupfs driver names no runtime. */
const KUBERNETES = "kubernetes";

const UNIT = /^[^:]+\.service$/;
/** Units that hold what they run for others: a container's own unit is another. */
const KEEPERS =
  /^(?:docker|snap\.docker\.dockerd|containerd|crio|kubelet|podman|garden|mesos-(?:agent|slave)|(?:k3s|rke2|k0s)[a-z-]*|user@\d+)\.service$/;
const USER_MANAGER = /^user@\d+\.service$/;

/** @param text what /proc/PID/cgroup holds */
export function parseCgroup(text: string): CgroupPlace | undefined {
  const paths = text
    .split("\n")
    .map((line) => /^\d+:[^:]*:(\/.*?)(?: \(deleted\))?$/.exec(line)?.[1])
    .filter((path): path is string => path !== undefined && path !== "/")
    .map((path) => path.split("/").filter((part) => part !== "" && part !== ".."));
  // With version 1 there is a path per controller, and not all of them are used for each container.
  let innermost: { at: number; place: CgroupPlace } | undefined;
  for (const parts of paths) {
    const found = containerIn(parts);
    if (found !== undefined && found.at > (innermost?.at ?? -1)) innermost = found;
  }
  if (innermost !== undefined) return innermost.place;
  for (const parts of paths) {
    const unit = parts.findLast((part) => UNIT.test(part) && !USER_MANAGER.test(part));
    if (unit !== undefined) return { ...NOTHING, runtime: "systemd", unit };
  }
  return undefined;
}

const NOTHING: CgroupPlace = {
  runtime: "",
  containerId: "",
  containerName: "",
  podUid: "",
  unit: "",
};

/** The innermost container or pod of a path, and the index of its part. */
function containerIn(parts: readonly string[]): { at: number; place: CgroupPlace } | undefined {
  for (let at = parts.length - 1; at >= 0; at--) {
    const own = containerAt(parts, at);
    const pod = podOf(parts[at]!);
    if (own === undefined && pod === undefined) continue;
    const outside = parts.slice(0, at);
    const podUid = pod ?? outside.map(podOf).findLast((uid) => uid !== undefined) ?? "";
    const isUnnamed = own?.runtime === undefined || own.runtime === "";
    const runtime = isUnnamed && podUid !== "" ? KUBERNETES : (own?.runtime ?? "");
    const unit = podUid === "" ? unitOf(outside) : "";
    return { at, place: { ...NOTHING, ...own, runtime, podUid, unit } };
  }
  return undefined;
}

type Container = Pick<CgroupPlace, "runtime"> &
  Partial<Pick<CgroupPlace, "containerId" | "containerName">>;

/** The container that a part of a path is made for. */
function containerAt(parts: readonly string[], at: number): Container | undefined {
  const part = parts[at]!;
  const folder = parts[at - 1] ?? "";
  const [, prefix, containerId] = CONTAINER.exec(part) ?? [];
  if (containerId !== undefined) {
    if (MONITOR.test(prefix ?? "")) return undefined;
    const isTask = parts.slice(0, at).includes(ECS);
    const runtime = BY_PREFIX[prefix ?? ""] ?? BY_FOLDER[folder] ?? (isTask ? ECS : "");
    return { runtime, containerId };
  }
  if (parts.slice(0, at).includes(ECS) && FARGATE_ID.test(part)) {
    return { runtime: ECS, containerId: part };
  }
  if ((folder === "garden" || folder === "mesos") && OWN_ID.test(part)) {
    return { runtime: folder, containerId: part };
  }
  return namedAt(part, folder);
}

/** Runtimes whose paths have the container's name instead of an id. */
function namedAt(part: string, folder: string): Container | undefined {
  const lxc = /^lxc\.payload\.(.+)$/.exec(part)?.[1] ?? (folder === "lxc" ? part : undefined);
  if (lxc !== undefined) return { runtime: "lxc", containerName: lxc };
  const machine = /^machine-(.+)\.scope$/.exec(part)?.[1];
  const name = machine ?? /^systemd-nspawn@(.+)\.service$/.exec(part)?.[1];
  if (name === undefined) return undefined;
  const containerName = unescaped(name);
  // libvirt's machines have a number, and say what drives them.
  const [, driver, domain] = /^(lxc|qemu)-\d+-(.+)$/.exec(containerName) ?? [];
  if (driver === "qemu") return undefined;
  if (domain !== undefined) return { runtime: "lxc", containerName: domain };
  return { runtime: "systemd-nspawn", containerName };
}

function podOf(part: string): string | undefined {
  return POD.exec(part)?.[1]?.replaceAll("_", "-");
}

/** The unit that a container was started as, such as a Quadlet's. */
function unitOf(outside: readonly string[]): string {
  return outside.findLast((part) => UNIT.test(part) && !KEEPERS.test(part)) ?? "";
}

/** systemd writes what a unit's name cannot have as \xHH (systemd.unit(5), "String Escaping"). */
function unescaped(name: string): string {
  return name.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
