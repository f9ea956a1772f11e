// An agent's life as a process: it ends when it is told to, dies when it is killed, and its successor goes on.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { SharedFile } from "../../src/ffi/index.ts";
import { decodeHeader, HEADER, HEADER_BYTES_USED, poolPath } from "../../src/layout/index.ts";
import { AgentProcess, CLI, TestHost } from "../support/host.ts";
import { asNobody, canMount, mountTmpfs, nobodyUid } from "../support/permissions.ts";
import { patienceNow } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { request, WireClient } from "../support/wire-client.ts";

/** Changes bytes of a pool's file. */
function poke(path: string, offset: number, ...bytes: number[]): void {
  const file = SharedFile.open(path, true);
  const page = offset - (offset % 4096);
  const mapping = file.map(page, 4096, true);
  mapping.bytes(offset - page, bytes.length).set(bytes);
  mapping.unmap();
  file.close();
}

/** Where the directory of a pool's first epoch begins. */
function directoryOffset(path: string): number {
  const file = SharedFile.open(path, false);
  const mapping = file.map(0, HEADER_BYTES_USED, false);
  const { directoryOffset: offset } = decodeHeader(mapping.bytes(), file.stat().bytes);
  mapping.unmap();
  file.close();
  return offset;
}

/** Leaves a pool in which a writer that is gone has counted to 7. */
async function leavePool(host: TestHost): Promise<string> {
  const agent = await host.agent();
  const mv = host.client();
  mv.counter("requests_total").inc(7);
  await mv.ready;
  await mv.close();
  await agent.stop();
  return poolPath("shop", host.poolDir);
}

describe("SIGTERM", () => {
  test("ends an agent with 0 within two seconds, under load, and leaves pools and no socket", async () => {
    await using host = new TestHost();
    const agent = await host.agentProcess();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    // Requests without end on keep-alive connections, and a collector that does not read what it asked for.
    let ended = false;
    let answered = 0;
    const load = Array.from({ length: 16 }, async (_, i) => {
      while (!ended) {
        const path = i % 2 === 0 ? "metrics" : "v1/apps/shop/writers";
        const response = await fetch(`http://127.0.0.1:${agent.port}/${path}`).catch(
          () => undefined,
        );
        if (response === undefined) return;
        await response.text().catch(() => "");
        answered++;
      }
    });
    using collector = new WireClient(agent.dataPort);
    await collector.hello();
    const { id } = await collector.pool("shop");
    collector.socket.pause();
    collector.send(request(2, id, new Array(4096).fill([0, 4096]), 1));
    using silent = new WireClient(agent.dataPort);
    await until("there is load", () => answered > 100);
    const start = performance.now();
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(performance.now() - start).toBeLessThan(patienceNow(2_000));
    ended = true;
    await Promise.all(load);
    expect(silent.closed || (await silent.end()).length === 0).toBe(true);
    expect(existsSync(host.socketPath)).toBe(false);
    expect(existsSync(`${host.socketPath}.lock`)).toBe(false);
    // Services go on storing; the next agent finds it all.
    counter.inc(5);
    await host.agent();
    await host.shows(5, "requests_total");
  });

  test("while an agent starts ends it as well", async () => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, []);
    await until("it has begun", () => existsSync(`${host.socketPath}.lock`));
    expect([0, null]).toContain(await agent.end("SIGTERM"));
    await host.agent();
  });

  test("and SIGINT are the same to it", async () => {
    await using host = new TestHost();
    const agent = await host.agentProcess();
    expect(await agent.end("SIGINT")).toBe(0);
    expect(existsSync(host.socketPath)).toBe(false);
  });
});

describe("SIGKILL", () => {
  test("under load: the next agent adopts everything, and the sums are exact", async () => {
    await using host = new TestHost();
    let agent = await host.agentProcess();
    const clients = Array.from({ length: 3 }, (_, i) => host.client({ service: `s${i}` }));
    const totals = clients.map((mv) => mv.counter("requests_total"));
    const families = clients.map((mv) => mv.counter("by_user_total", { labels: ["user"] }));
    await Promise.all(clients.map((mv) => mv.ready));
    const children = [1, 2].map(() =>
      host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath, service: "s0" }),
    );
    let users = 0;
    let counted = 0;
    const view = host.view();
    for (let round = 0; round < 3; round++) {
      // New series all the while: the agent dies in the midst of a change, or between two.
      for (let i = 0; i < 400; i++) {
        for (const family of families) family.labels(users).inc();
        for (const total of totals) total.inc();
        users++;
      }
      if (round === 1) {
        for (const child of children) {
          child.stdin.write("500\n");
          child.stdin.flush();
        }
        counted = 1000;
      }
      await until(
        "it has begun to register",
        () => view.read().directory.seriesCount > users - 400,
      );
      await agent.end("SIGKILL");
      for (const total of totals) total.inc();
      agent = await host.agentProcess();
      expect(agent.find("pool adopted")).toBeDefined();
    }
    const expected = users + 3;
    await until("all is there", () => {
      const sums = totals.map((_, i) => view.value(`s${i}`, "requests_total"));
      return sums[0] === expected + counted && sums[1] === expected && sums[2] === expected;
    });
    await until("each user is there once", () => {
      const { directory, values } = view.read();
      let series = 0;
      for (const metric of directory.metrics.values()) {
        if (metric.definition.name !== "by_user_total") continue;
        for (const id of metric.series) {
          const value = values[directory.valueIndexOf(id)];
          if (value !== 1) throw new Error(`user ${directory.labelValues(id)} has ${value}`);
          series++;
        }
      }
      return series === 3 * users;
    });
    for (const child of children) child.kill("SIGKILL");
    await until("the dead are folded", () => view.writers("s0").length === 1);
    expect(view.value("s0", "requests_total")).toBe(expected + counted);
    expect(agent.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("of agent and services together: the next agent folds the dead, and gives their pages back", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess();
    const children = [1, 2, 3].map(() =>
      host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath }),
    );
    for (const child of children) {
      child.stdin.write("100\n");
      child.stdin.flush();
    }
    await host.shows(300, "requests_total");
    await first.end("SIGKILL");
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => child.exited));
    const agent = await host.agent();
    await until("all are folded", () => host.view().writers().length === 0);
    await host.shows(300, "requests_total");
    expect(agent.pools.get("shop").pagesUsed).toBe(1);
  });
});

describe("a pool that cannot be used", () => {
  const cases: [string, (path: string) => void, RegExp][] = [
    ["that is none", (path) => poke(path, 0, 0x20, 0x20, 0x20), /first bytes are not MICROVW/],
    [
      "with another's geometry",
      (path) => poke(path, HEADER.pageCapacity, 1),
      /do not fit together/,
    ],
    ["that was cut short", (path) => truncateSync(path, 8192), /its file has 8192/],
    ["that is empty", (path) => truncateSync(path, 0), /has at least 320 bytes, this has 0/],
    [
      "with a damaged directory",
      (path) => poke(path, directoryOffset(path) + 8, 0xff),
      /damaged places, the first at byte 0/,
    ],
    [
      "with more directory than there is",
      (path) => poke(path, HEADER.directoryWord, 0xff, 0xff, 0xff, 0xff),
      /directory says/,
    ],
  ];
  for (const [what, damage, message] of cases) {
    test(`because it is one ${what} is set aside with a message, unchanged, and replaced by a new one`, async () => {
      await using host = new TestHost();
      const path = await leavePool(host);
      damage(path);
      const { ino, size } = statSync(path);
      const agent = await host.agentProcess();
      const line = agent.log.find(({ level }) => level === "error");
      expect(line).toMatchObject({ message: "a pool is not used", path });
      expect(line!["reason"]).toMatch(message);
      const aside = readdirSync(dirname(path)).find((name) => name.startsWith("pool.damaged-"));
      expect(line!["reason"]).toContain(aside!);
      expect(statSync(join(dirname(path), aside!))).toMatchObject({ ino, size });
      expect(existsSync(path)).toBe(false);
      const mv = host.client();
      mv.counter("requests_total").inc();
      await host.shows(1, "requests_total");
      // The next one finds the new pool and lets the old one lie.
      await agent.end("SIGKILL");
      const next = await host.agentProcess();
      expect(next.log.filter(({ level }) => level === "error")).toEqual([]);
      expect(readdirSync(dirname(path)).sort()).toEqual(["pool", aside!]);
    });
  }

  test("because it is a link to elsewhere is left alone", async () => {
    await using host = new TestHost();
    const precious = join(host.folder, "precious");
    writeFileSync(precious, "precious");
    mkdirSync(join(host.poolDir, "shop"));
    symlinkSync(precious, poolPath("shop", host.poolDir));
    const agent = await host.agentProcess();
    expect(agent.find("a pool is not used")!["reason"]).toContain("symbolic link");
    const mv = host.client();
    mv.counter("requests_total").inc();
    const warning = await until("the client is told", () => host.warnings[0]);
    expect(warning.code).toBe("pool-in-use");
    expect(readFileSync(precious, "utf8")).toBe("precious");
  });

  test("among very many that are not said one by one, is said in the log when a service asks for it", async () => {
    await using host = new TestHost();
    const apps = Array.from({ length: 60 }, (_, i) => `app-${i}`);
    for (const app of apps) {
      mkdirSync(join(host.poolDir, app));
      symlinkSync("/nowhere", poolPath(app, host.poolDir));
    }
    const agent = await host.agentProcess();
    const said = agent.log.map((line) => line["path"]);
    const app = apps.find((name) => !said.includes(poolPath(name, host.poolDir)))!;
    const mv = host.client({ app });
    mv.counter("requests_total").inc();
    const warning = await until("the client is told", () => host.warnings[0]);
    expect(warning).toMatchObject({ code: "pool-in-use" });
    const line = await until("the log says it", () => agent.find("a pool cannot be made"));
    expect(line).toMatchObject({ level: "warn", app });
    expect(line["reason"]).toContain("is not this agent's");
    expect(agent.log.filter(({ message }) => message === "a pool cannot be made")).toHaveLength(1);
  });

  test("because another agent holds it is left to that one", async () => {
    await using host = new TestHost();
    await host.agent({ scanIntervalMs: 3_600_000 });
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc();
    // One whose own pool was removed, so that nothing tells that it has this directory.
    rmSync(poolPath("microview", host.poolDir));
    const other = await host.agentProcess("--socket", `${host.folder}/other.sock`);
    expect(other.find("a pool is not used")!["reason"]).toContain("another agent holds the pool");
    const stranger = host.client({ socket: `${host.folder}/other.sock`, service: "cart" });
    stranger.counter("requests_total").inc();
    const warning = await until("its client is told", () => host.warnings[0]);
    expect(warning).toMatchObject({ code: "pool-in-use" });
    await other.end("SIGTERM");
    expect(host.view().value("auth", "requests_total")).toBe(1);
  });
});

describe("a socket", () => {
  test.skipIf(asNobody === undefined)(
    "in a folder that may not be made is a clear error, which names the flag",
    async () => {
      await using host = new TestHost();
      chmodSync(host.folder, 0o755);
      const socket = join(host.folder, "run/agent.sock");
      const words = [process.execPath, CLI, "agent", "--port", "0", "--data-port", "0"];
      const child = host.own(
        Bun.spawn([...asNobody!, ...words, "--socket", socket, "--pool-dir", host.poolDir], {
          stdin: "ignore",
          stdout: "ignore",
          stderr: "pipe",
        }),
      );
      expect(await child.exited).toBe(1);
      const said = await new Response(child.stderr).text();
      expect(said).toContain("permission denied");
      expect(said).toContain("--socket FILE");
    },
  );
});

describe("a pool directory", () => {
  test.skipIf(asNobody === undefined)(
    "that may not be written to any more is a clear error, and works again when it may",
    async () => {
      await using host = new TestHost();
      const poolDir = mkdtempSync("/dev/shm/microview-test-");
      host.onEnd(() => rmSync(poolDir, { recursive: true, force: true }));
      for (const folder of [host.folder, poolDir]) chownSync(folder, nobodyUid, -1);
      chmodSync(host.folder, 0o755);
      const agent = new AgentProcess(
        host,
        ["--pool-dir", poolDir, "--pool-mode", "0666"],
        asNobody!,
      );
      await agent.serves();
      chmodSync(poolDir, 0o555);
      const mv = host.client();
      const counter = mv.counter("requests_total");
      counter.inc(3);
      const warning = await until("the client is told", () => host.warnings[0]);
      expect(warning.code).toBe("pool-denied");
      expect(warning.message).toContain(`${poolDir}/shop`);
      expect(warning.message).toContain("permission denied");
      expect(warning.hint).toContain("--pool-dir");
      counter.inc();
      expect(mv.attached).toBe(false);
      chmodSync(poolDir, 0o755);
      // Attached comes first, then the series get their places.
      await mv.ready;
      const { text } = await fetch(`http://127.0.0.1:${agent.port}/metrics`).then(
        async (response) => ({
          text: await response.text(),
        }),
      );
      expect(text).toContain('requests_total{app="shop",service="auth"} 4');
      expect(agent.log.filter(({ message }) => message === "a request failed")).toEqual([]);
      expect(await agent.end("SIGTERM")).toBe(0);
    },
  );

  test.skipIf(asNobody === undefined)(
    "with a pool that may not be opened is a clear error, and the pool stays",
    async () => {
      await using host = new TestHost();
      const path = await leavePool(host);
      const { ino } = statSync(path);
      chmodSync(path, 0);
      for (const folder of [host.folder, host.poolDir, dirname(path)]) {
        chownSync(folder, nobodyUid, -1);
        chmodSync(folder, 0o755);
      }
      rmSync(join(host.poolDir, "microview"), { recursive: true });
      const agent = new AgentProcess(host, [], asNobody!);
      await agent.serves();
      const line = agent.find("a pool is not used");
      expect(line).toMatchObject({ path });
      expect(line!["reason"]).toContain("permission denied");
      expect(statSync(path).ino).toBe(ino);
    },
  );

  test("that is given by a relative path is named to others by an absolute one", async () => {
    await using host = new TestHost();
    const near = relative(process.cwd(), host.poolDir);
    const agent = await host.agentProcess("--pool-dir", near);
    const mv = host.client();
    mv.counter("requests_total");
    await mv.ready;
    expect(agent.find("pool created")!["path"]).toStartWith(`${host.poolDir}/`);
    const answer = await fetch("http://localhost/health", { unix: host.socketPath });
    expect(((await answer.json()) as { poolDir: string }).poolDir).toBe(host.poolDir);
  });

  test("that is not there is made", async () => {
    await using host = new TestHost();
    await host.agentProcess("--pool-dir", `${host.poolDir}/deeper/still`);
    const mv = host.client();
    mv.counter("requests_total");
    await mv.ready;
    expect(existsSync(`${host.poolDir}/deeper/still/shop/pool`)).toBe(true);
  });
});

describe("a tmpfs that is full", () => {
  test.skipIf(!canMount)(
    "is an error and no SIGBUS: services go on, and get their places when there is room",
    async () => {
      await using host = new TestHost();
      const tmpfs = mountTmpfs("size=3m")!;
      host.onEnd(() => tmpfs.unmount());
      const agent = await host.agentProcess("--pool-dir", tmpfs.path);
      const mv = host.client();
      const counters = [mv.counter("c0_total")];
      await mv.ready;
      counters[0]!.inc();
      const filler = join(tmpfs.path, "filler");
      let filled = 0;
      try {
        for (; ; filled++) {
          writeFileSync(filler, new Uint8Array(4096), { flag: "a", flush: false });
        }
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
      }
      expect(filled).toBeGreaterThan(100);
      for (let i = 1; i < 2000; i++) counters.push(mv.counter(`c${i}_total`));
      for (const counter of counters) counter.inc();
      const warning = await until("the client is told", () => host.warnings[0]);
      expect(warning.code).toBe("memory-full");
      expect(warning.message).toContain("no memory is left");
      for (const counter of counters) counter.inc();
      rmSync(filler);
      const text = await until("all have their places", async () => {
        const response = await fetch(`http://127.0.0.1:${agent.port}/metrics`);
        const body = await response.text();
        return body.includes('c1999_total{app="shop",service="auth"} 2') && body;
      });
      expect(text).toContain('c0_total{app="shop",service="auth"} 3');
      expect(text).toContain('c1999_total{app="shop",service="auth"} 2');
      await mv.close();
      await agent.end("SIGTERM");
    },
  );
});

describe("a clock that jumps", () => {
  test("expires nobody who lives, and keeps nobody who is dead", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ scanIntervalMs: 3_600_000 });
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc(3);
    const shop = agent.pools.get("shop");
    const day = 86_400_000;
    const times = [0, -day, day, 365 * day, -365 * day].map((offset) => Date.now() + offset);
    for (const nowMs of [...times, 0, -1e15, 1e15]) {
      expect(shop.scan(nowMs)).toBe(0);
      expect(shop.writers()).toHaveLength(1);
    }
    // One that was told its place and never took the lock: it has its time, and no more, whatever the clock says.
    for (const offset of [-day, day]) {
      const late = shop.attach({ service: "late", pid: 1, threadId: 1 });
      expect(shop.scan(Date.now() + 1_000)).toBe(0);
      expect(shop.writers().map(({ id }) => id)).toContain(late.id);
      expect(shop.scan(Date.now() + offset)).toBe(1);
      expect(shop.writers().map(({ id }) => id)).not.toContain(late.id);
    }
    await mv.close();
    expect(shop.writers()).toEqual([]);
    expect(host.view().value("auth", "requests_total")).toBe(3);
  });
});
