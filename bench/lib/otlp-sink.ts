// Takes what an OpenTelemetry SDK sends and counts its spans, in a process of its own, for benchmarks. GET / says how many
// have come.

import { childOptions, offer, serveParent } from "./child.ts";

childOptions();
let spans = 0;
const server = Bun.serve({
  ...{ hostname: "127.0.0.1", port: 0, development: false, idleTimeout: 0 },
  async fetch(request) {
    if (request.method === "GET") return Response.json({ spans });
    // As cheap as it can be: nothing is decoded that is not counted.
    const text = await request.text();
    for (let at = text.indexOf('"spanId"'); at >= 0; at = text.indexOf('"spanId"', at + 8)) spans++;
    return Response.json({});
  },
});
offer({ port: server.port });
await serveParent();
process.exit(0);
