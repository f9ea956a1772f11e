// Who a process is: its container, pod and unit, by its cgroup and, where there is one, by the API of Kubernetes.

export { type CgroupPlace, parseCgroup } from "./cgroup.ts";
export { inCluster, type KubernetesAccess, parseServerUrl } from "./kubernetes/access.ts";
export { isNodeName, nodeOfPod } from "./kubernetes/node.ts";
export { ServerError } from "./kubernetes/requests.ts";
export { PodWatch, type PodWatchLimits } from "./kubernetes/watcher.ts";
export {
  findProcess,
  holds,
  identityOf,
  type OpenFile,
  ProcessLook,
  parseLocks,
  parseNamespacePids,
  type WriterLock,
} from "./process.ts";
export { listProc, readProc } from "./procfs.ts";
