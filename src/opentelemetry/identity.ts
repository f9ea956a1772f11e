// The application and service that providers of OpenTelemetry record for, where the program names none.

import { nearestAppName, nearestServiceName } from "../layout/index.ts";
import type { Diagnostics } from "./api.ts";

/** As an SDK's resource; only two of its attributes are looked at. */
export interface Resource {
  attributes: Readonly<Record<string, unknown>>;
}

const RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Who records, where the program does not say: by the resource that it gives, and by its environment. */
export function identityOf(
  resource: Resource | undefined,
  env: Environment,
  diagnostics: Diagnostics,
): { app: string; service: string } {
  const attributes = environmentResource(env[RESOURCE_ATTRIBUTES], diagnostics);
  const first = (
    what: string,
    nearest: (text: string) => string | undefined,
    places: readonly (readonly [place: string, value: unknown])[],
  ): string | undefined => {
    for (const [place, value] of places) {
      if (typeof value !== "string" || value.trim() === "") continue;
      const name = nearest(value);
      if (name === value) return name;
      const said = `${JSON.stringify(value.slice(0, 80))} of ${place} cannot be the name of ${what}`;
      if (name !== undefined) {
        diagnostics.changed(said, `${JSON.stringify(name)} is used`);
        return name;
      }
      diagnostics.changed(said, "it is ignored");
    }
    return undefined;
  };
  const app = first("an application", nearestAppName, [
    ["the resource's service.namespace", resource?.attributes["service.namespace"]],
    ["MICROVIEW_APP", env["MICROVIEW_APP"]],
    [RESOURCE_ATTRIBUTES, attributes.get("service.namespace")],
  ]);
  // As the specification names a service that nobody names.
  const service = first("a service", nearestServiceName, [
    ["the resource's service.name", resource?.attributes["service.name"]],
    ["OTEL_SERVICE_NAME", env["OTEL_SERVICE_NAME"]],
    ["MICROVIEW_SERVICE", env["MICROVIEW_SERVICE"]],
    [RESOURCE_ATTRIBUTES, attributes.get("service.name")],
  ]);
  return { app: app ?? "default", service: service ?? "unknown_service:bun" };
}

/** `key=value,…`, percent-encoded; nothing of one that cannot be read, as the specification asks. */
function environmentResource(given = "", diagnostics: Diagnostics): ReadonlyMap<string, string> {
  const pairs = given.split(",").map((pair) => {
    const [, key = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
    return [key.trim(), value.trim()] as const;
  });
  try {
    const decoded = pairs.map(([key, value]) => [key, decodeURIComponent(value)] as const);
    return new Map(decoded.filter(([, value]) => value !== ""));
  } catch {
    diagnostics.changed(
      `${RESOURCE_ATTRIBUTES} is not percent-encoded as it should be`,
      "it is ignored",
    );
    return new Map();
  }
}
