// A provider of this thread on a test's host, and the diag logger that a program would have set.

import { type Attributes, DiagLogLevel, diag } from "@opentelemetry/api";
import { MeterProvider, type MeterProviderOptions } from "../../src/opentelemetry/index.ts";
import type { TestHost } from "../support/host.ts";

/** Rounds of the observable instruments are asked for by the tests themselves. */
const NEVER_MS = 1e9;

export function providerOn(host: TestHost, options: MeterProviderOptions = {}): MeterProvider {
  const provider = new MeterProvider({
    app: "shop",
    service: "auth",
    socket: host.socketPath,
    poolDir: host.poolDir,
    collectIntervalMs: NEVER_MS,
    onWarning: (warning) => host.warnings.push(warning),
    ...options,
  });
  host.onEnd(() => provider.shutdown());
  return provider;
}

/** What `diag` is told until the end of the test. */
export function told(host: TestHost): string[] {
  const messages: string[] = [];
  const silent = () => {};
  diag.setLogger(
    {
      warn: (message) => messages.push(message),
      ...{ error: silent, info: silent, debug: silent, verbose: silent },
    },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  host.onEnd(() => diag.disable());
  return messages;
}

/** A metric's series as a reader finds them: slots by their attributes, as JSON in the order of the keys. */
export function seriesOf(
  host: TestHost,
  metric: string,
  { app = "shop", service = "auth" } = {},
): Record<string, number[]> {
  const { directory, values } = host.view(app).read();
  const found: Record<string, number[]> = {};
  for (const { definition, series, slots, service: id, retired } of directory.metrics.values()) {
    if (retired || definition.name !== metric || directory.services.get(id) !== service) continue;
    for (const each of series) {
      const labelValues = directory.labelValues(each);
      const pairs = definition.labelNames.map((label, i) => [label, labelValues[i]] as const);
      const own = pairs.filter(([label]) => !label.startsWith("otel.scope."));
      const index = directory.valueIndexOf(each);
      found[textOf(Object.fromEntries(own))] = [...values.subarray(index, index + slots)];
    }
  }
  return found;
}

export function textOf(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}
