// Who a process is beyond its number: the container, pod and workload that it belongs to. Told over REST, and by the
// labels of `microview_process_info`.

/** Empty texts are what is not known; names of Kubernetes come from its API and may come later than the rest. */
export interface ProcessIdentity {
  /**
   * "docker", "containerd", "cri-o", "podman", "lxc", "systemd-nspawn", "garden", "mesos"; "kubernetes" or "ecs" where
   * only the pod or the task is known; "systemd" for a process in no container; empty for a container of an unknown
   * runtime.
   */
  readonly runtime: string;
  /** 64 hexadecimal digits; of Fargate, Garden and Mesos as they have it. */
  readonly containerId: string;
  /** As in the pod's specification; of LXC and systemd-nspawn the container's own name. */
  readonly containerName: string;
  /** metadata.uid. Of a static pod whose names are not known, the hash that its node gave it. */
  readonly podUid: string;
  readonly podName: string;
  readonly namespace: string;
  readonly nodeName: string;
  /** What controls the pod: "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", … */
  readonly workloadKind: string;
  readonly workloadName: string;
  /** The workload was not told but follows from the name of what it has made: a Deployment's, a CronJob's. */
  readonly workloadGuessed: boolean;
  /** The unit of systemd, also the one that a container was started as. */
  readonly unit: string;
}

export const UNKNOWN_IDENTITY: ProcessIdentity = {
  runtime: "",
  containerId: "",
  containerName: "",
  podUid: "",
  podName: "",
  namespace: "",
  nodeName: "",
  workloadKind: "",
  workloadName: "",
  workloadGuessed: false,
  unit: "",
};

/** The agent's own application, and its metric of who the processes of services are. */
export const AGENT_APP = "microview";
export const INFO_METRIC = "microview_process_info";

/** What `microview_process_info` tells besides the application, by label. */
export const INFO_LABELS = {
  runtime: "runtime",
  container_id: "containerId",
  container: "containerName",
  pod: "podName",
  pod_uid: "podUid",
  namespace: "namespace",
  node: "nodeName",
  workload_kind: "workloadKind",
  workload: "workloadName",
  unit: "unit",
} as const satisfies Record<string, keyof ProcessIdentity>;

/** Digits of a container's id that its tools show, and that tell it from others. */
export const CONTAINER_ID_SHOWN = 12;

/** Kinds of what makes pods by way of others: a pod names those only, so these are always guessed. */
const GUESSED_KINDS: readonly string[] = ["Deployment", "CronJob"];

/** Who a series of {@link INFO_METRIC} tells of. */
export function identityOfLabels(label: (name: string) => string | undefined): ProcessIdentity {
  const told = Object.entries(INFO_LABELS).map(([name, field]) => [field, label(name) ?? ""]);
  const identity: ProcessIdentity = { ...UNKNOWN_IDENTITY, ...Object.fromEntries(told) };
  return { ...identity, workloadGuessed: GUESSED_KINDS.includes(identity.workloadKind) };
}
