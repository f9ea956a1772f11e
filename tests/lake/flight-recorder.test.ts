// The whole path, from stores in shared memory to rows of SQL, while services, agents and the lake are killed at random:
// every event that was recorded is a row, once. LAKE_SEED repeats the choices of a run.

import { expect, setDefaultTimeout, test } from "bun:test";
import { Random, seedOf } from "../chaos/random.ts";
import { ringsOf } from "../events/recording.ts";
import { fly, mortalAgents } from "../events/shipping/flights.ts";
import { TestHost } from "../support/host.ts";
import { LakeProcess } from "../support/lakes.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(240_000));

const SEED = seedOf("LAKE_SEED");
const FOR_MS = 15_000;
/** Services at full speed record millions of lines, whose numbers are told apart in memory. */
const QUERY_MEMORY = ["--query-memory", "4GiB"];

/** A lake that is killed and started again, at the same address, until it is told to stay. */
class MortalLake {
  deaths = 0;
  #isOver = false;
  readonly #lives: Promise<void>;

  private constructor(
    readonly host: TestHost,
    public process: LakeProcess,
    readonly url: string,
    readonly random: Random,
  ) {
    this.#lives = this.#live();
  }

  static async start(host: TestHost, random: Random): Promise<MortalLake> {
    const process = await LakeProcess.start(host, ...QUERY_MEMORY);
    return new MortalLake(host, process, process.url, random);
  }

  async #live(): Promise<void> {
    const { port } = new URL(this.url);
    while (!this.#isOver) {
      await Bun.sleep(this.random.between(300, 3300));
      await this.process.end("SIGKILL");
      this.deaths++;
      this.process = await LakeProcess.start(this.host, "--port", port, ...QUERY_MEMORY);
    }
  }

  async stay(): Promise<void> {
    this.#isOver = true;
    await this.#lives;
  }
}

interface Counted {
  pid: number;
  rows: number;
  numbers: number;
  least: number;
  most: number;
  refused: number;
}

/** What SQL says of each process. */
async function counted(url: string): Promise<Counted[]> {
  const sql = `
    with lines as (
      select process_id, pid, properties['n']::bigint as n from log_entries where message = 'a line'
    ), gaps as (
      select process_id, sum(properties['severe']::bigint) as refused
      from log_entries where target = 'microview.gap' group by process_id
    )
    select any_value(pid) as pid, count(*) as rows, count(distinct n) as numbers, min(n) as least, max(n) as most,
      coalesce(any_value(refused), 0)::bigint as refused
    from lines left join gaps using (process_id) group by process_id`;
  const from = new Date(Date.now() - 3_600_000).toISOString();
  const to = new Date(Date.now() + 3_600_000).toISOString();
  const response = await fetch(`${url}/v1/query`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sql, from, to, format: "ndjson" }),
  });
  const lines = (await response.text())
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  const failed = lines.find((line) => "error" in line || "code" in line);
  if (failed !== undefined) throw new Error(JSON.stringify(failed));
  return lines.filter(Array.isArray).map(([pid, rows, numbers, least, most, refused]) => {
    const [a, b, c, d, e, f] = [pid, rows, numbers, least, most, refused].map(Number);
    return { pid: a!, rows: b!, numbers: c!, least: d!, most: e!, refused: f! };
  });
}

test(`what was recorded before a SIGKILL is a row of SQL, once, whatever becomes of agent and lake (LAKE_SEED=${SEED})`, async () => {
  await using host = new TestHost();
  const random = new Random(SEED);
  const lake = await MortalLake.start(host, random.branch());
  let isOver = false;
  const agents = mortalAgents(host, lake, random.branch(), () => isOver);
  const flown: { pid: number; returned: number }[] = [];
  const endMs = performance.now() + FOR_MS;
  while (performance.now() < endMs) {
    await until("rings were taken", () => ringsOf(host).length < 40, 120_000);
    flown.push(await fly(host, random));
  }
  isOver = true;
  await agents;
  await lake.stay();
  await until("no ring is left", () => ringsOf(host).length === 0, 120_000);
  // A number of a process comes again after a while.
  const flights = Map.groupBy(flown, ({ pid }) => pid);
  for (const { pid, rows, numbers, least, refused } of await counted(lake.url)) {
    expect([rows, least]).toEqual([numbers, 0]);
    // The call that had not returned may be there too, or have been refused.
    const recorded = rows + refused;
    const ofPid = flights.get(pid)!;
    const at = ofPid.findIndex(
      ({ returned }) => recorded === returned || recorded === returned + 1,
    );
    expect(at < 0 ? { recorded, ofPid } : "found").toBe("found");
    ofPid.splice(at, 1);
  }
  expect([...flights.values()].flat()).toEqual([]);
  expect(lake.deaths).toBeGreaterThan(0);
  console.log(
    `${flown.length} services, ${await agents} agents and ${lake.deaths} lakes were killed`,
  );
});
