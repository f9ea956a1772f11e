// A service with prom-client in a process of its own, that answers GET /metrics: the peer of a scrape.

import { childOptions, offer, serveParent } from "./child.ts";
import type { PromServerOptions } from "./prom.ts";
import { promRegistry } from "./prom-registry.ts";

const { shapes } = childOptions<PromServerOptions>();
const registries = shapes.map(promRegistry);

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
