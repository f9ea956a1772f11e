// Where a process lives, by the paths that runtimes give its cgroup.

import { describe, expect, test } from "bun:test";
import { parseCgroup } from "../../src/identity/index.ts";

const NOWHERE = { runtime: "", containerId: "", containerName: "", podUid: "", unit: "" };

describe("a cgroup's path", () => {
  const id = "3f9a1c2b4d5e6f708192a3b4c5d6e7f83f9a1c2b4d5e6f708192a3b4c5d6e7f8";
  const pod = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
  const under = pod.replaceAll("-", "_");
  const kubelet = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${under}.slice`;

  test.each([
    [`0::/system.slice/docker-${id}.scope`, "docker", ""],
    [`0::/docker/${id}`, "docker", ""],
    [`12:memory:/docker/${id}\n1:name=systemd:/docker/${id}\n0::/`, "docker", ""],
    [`0::${kubelet}/cri-containerd-${id}.scope`, "containerd", pod],
    [
      `11:cpu,cpuacct:/system.slice/containerd.service/kubepods-burstable-pod${under}.slice:cri-containerd:${id}`,
      "containerd",
      pod,
    ],
    [`0::${kubelet}/crio-${id}.scope`, "cri-o", pod],
    [`0::${kubelet}/crio-${id}.scope/container`, "cri-o", pod],
    [`0::${kubelet}/docker-${id}.scope`, "docker", pod],
    [`4:pids:/kubepods/besteffort/pod${pod}/${id}`, "kubernetes", pod],
    [`0::/machine.slice/libpod-${id}.scope`, "podman", ""],
    [
      `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope/container`,
      "podman",
      "",
    ],
    // As a process in a cgroup namespace of its own sees others (cgroup_namespaces(7)).
    [`0::/../cri-containerd-${id}.scope`, "containerd", ""],
    [
      `0::/../../../kubepods-besteffort.slice/kubepods-besteffort-pod${under}.slice/crio-${id}.scope`,
      "cri-o",
      pod,
    ],
    // A static pod is known by a hash until the API server knows of it.
    [
      `0::/kubepods.slice/kubepods-podc1a5f2a9d8e7b6c5d4e3f2a1b0c9d8e7.slice/cri-containerd-${id}.scope`,
      "containerd",
      "c1a5f2a9d8e7b6c5d4e3f2a1b0c9d8e7",
    ],
  ])("%s is of a container", (text, runtime, itsPod) => {
    expect(parseCgroup(`${text}\n`)).toEqual({
      runtime,
      containerId: id,
      containerName: "",
      podUid: itsPod,
      unit: "",
    });
  });

  test.each([
    ["0::/lxc.payload.web/init.scope", "lxc", "web"],
    ["4:pids:/lxc/web", "lxc", "web"],
    [
      "0::/machine.slice/machine-shop\\x2dweb.scope/payload/system.slice/auth.service",
      "systemd-nspawn",
      "shop-web",
    ],
    ["0::/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn", "web"],
  ])("%s has its container's name", (text, runtime, containerName) => {
    expect(parseCgroup(`${text}\n`)).toEqual({ ...NOWHERE, runtime, containerName });
  });

  test("tells the unit that a container was started as", () => {
    expect(parseCgroup(`0::/system.slice/web.service/libpod-payload-${id}\n`)).toEqual({
      ...NOWHERE,
      runtime: "podman",
      containerId: id,
      unit: "web.service",
    });
    expect(parseCgroup(`0::/system.slice/docker.service/docker/${id}\n`)?.unit).toBe("");
  });

  test("tells a unit of systemd", () => {
    const unit = { ...NOWHERE, runtime: "systemd", unit: "auth.service" };
    expect(parseCgroup("0::/system.slice/auth.service\n")).toEqual(unit);
    expect(parseCgroup("5:pids:/system.slice/auth.service\n1:name=systemd:/\n")).toEqual(unit);
  });

  test("tells nothing where there is nothing to tell", () => {
    for (const text of ["", "0::/\n", "0::/user.slice/user-0.slice/session-1.scope\n", "junk"]) {
      expect(parseCgroup(text)).toBeUndefined();
    }
  });
});
