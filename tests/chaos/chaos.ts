// Writers in three applications count known numbers while writers and the agent are killed at random and collectors
// read; then every sum is what was counted. For tests that differ in how, and where, it is read.

import { expect } from "bun:test";
import {
  closeSync,
  existsSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { STRATEGIES, type StrategyName } from "../../src/agent/registry/strategies/index.ts";
import { Collector, type CollectorOptions } from "../../src/collector/index.ts";
import { type Directory, HEADER, HEADER_BYTES_USED, poolPath } from "../../src/layout/index.ts";
import { AgentProcess, type TestHost } from "../support/host.ts";
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

const STRATEGY_NAMES = Object.keys(STRATEGIES) as StrategyName[];

/** A collector that reads meanwhile. */
export interface ChaosReader {
  name: string;
  options: Partial<CollectorOptions>;
}

export interface ChaosOptions {
  seed: number;
  /** How long it lasts. */
  seconds: number;
  /** How much longer at most, on a busy machine, until there was enough of it. */
  extraSeconds: number;
  /** One for each service of each application at least. */
  writers: number;
  apps: readonly App[];
  /** Series of each writer that nobody has again. */
  sessions: number;
  /** Time between two kills of writers, from and to, in milliseconds; without it they count until the end. */
  killPauseMs?: readonly [from: number, to: number];
  /** How long an agent serves, from and to, in milliseconds; without it the agent is spared. */
  agentLifeMs?: readonly [from: number, to: number];
  /** Time between two losses of a pool's file, from and to, in milliseconds; without it no file is lost. */
  filePauseMs?: readonly [from: number, to: number];
  agentFlags: readonly string[];
  readers: readonly ChaosReader[];
  /** Whether it is waited until a directory was rewritten under the readers. */
  compactions: boolean;
}

/** What an agent tells of files that were lost. */
const LOSSES = ["the file of a pool was removed or replaced", "a pool is not used"];

const APP_NAMES = ["shop", "bank", "mail"] as const;

/**
 * Services of an application; only one of them loses its writers. Steps are primes, so that a value out of another
 * page is hardly ever a multiple of the step that it should be of.
 */
const SERVICES = [
  { name: "auth", spared: false, steps: { shop: 1009, bank: 10_007, mail: 100_003 } },
  { name: "ledger", spared: true, steps: { shop: 1013, bank: 10_009, mail: 100_019 } },
] as const;

export type App = (typeof APP_NAMES)[number];
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

interface Living {
  child: Bun.Subprocess<"pipe", "pipe">;
  task: WriterTask;
  killed: boolean;
}

/** The host's writers: each place is taken by one after the other while the chaos lasts. */
class Crew {
  readonly accounts: Account[] = [];
  readonly #living = new Map<number, Living>();
  readonly #places: Promise<void>[];
  #running = true;
  #count = 0;

  constructor(
    readonly host: TestHost,
    random: Random,
    readonly options: ChaosOptions,
  ) {
    this.#places = Array.from({ length: options.writers }, (_, i) =>
      this.#fill(i, random.branch()),
    );
  }

  /** Those that died while they counted. */
  get killedMidway(): Account[] {
    return this.accounts.filter(
      ({ killed, state, after }) => killed && state === STATE.counting && after > 0,
    );
  }

  /**
   * Kills the writer at a place, unless it belongs to a service that is spared.
   * @param isCounting only if it counts already; where everything is slow, hardly anybody would come to that else
   */
  kill(place: number, isCounting: boolean): boolean {
    const writer = this.#living.get(place);
    if (isCounting && writer !== undefined && readProgress(writer.task.progress).after === 0) {
      return false;
    }
    if (writer === undefined || writer.killed || this.#at(place).service.spared) return false;
    writer.killed = true;
    writer.child.kill("SIGKILL");
    return true;
  }

  /** Stops the writer at a place for a while. */
  async pause(place: number, ms: number): Promise<void> {
    const writer = this.#living.get(place);
    writer?.child.kill("SIGSTOP");
    await Bun.sleep(ms);
    writer?.child.kill("SIGCONT");
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
      const writer = { child, task, killed: false };
      this.#living.set(place, writer);
      const warnings = await new Response(child.stdout).text();
      await child.exited;
      this.#living.delete(place);
      const { killed } = writer;
      const progress = readProgress(task.progress);
      this.accounts.push({ task, killed, exitCode: child.exitCode, warnings, ...progress });
    }
  }

  #at(place: number): { app: App; service: Service } {
    const { apps } = this.options;
    return {
      app: apps[place % apps.length]!,
      service: SERVICES[Math.floor(place / apps.length) % SERVICES.length]!,
    };
  }

  #task(place: number, random: Random): WriterTask {
    const { app, service } = this.#at(place);
    const { name, steps } = service;
    return {
      socket: this.host.socketPath,
      progress: join(this.host.folder, `progress-${++this.#count}`),
      app,
      service: name,
      step: steps[app],
      shard: random.pick(SHARDS),
      sessions: this.options.sessions,
      rounds: this.options.killPauseMs === undefined ? 1e9 : random.between(1_000, 60_000),
      burst: random.between(1, 200),
      pauseMs: random.between(0, 8),
      ending: random.pick(["close", "exit"]),
    };
  }
}

/** The agent that is killed and comes back. */
class MortalAgent {
  kills = 0;
  readonly processes: AgentProcess[] = [];

  constructor(
    readonly host: TestHost,
    readonly random: Random,
    readonly flags: readonly string[],
    /** Taken for as long as it may not be killed. */
    readonly calm: Calm,
  ) {}

  get current(): AgentProcess {
    return this.processes.at(-1)!;
  }

  async start(): Promise<void> {
    await this.#launch().serves();
  }

  async torment(lifeMs: readonly [from: number, to: number], isOver: () => boolean): Promise<void> {
    const { random } = this;
    while (!isOver()) {
      await Bun.sleep(random.between(...lifeMs));
      await this.calm.run(() => this.#die());
    }
  }

  async #die(): Promise<void> {
    const { random } = this;
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

  #launch(): AgentProcess {
    const agent = new AgentProcess(this.host, this.flags);
    this.processes.push(agent);
    return agent;
  }
}

/** One at a time. */
class Calm {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Takes files of pools away from under everybody. */
class FileLoss {
  count = 0;
  readonly #away: { path: string; from: string }[] = [];

  constructor(
    readonly host: TestHost,
    readonly random: Random,
    readonly apps: readonly App[],
  ) {}

  /** @param calm taken until a pool is under its name again: an agent that dies before can only begin again */
  async torment(
    pauseMs: readonly [from: number, to: number],
    calm: Calm,
    isOver: () => boolean,
  ): Promise<void> {
    while (!isOver()) {
      await Bun.sleep(this.random.between(...pauseMs));
      await calm.run(async () => {
        const path = poolPath(this.random.pick(this.apps), this.host.poolDir);
        this.#lose(path);
        this.count++;
        await until("the pool is under its name", () => statSync(path).size > 0);
      });
    }
  }

  #lose(path: string): void {
    const back = this.#away.findIndex(({ from }) => from === path);
    switch (this.random.between(0, 4)) {
      case 0:
        return rmSync(path);
      case 1:
        return rmSync(dirname(path), { recursive: true });
      case 2:
        writeFileSync(`${path}.empty`, "");
        return renameSync(`${path}.empty`, path);
      case 3:
        if (back >= 0) {
          const [away] = this.#away.splice(back, 1);
          if (existsSync(away!.path)) renameSync(away!.path, path);
          return;
        }
    }
    this.#away.push({ path: `${path}.away-${this.count}`, from: path });
    renameSync(path, `${path}.away-${this.count}`);
  }
}

function collect(watcher: Watcher, options: Partial<CollectorOptions>): Collector {
  const collector = new Collector({
    targets: [],
    intervalMs: 5,
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

/**
 * Lets it happen on a host, and checks everything.
 * @throws Error for anything that was not as it should be
 */
export async function survive(host: TestHost, options: ChaosOptions): Promise<void> {
  const { seed, seconds, extraSeconds, apps, readers, compactions } = options;
  console.log(`CHAOS_SEED=${seed} CHAOS_SECONDS=${seconds}`);
  const random = new Random(seed);
  const strategy = random.pick(STRATEGY_NAMES);
  const flags = ["--strategy", strategy, ...options.agentFlags];
  /** Whether no writer of an application stores into a pool that was lost. */
  const haveMoved = (app: App) => {
    const head = new Uint8Array(HEADER_BYTES_USED);
    const fd = openSync(poolPath(app, host.poolDir), "r");
    readSync(fd, head);
    closeSync(fd);
    return new DataView(head.buffer).getUint32(HEADER.elsewhere, true) === 0;
  };
  const calm = new Calm();
  const agent = new MortalAgent(host, random.branch(), flags, calm);
  await agent.start();
  const watchers = readers.map(({ name }) => new Watcher(name, stepOf));
  const collectors = readers.map((reader, i) =>
    collect(watchers[i]!, {
      filter: { apps, services: [], metrics: [] },
      ...reader.options,
    }),
  );
  for (const collector of collectors) host.onEnd(() => collector.stop());
  const crew = new Crew(host, random.branch(), options);
  const views = new Map(apps.map((app) => [app, host.view(app)]));
  await until(
    "every service counts and is read",
    () =>
      [...views.values()].every((view) =>
        SERVICES.every(({ name }) => (view.value(name, "requests_total") ?? 0) > 0),
      ) && watchers.every(({ snapshots }) => snapshots > 0),
  );

  const { agentLifeMs, filePauseMs, killPauseMs } = options;
  // On a busy machine it takes longer until there was chaos.
  const end = performance.now() + seconds * 1000;
  const isOver = () => {
    const overdue = performance.now() - end;
    const wasRewritten = !compactions || watchers.every((watcher) => watcher.compactions > 0);
    const wasKilled = killPauseMs === undefined || crew.killedMidway.length > 0;
    const wasChaos = wasKilled && wasRewritten;
    return overdue >= (wasChaos ? 0 : extraSeconds * 1000);
  };
  const death = random.branch();
  const killWriters = async () => {
    while (killPauseMs !== undefined && !isOver()) {
      await Bun.sleep(death.between(...killPauseMs));
      crew.kill(death.between(0, options.writers - 1), death.next() < 0.7);
    }
  };
  const stops = random.branch();
  const stopWriters = async () => {
    while (filePauseMs !== undefined && !isOver()) {
      await crew.pause(stops.between(0, options.writers - 1), stops.between(50, 1_500));
    }
  };
  const files = new FileLoss(host, random.branch(), apps);
  await Promise.all([
    killWriters(),
    stopWriters(),
    agentLifeMs && agent.torment(agentLifeMs, isOver),
    filePauseMs && files.torment(filePauseMs, calm, isOver),
  ]);
  // Who ends in a lost file when its agent has died takes along what nobody has copied.
  if (filePauseMs !== undefined) await until("all have moved", () => apps.every(haveMoved));
  await crew.finish();

  const { accounts } = crew;
  await until("the dead are folded", () =>
    [...views.values()].every((view) => view.writers().length === 0),
  );
  const taken = watchers.map(({ snapshots }) => snapshots);
  const requests = (app: App, service: string) => views.get(app)!.value(service, "requests_total")!;
  /** Counts only go up, so whoever shows the last of them has seen them all. */
  const isComplete = (watcher: Watcher) =>
    apps.every((app) =>
      SERVICES.every(
        ({ name }) => watcher.last(`${app}/${name}/requests_total{}`)[0] === requests(app, name),
      ),
    );
  await until("all collectors have seen the end", () =>
    watchers.every(
      (watcher, i) => watcher.snapshots >= taken[i]! + 2 * apps.length && isComplete(watcher),
    ),
  );
  for (const collector of collectors) await collector.stop();

  // There was chaos.
  const killed = accounts.filter((account) => account.killed);
  const midway = crew.killedMidway;
  console.log(
    `${strategy} strategy; ${accounts.length} writers, ${killed.length} killed, ${midway.length} of them while they counted; ` +
      `${agent.kills} agents killed; ${files.count} files lost; ` +
      watchers
        .map(
          (w) =>
            `${w.name}: ${w.snapshots} snapshots, ${w.gaps} gaps, ${w.compactions} compactions`,
        )
        .join("; "),
  );
  if (killPauseMs !== undefined) expect(midway.length).toBeGreaterThan(0);
  if (agentLifeMs !== undefined) {
    expect(agent.kills).toBeGreaterThan(0);
    // What is mapped does not go with its agent.
    for (const { name, gaps } of watchers) if (name !== "mmap") expect(gaps).toBeGreaterThan(0);
  }
  if (filePauseMs !== undefined) expect(files.count).toBeGreaterThan(0);
  if (compactions) for (const watcher of watchers) expect(watcher.compactions).toBeGreaterThan(0);

  // No snapshot showed anything that must not be.
  const seen = watchers.flatMap(({ violations }) => violations);
  // A file that took a pool's name is read for what it is until the agent has put it aside.
  const isEmptyFile = (violation: string) =>
    filePauseMs !== undefined && violation.endsWith("a pool has at least 320 bytes, this has 0");
  expect(seen.filter((violation) => !isEmptyFile(violation))).toEqual([]);
  // No writer that was not killed failed, or warned of anything but an agent that was away for long.
  for (const account of accounts) {
    const warnings = account.warnings.split("\n").filter((line) => line !== "");
    const codes = warnings.map((line) => JSON.parse(line).code as string);
    expect(codes.filter((code) => code !== "no-agent" && code !== "attached")).toEqual([]);
    expect(account.before - account.after).toBeOneOf([0, 1]);
    if (account.killed) continue;
    expect(account).toMatchObject({ exitCode: 0, state: STATE.finished });
    expect(account.after).toBe(account.before);
  }
  for (const { log } of agent.processes) {
    const told = log.filter(({ level }) => level === "error" || level === "warn");
    const expected = filePauseMs === undefined ? [] : LOSSES;
    expect(told.filter(({ message }) => !expected.includes(message))).toEqual([]);
  }

  // All sums are those that the writers noted.
  for (const app of apps) {
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
    const writers = (app: App) => all.get(`microview_agent_writers{app="${app}",service="agent"}`);
    return apps.every((app) => writers(app) === 0) && all;
  });
  for (const app of apps) {
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
  for (const app of apps) {
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
}
