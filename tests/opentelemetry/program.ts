// A service of its own process for tests, instrumented with OpenTelemetry's API alone but for the provider that it
// registers. Runs the code that it is sent, a line of JSON each, and answers with a line.

import { metrics } from "@opentelemetry/api";
import { MeterProvider } from "../../src/opentelemetry/index.ts";
import { Lines } from "../support/lines.ts";

const provider = new MeterProvider(JSON.parse(process.argv[2]!));
metrics.setGlobalMeterProvider(provider);
/** What one piece of code leaves for the next. */
const kept: Record<string, unknown> = {};

const lines = new Lines(Bun.stdin.stream());
for (;;) {
  const line = await lines.next().catch(() => process.exit());
  const code = new Function(
    "metrics",
    "provider",
    "kept",
    `return (async () => { ${JSON.parse(line)} })()`,
  );
  const result = await code(metrics, provider, kept).catch((error: Error) => String(error));
  console.log(JSON.stringify({ result: result ?? null }));
}
