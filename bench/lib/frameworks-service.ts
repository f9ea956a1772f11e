// A service of the benchmark `frameworks`: one framework, measured in one way, and what it has taken of the processor.

import { MicroView } from "../../src/client/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";
import { type Framework, makeElysia, makeHono, type Variant } from "./frameworks-app.ts";

export interface ServiceOptions {
  framework: Framework;
  variant: Variant;
  /** Of the agent, for ours. */
  socketPath: string;
  poolDir: string;
}

/** GET on the second port: processor time since the start, in µs. */
export interface Used {
  cpuUs: number;
}

const { framework, variant, socketPath, poolDir } = childOptions<ServiceOptions>();
const mv =
  variant === "ours"
    ? new MicroView({ app: "bench", service: `${framework}-http`, socket: socketPath, poolDir })
    : undefined;
const port = serve();
const control = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  development: false,
  fetch() {
    const { user, system } = process.cpuUsage();
    return Response.json({ cpuUs: user + system } satisfies Used);
  },
});
offer({ port, controlPort: control.port });
await serveParent();
process.exit(0);

function serve(): number {
  const options = { hostname: "127.0.0.1", port: 0, development: false };
  if (framework === "elysia") return makeElysia(variant, mv).listen(options).server!.port!;
  return Bun.serve({ ...options, fetch: makeHono(variant, mv).fetch }).port!;
}
