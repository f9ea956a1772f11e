// A pool whose file is removed or replaced under everybody: the agent puts it back, writers move, and no count is lost,
// doubled or stepped back from.

import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { dirname } from "node:path";
import { askHealth } from "../../src/doctor/agent.ts";
import { examine, type Finding } from "../../src/doctor/index.ts";
import { SharedFile } from "../../src/ffi/index.ts";
import { poolPath } from "../../src/layout/index.ts";
import type { AttachResponse } from "../../src/rest/index.ts";
import { type AgentProcess, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { patienceNow } from "../support/speed.ts";
import { until } from "../support/wait.ts";

/** A host with an agent, and a service that has counted 1000. */
async function started(host: TestHost) {
  const agent = await host.agent();
  const mv = host.client();
  const counter = mv.counter("requests_total");
  const gauge = mv.gauge("depth");
  const histogram = mv.histogram("latency_seconds", { buckets: [1] });
  await mv.ready;
  counter.inc(1000);
  gauge.set(7);
  histogram.observe(0.5);
  return { agent, mv, counter, gauge, histogram, path: poolPath("shop", host.poolDir) };
}

/** A service in a process of its own that has counted `count`. */
async function service(host: TestHost, count: number) {
  const child = host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath });
  const lines = new Lines(child.stdout);
  const countTo = async (more: number) => {
    child.stdin.write(`${more}\n`);
    child.stdin.flush();
    return lines.next();
  };
  await countTo(count);
  await until("it is attached", async () => (await countTo(0)).endsWith("true"));
  return { child, countTo };
}

/** What `doctor` finds, of this host's agent alone. */
function findings(host: TestHost): Promise<Finding[]> {
  return examine({
    version: "0.0.0-test",
    socketPath: host.socketPath,
    poolDir: host.poolDir,
    ask: async (target) =>
      "socket" in target ? askHealth(target) : { kind: "refused", code: "ECONNREFUSED" },
    probe: () => [0.1],
  });
}

function lostPools(host: TestHost): number | undefined {
  return host.view("microview").value("agent", "microview_agent_pools_lost_total");
}

describe("a pool's file that is removed", () => {
  test("has another in its place within a second; writers move to it with the same handles", async () => {
    await using host = new TestHost();
    const { agent, mv, counter, gauge, histogram, path } = await started(host);
    const { poolId } = agent.pools.get("shop").pool.header;
    const [writer] = host.view().writers();
    rmSync(path);
    const removedMs = performance.now();
    await until("there is a pool", () => existsSync(path));
    expect(performance.now() - removedMs).toBeLessThan(patienceNow(1000));
    // Also what is stored before the writer has noticed.
    counter.inc(1);
    await host.shows(1001, "requests_total");
    const { pool } = agent.pools.get("shop");
    expect(pool.header.poolId).not.toBe(poolId);
    await until("the writer has moved", () =>
      pool.file.locked(agent.pools.get("shop").writer(writer!.id).lockOffset, 8),
    );
    await until("nobody is elsewhere", () => pool.elsewhere === 0);
    counter.inc(1);
    gauge.dec();
    histogram.observe(2);
    mv.counter("late_total").inc(3);
    await host.shows(3, "late_total");
    const view = host.view();
    expect(view.value("auth", "requests_total")).toBe(1002);
    expect(view.value("auth", "depth")).toBe(6);
    expect(view.slots("auth", "latency_seconds")).toEqual([1, 1, 2.5]);
    expect(view.writers()).toEqual([writer!]);
    expect(lostPools(host)).toBe(1);
    expect(host.log.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(host.log.find(({ level }) => level === "error")).toMatchObject({ app: "shop", path });
    expect(host.warnings).toEqual([]);
    await mv.close();
    await until("the writer is folded", () => view.writers().length === 0);
    expect(view.value("auth", "requests_total")).toBe(1002);
  });

  test("keeps the counts of the dead, and of those who die before they have moved", async () => {
    await using host = new TestHost();
    await host.agent();
    const path = poolPath("shop", host.poolDir);
    const early = await service(host, 100);
    await host.shows(100, "requests_total");
    early.child.kill("SIGKILL");
    const view = host.view();
    await until("the early one is folded", () => view.writers().length === 0);
    const late = await service(host, 20);
    await host.shows(120, "requests_total");
    // It cannot move: it does not run.
    late.child.kill("SIGSTOP");
    rmSync(path);
    await until("there is a pool", () => existsSync(path));
    expect(host.view().value("auth", "requests_total")).toBe(120);
    late.child.kill("SIGKILL");
    await late.child.exited;
    await until("the late one is folded", () => host.view().writers().length === 0);
    expect(host.view().value("auth", "requests_total")).toBe(120);
    expect(host.view().value("auth", "depth")).toBeNaN();
  });

  test("with its folder: the same", async () => {
    await using host = new TestHost();
    const { counter, path } = await started(host);
    rmSync(dirname(path), { recursive: true });
    counter.inc(5);
    await host.shows(1005, "requests_total");
  });

  test("of the agent's own metrics: they go on", async () => {
    await using host = new TestHost();
    const { agent } = await started(host);
    const attached = host
      .view("microview")
      .value("agent", "microview_agent_writers_attached_total");
    expect(attached).toBeGreaterThan(0);
    rmSync(poolPath("microview", host.poolDir));
    await until("it is counted", () => lostPools(host) === 1);
    expect(host.view("microview").value("agent", "microview_agent_writers_attached_total")).toBe(
      attached!,
    );
    expect(agent.pools.get("microview").pool.elsewhere).toBe(0);
    await host.client({ app: "bank" }).ready;
    await until("it counts on", () => {
      const now = host.view("microview").value("agent", "microview_agent_writers_attached_total");
      return now === attached! + 1;
    });
    expect(host.view("microview").writers()).toHaveLength(1);
  });

  test("again and again, also before all have moved: every count is there once", async () => {
    await using host = new TestHost();
    const { agent, counter, path } = await started(host);
    const stopped = await service(host, 10);
    await host.shows(1010, "requests_total");
    stopped.child.kill("SIGSTOP");
    for (let round = 1; round <= 5; round++) {
      rmSync(path);
      await until("there is a pool", () => existsSync(path));
      counter.inc(1);
      await host.shows(1010 + round, "requests_total");
    }
    stopped.child.kill("SIGCONT");
    await stopped.countTo(10);
    await host.shows(1025, "requests_total");
    const { pool } = agent.pools.get("shop");
    await until("all have moved", () => pool.elsewhere === 0);
    expect(pool.header.replacements).toBe(5);
    stopped.child.kill("SIGKILL");
    await until("it is folded", () => host.view().writers().length === 1);
    expect(host.view().value("auth", "requests_total")).toBe(1025);
    // Descriptors of the lost ones are closed: the agent's, the client's, and the views'.
    const left = readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return statSync(`/proc/self/fd/${fd}`).ino === statSync(path).ino;
      } catch {
        return false;
      }
    });
    expect(left.length).toBeGreaterThan(0);
  });
});

describe("a pool's file that is renamed away", () => {
  test("has its name again, and stays the same when the other name is renamed back", async () => {
    await using host = new TestHost();
    const { agent, counter, path } = await started(host);
    const { poolId } = agent.pools.get("shop").pool.header;
    renameSync(path, `${path}.away`);
    await until("there is a pool", () => existsSync(path));
    counter.inc(1);
    expect(host.view().value("auth", "requests_total")).toBe(1001);
    renameSync(`${path}.away`, path);
    agent.scan();
    counter.inc(1);
    expect(host.view().value("auth", "requests_total")).toBe(1002);
    expect(agent.pools.get("shop").pool.header.poolId).toBe(poolId);
    expect(host.view().writers()).toHaveLength(1);
    expect(lostPools(host)).toBe(1);
  });

  test("while no agent runs, for longer than a writer looks: nothing is doubled when it is back", async () => {
    await using host = new TestHost();
    const { agent, counter, gauge, path } = await started(host);
    await agent.stop();
    renameSync(path, `${path}.away`);
    // Long enough for the writer to look, and for what it asks to fail.
    await Bun.sleep(1500);
    counter.inc(1);
    gauge.inc();
    renameSync(`${path}.away`, path);
    await host.agent();
    await until("the writer is known", () => host.view().writers().length === 1);
    counter.inc(1);
    await host.shows(1002, "requests_total");
    await host.shows(8, "depth");
    const second = host.client();
    second.counter("requests_total").inc(1);
    await host.shows(1003, "requests_total");
  });

  test("and is back over the pool of a later agent: what has moved is not counted again", async () => {
    await using host = new TestHost();
    const { agent, counter, path } = await started(host);
    await agent.stop();
    renameSync(path, `${path}.away`);
    const second = await host.agent();
    await host.shows(1000, "requests_total");
    await second.stop();
    renameSync(`${path}.away`, path);
    counter.inc(1);
    await host.agent();
    await host.shows(1001, "requests_total");
    await until("its old place is folded", () => host.view().writers().length === 1);
    expect(host.view().value("auth", "requests_total")).toBe(1001);
  });
});

describe("a name that another file has taken", () => {
  const others: [string, (path: string) => void][] = [
    [
      "a copy of the pool",
      (path) => {
        copyFileSync(path, `${path}.copy`);
        renameSync(`${path}.copy`, path);
      },
    ],
    [
      "an empty file",
      (path) => {
        rmSync(path);
        Bun.spawnSync(["touch", path]);
      },
    ],
  ];
  for (const [what, replace] of others) {
    test(`by ${what} is taken back; that file is kept under another name`, async () => {
      await using host = new TestHost();
      const { agent, counter, path } = await started(host);
      replace(path);
      counter.inc(1);
      await until("it is counted", () => lostPools(host) === 1);
      await host.shows(1001, "requests_total");
      await until("nobody is elsewhere", () => agent.pools.get("shop").pool.elsewhere === 0);
      counter.inc(1);
      await host.shows(1002, "requests_total");
      expect(readdirSync(dirname(path)).some((name) => name.startsWith("pool.damaged-"))).toBe(
        true,
      );
    });
  }

  const strangers: [string, (path: string) => void][] = [
    ["a folder", (path) => mkdirSync(path)],
    ["a link", (path) => symlinkSync("/etc/hostname", path)],
  ];
  for (const [what, take] of strangers) {
    test(`by ${what} is left alone and reported; services go on until it is free`, async () => {
      await using host = new TestHost();
      const { agent, mv, counter, path } = await started(host);
      rmSync(path);
      take(path);
      counter.inc(1);
      await until("it is told", () => host.log.some(({ level }) => level === "error"));
      for (let i = 0; i < 5; i++) agent.scan();
      expect(host.log.filter(({ level }) => level === "error")).toHaveLength(1);
      expect(agent.pools.troubleOf(agent.pools.get("shop"))).toContain(path);
      const health = (await fetch("http://localhost/health", { unix: host.socketPath })).json();
      expect(await health).toMatchObject({
        pools: [{}, { app: "shop", lost: expect.any(String) }],
      });
      const text = await (
        await fetch("http://localhost/metrics", { unix: host.socketPath })
      ).text();
      expect(text).toContain('requests_total{app="shop",service="auth"} 1001');
      expect(mv.attached).toBe(true);
      const found = await findings(host);
      expect(found.find(({ id }) => id === "lost-shop")).toMatchObject({
        level: "fail",
        finding: expect.stringContaining(path),
      });
      rmSync(path, { recursive: true });
      await until("there is a pool", () => existsSync(path) && lostPools(host) === 1);
      await host.shows(1001, "requests_total");
      expect(agent.pools.troubleOf(agent.pools.get("shop"))).toBeUndefined();
      expect((await findings(host)).some(({ id }) => id === "lost-shop")).toBe(false);
    });
  }
});

describe("a writer that cannot get at the new pool", () => {
  test("goes on where it is: what it counts is seen, and what it declares waits until it can", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mount = `${host.folder}/mount`;
    symlinkSync(host.poolDir, mount);
    const mv = host.client({ poolDir: mount });
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc(3);
    rmSync(mount);
    rmSync(poolPath("shop", host.poolDir));
    counter.inc(4);
    mv.counter("late_total").inc(5);
    await host.shows(7, "requests_total");
    await until("it is told", () => host.warnings.length > 0);
    expect(mv.attached).toBe(true);
    counter.inc(1);
    await host.shows(8, "requests_total");
    expect(host.view().value("auth", "late_total")).toBeUndefined();
    expect(agent.pools.get("shop").pool.elsewhere).toBe(1);
    symlinkSync(host.poolDir, mount);
    await host.shows(5, "late_total");
    expect(host.view().value("auth", "requests_total")).toBe(8);
    expect(agent.pools.get("shop").scan()).toBe(0);
    expect(agent.pools.get("shop").pool.elsewhere).toBe(0);
  });
});

describe("a writer's place", () => {
  test("is given again to a caller that shows its secret, and to nobody else", async () => {
    await using host = new TestHost();
    await host.agent();
    const attach = async (body: object, secret = "") => {
      const response = await fetch("http://localhost/v1/apps/shop/writers", {
        unix: host.socketPath,
        method: "POST",
        headers: { "content-type": "application/json", "microview-secret": secret },
        body: JSON.stringify({ service: "auth", pid: 1, threadId: 0, ...body }),
      });
      return (await response.json()) as AttachResponse;
    };
    const { writer, secret, pool } = await attach({});
    const { poolId, lineage, replacements } = pool;
    const previous = { writer, poolId, lineage, replacements };
    expect(await attach({ previous }, secret)).toMatchObject({ writer, secret, pool });
    for (const [body, shown] of [
      [{ previous }, ""],
      [{ previous }, "guessed"],
      [{ previous, service: "cart" }, secret],
      [{ previous: { ...previous, lineage: lineage + 1 } }, secret],
      [{ previous: { ...previous, writer: writer + 100 } }, secret],
    ] as const) {
      const answer = await attach(body, shown);
      expect(answer.writer).not.toBe(writer);
      expect(answer.secret).not.toBe(secret);
    }
  });
});

describe("an agent that cannot take over a pool at first", () => {
  test("takes it over later: its writers have not left, and nothing is doubled", async () => {
    await using host = new TestHost();
    const { agent, mv, path } = await started(host);
    await agent.stop();
    const keeper = SharedFile.open(path, true);
    host.onEnd(() => keeper.close());
    expect(keeper.lock(0, 4096)).toBe(true);
    await host.agent();
    mv.counter("late_total").inc(2);
    await until("the client is told", () =>
      host.warnings.some(({ code }) => code === "pool-in-use"),
    );
    expect(mv.attached).toBe(true);
    keeper.unlock(0, 4096);
    await host.shows(2, "late_total");
    expect(host.view().value("auth", "requests_total")).toBe(1000);
    expect(host.view().value("auth", "depth")).toBe(7);
    expect(host.view().writers()).toHaveLength(1);
  });
});

describe("an agent that dies while writers are in a lost pool", () => {
  test("leaves them to the next one, which does not take them for dead", async () => {
    await using host = new TestHost();
    const first: AgentProcess = await host.agentProcess();
    const path = poolPath("shop", host.poolDir);
    const stopped = await service(host, 10);
    await host.shows(10, "requests_total");
    await host.shows(10, "depth");
    stopped.child.kill("SIGSTOP");
    rmSync(path);
    await until("there is a pool", () => existsSync(path));
    await first.end("SIGKILL");
    const agent = await host.agent();
    agent.scan();
    agent.scan();
    expect(host.view().value("auth", "requests_total")).toBe(10);
    expect(host.view().value("auth", "depth")).toBe(10);
    expect(host.view().writers()).toHaveLength(1);
    stopped.child.kill("SIGCONT");
    await stopped.countTo(5);
    await host.shows(15, "requests_total");
    await host.shows(15, "depth");
    await until("nobody is elsewhere", () => agent.pools.get("shop").pool.elsewhere === 0);
    stopped.child.kill("SIGKILL");
    await until("it is folded", () => host.view().writers().length === 0);
    expect(host.view().value("auth", "requests_total")).toBe(15);
  });
});

describe("a pool that was cut short under everybody", () => {
  test("of the agent's own metrics: they go on", async () => {
    await using host = new TestHost();
    const { agent } = await started(host);
    const { pool } = agent.pools.get("microview");
    truncateSync(pool.path, pool.header.pagesOffset);
    await until("there is another", () => agent.pools.get("microview").pool !== pool);
    const scans = () => host.view("microview").value("agent", "microview_agent_scans_total");
    const before = scans()!;
    await until("they count on", () => scans()! > before);
    expect(host.view("microview").writers()).toHaveLength(1);
  });

  test("loses what was cut, doubles nothing, and goes on", async () => {
    await using host = new TestHost();
    const { agent, counter, path } = await started(host);
    const { pool } = agent.pools.get("shop");
    truncateSync(path, pool.header.pagesOffset);
    counter.inc(1);
    await until("there is another", () => {
      const now = [...agent.pools].find(({ name }) => name === "shop")?.pool;
      return now !== undefined && now !== pool && now.file.locked(now.header.pagesOffset, 4096);
    });
    await Bun.sleep(0);
    const now = host.view().value("auth", "requests_total") ?? 0;
    expect(now).toBeOneOf([0, 1, 1001]);
    counter.inc(1);
    await host.shows(counter.value, "requests_total");
  });
});
