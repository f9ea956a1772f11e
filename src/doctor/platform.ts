// Kernel, processor and the native part.

import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";

/** Open-file-description locks (3.15), memfd (3.17); the oldest kernel that is still maintained is newer. */
const OLDEST_KERNEL = [4, 18] as const;

/** `6.18.44-fc` → [6, 18]; undefined when it says nothing of the kind. */
export function kernelVersion(release: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

export function isOlder(
  [major, minor]: readonly [number, number],
  [thanMajor, thanMinor]: readonly [number, number],
): boolean {
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}

export function checkKernel(host: Host): Finding {
  const check = new Check("kernel", "kernel");
  const release = host.read("/proc/sys/kernel/osrelease") ?? "of unknown version";
  const finding = `${host.platform === "linux" ? "Linux" : host.platform} ${release} on ${host.architecture}`;
  if (host.platform !== "linux") {
    return check.fail(finding, "microview stores into Linux shared memory: run it on Linux");
  }
  if (host.architecture !== "x64" && host.architecture !== "arm64") {
    return check.fail(finding, "there are builds for x64 and arm64 only");
  }
  const version = kernelVersion(release);
  if (version !== undefined && isOlder(version, OLDEST_KERNEL)) {
    return check.warn(finding, `microview is tested from Linux ${OLDEST_KERNEL.join(".")} on`);
  }
  return check.ok(finding);
}

/** @param load throws what is wrong with the native part */
export function checkNative(load: () => void): Finding {
  const check = new Check("native", "native part");
  try {
    load();
    return check.ok("loads, and knows the same layout");
  } catch (error) {
    return check.fail(
      (error as Error).message,
      "it needs glibc (not musl) and memfd_create; from sources: run `make shim`",
    );
  }
}
