// The names of pods for the agent: follows them, and tells of it in its metrics and its log.

import type { Log } from "../../guard/index.ts";
import { type KubernetesAccess, PodWatch, type PodWatchLimits } from "../../identity/index.ts";
import type { SelfMetrics } from "../self-metrics.ts";

export interface KubernetesOptions {
  access: KubernetesAccess;
  /** Pods of other nodes are never asked for. */
  nodeName: string;
  limits?: Partial<PodWatchLimits>;
}

const HINTS: Readonly<Record<number, string>> = {
  401: "the token does not hold: see --kubernetes-token-file",
  403: "bind a role that may list and watch pods: docs/deploy.md, or the chart's kubernetes.names.enabled",
};

/** Begins to follow the pods of a node, and never fails: a server that is away only leaves names out. */
export function watchPods(
  { access, nodeName, limits }: KubernetesOptions,
  metrics: SelfMetrics,
  log: Log,
): PodWatch {
  const server = access.url;
  return new PodWatch(
    access,
    nodeName,
    {
      requested: (verb, result) => metrics.add("kubernetesRequests", 1, verb, result),
      leftOut: (reason) => metrics.add("kubernetesLeftOut", 1, reason),
      changed: (state) => {
        if (state.current) {
          log.info("the names of pods are known", { server, node: nodeName });
          return;
        }
        const { message, status } = state.error;
        log.warn("the names of pods are unknown or out of date", {
          server,
          reason: status === 0 ? message : `${status}: ${message}`,
          hint: HINTS[status] ?? "the agent keeps asking; everything else works",
        });
      },
    },
    limits,
  );
}
