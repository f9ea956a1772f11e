// Shared memory and the limits of a process.

import { resolve } from "node:path";
import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";

const SHM = "/dev/shm";
/** Less than this is not enough for one pool with its first pages. */
const TOO_LITTLE_BYTES = 2 << 20;
/** Docker's default; enough for some thousand series, not for histograms with labels. */
const TIGHT_BYTES = 64 << 20;
/** The agent's own limit of connections to the data port is 1024, and each pool takes a file. */
const FILES_WANTED = 4096;
/** What registering the pools of a busy host with an RDMA card pins. */
const LOCKED_WANTED_BYTES = 256 << 20;

/** A mounted file system. */
interface Mount {
  path: string;
  type: string;
  options: string;
}

/** What is mounted where; the last one on a path hides the others. */
function mountsOf(host: Host): Mount[] {
  const text = host.read("/proc/self/mounts") ?? "";
  return text.split("\n").flatMap((line) => {
    const [, path, type, options] = line.split(" ");
    if (path === undefined || type === undefined || options === undefined) return [];
    // Spaces in paths are written in octal: proc(5).
    const name = path.replace(/\\(\d{3})/g, (_, code) =>
      String.fromCharCode(Number.parseInt(code, 8)),
    );
    return [{ path: name, type, options }];
  });
}

function mountOf(host: Host, path: string): Mount | undefined {
  return mountsOf(host)
    .filter((mount) => path === mount.path || path.startsWith(mount.path.replace(/\/?$/, "/")))
    .reduce<Mount | undefined>(
      (best, mount) => (mount.path.length >= (best?.path.length ?? 0) ? mount : best),
      undefined,
    );
}

/** @param poolDir where pools are kept when not in /dev/shm */
export function checkSharedMemory(host: Host, poolDir?: string): Finding {
  const path = poolDir === undefined ? SHM : resolve(poolDir);
  const check = new Check("shared-memory", "shared memory");
  const enlarge =
    "enlarge it: `mount -o remount,size=1G /dev/shm`; in a container: `--shm-size=1g`, or in Kubernetes an emptyDir with medium Memory";
  if (!host.exists(path)) {
    return check.fail(
      `${path} is not there`,
      poolDir === undefined
        ? "mount one: `mount -t tmpfs tmpfs /dev/shm`"
        : "create the directory, or name another one with --pool-dir",
    );
  }
  if (!host.isFolder(path)) {
    return check.fail(`${path} is no directory`, "name the agent's with --pool-dir");
  }
  const mount = mountOf(host, path);
  const space = host.space(path);
  const options = mount === undefined ? "" : ` (${mount.type}, ${mount.options})`;
  const size =
    space === undefined
      ? ""
      : `: ${sizeText(space.freeBytes)} free of ${sizeText(space.totalBytes)}`;
  const finding = `${path}${size}${options}`;
  if (mount?.options.split(",").includes("ro") === true) {
    return check.fail(finding, "it is mounted read-only: mount it writable");
  }
  if (!host.writable(path)) {
    return check.fail(
      finding,
      "this user may not create files there: give it the right, or use --pool-dir",
    );
  }
  if (space !== undefined && space.freeBytes < TOO_LITTLE_BYTES)
    return check.fail(finding, enlarge);
  if (mount !== undefined && mount.type !== "tmpfs") {
    return check.warn(
      finding,
      "it is not in memory: the kernel writes pools to disk in the background; use a tmpfs",
    );
  }
  if (space !== undefined && space.freeBytes < TIGHT_BYTES) return check.warn(finding, enlarge);
  return check.ok(finding);
}

/** Soft and hard limit by the names of /proc/self/limits. */
export function limitOf(host: Host, name: string): { soft: number; hard: number } | undefined {
  const text = host.read("/proc/self/limits") ?? "";
  const line = text.split("\n").find((each) => each.startsWith(name));
  const [soft, hard] = line?.slice(name.length).trim().split(/\s+/) ?? [];
  if (soft === undefined || hard === undefined) return undefined;
  return { soft: numberOf(soft), hard: numberOf(hard) };
}

export function checkOpenFiles(host: Host): Finding {
  const check = new Check("open-files", "open files");
  const limit = limitOf(host, "Max open files");
  if (limit === undefined) return check.warn("the limit cannot be told", "see `ulimit -n`");
  // Bun raises the soft limit to the hard one by itself.
  const finding = `${countText(limit.hard)} per process`;
  return limit.hard < FILES_WANTED
    ? check.warn(
        finding,
        `an agent with many collectors needs ${FILES_WANTED}: raise it with \`ulimit -Hn\`, LimitNOFILE= or --ulimit nofile`,
      )
    : check.ok(finding);
}

/** @param hasDevices whether there is anything to register memory with */
export function checkLockedMemory(host: Host, hasDevices: boolean): Finding {
  const check = new Check("locked-memory", "locked memory", "rdma");
  const limit = limitOf(host, "Max locked memory");
  if (limit === undefined) return check.warn("the limit cannot be told", "see `ulimit -l`");
  const may = hasCapability(host, CAP_IPC_LOCK) ? ", which CAP_IPC_LOCK overrides" : "";
  const text = Number.isFinite(limit.soft) ? sizeText(limit.soft) : "unlimited";
  if (limit.soft >= LOCKED_WANTED_BYTES || may !== "") return check.ok(`${text}${may}`);
  if (!hasDevices) return check.ok(`${text}; it matters for RDMA only`);
  return check.warn(
    text,
    "pools that are read by RDMA are pinned: `ulimit -l unlimited`, LimitMEMLOCK=infinity or --ulimit memlock=-1",
  );
}

const CAP_IPC_LOCK = 14;

/** Whether this process has a capability in effect; capability(7), linux/capability.h. */
export function hasCapability(host: Host, bit: number): boolean {
  const status = host.read("/proc/self/status") ?? "";
  const effective = /^CapEff:\s*([0-9a-f]+)$/im.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
}

function numberOf(text: string): number {
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

function countText(count: number): string {
  return Number.isFinite(count) ? String(count) : "no limit";
}

function sizeText(bytes: number): string {
  for (const [unit, scale] of [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes >= scale) return `${Number((bytes / scale).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}
