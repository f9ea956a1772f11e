// What becomes of reading by RDMA when the agent dies, stops, or loses its device: it goes on by itself, the gap is
// marked, and nothing is lost or counted twice.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Counter } from "../../../src/client/index.ts";
import { collect } from "../../support/collecting.ts";
import type { AgentProcess } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { MachineHost, PATIENT, pretendToBeElsewhere, setDevice } from "./support/rig.ts";

let host: MachineHost;
let agent: AgentProcess;
let wrapper: readonly string[];
let counter: Counter;
let counted = 0;
/** Reads by RDMA and by nothing else. */
let strict: ReturnType<typeof collect>;
/** Reads by what there is. */
let free: ReturnType<typeof collect>;

beforeAll(async () => {
  host = new MachineHost();
  wrapper = await pretendToBeElsewhere(host);
  agent = await host.start([], wrapper);
  counter = host.client().counter("requests_total");
  const target = {
    targets: [{ host: "127.0.0.1", port: agent.port }],
    filter: { apps: ["shop"], services: [], metrics: [] },
    verbs: PATIENT,
    intervalMs: 20,
  };
  strict = collect(host, { ...target, transport: "verbs" });
  free = collect(host, { ...target, transport: "auto" });
  await bothShow("verbs", "verbs");
});

afterAll(() => host?.[Symbol.asyncDispose]());

/** Counts, and waits until both collectors show exactly what was counted, by the transports given. */
async function bothShow(...transports: string[]): Promise<void> {
  counter.inc(3);
  counted += 3;
  const key = `127.0.0.1:${agent.port} shop auth requests_total{}`;
  await until(`both show ${counted}`, () =>
    [strict, free].every(
      ({ collector, latest }, i) =>
        latest.get(key) === counted && collector.statistics[0]!.transport === transports[i],
    ),
  );
}

const flags = () => ["--port", String(agent.port), "--data-port", String(agent.dataPort)];

// One that is asked to end is the same to its collectors, and tested on the mocked device.
test("an agent that is killed is read on when it is back", async () => {
  const gaps = [strict.gaps.length, free.gaps.length];
  const away = strict.events.length;
  await agent.end("SIGKILL");
  counter.inc(4);
  counted += 4;
  await until("it is missed", () => strict.events.slice(away).some(({ kind }) => kind === "away"));
  agent = await host.start(flags(), wrapper);
  await bothShow("verbs", "verbs");
  expect([strict.gaps.length, free.gaps.length]).toEqual(gaps.map((before) => before + 1));
  expect(strict.gaps.at(-1)).toContain("agent");
});

test("a device that is removed is let go of, done without, and used again when it is back", async () => {
  const { pid } = agent;
  await setDevice(false);
  expect(agent.find("RDMA is lost; collectors read over TCP until it is back")).toMatchObject({
    level: "error",
    reason: "the device was removed",
  });
  expect((await host.rdma()).endpoint).toBeNull();
  await until("the other way is taken", () => free.collector.statistics[0]!.transport === "tcp");
  const { message } = free.events.findLast(({ kind }) => kind === "connected")!;
  expect(message).toStartWith("read by tcp (not by RDMA: ");
  await setDevice(true);
  await bothShow("verbs", "tcp");
  expect(agent.pid).toBe(pid);
  expect(agent.child.exitCode).toBeNull();
});
