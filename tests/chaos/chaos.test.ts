// Sixteen writers in three applications count known numbers while writers and the agent are killed at random and two
// collectors read. CHAOS_SEED repeats the choices of a run, CHAOS_SECONDS makes it longer.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { STRATEGIES, type StrategyName } from "../../src/agent/strategies/index.ts";
import { Collector, type CollectorOptions } from "../../src/collector/index.ts";
import type { Directory } from "../../src/layout/index.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { doubleGrant, grantedPages, overlap } from "../support/pools.ts";
import { until } from "../support/wait.ts";
import {
  createProgress,
  readProgress,
  SHARDS,
  STATE,
  valuesAfter,
  type WriterTask,
} from "./progress.ts";
import { Random } from "./random.ts";
import { Watcher } from "./watcher.ts";

const SEED = Number(process.env["CHAOS_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 12);
const STRATEGY_NAMES = Object.keys(STRATEGIES) as StrategyName[];
const EXTRA_MS = 15_000;
const WRITERS = 16;

const APPS = ["shop", "bank", "mail"] as const;

/**
 * Services of an application; only one of them loses its writers. Steps are primes, so that a value out of another
 * page is hardly ever a multiple of the step that it should be of.
 */
const SERVICES = [
  { name: "auth", spared: false, steps: { shop: 1009, bank: 10_007, mail: 100_003 } },
  { name: "ledger", spared: true, steps: { shop: 1013, bank: 10_009, mail: 100_019 } },
] as const;

type App = (typeof APPS)[number];
type Service = (typeof SERVICES)[number];

/** A writer that has ended. */
interface Account {
  task: WriterTask;
  killed: boolean;
  exitCode: number | null;
  state: number;
  before: number;
  after: number;
  warnings: string;
}

/** The host's writers: each place is taken by one after the other while the chaos lasts. */
class Crew {
  readonly accounts: Account[] = [];
  readonly #living = new Map<number, { child: Bun.Subprocess<"pipe", "pipe">; killed: boolean }>();
  readonly #places: Promise<void>[];
  #running = true;
  #count = 0;

  constructor(
    readonly host: TestHost,
    random: Random,
  ) {
    this.#places = Array.from({ length: WRITERS }, (_, i) => this.#fill(i, random.branch()));
  }

  /** Those that died while they counted. */
  get killedMidway(): Account[] {
    return this.accounts.filter(
      ({ killed, state, after }) => killed && state === STATE.counting && after > 0,
    );
  }

  /** Kills the writer at a place, unless it belongs to a service that is spared. */
  kill(place: number): boolean {
    const writer = this.#living.get(place);
    if (writer === undefined || writer.killed || serviceAt(place).spared) return false;
    writer.killed = true;
    writer.child.kill("SIGKILL");
    return true;
  }

  /** Tells all to finish what they are at, and waits for their ends. */
  async finish(): Promise<void> {
    this.#running = false;
    for (const { child } of this.#living.values()) child.stdin.end();
    await Promise.all(this.#places);
  }

  async #fill(place: number, random: Random): Promise<void> {
    const { host } = this;
    while (this.#running) {
      const task = this.#task(place, random);
      createProgress(task.progress);
      const child = host.run("tests/chaos/fixtures/writer.ts", task);
      const writer = { child, killed: false };
      this.#living.set(place, writer);
      const warnings = await new Response(child.stdout).text();
      await child.exited;
      this.#living.delete(place);
      const { killed } = writer;
      const progress = readProgress(task.progress);
      this.accounts.push({ task, killed, exitCode: child.exitCode, warnings, ...progress });
    }
  }

  #task(place: number, random: Random): WriterTask {
    const app = appAt(place);
    const { name, steps } = serviceAt(place);
    return {
      socket: this.host.socketPath,
      progress: join(this.host.folder, `progress-${++this.#count}`),
      app,
      service: name,
      step: steps[app],
      shard: random.pick(SHARDS),
      rounds: random.between(1_000, 60_000),
      burst: random.between(1, 200),
      pauseMs: random.between(0, 8),
      ending: random.pick(["close", "exit"]),
    };
  }
}

function appAt(place: number): App {
  return APPS[place % APPS.length]!;
}

function serviceAt(place: number): Service {
  return SERVICES[Math.floor(place / APPS.length) % SERVICES.length]!;
}

/** The agent that is killed and comes back. */
class MortalAgent {
  kills = 0;
  readonly processes: AgentProcess[] = [];

  constructor(
    readonly host: TestHost,
    readonly random: Random,
    readonly strategy: StrategyName,
  ) {}

  get current(): AgentProcess {
    return this.processes.at(-1)!;
  }

  async start(): Promise<void> {
    await this.#launch().serves();
  }

  async torment(isOver: () => boolean): Promise<void> {
    const { random } = this;
    while (!isOver()) {
      await Bun.sleep(random.between(100, 1_500));
      await this.current.end("SIGKILL");
      this.kills++;
      await Bun.sleep(random.between(0, 300));
      // Now and then it does not even come to serve: it dies while it adopts its pools.
      if (random.next() < 0.3) {
        const child = this.#launch();
        await Bun.sleep(random.between(50, 400));
        await child.end("SIGKILL");
        this.kills++;
      }
      await this.start();
    }
  }

  #launch(): AgentProcess {
    const agent = new AgentProcess(this.host, ["--strategy", this.strategy]);
    this.processes.push(agent);
    return agent;
  }
}

function collect(watcher: Watcher, options: Partial<CollectorOptions>): Collector {
  const collector = new Collector({
    targets: [],
    intervalMs: 5,
    filter: { apps: APPS, services: [], metrics: [] },
    onSnapshot: (snapshot) => watcher.look(snapshot),
    onEvent: ({ kind, message }) => {
      if (kind === "damaged") watcher.violations.push(`${watcher.name}: damaged: ${message}`);
    },
    ...options,
  });
  collector.start();
  return collector;
}

function stepOf(app: string, service: string): number | undefined {
  return SERVICES.find(({ name }) => name === service)?.steps[app as App];
}

/** Least and most that accounts add up to: a writer that was killed may have died within a round. */
function bounds(
  accounts: readonly Account[],
  values: (account: Account, rounds: number) => number,
) {
  let least = 0;
  let most = 0;
  for (const account of accounts) {
    least += values(account, account.after);
    most += values(account, account.before);
  }
  return { least, most };
}

function expectWithin(
  what: string,
  value: number | undefined,
  { least, most }: { least: number; most: number },
): void {
  if (value === undefined || value < least || value > most) {
    throw new Error(`${what} is ${value}, and should be from ${least} to ${most}`);
  }
}

/** Names of all series of a directory; a name that stands twice is a series that was doubled. */
function seriesNames(directory: Directory): string[] {
  return [...directory.metrics.values()].flatMap((metric) =>
    metric.series.map((id) => {
      const service = directory.services.get(metric.service);
      return `${service} ${metric.definition.name} ${JSON.stringify(directory.labelValues(id))}`;
    }),
  );
}

/** What an agent tells of itself and its pools: `name{labels}` and value. */
async function exposition(agent: AgentProcess): Promise<[name: string, value: number][]> {
  const response = await fetch(`http://127.0.0.1:${agent.port}/metrics`);
  const lines = (await response.text()).split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    });
}

test(
  `counts survive the deaths of writers and agents (CHAOS_SEED=${SEED})`,
  async () => {
    console.log(`CHAOS_SEED=${SEED} CHAOS_SECONDS=${SECONDS}`);
    const random = new Random(SEED);
    await using host = new TestHost();
    const strategy = random.pick(STRATEGY_NAMES);
    const agent = new MortalAgent(host, random.branch(), strategy);
    await agent.start();
    const watchers = [new Watcher("mmap", stepOf), new Watcher("tcp", stepOf)] as const;
    const { poolDir, socketPath } = host;
    const collectors = [
      collect(watchers[0], { targets: [{ poolDir }], transport: "mmap" }),
      collect(watchers[1], { targets: [{ socketPath }], transport: "tcp", intervalMs: 10 }),
    ];
    for (const collector of collectors) host.onEnd(() => collector.stop());
    const crew = new Crew(host, random.branch());
    const views = new Map(APPS.map((app) => [app, host.view(app)]));
    await until(
      "every service counts and is read",
      () =>
        [...views.values()].every((view) =>
          SERVICES.every(({ name }) => (view.value(name, "requests_total") ?? 0) > 0),
        ) && watchers.every(({ snapshots }) => snapshots > 0),
    );

    // On a busy machine it takes longer until there was chaos.
    const end = performance.now() + SECONDS * 1000;
    const isOver = () => {
      const overdue = performance.now() - end;
      const wasChaos = crew.killedMidway.length > 0 && watchers[0].compactions > 0;
      return overdue >= (wasChaos ? 0 : EXTRA_MS);
    };
    const death = random.branch();
    const killWriters = async () => {
      while (!isOver()) {
        await Bun.sleep(death.between(20, 400));
        crew.kill(death.between(0, WRITERS - 1));
      }
    };
    await Promise.all([killWriters(), agent.torment(isOver)]);
    await crew.finish();

    const { accounts } = crew;
    await until("the dead are folded", () =>
      [...views.values()].every((view) => view.writers().length === 0),
    );
    const taken = watchers.map(({ snapshots }) => snapshots);
    await until("both collectors have seen the end", () =>
      watchers.every(({ snapshots }, i) => snapshots >= taken[i]! + 2 * APPS.length),
    );
    for (const collector of collectors) await collector.stop();

    // There was chaos.
    const killed = accounts.filter((account) => account.killed);
    const midway = crew.killedMidway;
    console.log(
      `${strategy} strategy; ${accounts.length} writers, ${killed.length} killed, ${midway.length} of them while they counted; ` +
        `${agent.kills} agents killed; ` +
        watchers
          .map(
            (w) =>
              `${w.name}: ${w.snapshots} snapshots, ${w.gaps} gaps, ${w.compactions} compactions`,
          )
          .join("; "),
    );
    expect(midway.length).toBeGreaterThan(0);
    expect(agent.kills).toBeGreaterThan(0);
    expect(watchers[1].gaps).toBeGreaterThan(0);
    expect(watchers[0].compactions).toBeGreaterThan(0);

    // No snapshot showed anything that must not be.
    expect(watchers.flatMap(({ violations }) => violations)).toEqual([]);
    // Nobody who was not killed failed, or was told of anything.
    for (const account of accounts) {
      expect(account.warnings).toBe("");
      expect(account.before - account.after).toBeOneOf([0, 1]);
      if (account.killed) continue;
      expect(account).toMatchObject({ exitCode: 0, state: STATE.finished });
      expect(account.after).toBe(account.before);
    }
    for (const { log } of agent.processes) {
      expect(log.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
    }

    // All sums are those that the writers noted.
    for (const app of APPS) {
      const view = views.get(app)!;
      for (const { name, spared, steps } of SERVICES) {
        const step = steps[app];
        const own = accounts.filter(({ task }) => task.app === app && task.service === name);
        const counted = bounds(own, (_, rounds) => rounds * step);
        if (spared) expect(counted.least).toBe(counted.most);
        expect(counted.least).toBeGreaterThan(0);
        const total = view.value(name, "requests_total");
        expectWithin(`requests_total of ${app}/${name}`, total, counted);
        for (const shard of SHARDS) {
          const ofShard = own.filter(({ task, before }) => task.shard === shard && before > 0);
          if (ofShard.length === 0) continue;
          const value = view.value(name, "sharded_total", { shard });
          const range = bounds(ofShard, (_, rounds) => rounds * step);
          expectWithin(`shard ${shard} of ${app}/${name}`, value, range);
        }
        for (const [i, value] of view.slots(name, "latency").entries()) {
          const range = bounds(own, (_, rounds) => valuesAfter(rounds, step).latency[i]!);
          expectWithin(`latency[${i}] of ${app}/${name}`, value, range);
        }
      }
    }

    // No page leaked, none is granted twice, no series is doubled.
    const told = await until("the agent has measured itself", async () => {
      const all = new Map(await exposition(agent.current));
      const writers = (app: App) =>
        all.get(`microview_agent_writers{app="${app}",service="agent"}`);
      return APPS.every((app) => writers(app) === 0) && all;
    });
    for (const app of APPS) {
      const { directory } = views.get(app)!.read();
      const retained = [...directory.writers.values()];
      expect(retained.every((writer) => writer.retained)).toBe(true);
      expect(retained.map(({ serviceName }) => serviceName).sort()).toEqual(
        SERVICES.map(({ name }) => name),
      );
      const pages = told.get(`microview_agent_pages_used{app="${app}",service="agent"}`);
      expect(pages).toBe(grantedPages(directory));
      // What a service keeps fits one page.
      expect(pages).toBeLessThanOrEqual(SERVICES.length);
      expect(doubleGrant(directory)).toBeUndefined();
      expect(overlap(directory)).toBeUndefined();
      expect(directory.damage).toEqual([]);
      const names = seriesNames(directory);
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
      expect([...directory.services.values()].sort()).toEqual(SERVICES.map(({ name }) => name));
    }

    // The agent tells the same, each series once, with counts that are their buckets' sums.
    const lines = await exposition(agent.current);
    const names = lines.map(([name]) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    const exposed = new Map(lines);
    for (const app of APPS) {
      for (const { name } of SERVICES) {
        const home = `app="${app}",service="${name}"`;
        const slots = views.get(app)!.slots(name, "latency");
        const count = slots.slice(0, -1).reduce((sum, bucket) => sum + bucket, 0);
        expect(exposed.get(`latency_count{${home}}`)).toBe(count);
        expect(exposed.get(`latency_bucket{${home},le="+Inf"}`)).toBe(count);
        expect(exposed.get(`requests_total{${home}}`)).toBe(
          views.get(app)!.value(name, "requests_total")!,
        );
      }
    }
  },
  SECONDS * 1000 + EXTRA_MS + 180_000,
);
