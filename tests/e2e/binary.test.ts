import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { ROOT, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import type { Outcome } from "../support/outcome.ts";
import { canMount, mountTmpfs } from "../support/permissions.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { patienceNow } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { BuiltAgent, builtProgram, Program, placeFlags } from "./program.ts";

beforeAll(() => {
  builtProgram();
});

/** A host with an empty folder to run in, and a temporary directory of a kind. */
class Place extends TestHost {
  readonly cwd = join(this.folder, "empty");
  readonly temporary: string;
  readonly env: Record<string, string>;

  constructor(mountOptions?: string) {
    super();
    mkdirSync(this.cwd);
    if (mountOptions === undefined) {
      this.temporary = join(this.folder, "tmp");
      mkdirSync(this.temporary);
    } else {
      const mount = mountTmpfs(mountOptions)!;
      this.onEnd(() => mount.unmount());
      this.temporary = mount.path;
    }
    this.env = { TMPDIR: this.temporary };
  }

  /** Starts the program and lets it go on. */
  program(...args: string[]): Program {
    return new Program(this, args, this);
  }

  /** Runs the program to its end. */
  outcome(...args: string[]): Promise<Outcome> {
    return this.program(...args).ended();
  }

  builtAgent(...flags: string[]): BuiltAgent {
    return new BuiltAgent(this, this, ...flags);
  }
}

/** A service as somebody else would write it, in a project of its own. */
const SERVICE = `
import { MicroView } from "microview";

const mv = new MicroView({ app: "shop", service: "auth" });
const logins = mv.counter("logins_total", { help: "Logins.", labels: ["outcome"] });
const sessions = mv.gauge("sessions");
const duration = mv.histogram("login_duration_seconds", { unit: "seconds", buckets: [0.1, 0.5, 1] });
logins.labels("ok").inc(41);
logins.labels({ outcome: "failed" }).inc(2);
sessions.set(7.5);
for (const seconds of [0.0625, 0.25, 0.25, 4]) duration.observe(seconds);
await mv.ready;
logins.labels("ok").inc();
console.log("stored");
for await (const _ of process.stdin) {}
`;

/** The same, as every way to look should tell it. */
const NUMBERS: Readonly<Record<string, number>> = {
  'logins_total{outcome="failed"}': 2,
  'logins_total{outcome="ok"}': 42,
  "sessions{}": 7.5,
  "login_duration_seconds_count{}": 4,
  "login_duration_seconds_sum{}": 4.5625,
};

/** Starts the service and waits until it has stored. */
async function startService(host: TestHost): Promise<void> {
  const project = join(host.folder, "project");
  mkdirSync(join(project, "node_modules"), { recursive: true });
  symlinkSync(ROOT, join(project, "node_modules/microview"));
  writeFileSync(join(project, "service.ts"), SERVICE);
  writeFileSync(join(project, "package.json"), '{"name": "project", "type": "module"}');
  const child = host.own(
    Bun.spawn([process.execPath, "service.ts"], {
      cwd: project,
      env: { MICROVIEW_SOCKET: host.socketPath },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    }),
  );
  expect(await new Lines(child.stdout).next()).toBe("stored");
}

interface JsonMetric {
  name: string;
  labels?: Record<string, string>;
  value?: number;
  count?: number;
  sum?: number;
}

/** Metrics of an NDJSON line, or of `inspect --json`, under the names of {@link NUMBERS}. */
function numbersOf(metrics: readonly JsonMetric[]): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const { name, labels = {}, value, count, sum } of metrics) {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    const suffix = `{${pairs.join(",")}}`;
    if (value !== undefined) numbers[name + suffix] = value;
    if (count !== undefined) numbers[`${name}_count${suffix}`] = count;
    if (sum !== undefined) numbers[`${name}_sum${suffix}`] = sum;
  }
  return numbers;
}

/** One snapshot as CSV; the fields that are read here hold no line ends. */
function numbersOfCsv(head: string, lines: readonly string[]): Record<string, number> {
  const columns = head.split(",");
  return numbersOf(
    lines.map((line) => {
      const fields = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)];
      const field = (name: string) => {
        const [, quoted, plain] = fields[columns.indexOf(name)]!;
        return quoted?.replaceAll('""', '"') ?? plain!;
      };
      const number = (name: string) => (field(name) === "" ? {} : { [name]: Number(field(name)) });
      const label = /^(\w+)="(.*)"$/.exec(field("labels"));
      return {
        name: field("name"),
        ...(label === null ? {} : { labels: { [label[1]!]: label[2]! } }),
        ...number("value"),
        ...number("count"),
        ...number("sum"),
      };
    }),
  );
}

/** Application shop of a Prometheus text. */
function numbersOfText(text: string): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const { samples } of parsePrometheus(text).values()) {
    for (const [key, value] of samples) {
      if (!key.includes('service="auth"') || key.includes("_bucket")) continue;
      const rest = key.replace('app="shop"', "").replace('service="auth"', "");
      numbers[rest.replace(/,+/g, ",").replace("{,", "{").replace(",}", "}")] = value;
    }
  }
  return numbers;
}

describe.each([
  ["", undefined],
  [" with a read-only TMPDIR", "ro"],
  [" with a noexec TMPDIR", "noexec"],
])("the binary%s", (_name, mountOptions) => {
  const skipped = mountOptions !== undefined && !canMount;
  const why = skipped ? " (skipped: mounting is not permitted here)" : "";

  test.skipIf(skipped)(
    `shows what a service has stored by every way there is, and leaves nothing behind${why}`,
    async () => {
      await using host = new Place(mountOptions);
      const agent = host.builtAgent();
      const port = await agent.serves();
      await startService(host);
      const target = `localhost:${port}`;

      for (const transport of ["mmap", "tcp", "auto"]) {
        const flags = ["--once", "--app", "shop", "--transport", transport];
        const { exitCode, stdout, stderr } = await host.outcome("collect", target, ...flags);
        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
        const { app, source, metrics } = JSON.parse(stdout);
        expect({ app, source }).toEqual({ app: "shop", source: target });
        expect(numbersOf(metrics)).toEqual(NUMBERS);
      }

      const twice = ["--app", "shop", "--count", "2", "--interval", "20ms"];
      const csv = await host.outcome("collect", target, ...twice, "--format", "csv");
      expect(csv.exitCode).toBe(0);
      const [head, ...lines] = csv.stdout.trimEnd().split("\n");
      expect(lines).toHaveLength(8);
      expect(numbersOfCsv(head!, lines.slice(0, 4))).toEqual(NUMBERS);
      expect(numbersOfCsv(head!, lines.slice(4))).toEqual(NUMBERS);
      // What is no data goes elsewhere.
      expect(csv.stderr).toStartWith(`${target}: 2 snapshots, read by mmap; missed deadlines `);

      const text = await host.outcome("collect", target, ...twice, "--format", "prometheus");
      expect(text.exitCode).toBe(0);
      const texts = text.stdout.split("\n\n");
      expect(texts).toHaveLength(2);
      for (const each of texts) expect(numbersOfText(`${each.trimEnd()}\n`)).toEqual(NUMBERS);

      const inspected = await host.outcome("inspect", "--json", "--pool-dir", host.poolDir);
      expect(inspected.exitCode).toBe(0);
      const shop = JSON.parse(inspected.stdout).pools.find(
        (pool: { app: string }) => pool.app === "shop",
      );
      type Inspected = { name: string; series: Omit<JsonMetric, "name">[] };
      const series = shop.services[0].metrics.flatMap(({ name, series }: Inspected) =>
        series.map((each) => ({ name, ...each })),
      );
      expect(numbersOf(series)).toEqual(NUMBERS);

      const served = await fetch(`http://${target}/metrics`);
      expect(numbersOfText(await served.text())).toEqual(NUMBERS);

      expect((await agent.end("SIGTERM")).exitCode).toBe(0);
      expect(readdirSync(host.temporary)).toEqual([]);
      expect(readdirSync(host.cwd)).toEqual([]);
      // With the agent gone, the pools tell the same.
      const after = await host.outcome("collect", "--once", "--app", "shop", ...placeFlags(host));
      expect(numbersOf(JSON.parse(after.stdout).metrics)).toEqual(NUMBERS);
    },
  );

  test.skipIf(skipped)(
    `records a run and replays it, with the DuckDB that it has inside, and leaves nothing else behind${why}`,
    async () => {
      await using host = new Place(mountOptions);
      const agent = host.builtAgent();
      await agent.serves();
      await startService(host);
      const run = join(host.folder, "run.parquet");
      const flags = ["--app", "shop", "--count", "5", "--interval", "10ms", ...placeFlags(host)];
      const printed = await host.outcome("collect", ...flags, "--format", "ndjson", "--out", run);
      expect(printed.stderr).toContain("bytes per sample");
      expect(printed.exitCode).toBe(0);
      const replay = ["replay", run, "--speed", "max"];
      const replayed = await host.outcome(...replay, "--format", "ndjson");
      expect(replayed.stdout).toBe(printed.stdout);
      const again = join(host.folder, "again.parquet");
      expect(await host.outcome(...replay, "--out", again)).toMatchObject({ exitCode: 0 });
      expect(readFileSync(again)).toEqual(readFileSync(run));
      expect(readdirSync(host.temporary)).toEqual([]);
      expect(readdirSync(host.cwd)).toEqual([]);
    },
  );
});

describe("the binary's command line", () => {
  test("--version and --help answer, and each subcommand has its help", async () => {
    await using host = new Place();
    const version = { exitCode: 0, stdout: `${packageJson.version}\n`, stderr: "" };
    expect(await host.outcome("--version")).toEqual(version);
    const help = await host.outcome("--help");
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    const names = [...help.stdout.matchAll(/^ {2}([a-z]+) {2}/gm)].map(([, name]) => name!);
    expect(names.sort()).toEqual([
      "agent",
      "collect",
      "completion",
      "demo",
      "doctor",
      "events",
      "export",
      "inspect",
      "lake",
      "query",
      "replay",
      "trace",
    ]);
    const pages = await Promise.all(names.map((name) => host.outcome("help", name)));
    for (const [i, { exitCode, stdout, stderr }] of pages.entries()) {
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout.split("Examples\n")[1]).toContain(`microview ${names[i]}`);
    }
  });

  test.each([
    [["agnet"], "agent"],
    [["help", "colect"], "collect"],
    [["collect", "--intervall", "1s"], "--interval"],
    [["agent", "--prot", "0"], "--port"],
    [["demo", "--durration", "1s"], "--duration"],
  ])("%p is refused with exit code 2 and the nearest name", async (args, nearest) => {
    await using host = new Place();
    const { exitCode, stdout, stderr } = await host.outcome(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toEndWith(`hint: did you mean ${nearest}?\n`);
  });

  test("doctor --json parses, and finds the agent", async () => {
    await using host = new Place();
    const port = await host.builtAgent().serves();
    const flags = ["--json", "--port", String(port), ...placeFlags(host)];
    const { exitCode, stdout } = await host.outcome("doctor", ...flags);
    expect(exitCode).toBe(0);
    const { version, ok, findings } = JSON.parse(stdout);
    expect({ version, ok }).toEqual({ version: packageJson.version, ok: true });
    const level = (id: string) => findings.find((each: { id: string }) => each.id === id).level;
    expect(["native", "agent-socket", "agent-port", "pools"].map(level)).toEqual(
      Array(4).fill("ok"),
    );
  });

  test("completion bash prints what bash takes", async () => {
    await using host = new Place();
    const { exitCode, stdout } = await host.outcome("completion", "bash");
    expect(exitCode).toBe(0);
    const bash = Bun.spawn(["bash", "-n"], { stdin: new Blob([stdout]), stderr: "pipe" });
    expect(await new Response(bash.stderr).text()).toBe("");
    expect(await bash.exited).toBe(0);
  });
});

test("the binary runs nothing and takes no setting from the folder that it is started in", async () => {
  await using host = new Place();
  writeFileSync(join(host.cwd, "bunfig.toml"), 'preload = ["./preloaded.ts"]\n');
  writeFileSync(join(host.cwd, "preloaded.ts"), 'console.log("preloaded");\n');
  writeFileSync(join(host.cwd, ".env"), "MICROVIEW_SOCKET=/from-the-folder/agent.sock\n");
  const { exitCode, stdout } = await host.outcome("doctor");
  expect(exitCode).toBe(0);
  expect(stdout).not.toContain("preloaded");
  expect(stdout).not.toContain("/from-the-folder/");
});

describe("the binary's collect", () => {
  test("says with exit code 1 that no agent answers, and what to look at", async () => {
    await using host = new Place();
    // Taken and given back, so nobody listens there.
    const server = createServer().listen(0, "127.0.0.1");
    await until("the port is known", () => server.listening);
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const { exitCode, stdout, stderr } = await host.outcome(
      "collect",
      `127.0.0.1:${port}`,
      "--once",
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toStartWith(`microview: no agent answers at 127.0.0.1:${port}`);
    expect(stderr).toContain("\nhint: is `microview agent` running there?");
  });

  test("says what a host needs that has nothing to read yet", async () => {
    await using host = new Place();
    const { exitCode, stdout, stderr } = await host.outcome(
      "collect",
      "--once",
      ...placeFlags(host),
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toStartWith("microview: local has no application\nhint: ");
    expect(stderr).toContain("`microview agent`");
  });

  test("a token is asked for: without it or with a wrong one exit code 1, with it the numbers", async () => {
    await using host = new Place();
    const [right, wrong] = [join(host.folder, "right"), join(host.folder, "wrong")];
    writeFileSync(right, "correct-horse\n");
    writeFileSync(wrong, "battery-staple\n");
    const port = await host.builtAgent("--token-file", right).serves();
    await startService(host);
    const url = `http://127.0.0.1:${port}/metrics`;
    expect((await fetch(url)).status).toBe(401);

    const once = ["collect", `127.0.0.1:${port}`, "--once", "--app", "shop"];
    for (const transport of ["auto", "tcp"]) {
      const flags = [...once, "--transport", transport];
      for (const refused of [flags, [...flags, "--token-file", wrong]]) {
        const { exitCode, stdout, stderr } = await host.outcome(...refused);
        expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
        expect(stderr).toContain("token");
        expect(stderr).not.toContain("battery-staple");
      }
      const { exitCode, stdout } = await host.outcome(...flags, "--token-file", right);
      expect(exitCode).toBe(0);
      expect(numbersOf(JSON.parse(stdout).metrics)).toEqual(NUMBERS);
    }
  });

  test.each(["ndjson", "csv"])(
    "Ctrl-C flushes %s to the last whole line and exits 0",
    async (format) => {
      await using host = new Place();
      await host.builtAgent().serves();
      await startService(host);
      const flags = ["--app", "shop", "--interval", "5ms", "--format", format, ...placeFlags(host)];
      const collect = host.program("collect", ...flags);
      await collect.shows("it prints", ({ stdout }) => stdout.split("\n").length > 50);
      const { exitCode, stdout, stderr } = await collect.end("SIGINT");
      expect(exitCode).toBe(0);
      expect(stdout).toEndWith("\n");
      const lines = stdout.trimEnd().split("\n");
      const snapshots = Number(/^local: (\d+) snapshots?/.exec(stderr)?.[1]);
      if (format === "ndjson") {
        expect(lines).toHaveLength(snapshots);
        for (const line of lines) expect(numbersOf(JSON.parse(line).metrics)).toEqual(NUMBERS);
      } else {
        expect(lines).toHaveLength(1 + 4 * snapshots);
        expect(numbersOfCsv(lines[0]!, lines.slice(-4))).toEqual(NUMBERS);
      }
    },
  );
});

describe("the binary's agent", () => {
  test("does not listen for other hosts without a token and TLS", async () => {
    await using host = new Place();
    const { exitCode, stderr } = await host.builtAgent("--host", "0.0.0.0").ended();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("0.0.0.0 is reachable from other hosts");
    expect(stderr).toContain("give --token-file FILE or --tls-cert and --tls-key");
  });

  test("a second one on the same socket is refused with the pid of the first", async () => {
    await using host = new Place();
    const first = host.builtAgent();
    const port = await first.serves();
    const { exitCode, stderr } = await host.builtAgent().ended();
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`an agent with pid ${first.pid} serves ${host.socketPath} already`);
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  });

  test("SIGTERM ends it with exit code 0 within 2 s, also while it is read", async () => {
    await using host = new Place();
    const agent = host.builtAgent();
    const port = await agent.serves();
    await startService(host);
    const flags = ["--interval", "5ms", "--transport", "tcp", "--app", "shop"];
    const collect = host.program("collect", `127.0.0.1:${port}`, ...flags);
    await collect.shows("it is read", ({ stdout }) => stdout.includes("\n"));
    const start = performance.now();
    const { exitCode } = await agent.end("SIGTERM");
    expect(performance.now() - start).toBeLessThan(patienceNow(2_000));
    expect(exitCode).toBe(0);
    expect(readdirSync(host.folder)).not.toContain("agent.sock");
    expect((await collect.end("SIGINT")).exitCode).toBe(0);
  });

  test("says what to do about a data port that is taken", async () => {
    await using host = new Place();
    const server = createServer().listen(0, "127.0.0.1");
    await until("the port is known", () => server.listening);
    host.onEnd(() => server.close());
    const { port } = server.address() as { port: number };
    const { exitCode, stderr } = await host.builtAgent("--data-port", String(port)).ended();
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).toContain(
      "stop what listens there (`ss -ltnp` shows it), or give another --data",
    );
  });

  // Bun.serve({ development: false }) shares its port unless it is told `reusePort: false` (src/agent/agent.ts).
  test("is refused a REST port that another agent has", async () => {
    await using host = new Place();
    await using other = new Place();
    const port = await host.builtAgent().serves();
    const { exitCode, stderr } = await other.builtAgent("--port", String(port)).ended();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("stop what listens there");
  });
});
