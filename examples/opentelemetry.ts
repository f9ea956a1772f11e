// A service that is instrumented with OpenTelemetry's metrics API: only the provider is microview's.

import { metrics } from "@opentelemetry/api";
import { MeterProvider } from "microview/opentelemetry";

metrics.setGlobalMeterProvider(new MeterProvider({ app: "shop", service: "payments" }));

const meter = metrics.getMeter("payments", "1.0.0");
const payments = meter.createCounter("payments.done", { unit: "{payment}" });
const duration = meter.createHistogram("payment.duration", {
  unit: "s",
  advice: { explicitBucketBoundaries: [0.001, 0.01, 0.1, 1] },
});
const heap = meter.createObservableGauge("process.heap", { unit: "By" });
heap.addCallback((result) => result.observe(process.memoryUsage().heapUsed));

const server = Bun.serve({
  port: process.env["PORT"] ?? 3000,
  routes: {
    "/pay/:method": async ({ params: { method } }) => {
      const start = performance.now();
      await Bun.sleep(Math.random() * 20);
      // Attributes may differ from call to call: what is known is said.
      payments.add(1, method === "card" ? { method, network: "visa" } : { method });
      duration.record((performance.now() - start) / 1000, { method });
      return new Response(`paid by ${method}\n`);
    },
  },
});
console.log(`try ${server.url}pay/card`);
