// An agent and its services in one machine, collectors in the other, and RDMA between them. Runs in `two`, one.ts in
// `one`.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { AgentClient } from "../../../src/collector/agent-client.ts";
import { call } from "../../support/calls.ts";
import { Lines } from "../../support/lines.ts";
import { until } from "../../support/wait.ts";
import { costOfReading } from "../suite/support/moments.ts";
import { Reader } from "../suite/support/reader.ts";
import { MICROVIEW, PATIENT_FLAGS } from "../suite/support/rig.ts";
import { ask } from "./errands.ts";
import { ONE } from "./ports.ts";

/** A line of NDJSON, as far as it is looked at. */
interface Line {
  gap?: string;
  metrics: { name: string; value: number }[];
}

const agent = new AgentClient(ONE, {});
let program: Bun.Subprocess<"ignore", "pipe", "inherit">;
const lines: Line[] = [];

beforeAll(async () => {
  await until("the agent has the service", async () => {
    const apps = await call(agent, "GET /v1/apps", {});
    return JSON.stringify(apps).includes("shop");
  });
  const flags = [...PATIENT_FLAGS, "--interval", "50ms", "--app", "shop", "--format", "ndjson"];
  program = Bun.spawn([MICROVIEW, "collect", `${ONE.host}:${ONE.port}`, ...flags], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  void take(new Lines(program.stdout));
});

afterAll(() => program?.kill("SIGKILL"));

async function take(from: Lines): Promise<void> {
  for (;;) lines.push(JSON.parse(await from.next()));
}

const value = ({ metrics }: Line) => metrics.find(({ name }) => name === "requests_total")?.value;

test("`microview collect` shows the services of the other machine", async () => {
  await until("it counts on", () => lines.filter((line) => (value(line) ?? 0) > 0).length > 5);
  const values = lines.map(value).filter((each) => each !== undefined);
  expect(values.at(-1)!).toBeGreaterThan(values[0]!);
  expect(values.filter((each) => each % 3 !== 0)).toEqual([]);
});

test("reads cost the agent's process nothing", async () => {
  using reader = await Reader.open(agent, "shop");
  const samples = async () => (await reader.value("till", "samples_total"))!;
  const ranMs = async () => {
    const known = await samples();
    await until("its clock is looked at", async () => (await samples()) > known);
    return (await reader.value("till", "agent_ran"))!;
  };
  const { costMs, allowedMs } = await costOfReading(reader, ranMs, 500);
  expect(costMs).toBeLessThan(allowedMs);
});

test("the agent is read by rdma_cm too, where it is asked for", async () => {
  const flags = ["--transport", "verbs", "--rdma-cm", "--once", "--app", "shop"];
  const once = Bun.spawn(
    [MICROVIEW, "collect", `${ONE.host}:${ONE.port}`, ...flags, "--format", "ndjson"],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const [line] = (await new Response(once.stdout).text()).trim().split("\n");
  expect(await once.exited).toBe(0);
  expect(value(JSON.parse(line!))).toBeGreaterThan(0);
});

test("`microview collect` goes on when the agent was killed, with the gap marked and every count", async () => {
  const known = lines.length;
  await ask("restart the agent");
  await until("it is read again", () => lines.slice(known).some(({ gap }) => gap !== undefined));
  const counted = Number(await ask("stop counting"));
  await until("it shows what was counted", () => value(lines.at(-1)!) === counted);
  const values = lines.map(value).filter((each) => each !== undefined);
  expect(values).toEqual(values.toSorted((a, b) => a - b));
  const gaps = lines.map(({ gap }) => gap).filter((gap) => gap !== undefined);
  expect(gaps).toHaveLength(1);
});
