// Which container, pod or unit a process belongs to, by the path of its cgroup (cgroups(7), "/proc files"). The paths are
// each runtime's own habit; they are known for docker, containerd, CRI-O, podman and systemd, with both versions of
// cgroups and both of the kubelet's drivers.

export interface Home {
  /** "docker", "containerd", "cri-o", "podman", "kubernetes" where only the pod is told, or "systemd". */
  runtime: string;
  /** The first twelve digits of the container's id, as its tools show it; "" outside of containers. */
  container: string;
  /** The pod's uid; "" outside of Kubernetes. */
  pod: string;
  /** The unit of systemd; "" within containers. */
  unit: string;
}

const ID = "([0-9a-f]{64})";

/** Before a container's id, by the runtime that writes it so. */
const RUNTIMES: readonly [runtime: string, pattern: RegExp][] = [
  ["containerd", new RegExp(`cri-containerd[-:]${ID}`)],
  ["cri-o", new RegExp(`crio-${ID}`)],
  ["podman", new RegExp(`libpod-${ID}`)],
  ["docker", new RegExp(`docker[-/]${ID}`)],
];
/** The kubelet's cgroupfs driver names no runtime. */
const BARE = new RegExp(`/${ID}(?:/|$)`);
const POD =
  /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[./:]|$)/;
const UNIT = /\/([^/]+\.service)(?:\/|$)/;

/** @param text what /proc/PID/cgroup holds */
export function parseCgroup(text: string): Home | undefined {
  const paths = text
    .split("\n")
    .map((line) => /^\d+:[^:]*:(\/.*)$/.exec(line)?.[1])
    .filter((path): path is string => path !== undefined && path !== "/");
  // With version 1 there is a path per controller, and not all of them are used.
  for (const path of paths) {
    const home = containerIn(path);
    if (home !== undefined) return home;
  }
  for (const path of paths) {
    const unit = UNIT.exec(path)?.[1];
    if (unit !== undefined) return { runtime: "systemd", container: "", pod: "", unit };
  }
  return undefined;
}

function containerIn(path: string): Home | undefined {
  const pod = POD.exec(path)?.[1]?.replaceAll("_", "-") ?? "";
  for (const [runtime, pattern] of RUNTIMES) {
    const id = pattern.exec(path)?.[1];
    if (id !== undefined) return { runtime, container: id.slice(0, 12), pod, unit: "" };
  }
  if (pod === "") return undefined;
  const id = BARE.exec(path)?.[1] ?? "";
  return { runtime: "kubernetes", container: id.slice(0, 12), pod, unit: "" };
}
