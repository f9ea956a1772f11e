import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { TestHost } from "../support/host.ts";
import { canMount, mountTmpfs } from "../support/permissions.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { builtProgram, commandLine, descendants, Program } from "./program.ts";

setDefaultTimeout(patience(60_000));

beforeAll(() => {
  builtProgram();
});

const SERVICES = ["auth", "gateway", "orders"];

/** The demo, in a process group of its own, and what it leaves. */
class Demo extends Program {
  readonly temporary: string;
  /** Its processes, once it is under way. */
  processes: number[] = [];
  /** Its folder in shared memory. */
  folder = "";
  ports: number[] = [];

  constructor(host: TestHost, args: string[] = [], temporary = join(host.folder, "tmp")) {
    const cwd = join(host.folder, "cwd");
    for (const folder of [cwd, temporary]) mkdirSync(folder, { recursive: true });
    super(host, ["demo", ...args], { cwd, env: { TMPDIR: temporary }, detached: true });
    this.temporary = temporary;
    host.onEnd(() => {
      for (const pid of this.processes) {
        if (commandLine(pid)?.includes("demo-service")) process.kill(pid, "SIGKILL");
      }
      if (this.folder !== "") rmSync(this.folder, { recursive: true, force: true });
    });
  }

  /** Waits until all of it runs and has printed a snapshot with rates. */
  async isUnderWay(): Promise<void> {
    await this.shows("the demo prints rates", ({ stdout }) => /\d\/s/.test(stdout));
    // Without those that the lake keeps ready for queries.
    this.processes = descendants(this.pid).filter((pid) =>
      commandLine(pid)?.includes("demo-service"),
    );
    const lines = this.processes.map((pid) => commandLine(pid) ?? []);
    const socket = lines.map((line) => line[line.indexOf("--socket") + 1]).find(isSocket);
    this.folder = dirname(socket ?? "");
    this.ports = [...this.stderr.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
  }

  /** Nothing of it is there any more. */
  async leavesNothing(): Promise<void> {
    expect(this.processes.filter((pid) => commandLine(pid)?.includes("demo-service"))).toEqual([]);
    expect(existsSync(this.folder)).toBe(false);
    expect(readdirSync(this.temporary)).toEqual([]);
    expect(await Promise.all(this.ports.map(isListening))).toEqual(this.ports.map(() => false));
  }
}

function isSocket(path: string | undefined): boolean {
  return path?.endsWith(".sock") === true;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Values of a column of the last snapshot, by service and metric. */
function lastRates(stdout: string): Map<string, number> {
  const rates = new Map<string, number>();
  const lines = stdout.slice(stdout.lastIndexOf("microview · ")).split("\n");
  for (const line of lines) {
    const row = /^(\w+) +(\S+) .*? ([\d.]+)\/s/.exec(line);
    if (row !== null) rates.set(`${row[1]} ${row[2]}`, Number(row[3]));
  }
  return rates;
}

describe("the demo without a terminal", () => {
  test("prints snapshots of all three services with rates, ends by itself and leaves nothing", async () => {
    await using host = new TestHost();
    const demo = new Demo(host, ["--duration", "3s"]);
    await demo.isUnderWay();
    // Three services, their load, and the lake.
    expect(demo.processes).toHaveLength(5);
    // Those of the lake, the agent and the services.
    expect(demo.ports).toHaveLength(5);
    expect(await Promise.all(demo.ports.map(isListening))).toEqual(demo.ports.map(() => true));

    const { exitCode, stdout, stderr } = await demo.ended();
    expect(exitCode).toBe(0);
    // Plain text, a snapshot each second.
    expect(stdout).not.toContain("\u001b");
    expect(stdout.split("microview · local · shop").length - 1).toBeGreaterThanOrEqual(3);
    const rates = lastRates(stdout);
    const counted = [...rates].filter(([name, rate]) => name.includes("_total") && rate > 0);
    expect([...new Set(counted.map(([name]) => name.split(" ")[0]!))].sort()).toEqual(SERVICES);
    expect(stderr).toContain("missed deadlines");
    await demo.leavesNothing();
  });

  test("ends with a query over what its services have logged, and a request through all of them", async () => {
    await using host = new TestHost();
    const demo = new Demo(host, ["--duration", "4s"]);
    await demo.isUnderWay();
    const { exitCode, stdout, stderr } = await demo.ended();
    const said = stderr.replaceAll(/^microview: finishing: asking its lake; .*\n/gm, "");
    expect({ exitCode, said }).toEqual({
      exitCode: 0,
      said: expect.not.stringContaining("microview:"),
    });
    const words = stdout.slice(stdout.indexOf("\nmicroview query "));
    for (const row of [
      "auth *info *session found",
      "orders *info *order placed",
      "gateway *info *bought",
    ]) {
      expect(words).toMatch(new RegExp(`\n${row} *\\d+\n`));
    }
    const waterfall = words.slice(words.indexOf("\nmicroview trace "));
    expect(waterfall).toMatch(/\ntrace [0-9a-f]{32} POST \/buy\/:user\/:count\n/);
    expect(waterfall).toMatch(/ \d+ spans of 3 services /);
    expect(waterfall).toMatch(/\nauth +GET \/check\/:token +[█▌▐]/);
    expect(waterfall).toMatch(/\n +· INFO +bought /);
    await demo.leavesNothing();
  });

  test("ends by Ctrl-C, which all of its processes get at once, and leaves nothing", async () => {
    await using host = new TestHost();
    const demo = new Demo(host);
    await demo.isUnderWay();
    process.kill(-demo.pid, "SIGINT");
    const { exitCode, stdout, stderr } = await demo.ended();
    // Only that it asks its lake, should that take longer than a moment.
    const said = stderr.replaceAll(/^microview: finishing: asking its lake; .*\n/gm, "");
    expect({ exitCode, said }).toEqual({
      exitCode: 0,
      said: expect.not.stringContaining("microview:"),
    });
    expect(stdout).toContain("\nmicroview query ");
    await demo.leavesNothing();
  });

  test("when it is killed, its services end by themselves", async () => {
    await using host = new TestHost();
    const demo = new Demo(host);
    await demo.isUnderWay();
    await demo.end("SIGKILL");
    await until("the services have ended", () =>
      demo.processes.every((pid) => !commandLine(pid)?.includes("demo-service")),
    );
    expect(await Promise.all(demo.ports.map(isListening))).toEqual(demo.ports.map(() => false));
  });

  test("what a killed one left goes with the next, and what a living one has stays", async () => {
    await using host = new TestHost();
    const [killed, living] = [new Demo(host), new Demo(host)];
    await Promise.all([killed.isUnderWay(), living.isUnderWay()]);
    await killed.end("SIGKILL");
    expect(existsSync(killed.folder)).toBe(true);
    const { exitCode, stderr } = await new Demo(host, ["--duration", "1s"]).ended();
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`removed ${killed.folder}, which a demo that was killed had left\n`);
    expect([killed.folder, living.folder].map(existsSync)).toEqual([false, true]);
    const printed = living.stdout.length;
    await living.shows("the living one is read on", ({ stdout }) => stdout.length > printed);
    expect((await living.end("SIGINT")).exitCode).toBe(0);
    await living.leavesNothing();
  });

  test.skipIf(!canMount)(
    "needs no writable TMPDIR (skipped where mounting is not permitted)",
    async () => {
      await using host = new TestHost();
      const mount = mountTmpfs("ro")!;
      host.onEnd(() => mount.unmount());
      const demo = new Demo(host, ["--duration", "1s"], mount.path);
      expect(await demo.ended()).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining("orders_value_euros_total"),
      });
    },
  );
});
