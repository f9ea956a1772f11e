// Whether probes and tracing could load programs into this kernel, and tell containers apart.

import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";
import { hasCapability } from "./memory.ts";
import { isOlder, kernelVersion } from "./platform.ts";

// linux/capability.h
const CAP_SYS_ADMIN = 21;
const CAP_PERFMON = 38;
const CAP_BPF = 39;

/** Ring buffers and CAP_BPF. */
const OLDEST_KERNEL = [5, 8] as const;

export function checkBpf(host: Host): Finding {
  const check = new Check("bpf", "BPF", "probes");
  const release = host.read("/proc/sys/kernel/osrelease") ?? "";
  const version = kernelVersion(release);
  if (version !== undefined && isOlder(version, OLDEST_KERNEL)) {
    return check.warn(
      `Linux ${release} lacks ring buffers`,
      `optional: probes need Linux ${OLDEST_KERNEL.join(".")}`,
    );
  }
  if (!host.exists("/sys/kernel/btf/vmlinux")) {
    return check.warn(
      "the kernel does not describe its types (/sys/kernel/btf/vmlinux)",
      "optional: probes need a kernel with CONFIG_DEBUG_INFO_BTF, as all large distributions ship",
    );
  }
  return check.ok("the kernel describes its types (/sys/kernel/btf/vmlinux)");
}

export function checkBpfRights(host: Host): Finding {
  const check = new Check("bpf-rights", "BPF rights", "probes");
  const has = (bit: number) => hasCapability(host, bit) || hasCapability(host, CAP_SYS_ADMIN);
  const missing = [
    ...(has(CAP_BPF) ? [] : ["CAP_BPF"]),
    ...(has(CAP_PERFMON) ? [] : ["CAP_PERFMON"]),
  ];
  if (missing.length === 0) return check.ok("CAP_BPF and CAP_PERFMON are there");
  return check.warn(
    `${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing`,
    "optional, for probes only: start the agent with AmbientCapabilities=CAP_BPF CAP_PERFMON, or --cap-add",
  );
}

export function checkLockdown(host: Host): Finding {
  const check = new Check("lockdown", "kernel lockdown", "probes");
  // "none [integrity] confidentiality": kernel_lockdown(7)
  const text = host.read("/sys/kernel/security/lockdown");
  if (text === undefined) return check.ok("cannot be told: securityfs is not mounted");
  const mode = /\[(\w+)\]/.exec(text)?.[1] ?? "none";
  if (mode !== "confidentiality") return check.ok(mode === "none" ? "off" : mode);
  return check.warn(
    mode,
    "optional, for probes only: programs may not read kernel memory; boot with lockdown=integrity",
  );
}

export function checkCgroups(host: Host): Finding {
  const check = new Check("cgroups", "control groups", "probes");
  if (host.exists("/sys/fs/cgroup/cgroup.controllers")) return check.ok("version 2");
  const found = host.exists("/sys/fs/cgroup/unified/cgroup.controllers")
    ? "version 1, with 2 beside it"
    : "version 1, or none";
  return check.warn(
    found,
    "optional: probes tell containers apart by version 2; boot with systemd.unified_cgroup_hierarchy=1",
  );
}
