// OTLP's resource: who sent what a receiver gets.
// https://opentelemetry.io/docs/specs/semconv/resource/

import { hostname } from "node:os";
import { LOCAL_SOURCE } from "../../layout/index.ts";
import type { Attributes } from "./model.ts";

interface ResourceOptions {
  /** The node of Kubernetes that this is: a pod's own host name is another after each restart. */
  node?: string | undefined;
  /** What the environment says, which goes first. */
  given: ReadonlyMap<string, string>;
}

/** What tells one agent from another; of this host alone the environment may know it better. */
const WHOSE: readonly string[] = ["service.instance.id", "host.name", "k8s.node.name"];

/**
 * What is true of all that a source ever counts for a service, from the first point on: receivers tell series apart by
 * it. So it says nothing of processes, which come and go under a sum that goes on (docs/decisions/0037).
 */
export function resourceOf(source: string, { node, given }: ResourceOptions): Attributes {
  const isLocal = source === LOCAL_SOURCE;
  const host = isLocal ? (node ?? hostname()) : source.replace(/:\d+$/, "");
  const all = new Map<string, string>([
    ["service.instance.id", isLocal ? host : source],
    ["host.name", host],
    ...(isLocal && node !== undefined ? ([["k8s.node.name", node]] as const) : []),
    // Of agents elsewhere it would make one of all of them.
    ...[...given].filter(([name]) => isLocal || !WHOSE.includes(name)),
  ]);
  for (const name of ["service.name", "service.namespace"]) all.delete(name);
  return [...all];
}

/** What is wrong with a host's name as a resource's: a container's default one is another each time that it is made. */
export function passingName(host: string, given: ReadonlyMap<string, string>): string | undefined {
  if (!/^[0-9a-f]{12}$/.test(host) || given.has("service.instance.id")) return undefined;
  return (
    `the host is called ${host}, as a container that is another after each restart: receivers would see other series ` +
    "then; name the container (--hostname, or --uts host), or give OTEL_RESOURCE_ATTRIBUTES=service.instance.id=NAME,host.name=NAME"
  );
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
