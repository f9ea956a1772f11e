// Threads and processes: each is a writer of its own, and its end is seen however it ends.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { until } from "../support/wait.ts";
import type { ToThread } from "./fixtures/thread.ts";

/** A Bun Worker that has attached. */
class TestThread {
  readonly worker: Worker;
  readonly #said: string[] = [];
  ended = false;

  constructor(host: TestHost, service = "auth") {
    this.worker = new Worker(new URL("./fixtures/thread.ts", import.meta.url).href, {
      env: { TEST_SOCKET: host.socketPath, TEST_SERVICE: service },
    });
    this.worker.onmessage = ({ data }: MessageEvent<string>) => void this.#said.push(data);
    this.worker.addEventListener("close", () => {
      this.ended = true;
    });
    host.onEnd(() => this.worker.terminate());
  }

  async attached(): Promise<void> {
    await until("the thread is attached", () => this.#said.includes("attached"));
  }

  async count(n: number): Promise<void> {
    const before = this.#said.length;
    this.tell({ count: n });
    await until("the thread has counted", () => this.#said.length > before);
  }

  tell(message: ToThread): void {
    this.worker.postMessage(message);
  }
}

/** Starts so many threads, waits for them, and lets each count its number. */
async function threads(host: TestHost, ...counts: number[]): Promise<TestThread[]> {
  const all = counts.map(() => new TestThread(host));
  await Promise.all(all.map((thread) => thread.attached()));
  for (const [i, thread] of all.entries()) await thread.count(counts[i]!);
  return all;
}

/** The state of a process as the kernel names it: "S" sleeps, "Z" is dead. */
function stateOf(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "")[0]!;
}

describe("a Bun Worker", () => {
  test("has pages of its own beside those of its process", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    const counter = mv.counter("requests_total");
    await mv.ready;
    counter.inc(1);
    await threads(host, 10, 100);
    const view = host.view();
    expect(view.value("auth", "requests_total")).toBe(111);
    const writers = view.writers("auth");
    expect(writers).toHaveLength(3);
    expect(new Set(writers.map(({ pid }) => pid))).toEqual(new Set([process.pid]));
    expect(new Set(writers.map(({ threadId }) => threadId)).size).toBe(3);
    const pages = [...view.read().directory.writers.values()].map(({ grants }) => grants[0]!.page);
    expect(new Set(pages).size).toBe(3);
  });

  const ends: [string, (thread: TestThread) => void][] = [
    ["terminate()", (thread) => void thread.worker.terminate()],
    ["process.exit()", (thread) => thread.tell({ end: "exit" })],
    ["self.close()", (thread) => thread.tell({ end: "close" })],
  ];
  for (const [how, end] of ends) {
    test(`that ends by ${how} is folded while its process lives, and its page returns`, async () => {
      await using host = new TestHost();
      const agent = await host.agent();
      const mv = host.client();
      const counter = mv.counter("requests_total");
      await mv.ready;
      counter.inc(1);
      const [thread] = await threads(host, 10);
      const view = host.view();
      expect(view.writers("auth")).toHaveLength(2);
      agent.scan();
      end(thread!);
      await until("its writer has gone", () => view.writers("auth").length === 1);
      expect(view.value("auth", "requests_total")).toBe(11);
      counter.inc(5);
      expect(view.value("auth", "requests_total")).toBe(16);
      // One page for the process, one for the counts of the dead.
      expect(agent.pools.get("shop").pagesUsed).toBe(2);
    });
  }

  test("that starts and ends many times leaves nothing but its counts", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const view = host.view();
    for (let round = 1; round <= 3; round++) {
      const [one, two] = await threads(host, 1, 2);
      agent.scan();
      one!.worker.terminate();
      two!.tell({ end: "exit" });
      await until("both have gone", () => view.writers("auth").length === 0);
      expect(view.value("auth", "requests_total")).toBe(3 * round);
    }
    expect(agent.pools.get("shop").pagesUsed).toBe(1);
  });
});

describe("a process", () => {
  interface Report {
    child: number;
    exitCode?: number;
    requests: number;
    depth: number;
  }

  /** A process that has attached, counted 5, forked a child that adds 100 in the same place, and counted 1. */
  async function forked(host: TestHost, childSleeps: boolean) {
    const library = join(host.folder, "forking.so");
    const source = join(import.meta.dir, "fixtures/forking.c");
    const compiler = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", library, source]);
    if (!compiler.success) throw new Error(compiler.stderr.toString());
    const { socketPath: socket } = host;
    const parent = host.run("tests/client/fixtures/forking.ts", { socket, library, childSleeps });
    const report = JSON.parse(await new Lines(parent.stdout).next()) as Report;
    return { parent, report };
  }

  test("that forks keeps its values: what the child stores is the child's alone", async () => {
    await using host = new TestHost();
    await host.agent();
    const { parent, report } = await forked(host, false);
    expect(report.exitCode).toBe(0);
    expect(report.requests).toBe(6);
    expect(report.depth).toBe(7);
    const view = host.view();
    expect(view.value("auth", "requests_total")).toBe(6);
    expect(view.value("auth", "depth")).toBe(7);
    expect(view.writers("auth").map(({ pid }) => pid)).toEqual([parent.pid]);
  });

  test("that dies is seen although a child that it forked lives on", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const { parent, report } = await forked(host, true);
    try {
      const view = host.view();
      expect(view.value("auth", "requests_total")).toBe(6);
      agent.scan();
      parent.kill("SIGKILL");
      await parent.exited;
      await until("its writer has gone", () => view.writers("auth").length === 0);
      expect(stateOf(report.child)).toBe("S");
      expect(view.value("auth", "requests_total")).toBe(6);
      expect(view.value("auth", "depth")).toBeNaN();
    } finally {
      process.kill(report.child, "SIGKILL");
    }
  });

  test("that is killed loses no count; its gauge expires", async () => {
    await using host = new TestHost();
    await host.agent();
    const view = host.view();
    const lives = [3, 4].map(() =>
      host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath }),
    );
    for (const child of lives) {
      child.stdin.write("1000\n");
      child.stdin.flush();
    }
    await until("both have counted", () => view.value("auth", "requests_total") === 2000);
    await until("both have set", () => view.value("auth", "depth") === 2000);
    lives[0]!.kill("SIGKILL");
    await until("one has gone", () => view.writers("auth").length === 1);
    expect(view.value("auth", "requests_total")).toBe(2000);
    expect(view.value("auth", "depth")).toBe(1000);
    lives[1]!.kill("SIGKILL");
    await until("both have gone", () => view.writers("auth").length === 0);
    expect(view.value("auth", "requests_total")).toBe(2000);
    const latency = view.slots("auth", "latency_seconds");
    expect(latency.pop()).toBe(1000);
    expect(latency.reduce((sum, n) => sum + n, 0)).toBe(2000);
    expect(view.value("auth", "depth")).toBeNaN();
  });

  test("that closes is not held up by it", async () => {
    await using host = new TestHost();
    await host.agent();
    // The client waits a second for what it cannot register; this one has nothing to wait for. It may be slow on a
    // loaded machine, but not each time.
    await until("one has closed at once", async () => {
      const child = host.run("tests/client/fixtures/closing.ts", { socket: host.socketPath });
      return Number(await new Response(child.stdout).text()) < 900;
    });
  });

  test("that ends by itself leaves its counts as well", async () => {
    await using host = new TestHost();
    await host.agent();
    const child = host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath });
    child.stdin.write("5\n");
    child.stdin.end();
    expect(await child.exited).toBe(0);
    await host.shows(5, "requests_total");
    await until("its writer has gone", () => host.view().writers("auth").length === 0);
  });
});
