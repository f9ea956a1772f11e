// What is kept of a pod, and the names that follow from it. What a server sends is checked field by field: whatever is
// not as Kubernetes names things is left out.

import { type ProcessIdentity, UNKNOWN_IDENTITY } from "../../layout/index.ts";

/** A pod's own specification cannot have more by far: etcd takes 1.5 MiB. */
const CONTAINERS_MAX = 512;
const OWNERS_MAX = 64;

/** What controls a pod. */
type Workload = Pick<ProcessIdentity, "workloadKind" | "workloadName" | "workloadGuessed">;

export interface Pod extends Workload {
  uid: string;
  /** How the node calls a static pod in its cgroups, before the server knows of it; "" for all others. */
  staticUid: string;
  name: string;
  namespace: string;
  nodeName: string;
  /** Names of containers by their ids; of those that run and of those before them. */
  containers: ReadonlyMap<string, string>;
}

// RFC 1123, as Kubernetes has it for subdomains: pods and what owns them. Namespaces and containers are labels of 63.
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const KIND = /^[A-Za-z][A-Za-z0-9]{0,62}$/;
const UID = /^[0-9a-zA-Z-]{1,64}$/;
const CONTAINER_ID = /^[a-z0-9.-]{1,32}:\/\/([0-9a-f]{64})$/;
/** Statuses of containers: init containers may go on beside the others, and one may come to debug them. */
const STATUSES = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];

type Fields = Readonly<Record<string, unknown>>;

/** @returns undefined for what is no pod */
export function parsePod(value: unknown): Pod | undefined {
  const metadata = fields(fields(value)["metadata"]);
  const uid = text(metadata["uid"], UID);
  const name = text(metadata["name"], SUBDOMAIN);
  const namespace = text(metadata["namespace"], LABEL);
  if (uid === "" || name === "" || namespace === "") return undefined;
  const annotations = fields(metadata["annotations"]);
  return {
    uid,
    staticUid: text(annotations["kubernetes.io/config.mirror"], UID),
    name,
    namespace,
    nodeName: text(fields(fields(value)["spec"])["nodeName"], SUBDOMAIN),
    containers: containersOf(fields(fields(value)["status"])),
    ...workloadOf(metadata),
  };
}

/** What a pod and its container are called. @param containerName "" when only the pod is known */
export function identityIn(pod: Pod, containerName: string): Partial<ProcessIdentity> {
  const { uid, name, namespace, nodeName, workloadKind, workloadName, workloadGuessed } = pod;
  return {
    podUid: uid,
    podName: name,
    namespace,
    nodeName,
    workloadKind,
    workloadName,
    workloadGuessed,
    ...(containerName === "" ? {} : { containerName }),
  };
}

function containersOf(status: Fields): Map<string, string> {
  const containers = new Map<string, string>();
  const keep = (state: unknown, name: string) => {
    const id = CONTAINER_ID.exec(text(fields(state)["containerID"], /^.{0,128}$/))?.[1];
    if (id !== undefined && containers.size < CONTAINERS_MAX) containers.set(id, name);
  };
  for (const key of STATUSES) {
    for (const container of list(status[key], CONTAINERS_MAX)) {
      const name = text(fields(container)["name"], LABEL);
      if (name === "") continue;
      keep(container, name);
      // Its processes may outlive what is told of it by a moment.
      keep(fields(fields(container)["lastState"])["terminated"], name);
    }
  }
  return containers;
}

/** What controls a pod, by its owner; of what a ReplicaSet or a Job belongs to, only their names tell here. */
function workloadOf(metadata: Fields): Workload {
  const owner = list(metadata["ownerReferences"], OWNERS_MAX)
    .map(fields)
    .find(({ controller }) => controller === true);
  const workloadKind = text(owner?.["kind"], KIND);
  const workloadName = text(owner?.["name"], SUBDOMAIN);
  const { workloadKind: none } = UNKNOWN_IDENTITY;
  // A static pod is controlled by its node, which is no workload.
  if (workloadKind === "" || workloadName === "" || workloadKind === "Node") {
    return { workloadKind: none, workloadName: "", workloadGuessed: false };
  }
  const guess =
    workloadKind === "ReplicaSet"
      ? deploymentOf(workloadName, metadata)
      : workloadKind === "Job"
        ? cronJobOf(workloadName, metadata)
        : undefined;
  return guess ?? { workloadKind, workloadName, workloadGuessed: false };
}

/** A Deployment calls its ReplicaSets NAME-HASH, and writes the hash on their pods as well. */
function deploymentOf(replicaSet: string, metadata: Fields): Workload | undefined {
  const hash = text(fields(metadata["labels"])["pod-template-hash"], LABEL);
  if (hash === "" || !replicaSet.endsWith(`-${hash}`)) return undefined;
  return guessed("Deployment", replicaSet.slice(0, -hash.length - 1));
}

/** A CronJob calls its Jobs NAME-MINUTE, counted since 1970, and makes their pods then or soon after. */
function cronJobOf(job: string, metadata: Fields): Workload | undefined {
  const [, name, minute] = /^(.+)-(\d{8})$/.exec(job) ?? [];
  const created = Date.parse(text(metadata["creationTimestamp"], /^[0-9TZ:.+-]{10,40}$/));
  if (name === undefined || Number.isNaN(created)) return undefined;
  const lateMinutes = created / 60_000 - Number(minute);
  return lateMinutes > -2 && lateMinutes < 24 * 60 ? guessed("CronJob", name) : undefined;
}

function guessed(workloadKind: string, workloadName: string): Workload | undefined {
  return workloadName === "" ? undefined : { workloadKind, workloadName, workloadGuessed: true };
}

/** An object's fields; of anything else none. */
export function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {};
}

/** The first entries of a list; of anything else none. */
export function list(value: unknown, max: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, max) : [];
}

/** A text that is as it should be, else "". */
export function text(value: unknown, pattern: RegExp): string {
  return typeof value === "string" && value.length <= 4096 && pattern.test(value) ? value : "";
}
