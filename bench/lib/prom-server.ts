// A service with prom-client in a process of its own, that answers GET /metrics: the peer of a scrape.

import { Counter, Registry } from "prom-client";
import { childOptions, offer, serveParent } from "./child.ts";
import type { PromServerOptions } from "./prom.ts";

const { shapes } = childOptions<PromServerOptions>();
const registries = shapes.map(({ services, metrics }) => {
  const registry = new Registry();
  for (let metric = 0; metric < metrics; metric++) {
    const counter = new Counter({
      name: `metric_${metric}`,
      help: `metric ${metric}`,
      labelNames: ["service"],
      registers: [registry],
    });
    for (let service = 0; service < services; service++) {
      counter.inc({ service: `service_${service}` }, metric + service / 1000);
    }
  }
  return registry;
});

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  development: false,
  async fetch(request) {
    const registry = registries[Number(new URL(request.url).pathname.slice("/metrics/".length))];
    if (registry === undefined) return new Response(null, { status: 404 });
    return new Response(await registry.metrics(), {
      headers: { "content-type": registry.contentType },
    });
  },
});
offer({ port: server.port });
await serveParent();
process.exit(0);
