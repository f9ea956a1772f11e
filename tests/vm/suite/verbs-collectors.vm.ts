// One agent and a hundred collectors by RDMA: its process does nothing for their reads, all of them read right at the
// same time, and of those that are killed nothing is left. Also a pool that grows under them.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SEGMENT_BYTES } from "../../../src/agent/rdma/registered-pool.ts";
import type { Counter } from "../../../src/client/index.ts";
import { PAGE_BYTES } from "../../../src/layout/index.ts";
import type { AgentProcess } from "../../support/host.ts";
import { Lines } from "../../support/lines.ts";
import { until } from "../../support/wait.ts";
import { costOfReading } from "./support/moments.ts";
import { Reader } from "./support/reader.ts";
import type { ReadersTask } from "./support/readers.ts";
import {
  cpuNs,
  MachineHost,
  MICROVIEW,
  PATIENT_FLAGS,
  pinnedOf,
  resources,
} from "./support/rig.ts";

const SERVICE = "till";
const COUNTED = "requests_total";

let host: MachineHost;
let agent: AgentProcess;
let counter: Counter;
let counted = 0;

beforeAll(async () => {
  host = new MachineHost();
  // It looks neither for the dead nor at processes meanwhile: what it does is for its collectors.
  agent = await host.start(["--scan-interval", "1h", "--process-metrics", "off"]);
  counter = host.client({ service: SERVICE }).counter(COUNTED);
  count(5);
  await host.shows(counted, COUNTED, { service: SERVICE });
});

afterAll(() => host?.[Symbol.asyncDispose]());

function count(by: number): void {
  counter.inc(by);
  counted += by;
}

/** What is held for collectors: by the agent's word, and by the kernel's. */
async function held() {
  const { queuePairs, pinnedBytes } = await host.rdma();
  return { queuePairs, pinnedBytes, pinned: pinnedOf(agent.pid), ...(await resources()) };
}

test("reads cost the agent's process nothing, however many they are", async () => {
  using reader = await Reader.open(host.rest, "shop");
  const { costMs, allowedMs } = await costOfReading(reader, () => cpuNs(agent.pid) / 1e6);
  expect(costMs).toBeLessThan(allowedMs);
});

describe("a hundred collectors", () => {
  const PROCESSES = 4;
  const EACH = 25;
  /** Of the built program, beside them. */
  const PROGRAMS = 2;
  const said: Lines[] = [];
  const children: Bun.Subprocess<"pipe", "pipe">[] = [];
  let before: Awaited<ReturnType<typeof held>>;

  const tell = (line: string) => {
    for (const { stdin } of children) {
      stdin.write(`${line}\n`);
      stdin.flush();
    }
  };
  /** The next line of each process. */
  const answers = () => Promise.all(said.map((lines) => lines.next()));

  beforeAll(async () => {
    await until("nobody reads", async () => (await host.rdma()).queuePairs === 0);
    before = await held();
    const { socketPath } = host;
    const task: ReadersTask = {
      ...{ socketPath, count: EACH, app: "shop", service: SERVICE, metric: COUNTED },
    };
    for (let i = 0; i < PROCESSES; i++) {
      const child = host.run("tests/vm/suite/support/readers.ts", task);
      children.push(child);
      said.push(new Lines(child.stdout));
    }
    expect(await answers()).toEqual(children.map(() => "ready"));
  });

  test("read the same sums at the same time", async () => {
    for (const by of [7, 1000]) {
      count(by);
      tell("read");
      for (const values of await answers()) {
        expect(JSON.parse(values)).toEqual(new Array(EACH).fill(counted));
      }
    }
    expect((await host.rdma()).queuePairs).toBe(PROCESSES * EACH);
  });

  test("leave nothing when they are killed while they read", async () => {
    const flags = [...PATIENT_FLAGS, "--interval", "1ms", "--app", "shop"];
    const programs = Array.from({ length: PROGRAMS }, () =>
      host.own(
        Bun.spawn([MICROVIEW, "collect", "--socket", host.socketPath, ...flags], {
          stdout: "pipe",
        }),
      ),
    );
    for (const { stdout } of programs) await new Lines(stdout).next();
    tell("run");
    await answers();
    expect((await held()).queuePairs).toBe(PROCESSES * EACH + PROGRAMS);
    const all = [...children, ...programs];
    for (const child of all) child.kill("SIGKILL");
    await Promise.all(all.map(({ exited }) => exited));
    await until("all is as before", async () => Bun.deepEquals(await held(), before), 10_000);
  });
});

test("a pool that grows by several segments is read on, with what is new in it", async () => {
  /** Of each series a page. */
  const buckets = Array.from({ length: 500 }, (_, i) => i + 1);
  const wide = host.client({ app: "wide" });
  const histogram = wide.histogram("wide", { buckets, labels: ["n"] });
  const pages = SEGMENT_BYTES / PAGE_BYTES;
  histogram.labels("0").observe(1);
  await wide.ready;
  using reader = await Reader.open(host.rest, "wide");
  /** Label and sum of each series. */
  const read = async () => {
    const { structure, values } = await reader.read();
    const entry = structure.metrics[0]!;
    return Array.from(entry.indexes, (index, at) => {
      const label = Number(structure.labelValues(entry, at)[0]);
      return [label, values[index + entry.metric.slots - 1]!] as const;
    });
  };
  let pinned = 0;
  let n = 1;
  for (const size of [1, pages + 1, 2 * pages + 1]) {
    for (; n < size; n++) histogram.labels(String(n)).observe(n + 1);
    const sums = await until(`${size} are read`, async () => {
      const found = await read();
      return found.length === size && found;
    });
    expect(sums.filter(([label, sum]) => sum !== label + 1)).toEqual([]);
    const { pinnedBytes } = await host.rdma();
    expect(pinnedBytes - pinned).toBeGreaterThanOrEqual(SEGMENT_BYTES);
    pinned = pinnedBytes;
  }
  expect(pinnedOf(agent.pid)).toBe(pinned);
});
