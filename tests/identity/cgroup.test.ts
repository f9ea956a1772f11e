// Where a process lives, by the paths that runtimes give its cgroup.

import { describe, expect, test } from "bun:test";
import { type CgroupPlace, parseCgroup } from "../../src/identity/index.ts";

const NOWHERE = { runtime: "", containerId: "", containerName: "", podUid: "", unit: "" };

const ID = "3f9a1c2b4d5e6f708192a3b4c5d6e7f83f9a1c2b4d5e6f708192a3b4c5d6e7f8";
/** Of a container around it. */
const OUTER = "0c4e74d3fd9db4c9dd921ae05c2502fb984d0cde1b36e581b13f79c639da4518";
const POD = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
const POD_ = POD.replaceAll("-", "_");
const OUTER_POD = "3d274242-8ee0-11e9-a8a6-1e68d864ef1a";
const STATIC_POD = "c1a5f2a9d8e7b6c5d4e3f2a1b0c9d8e7";
const TASK = "5a0d5ceddf6c44c1928d367a815d890f";
const KUBELET = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${POD_}.slice`;
const USER = "/user.slice/user-1000.slice/user@1000.service";

type Told = Partial<CgroupPlace>;

/** Every way of every runtime, by what it is: a path of version 2, or all lines. */
const TABLE: Record<string, [text: string, told: Told][]> = {
  docker: [
    [`/docker/${ID}`, { runtime: "docker", containerId: ID }],
    [`/system.slice/docker-${ID}.scope`, { runtime: "docker", containerId: ID }],
    [`/system.slice/docker.service/docker/${ID}`, { runtime: "docker", containerId: ID }],
    [`${USER}/user.slice/docker-${ID}.scope`, { runtime: "docker", containerId: ID }],
    [`/system.slice/docker-${ID}.scope/init`, { runtime: "docker", containerId: ID }],
    [`/system.slice/docker-${ID}.scope (deleted)`, { runtime: "docker", containerId: ID }],
    [`/system.slice:docker:${ID}`, { runtime: "docker", containerId: ID }],
    // With --cgroup-parent, as of GitHub's runners, and by docker 1.6.
    [`/actions_job/${ID}`, { containerId: ID }],
    [`/${ID}`, { containerId: ID }],
    [
      `12:memory:/docker/${ID}\n2:cpu:/\n1:name=systemd:/docker/${ID}\n0::/`,
      { runtime: "docker", containerId: ID },
    ],
    [
      `9:memory:/docker/${ID}\n1:name=systemd:/system.slice/docker.service`,
      { runtime: "docker", containerId: ID },
    ],
  ],
  "docker in docker": [
    [`/docker/${OUTER}/docker/${ID}`, { runtime: "docker", containerId: ID }],
    [`/system.slice/docker-${OUTER}.scope/docker/${ID}`, { runtime: "docker", containerId: ID }],
    [`/docker/${OUTER}/system.slice/docker-${ID}.scope`, { runtime: "docker", containerId: ID }],
    [
      `/kubepods/besteffort/pod${POD}/${OUTER}/docker/${ID}`,
      { runtime: "docker", containerId: ID, podUid: POD },
    ],
    [
      `${KUBELET}/cri-containerd-${OUTER}.scope/docker/${ID}`,
      { runtime: "docker", containerId: ID, podUid: POD },
    ],
    // Controllers that the inner daemon does not use.
    [
      `5:pids:/docker/${OUTER}\n4:memory:/docker/${OUTER}/docker/${ID}`,
      { runtime: "docker", containerId: ID },
    ],
  ],
  kubernetes: [
    [
      `${KUBELET}/cri-containerd-${ID}.scope`,
      { runtime: "containerd", containerId: ID, podUid: POD },
    ],
    [`${KUBELET}/crio-${ID}.scope`, { runtime: "cri-o", containerId: ID, podUid: POD }],
    [`${KUBELET}/crio-${ID}.scope/container`, { runtime: "cri-o", containerId: ID, podUid: POD }],
    [`${KUBELET}/docker-${ID}.scope`, { runtime: "docker", containerId: ID, podUid: POD }],
    [
      `4:pids:/kubepods/besteffort/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    [`/kubepods/pod${POD}/${ID}`, { runtime: "kubernetes", containerId: ID, podUid: POD }],
    [
      `11:cpu,cpuacct:/system.slice/containerd.service/kubepods-burstable-pod${POD_}.slice:cri-containerd:${ID}`,
      { runtime: "containerd", containerId: ID, podUid: POD },
    ],
    [
      `/system.slice/docker.service/BestEffort.slice/BestEffort-pod${POD_}.slice/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    // What watches a container, and what a sandbox like Kata's has beside it, is in the pod and in no container.
    [`${KUBELET}/crio-conmon-${ID}.scope`, { runtime: "kubernetes", podUid: POD }],
    [`/kubepods/burstable/pod${POD}/kata_overhead`, { runtime: "kubernetes", podUid: POD }],
    // A static pod is known by a hash until the API server knows of it.
    [
      `/kubepods.slice/kubepods-pod${STATIC_POD}.slice/cri-containerd-${ID}.scope`,
      { runtime: "containerd", containerId: ID, podUid: STATIC_POD },
    ],
    [`/k8s.io/${ID}`, { runtime: "containerd", containerId: ID }],
  ],
  k3s: [
    [
      `/kubepods/burstable/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    [
      `/system.slice/k3s.service/kubepods/burstable/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    [
      `${USER}/app.slice/k3s-rootless.service/kubepods/burstable/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
  ],
  kind: [
    [
      `/system.slice/docker-${OUTER}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${POD_}.slice/cri-containerd-${ID}.scope`,
      { runtime: "containerd", containerId: ID, podUid: POD },
    ],
    [
      `/docker/${OUTER}/kubelet/kubepods/besteffort/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    // In a pod of another cluster.
    [
      `/kubepods/burstable/pod${OUTER_POD}/${OUTER}/docker/${OUTER}/kubelet/kubepods/pod${POD}/${ID}`,
      { runtime: "kubernetes", containerId: ID, podUid: POD },
    ],
    [`/docker/${OUTER}/system.slice/kubelet.service`, { runtime: "docker", containerId: OUTER }],
    [
      `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${OUTER}.scope/container/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${POD_}.slice/cri-containerd-${ID}.scope`,
      { runtime: "containerd", containerId: ID, podUid: POD },
    ],
  ],
  podman: [
    [`/machine.slice/libpod-${ID}.scope`, { runtime: "podman", containerId: ID }],
    [`/machine.slice/libpod-${ID}.scope/container`, { runtime: "podman", containerId: ID }],
    [
      `/machine.slice/machine-libpod_pod_${OUTER}.slice/libpod-${ID}.scope`,
      { runtime: "podman", containerId: ID },
    ],
    [`/libpod_parent/libpod-${ID}`, { runtime: "podman", containerId: ID }],
    [`${USER}/user.slice/libpod-${ID}.scope/container`, { runtime: "podman", containerId: ID }],
    [
      `/system.slice/web.service/libpod-payload-${ID}`,
      { runtime: "podman", containerId: ID, unit: "web.service" },
    ],
    [
      `${USER}/app.slice/web.service/libpod-payload-${ID}/container`,
      { runtime: "podman", containerId: ID, unit: "web.service" },
    ],
    [
      `/machine.slice/libpod-${OUTER}.scope/container/libpod_parent/libpod-${ID}`,
      { runtime: "podman", containerId: ID },
    ],
  ],
  nerdctl: [
    [`/system.slice/nerdctl-${ID}.scope`, { runtime: "containerd", containerId: ID }],
    [`${USER}/user.slice/nerdctl-${ID}.scope`, { runtime: "containerd", containerId: ID }],
    [`/default/${ID}`, { runtime: "containerd", containerId: ID }],
    [`/team-a/${ID}`, { containerId: ID }],
  ],
  ECS: [
    [`9:perf_event:/ecs/${TASK}/${ID}`, { runtime: "ecs", containerId: ID }],
    [`9:perf_event:/ecs/shop-cluster/${TASK}/${ID}`, { runtime: "ecs", containerId: ID }],
    [`9:perf_event:/ecs/${OUTER_POD}/${ID}`, { runtime: "ecs", containerId: ID }],
    [
      `/ecstasks.slice/ecstasks-${TASK}.slice/docker-${ID}.scope`,
      { runtime: "docker", containerId: ID },
    ],
    // Fargate.
    [
      `11:hugetlb:/ecs/${TASK}/${TASK}-3057940393`,
      { runtime: "ecs", containerId: `${TASK}-3057940393` },
    ],
  ],
  "LXC, LXD and Incus": [
    ["/lxc.payload.web/init.scope", { runtime: "lxc", containerName: "web" }],
    ["/lxc.payload.web/system.slice/auth.service", { runtime: "lxc", containerName: "web" }],
    ["4:pids:/lxc/web", { runtime: "lxc", containerName: "web" }],
    [`/lxc.payload.web/system.slice/docker-${ID}.scope`, { runtime: "docker", containerId: ID }],
    [`/lxc/web/docker/${ID}`, { runtime: "docker", containerId: ID }],
    ["/machine.slice/machine-lxc\\x2d4\\x2dweb.scope", { runtime: "lxc", containerName: "web" }],
  ],
  "systemd-nspawn": [
    [
      "/machine.slice/machine-shop\\x2dweb.scope/payload/system.slice/auth.service",
      { runtime: "systemd-nspawn", containerName: "shop-web" },
    ],
    [
      "/machine.slice/systemd-nspawn@web.service/payload",
      { runtime: "systemd-nspawn", containerName: "web" },
    ],
    [
      `/machine.slice/machine-web.scope/payload/system.slice/docker-${ID}.scope`,
      { runtime: "docker", containerId: ID },
    ],
  ],
  "Garden and Mesos": [
    [
      "/garden/6f265890-5165-7fab-6b52-18d1",
      { runtime: "garden", containerId: "6f265890-5165-7fab-6b52-18d1" },
    ],
    [`2:cpu:/system.slice/garden.service/garden/${POD}`, { runtime: "garden", containerId: POD }],
    [`4:memory:/mesos/${POD}`, { runtime: "mesos", containerId: POD }],
    [`4:memory:/mesos/${OUTER_POD}/mesos/${POD}`, { runtime: "mesos", containerId: POD }],
  ],
  // As a process in a cgroup namespace of its own sees others (cgroup_namespaces(7)).
  "another namespace": [
    [`/../cri-containerd-${ID}.scope`, { runtime: "containerd", containerId: ID }],
    [`/../../docker/${ID}`, { runtime: "docker", containerId: ID }],
    [`/../${ID}`, { containerId: ID }],
    [
      `/../../../kubepods-besteffort.slice/kubepods-besteffort-pod${POD_}.slice/crio-${ID}.scope`,
      { runtime: "cri-o", containerId: ID, podUid: POD },
    ],
    [`/../../pod${POD}/${ID}`, { runtime: "kubernetes", containerId: ID, podUid: POD }],
  ],
  systemd: [
    ["/system.slice/auth.service", { runtime: "systemd", unit: "auth.service" }],
    [
      "/system.slice/system-auth.slice/auth@1.service",
      { runtime: "systemd", unit: "auth@1.service" },
    ],
    ["/system.slice/auth.service/worker", { runtime: "systemd", unit: "auth.service" }],
    [
      "5:pids:/system.slice/auth.service\n1:name=systemd:/",
      { runtime: "systemd", unit: "auth.service" },
    ],
    [`${USER}/app.slice/auth.service`, { runtime: "systemd", unit: "auth.service" }],
    [
      `${USER}/app.slice/app-shop.slice/auth@2.service/sub`,
      { runtime: "systemd", unit: "auth@2.service" },
    ],
    ["/system.slice/docker.service", { runtime: "systemd", unit: "docker.service" }],
  ],
};

const NOTHING = [
  "",
  "0::/",
  "0::/user.slice/user-0.slice/session-1.scope",
  `0::${USER}/init.scope`,
  `0::${USER}/app.slice/app-gnome-terminal-1234.scope`,
  `0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/emulator`,
  `0::/machine.slice/libpod-conmon-${ID}.scope`,
  "0::/lxc.monitor.web",
  "junk",
];

for (const [runtime, rows] of Object.entries(TABLE)) {
  describe(`a path of ${runtime}`, () => {
    test.each(rows)("%s tells %j", (text, told) => {
      const lines = /^\d+:/.test(text) ? text : `0::${text}`;
      expect(parseCgroup(`${lines}\n`)).toEqual({ ...NOWHERE, ...told });
    });
  });
}

test.each(NOTHING)("%j tells nothing", (text) => {
  expect(parseCgroup(`${text}\n`)).toBeUndefined();
});
