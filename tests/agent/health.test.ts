// An agent that cannot do its work does not start, or says so: in its log, by /healthz and to doctor.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { HealthResponse } from "../../src/rest/index.ts";
import { runCli } from "../commands/run-cli.ts";
import { AgentProcess, TestHost } from "../support/host.ts";
import { asNobody, canMount, mountTmpfs, nobodyUid } from "../support/permissions.ts";
import { until } from "../support/wait.ts";

/** Starts an agent that is to end by itself with 1 and one reason. @returns what it said */
async function refusal(
  host: TestHost,
  flags: readonly string[],
  wrapper: readonly string[] = [],
): Promise<string> {
  const agent = new AgentProcess(host, flags, wrapper);
  expect(await agent.exited()).toBe(1);
  expect(agent.find("the agent serves")).toBeUndefined();
  const lines = agent.text.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(/^hint: .*(--pool-dir|--group)/);
  return lines[0]!.replace(/^microview: /, "");
}

describe("an agent does not start with a pool directory", () => {
  test("that is a file, or below one", async () => {
    await using host = new TestHost();
    const file = join(host.folder, "file");
    writeFileSync(file, "precious");
    expect(await refusal(host, ["--pool-dir", file])).toBe(
      `no pools can be kept in ${file}: it is a file, and no directory`,
    );
    expect(await refusal(host, ["--pool-dir", `${file}/pools`])).toContain(
      `${file}/pools: a part of its path is a file`,
    );
    symlinkSync(file, join(host.folder, "link"));
    expect(await refusal(host, ["--pool-dir", join(host.folder, "link")])).toContain(
      "it is a file",
    );
  });

  test("in /proc", async () => {
    await using host = new TestHost();
    expect(await refusal(host, ["--pool-dir", "/proc"])).toContain("no pools can be kept in /proc");
    expect(await refusal(host, ["--pool-dir", "/proc/pools"])).toContain(
      "no pools can be kept in /proc/pools: nothing can be made there",
    );
  });

  test.skipIf(!canMount)("on a file system that is read-only", async () => {
    await using host = new TestHost();
    const tmpfs = mountTmpfs("ro")!;
    host.onEnd(() => tmpfs.unmount());
    expect(await refusal(host, ["--pool-dir", tmpfs.path])).toContain(
      "its file system is read-only",
    );
    expect(await refusal(host, ["--pool-dir", `${tmpfs.path}/pools`])).toContain(
      "its file system is read-only",
    );
  });

  test.skipIf(asNobody === undefined)("that its user may not write to", async () => {
    await using host = new TestHost();
    chownSync(host.folder, nobodyUid, -1);
    chmodSync(host.poolDir, 0o555);
    expect(await refusal(host, [], asNobody!)).toContain("this user may not write there");
    expect(await refusal(host, ["--pool-dir", `${host.poolDir}/pools`], asNobody!)).toContain(
      "this user may not write there",
    );
  });

  test.skipIf(asNobody === undefined || process.getuid?.() !== 0)(
    "whose pools it may not give to the group of --group",
    async () => {
      await using host = new TestHost();
      chownSync(host.folder, nobodyUid, -1);
      chownSync(host.poolDir, nobodyUid, -1);
      const said = await refusal(host, ["--group", "0"], asNobody!);
      expect(said).toContain("this user may not give pools to the group 0");
    },
  );

  test("that another agent has, which it names", async () => {
    await using host = new TestHost();
    const first = await host.agentProcess();
    const other = ["--socket", join(host.folder, "other.sock")];
    expect(await refusal(host, other)).toBe(
      `another agent, with pid ${first.pid}, keeps the pools in ${host.poolDir}`,
    );
    // The first one is not disturbed, and one that was killed is in nobody's way.
    const mv = host.client();
    mv.counter("requests_total").inc();
    expect(await mv.ready).toEqual({ attached: true });
    await first.end("SIGKILL");
    await host.agentProcess(...other);
  });

  test("and leaves nothing behind", async () => {
    await using host = new TestHost();
    await host.agentProcess();
    expect(readdirSync(host.poolDir)).toEqual(["microview"]);
  });
});

describe("an agent that cannot do its work any more", () => {
  interface Watched {
    agent: AgentProcess;
    healthz(): Promise<{ status: number; text: string }>;
    health(): Promise<HealthResponse>;
    /** Lines of the log that say that it cannot, and that it can again. */
    said(): string[];
  }

  async function watched(agent: AgentProcess): Promise<Watched> {
    await agent.serves();
    const get = (path: string) => fetch(`http://127.0.0.1:${agent.port}${path}`);
    return {
      agent,
      async healthz() {
        const response = await get("/healthz");
        return { status: response.status, text: await response.text() };
      },
      health: async () => (await get("/health")).json() as Promise<HealthResponse>,
      said: () =>
        agent.log
          .filter(({ message }) => /^the agent can(not)? do its work/.test(message))
          .map(({ level }) => level),
    };
  }

  /** Waits for the reason, which must be reported everywhere and logged once. */
  async function expectProblem(host: TestHost, watch: Watched, reason: string): Promise<void> {
    const { text } = await until("it is not well", async () => {
      const answer = await watch.healthz();
      return answer.status === 503 && answer;
    });
    expect(text).toContain(reason);
    const { status, problems } = await watch.health();
    expect([status, problems.length]).toEqual(["unhealthy", 1]);
    expect(problems[0]!.message).toContain(reason);
    const line = watch.agent.find("the agent cannot do its work")!;
    expect(line["reason"]).toContain(reason);
    expect(line["hint"]).toMatch(/\w{3}/);
    const scans = await scansOf(watch.agent);
    await until("it has looked again", async () => (await scansOf(watch.agent)) > scans + 5);
    expect(watch.said()).toEqual(["error"]);
    const { exitCode, stdout } = await runCli([
      ...["doctor", "--socket", host.socketPath, "--port", String(watch.agent.port), "--json"],
    ]);
    expect(exitCode).toBe(1);
    const failures = JSON.parse(stdout).findings.filter(
      (finding: { id: string; level: string }) =>
        finding.level === "fail" && finding.id.startsWith("agent-"),
    );
    expect(failures.length).toBeGreaterThan(0);
    for (const { finding } of failures) expect(finding).toContain(reason);
  }

  async function scansOf(agent: AgentProcess): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${agent.port}/metrics`)).text();
    return Number(/^microview_agent_scans_total\{.*\} (\d+)$/m.exec(text)![1]);
  }

  async function expectWell(watch: Watched): Promise<void> {
    await until("it is well", async () => (await watch.healthz()).status === 200);
    expect((await watch.healthz()).text).toBe("ok\n");
    expect((await watch.health()).status).toBe("healthy");
    expect(watch.said()).toEqual(["error", "info"]);
  }

  test("because a file has taken the place of its pool directory is unwell until that has gone", async () => {
    await using host = new TestHost();
    const poolDir = mkdtempSync("/dev/shm/microview-test-");
    host.onEnd(() => rmSync(poolDir, { recursive: true, force: true }));
    const watch = await watched(new AgentProcess(host, ["--pool-dir", poolDir]));
    rmSync(poolDir, { recursive: true });
    writeFileSync(poolDir, "");
    await expectProblem(host, watch, `no pools can be kept in ${poolDir}: it is a file`);
    rmSync(poolDir);
    mkdirSync(poolDir);
    await expectWell(watch);
  });

  test.skipIf(!canMount)("because a read-only file system lies over it", async () => {
    await using host = new TestHost();
    const tmpfs = mountTmpfs("size=64m")!;
    host.onEnd(() => tmpfs.unmount());
    const watch = await watched(new AgentProcess(host, ["--pool-dir", tmpfs.path]));
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmpfs.path]);
    try {
      await expectProblem(host, watch, "its file system is read-only");
    } finally {
      Bun.spawnSync(["umount", "-l", tmpfs.path]);
    }
    await expectWell(watch);
  });

  test.skipIf(asNobody === undefined)("because its user may not write there any more", async () => {
    await using host = new TestHost();
    for (const folder of [host.folder, host.poolDir]) {
      chownSync(folder, nobodyUid, -1);
      chmodSync(folder, 0o755);
    }
    const watch = await watched(new AgentProcess(host, [], asNobody!));
    chmodSync(host.poolDir, 0o555);
    await expectProblem(host, watch, "this user may not write there");
    chmodSync(host.poolDir, 0o755);
    await expectWell(watch);
  });

  test("because something else has its socket is unwell, and makes it again once that has gone", async () => {
    await using host = new TestHost();
    const watch = await watched(new AgentProcess(host, []));
    writeFileSync(`${host.socketPath}.new`, "");
    // In one step: a socket that is only gone is made again.
    renameSync(`${host.socketPath}.new`, host.socketPath);
    await until("it is not well", async () => (await watch.healthz()).status === 503);
    expect((await watch.healthz()).text).toContain("something else has taken the place");
    rmSync(host.socketPath);
    await until("it is well", async () => (await watch.healthz()).status === 200);
    const mv = host.client();
    mv.counter("requests_total").inc();
    expect(await mv.ready).toEqual({ attached: true });
  });
});

describe("a socket that somebody removes", () => {
  test("with its folder is made again within a look, and services that come later attach", async () => {
    await using host = new TestHost();
    const folder = join(host.folder, "run");
    const socketPath = join(folder, "agent.sock");
    const agent = await host.agentProcess("--socket", socketPath);
    const early = host.client({ socket: socketPath });
    const counter = early.counter("requests_total");
    await early.ready;
    rmSync(folder, { recursive: true });
    await until("it is there again", () =>
      agent.find("the socket was removed, and is there again"),
    );
    const late = host.client({ socket: socketPath });
    late.counter("requests_total").inc(2);
    expect(await late.ready).toEqual({ attached: true });
    counter.inc(1);
    await host.shows(3, "requests_total");
    expect(await agent.end("SIGTERM")).toBe(0);
  });
});
