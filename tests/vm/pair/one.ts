// The host that is read, in the machine `one`: the built agent, and a service that counts and tells how long the agent's
// process has run.

import { MicroView } from "../../../src/client/index.ts";
import { TestHost } from "../../support/host.ts";
import { cpuNs, MICROVIEW } from "../suite/support/rig.ts";
import { serve } from "./errands.ts";
import { PORTS } from "./ports.ts";

await using host = new TestHost([MICROVIEW]);
// What it does is for its collectors: it looks neither for the dead nor at processes meanwhile.
const idle = ["--scan-interval", "1h", "--process-metrics", "off"];
const flags = ["--host", "0.0.0.0", "--insecure", ...idle, ...PORTS];
let agent = await host.agentProcess(...flags);
const mv = new MicroView({ app: "shop", service: "till", socket: host.socketPath });
const requests = mv.counter("requests_total");
const samples = mv.counter("samples_total");
const agentRan = mv.gauge("agent_ran", { unit: "milliseconds" });
let counted = 0;
const counting = setInterval(() => {
  requests.inc(3);
  counted += 3;
}, 10);
setInterval(() => {
  try {
    agentRan.set(cpuNs(agent.pid) / 1e6);
    samples.inc();
  } catch {
    // It is being killed, or one of its threads ended while they were looked at: the next look comes soon.
  }
}, 20);

await serve("restart the agent", async () => {
  await agent.end("SIGKILL");
  agent = await host.agentProcess(...flags);
  return "";
});
await serve("stop counting", async () => {
  clearInterval(counting);
  return String(counted);
});
// Until the machine ends.
await new Promise(() => {});
