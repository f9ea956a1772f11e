// Who sent what a receiver gets: the instance that tells an agent's series from those of others, and OTLP's resource.

import { hostname } from "node:os";
import type { Attributes } from "../../export/index.ts";

/** What is known of where a service runs; what the environment says goes first, but for the service itself. */
export function resourceOf(source: string, given: ReadonlyMap<string, string>): Attributes {
  const host = source === "local" ? hostname() : source.replace(/:\d+$/, "");
  const all = new Map([["service.instance.id", instanceOf(source)], ["host.name", host], ...given]);
  for (const name of ["service.name", "service.namespace"]) all.delete(name);
  return [...all];
}

/**
 * OTEL_RESOURCE_ATTRIBUTES: `k8s.pod.name=a,container.id=b`, values percent-encoded. What is none is left out.
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
