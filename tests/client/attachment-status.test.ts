// A service that has no agent: what it says, when, how often, and that it neither spins nor waits for ever.

import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AttachmentStatus } from "../../src/client/attachment-status.ts";
import type { MicroView, Readiness } from "../../src/client/index.ts";
import type { ApiError } from "../../src/rest/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { asNobody, nobodyUid } from "../support/permissions.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

/** A socket that somebody has bound and left, as an agent that was killed does. */
function leaveSocket(path: string): void {
  const script = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
  const { success } = Bun.spawnSync(["python3", "-c", script, path]);
  if (!success) throw new Error(`no socket could be left at ${path}`);
}

/** Runs a fixture to its end. */
async function run(
  host: TestHost,
  fixture: string,
  argument: object,
  wrapper: readonly string[] = [],
) {
  const started = performance.now();
  const file = join(ROOT, "tests/client/fixtures", fixture);
  const child = host.own(
    Bun.spawn([...wrapper, process.execPath, file, JSON.stringify(argument)], {
      env: surroundings(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  const outcome = await outcomeOf(child);
  const cpuMs = Number(child.resourceUsage()!.cpuTime.total) / 1000;
  return { ...outcome, cpuMs, tookMs: performance.now() - started };
}

describe("a service that awaits its readiness without an agent", () => {
  const ways = ["microview", "prom-client", "opentelemetry", "prototype"] as const;
  for (const way of ways) {
    for (const worker of [false, true]) {
      const where = worker ? "in a Worker" : "at top level";
      test.concurrent(`by ${way}, ${where}, goes on after five seconds without having burnt a core`, async () => {
        await using host = new TestHost();
        const argument = { way, worker, socket: host.socketPath };
        const { stdout, stderr, exitCode, cpuMs, tookMs } = await run(host, "waiting.ts", argument);
        expect(exitCode).toBe(0);
        const { attached, reason } = JSON.parse(stdout) as Readiness;
        expect(attached).toBe(false);
        expect(reason!.message).toBe(
          `shop/auth is not attached to an agent: there is no ${host.socketPath}`,
        );
        expect(tookMs).toBeGreaterThan(4_900);
        // A core that is burnt takes five seconds of them.
        expect(cpuMs).toBeLessThan(tookMs / 2);
        // What it has found may be on its way to stderr as well, and not more than once.
        expect(
          stderr.split("\n").filter((line) => line.includes(host.socketPath)).length,
        ).toBeLessThan(2);
      });
    }
  }

  test("and is done before ends at once, and says nothing", async () => {
    await using host = new TestHost();
    const file = join(host.folder, "service.ts");
    await Bun.write(
      file,
      `import { MicroView } from ${JSON.stringify(join(ROOT, "src/client/index.ts"))};
       new MicroView({ app: "shop", service: "auth", socket: ${JSON.stringify(host.socketPath)} }).counter("c_total").inc();`,
    );
    const child = host.own(Bun.spawn([process.execPath, file], { stderr: "pipe", stdout: "pipe" }));
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
  });

  test("hears at once that it is attached when there is one", async () => {
    await using host = new TestHost();
    await host.agent();
    const mv = host.client();
    mv.counter("requests_total").inc();
    expect(await mv.ready).toEqual({ attached: true });
    await mv.close();
    const { attached, reason } = await mv.ready;
    expect([attached, reason?.code]).toEqual([false, "closed"]);
  });

  test("hears what the agent refuses", async () => {
    await using host = new TestHost();
    await host.agent({ limits: { apps: 1 } });
    const { attached, reason } = await host.client().ready;
    expect([attached, reason?.code]).toEqual([false, "apps-full"]);
  });
});

describe("a service that is not attached for five seconds", () => {
  test.skipIf(asNobody === undefined)(
    "says once what is wrong with the socket, by name, and what to do",
    async () => {
      await using host = new TestHost();
      // The test's own folder is nobody's to enter.
      const folder = join("/tmp", `mv-${crypto.randomUUID().slice(0, 8)}`);
      mkdirSync(folder, { mode: 0o755 });
      host.onEnd(() => Bun.spawnSync(["rm", "-rf", folder]));
      const at = (name: string) => join(folder, name);
      writeFileSync(at("file"), "");
      leaveSocket(at("dead"));
      chmodSync(at("dead"), 0o777);
      const isRoot = process.getuid?.() === 0;
      using _denied = Bun.serve({ unix: at("denied"), fetch: () => new Response("") });
      chmodSync(at("denied"), isRoot ? 0o600 : 0);
      using other = Bun.serve({ unix: at("other"), fetch: () => new Response("hello") });
      expect(other.url).toBeDefined();
      chmodSync(at("other"), 0o777);
      mkdirSync(at("closed"), { mode: isRoot ? 0o700 : 0 });
      const cases: [string, string, string][] = [
        [at("none"), `there is no ${at("none")}`, "start `microview agent`"],
        [at("file/agent.sock"), `there is no ${at("file/agent.sock")}`, "MICROVIEW_SOCKET"],
        [at("file"), `${at("file")} is no socket`, "MICROVIEW_SOCKET"],
        [at("dead"), `nobody listens on ${at("dead")}`, "start `microview agent`"],
        [at("denied"), `this user may not connect to ${at("denied")}`, "--group"],
        [at("closed/s"), `this user may not look for ${at("closed/s")}`, "enter its folder"],
        [
          at("other"),
          `what listens on ${at("other")} does not answer as an agent does`,
          "MICROVIEW_SOCKET",
        ],
        [at("x".repeat(108)), "bytes, and the system allows 107", "shorter --socket"],
      ];
      const { stdout, stderr } = await run(
        host,
        "absent.ts",
        { sockets: cases.map(([socket]) => socket), quietMs: 3_000 },
        asNobody!,
      );
      if (stdout === "") throw new Error(stderr);
      const all = JSON.parse(stdout) as { warnings: ApiError[]; found: Readiness }[];
      for (const [i, [, message, hint]] of cases.entries()) {
        const { warnings, found } = all[i]!;
        expect(warnings.map((each) => each.message)).toEqual([
          expect.stringContaining(`shop/auth is not attached to an agent: `),
        ]);
        expect(warnings[0]!.message).toContain(message);
        expect(warnings[0]!.hint).toContain(hint);
        expect(found).toEqual({ attached: false, reason: warnings[0]! });
      }
    },
  );

  test("says so on stderr by default, and again when it is attached", async () => {
    await using host = new TestHost();
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          join(ROOT, "tests/client/fixtures/counting.ts"),
          JSON.stringify({ socket: host.socketPath }),
        ],
        { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
      ),
    );
    let said = "";
    void (async () => {
      for await (const chunk of child.stderr) said += Buffer.from(chunk).toString();
    })();
    await until("it says so", () => said.includes("\n"));
    expect(said).toMatch(
      /^microview: shop\/\w+ is not attached to an agent: there is no .*agent\.sock \(start `microview agent`/,
    );
    await host.agent();
    await until("it says that all is well", () => said.split("\n").length > 2);
    expect(said.split("\n")[1]).toMatch(/^microview: shop\/\w+ is attached to the agent now/);
    expect(said.trimEnd().split("\n")).toHaveLength(2);
  });

  test.skipIf(asNobody === undefined)(
    "because it may not open the pool says so, and what to do",
    async () => {
      await using host = new TestHost();
      await host.agent({ poolMode: 0o600 });
      await host.client().ready;
      chmodSync(host.folder, 0o755);
      chmodSync(host.poolDir, 0o755);
      chmodSync(join(host.poolDir, "shop"), 0o755);
      chownSync(host.socketPath, nobodyUid, -1);
      if (process.getuid?.() !== 0) chmodSync(join(host.poolDir, "shop/pool"), 0);
      const { stdout, stderr } = await run(
        host,
        "absent.ts",
        { sockets: [host.socketPath], quietMs: 3_000 },
        asNobody!,
      );
      if (stdout === "") throw new Error(stderr);
      const [{ warnings }] = JSON.parse(stdout) as [{ warnings: ApiError[] }];
      expect(warnings).toHaveLength(1);
      expect(warnings[0]!.message).toContain(`${host.poolDir}/shop/pool: permission denied`);
      expect(warnings[0]!.hint).toContain("--group");
    },
  );

  test("ends as it would when stderr is full, or closed", async () => {
    await using host = new TestHost();
    const argument = JSON.stringify({ way: "microview", worker: false, socket: host.socketPath });
    const file = join(ROOT, "tests/client/fixtures/waiting-longer.ts");
    for (const redirection of ["2>/dev/full", "2>&-"]) {
      const child = host.own(
        Bun.spawn(
          ["sh", "-c", `exec "$0" "$1" "$2" ${redirection}`, process.execPath, file, argument],
          {
            env: surroundings(),
            stdout: "pipe",
          },
        ),
      );
      expect(await new Response(child.stdout).text()).toBe("said to nobody\n");
      expect(await child.exited).toBe(0);
    }
  });

  test("goes on when onWarning throws", async () => {
    await using host = new TestHost();
    let told = 0;
    const mv: MicroView = host.client({
      onWarning: () => {
        told++;
        throw new Error("no");
      },
    });
    mv.counter("requests_total").inc();
    await until("it was told", () => told > 0);
    await host.agent();
    await host.shows(1, "requests_total");
  });
});

describe("what is said of standing without an agent", () => {
  const because = (message: string): ApiError => ({ code: "no-agent", message, hint: "do this" });

  function standing(isAttached = () => false) {
    const told: string[] = [];
    const it = new AttachmentStatus(
      "shop/auth",
      because("a"),
      isAttached,
      ({ message }) => told.push(message),
      20,
    );
    return { it, told };
  }

  test("is said after a while, once, and again only when the reason is another one", async () => {
    const { it, told } = standing();
    expect(told).toEqual([]);
    await until("it is said", () => told.length > 0);
    for (let i = 0; i < 10; i++) it.failed(because("a"));
    expect(told).toEqual(["shop/auth is not attached to an agent: a"]);
    for (let i = 0; i < 10; i++) it.failed(because("b"));
    expect(told[1]).toBe("shop/auth is not attached to an agent: b");
    expect(told).toHaveLength(2);
  });

  test("is not said when it is well before, nor that it is well", async () => {
    const { it, told } = standing();
    it.placed(true);
    await Bun.sleep(60);
    it.placed(true);
    expect(told).toEqual([]);
  });

  test("ends with one line that all is well, and starts over", async () => {
    const { it, told } = standing();
    await until("it is said", () => told.length > 0);
    it.placed(true);
    it.placed(true);
    expect(told[1]).toBe("shop/auth is attached to the agent now");
    it.failed(because("a"));
    expect(told).toHaveLength(2);
    await until("it is said again", () => told.length > 2);
    expect(told).toEqual([told[0]!, told[1]!, told[0]!]);
  });

  test("of one that is attached speaks of its new series", async () => {
    const { it, told } = standing(() => true);
    it.placed(true);
    it.failed(because("a"));
    await until("it is said", () => told.length > 0);
    expect(told).toEqual(["new series of shop/auth wait for the agent: a"]);
  });

  test("is nothing once it is closed", async () => {
    const { it, told } = standing();
    it.closed();
    it.failed(because("b"));
    await Bun.sleep(60);
    expect(told).toEqual([]);
    expect((await it.ready).reason?.code).toBe("closed");
  });

  test("of which there is news every time is bounded", async () => {
    const { it, told } = standing();
    await until("it is said", () => told.length > 0);
    for (let i = 0; i < 1000; i++) it.failed(because(i % 2 === 0 ? "b" : "a"));
    expect(told.length).toBeLessThan(20);
  });
});
