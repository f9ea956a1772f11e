// What the agent tells of the processes of services, by real ones.

import { describe, expect, test } from "bun:test";
import {
  parseAnonymousBytes,
  parseOpenFilesMax,
  parseRollup,
  parseStat,
  parseSwitches,
  parseWaitS,
  threadName,
} from "../../src/agent/processes/proc.ts";
import { roleOf } from "../../src/agent/processes/threads.ts";
import {
  parseProcessMemory,
  parseProcessMetrics,
} from "../../src/commands/support/process-metrics.ts";
import { holds, parseNamespacePids } from "../../src/identity/index.ts";
import { INFO_LABELS, UNKNOWN_IDENTITY } from "../../src/layout/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

const INTERVAL = { processIntervalMs: 20 };
const CPU = "microview_process_cpu_seconds_total";

type Child = ReturnType<TestHost["run"]>;

/** A service in a process of its own, that counts to a number per line. */
function start(host: TestHost, service = "auth", ...before: string[]): Child {
  return host.own(
    Bun.spawn(
      [
        ...before,
        process.execPath,
        `${ROOT}/tests/client/fixtures/counting.ts`,
        JSON.stringify({ socket: host.socketPath, service }),
      ],
      { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
    ),
  );
}

/** A metric of the processes of a service, added up as a reader does; undefined before there is one. */
function reader(host: TestHost, service = "auth") {
  const view = host.view("microview");
  return (metric: string, labels: Record<string, string> = {}) =>
    view.value(service, metric, { app: "shop", ...labels });
}

async function burn(child: Child, times: number): Promise<void> {
  child.stdin.write(`${times}\n`);
  await child.stdin.flush();
}

/** Whether a process may be started in a pid namespace of its own here. */
const mayUnshare =
  Bun.which("unshare") !== null &&
  Bun.spawnSync(["unshare", "--pid", "--fork", "true"], { stderr: "ignore" }).exitCode === 0;

describe("the processes of services", () => {
  test("are sampled from outside, under their service's name", async () => {
    await using host = new TestHost();
    await host.agent(INTERVAL);
    const child = start(host);
    const value = reader(host);
    await until("it is seen", () => value("microview_processes") === 1);
    expect(value("microview_process_resident_bytes")).toBeGreaterThan(10e6);
    expect(value("microview_process_threads")).toBeGreaterThan(1);
    expect(value("microview_process_open_fds")).toBeGreaterThan(3);
    const ageS = Date.now() / 1000 - value("microview_process_start_time_seconds")!;
    expect(ageS).toBeGreaterThan(-2);
    expect(ageS).toBeLessThan(60);
    expect(value("microview_process_max_fds")).toBeGreaterThan(
      value("microview_process_open_fds")!,
    );
    const anonymous = value("microview_process_anonymous_bytes")!;
    expect(anonymous).toBeGreaterThan(1e6);
    expect(anonymous).toBeLessThan(value("microview_process_resident_bytes")!);
    expect(value("microview_process_virtual_bytes")).toBeGreaterThan(anonymous);
    // That is only looked at when it is asked for.
    expect(value("microview_process_private_bytes")).toBeUndefined();
    await burn(child, 15_000_000);
    await until("it has taken processor time", () => value(CPU, { mode: "user" })! > 0.05);
    await until("its main thread has", () => {
      return value("microview_process_thread_cpu_seconds_total", { role: "main" })! > 0.05;
    });
    await until(
      "it has waited",
      () => value("microview_process_main_thread_wait_seconds_total")! > 0,
    );
    await until("it was switched", () => {
      return value("microview_process_context_switches_total", { kind: "voluntary" })! > 0;
    });
  });

  test("go when they die, and what they took is kept", async () => {
    await using host = new TestHost();
    await host.agent(INTERVAL);
    const value = reader(host);
    const [first, second] = [start(host), start(host)];
    await until("both are seen", () => value("microview_processes") === 2);
    await burn(first, 15_000_000);
    const before = await until("it is counted", () => {
      const seconds = value(CPU, { mode: "user" })!;
      return seconds > 0.05 && seconds;
    });
    first.kill("SIGKILL");
    await until("one is left", () => value("microview_processes") === 1);
    expect(value(CPU, { mode: "user" })).toBeGreaterThanOrEqual(before);
    second.kill("SIGKILL");
    await until("none is left", () => !value("microview_processes"));
    expect(value(CPU, { mode: "user" })).toBeGreaterThanOrEqual(before);
    await until("its writers are gone", () => host.view("microview").writers("auth").length === 0);
  });

  test("are counted once, however many threads write", async () => {
    await using host = new TestHost();
    await host.agent(INTERVAL);
    const clients = [host.client(), host.client()];
    for (const client of clients) client.counter("requests_total").inc();
    await Promise.all(clients.map(({ ready }) => ready));
    const value = reader(host);
    await until("it is seen", () => value("microview_processes") === 1);
    expect(host.view("microview").writers("auth")).toHaveLength(1);
  });

  test("are counted on by the next agent, and not twice", async () => {
    await using host = new TestHost();
    const child = start(host);
    const first = await host.agent(INTERVAL);
    const value = reader(host);
    await until("it is seen", () => value("microview_processes") === 1);
    await burn(child, 15_000_000);
    const before = await until("it is counted", () => {
      const seconds = value(CPU, { mode: "user" })!;
      return seconds > 0.05 && seconds;
    });
    await first.stop();
    await host.agent(INTERVAL);
    await until("only the next agent's writer is left", () => {
      return (
        host.view("microview").writers("auth").length === 1 && value("microview_processes") === 1
      );
    });
    const after = value(CPU, { mode: "user" })!;
    expect(after).toBeGreaterThanOrEqual(before);
    expect(after).toBeLessThan(before + 5);
  });

  test("are told with the memory that they have to themselves, when that is asked for", async () => {
    await using host = new TestHost();
    await host.agent({ ...INTERVAL, processMemoryIntervalMs: 20 });
    const [first, second] = [start(host), start(host)];
    const value = reader(host);
    await until("both are seen", () => value("microview_processes") === 2);
    await until("their memory is seen", () => {
      const [proportional, own, resident] = ["proportional", "private", "resident"].map(
        (name) => value(`microview_process_${name}_bytes`)!,
      );
      // They share the runtime's code.
      return own! > 2e6 && own! < proportional! && proportional! < resident!;
    });
    first.kill("SIGKILL");
    second.kill("SIGKILL");
    await until("it goes with them", () => !value("microview_process_private_bytes"));
  });

  test("are left out when the pid is another's", async () => {
    await using host = new TestHost();
    const agent = await host.agent(INTERVAL);
    const stranger = host.own(Bun.spawn(["sleep", "100"]));
    const application = agent.pools.open("shop");
    const writer = application.attach({ service: "auth", pid: stranger.pid, threadId: 0 });
    expect(holds(stranger.pid, application.pool.file.stat())).toBeFalse();
    agent.sampleProcesses();
    expect(application.writers().map(({ id }) => id)).toContain(writer.id);
    expect(host.view("microview").writers("auth")).toEqual([]);
  });

  test.skipIf(!mayUnshare)("are found in a pid namespace of their own", async () => {
    await using host = new TestHost();
    await host.agent(INTERVAL);
    const child = start(host, "inside", "unshare", "--pid", "--fork", "--kill-child");
    const value = reader(host, "inside");
    await until("it is seen", () => value("microview_processes") === 1);
    const [writer] = host.view("shop").writers("inside");
    expect(writer!.pid).toBe(1);
    const [sampled] = host.view("microview").writers("inside");
    expect(sampled!.pid).not.toBe(1);
    expect(sampled!.pid).not.toBe(child.pid);
  });

  test("are told with their container, in the metrics and by REST", async () => {
    await using host = new TestHost();
    const identity = {
      ...UNKNOWN_IDENTITY,
      runtime: "containerd",
      containerId: "3f9a1c2b4d5e6f70".repeat(4),
      podUid: "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    };
    const agent = await host.agent({ ...INTERVAL, identityOf: () => identity });
    const child = start(host);
    const value = reader(host);
    await until("it is seen", () => value("microview_processes") === 1);
    expect(
      value("microview_process_info", {
        ...Object.fromEntries(Object.keys(INFO_LABELS).map((label) => [label, ""])),
        runtime: "containerd",
        container_id: "3f9a1c2b4d5e",
        pod_uid: identity.podUid,
      }),
    ).toBe(1);
    const ask = async (app: string) =>
      (await fetch(`http://127.0.0.1:${agent.port}/v1/apps/${app}/processes`)).json();
    expect(await ask("shop")).toEqual({
      processes: [{ service: "auth", pid: child.pid, hostPid: child.pid, identity }],
    });
    expect(await ask("bank")).toMatchObject({ code: "unknown-app" });
  });

  test.skipIf(!mayUnshare)("are told apart when each is the first of its namespace", async () => {
    await using host = new TestHost();
    const agent = await host.agent(INTERVAL);
    // As containers have it: of two pods of one service, each process is number 1.
    const unshare = ["unshare", "--pid", "--fork", "--kill-child"];
    const first = start(host, "auth", ...unshare);
    start(host, "auth", ...unshare);
    const value = reader(host);
    await until("both are seen", () => value("microview_processes") === 2);
    expect(
      host
        .view("shop")
        .writers("auth")
        .map(({ pid }) => pid),
    ).toEqual([1, 1]);
    const told = agent.processesOf("shop");
    expect(new Set(told.map(({ hostPid }) => hostPid)).size).toBe(2);
    first.kill("SIGKILL");
    await until("one is left", () => value("microview_processes") === 1);
    expect(told).toContainEqual(agent.processesOf("shop")[0]!);
  });

  test("are not looked at unless asked for", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const client = host.client();
    client.counter("requests_total").inc();
    await client.ready;
    agent.sampleProcesses();
    expect(host.view("microview").writers("auth")).toEqual([]);
  });

  test("are sampled by the agent of the command line", async () => {
    await using host = new TestHost();
    await host.agentProcess("--process-metrics", "100ms");
    start(host);
    const value = reader(host);
    await until("it is seen", () => value("microview_processes") === 1);
  });
});

describe("--process-metrics", () => {
  test("takes off or an interval", () => {
    expect(parseProcessMetrics("off", "--process-metrics")).toBe("off");
    expect(parseProcessMetrics("5s", "--process-metrics")).toBe(5000);
    expect(() => parseProcessMetrics("10ms", "--process-metrics")).toThrow("too short");
    expect(() => parseProcessMetrics("on", "--process-metrics")).toThrow();
  });
});

describe("--process-memory", () => {
  test("takes off or an interval that leaves processes alone for a while", () => {
    expect(parseProcessMemory("off", "--process-memory")).toBe("off");
    expect(parseProcessMemory("1m", "--process-memory")).toBe(60_000);
    expect(() => parseProcessMemory("1s", "--process-memory")).toThrow("too short");
  });
});

describe("the lines of /proc", () => {
  test("are read by field, whatever the program is called", () => {
    const fields = Array.from({ length: 50 }, (_, i) => String(i + 3));
    fields[0] = "S";
    const stat = parseStat(`7 (a) b (c)) ${fields.join(" ")}`)!;
    expect(stat).toEqual({
      startTicks: 22,
      userS: 0.14,
      systemS: 0.15,
      minorFaults: 10,
      majorFaults: 12,
      threads: 20,
      virtualBytes: 23,
      residentBytes: 24 * 4096,
    });
  });

  test("are refused when they are none", () => {
    for (const text of ["", "7", "7 (sh)", "7 (sh) S 1 2", "no line at all"]) {
      expect(parseStat(text)).toBeUndefined();
      expect(parseSwitches(text)).toBeUndefined();
      expect(parseNamespacePids(text)).toEqual([]);
    }
  });

  test("tell what threads do, by what they call themselves", () => {
    const fields = "S 1 2 3 4 5 6 7 8 9 10 11 12";
    expect(threadName(`7 (HeapHelper) ${fields}`)).toBe("HeapHelper");
    expect(threadName(`7 (a) (b) ${fields}`)).toBe("a) (b");
    expect(threadName("")).toBe("");
    expect(roleOf(true, "HeapHelper")).toBe("mainThread");
    const roles = ["HeapHelper", "ollector Thread", "JITWorker", "Bun Pool 11", "HTTP Client"];
    expect([...roles, "Worker", "mine", ""].map((name) => roleOf(false, name))).toEqual([
      "collectorThreads",
      "collectorThreads",
      "compilerThreads",
      "poolThreads",
      "httpThread",
      "workerThreads",
      "otherThreads",
      "otherThreads",
    ]);
  });

  test("tell memory, limits and waiting, and nothing of what is none", () => {
    expect(parseAnonymousBytes("25000 1000 400 1 0 900 0\n")).toBe(600 * 4096);
    expect(parseAnonymousBytes("25000 100 400 1 0 900 0\n")).toBe(0);
    expect(parseAnonymousBytes("")).toBeUndefined();
    const limits =
      "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
    expect(parseOpenFilesMax(limits)).toBe(1024);
    expect(parseOpenFilesMax(limits.replace("1024", "unlimited"))).toBe(Number.POSITIVE_INFINITY);
    expect(parseOpenFilesMax("")).toBeUndefined();
    expect(parseWaitS("71764914 1500000000 402\n")).toBe(1.5);
    expect(parseWaitS("")).toBeUndefined();
    const rollup =
      "00200000-7fff5d628000 ---p 00000000 00:00 0 [rollup]\nRss:  75620 kB\nPss:  57835 kB\nPss_Dirty:  41196 kB\nPrivate_Clean:  600 kB\nPrivate_Dirty:  41196 kB\nSwap:  8 kB\nSwapPss:  4 kB\n";
    expect(parseRollup(rollup)).toEqual({
      proportionalBytes: 57835 * 1024,
      privateBytes: 41796 * 1024,
      swapBytes: 4096,
    });
    expect(parseRollup("Pss: 1 kB\n")).toBeUndefined();
  });

  test("tell switches and namespaces", () => {
    const text =
      "Name:\tbun\nNSpid:\t4711\t12\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t3\n";
    expect(parseSwitches(text)).toEqual({ voluntary: 150, involuntary: 3 });
    expect(parseNamespacePids(text)).toEqual([4711, 12, 1]);
  });
});
