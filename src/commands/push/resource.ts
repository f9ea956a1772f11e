// Who sent what a receiver gets: the instance that tells an agent's series from those of others, and OTLP's resource.
// https://opentelemetry.io/docs/specs/semconv/resource/

import { hostname } from "node:os";
import type { Attributes, Origin } from "../../export/index.ts";
import type { ProcessIdentity } from "../../layout/index.ts";
import type { Processes, ProcessesOf } from "./identities.ts";

/** A process that begins is known after a look or two of the agent's; until then its service is where it was. */
const KEEP_MS = 15_000;
/** Services of which it is remembered where they were. */
const MAX_REMEMBERED = 10_000;

/** What a kind of workload is called by. */
const WORKLOADS: Readonly<Record<string, string>> = {
  CronJob: "k8s.cronjob.name",
  DaemonSet: "k8s.daemonset.name",
  Deployment: "k8s.deployment.name",
  Job: "k8s.job.name",
  ReplicaSet: "k8s.replicaset.name",
  StatefulSet: "k8s.statefulset.name",
};
/** What runs containers; the others tell of pods alone, or of units. */
const RUNTIMES: readonly string[] = ["containerd", "cri-o", "docker", "lxc", "podman"];

export interface ResourceOptions {
  /** Of this host's agent: its name, or the node's. */
  host?: string | undefined;
  /** What the environment says, which goes first. */
  given: ReadonlyMap<string, string>;
  processesOf: ProcessesOf;
}

/** What is known of where services run. */
export class Resources {
  readonly #last = new Map<string, { found: Attributes; atMs: number }>();

  constructor(readonly options: ResourceOptions) {}

  /** @param nowMs of a monotonic clock */
  of(origin: Origin, nowMs = performance.now()): Attributes {
    const { source } = origin;
    const { given } = this.options;
    const isLocal = source === "local";
    const host = isLocal ? (this.options.host ?? hostname()) : source.replace(/:\d+$/, "");
    const all = new Map<string, string | number>([
      ["service.instance.id", isLocal ? host : source],
      ["host.name", host],
      ...this.#where(origin, nowMs),
      ...given,
    ]);
    for (const name of ["service.name", "service.namespace"]) all.delete(name);
    return [...all];
  }

  #where(origin: Origin, nowMs: number): Attributes {
    const key = JSON.stringify([origin.source, origin.app, origin.service]);
    const processes = this.options.processesOf(origin);
    if (processes === undefined) {
      const last = this.#last.get(key);
      return last !== undefined && nowMs - last.atMs < KEEP_MS ? last.found : [];
    }
    const found = commonOf(processes);
    if (this.#last.size >= MAX_REMEMBERED) this.#last.clear();
    this.#last.set(key, { found, atMs: nowMs });
    return found;
  }
}

/** What is true of all processes of a service. */
export function commonOf({ pids, identities }: Processes): Attributes {
  const [first = new Map<string, string>(), ...others] = identities.map(attributesOf);
  const common: [string, string | number][] = [...first].filter(([name, value]) =>
    others.every((other) => other.get(name) === value),
  );
  if (pids.length === 1 && identities.length === 1) common.push(["process.pid", pids[0]!]);
  return common;
}

function attributesOf(identity: ProcessIdentity): Map<string, string> {
  const { runtime, containerId, containerName, podUid, podName, workloadKind } = identity;
  const isPod = podUid !== "" || podName !== "";
  const workload = WORKLOADS[workloadKind];
  const all: [name: string, value: string][] = [
    ["container.id", containerId],
    // Of a pod it is the name in its specification, and the runtime calls the container otherwise.
    [isPod ? "k8s.container.name" : "container.name", containerName],
    ["container.runtime.name", RUNTIMES.includes(runtime) ? runtime : ""],
    ["k8s.pod.uid", podUid],
    ["k8s.pod.name", podName],
    ["k8s.namespace.name", identity.namespace],
    ["k8s.node.name", identity.nodeName],
    ...(workload === undefined ? [] : [[workload, identity.workloadName] as [string, string]]),
  ];
  return new Map(all.filter(([, value]) => value !== ""));
}

/**
 * OTEL_RESOURCE_ATTRIBUTES: `k8s.cluster.name=a,deployment.environment.name=b`, values percent-encoded. What is none is
 * left out.
 * https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
 */
export function resourceAttributes(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of text.split(",")) {
    const [, name, value] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) continue;
    try {
      found.set(name, decodeURIComponent(value));
    } catch {
      found.set(name, value);
    }
  }
  return found;
}

/** An agent's name, which tells its series from those of others; this host's has none but the host's. */
export function instanceOf(source: string): string {
  return source === "local" ? hostname() : source;
}
