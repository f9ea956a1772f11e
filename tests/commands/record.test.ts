// `microview collect --out` and `microview replay`, run as people run them.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { journalOf } from "../../src/sinks/recording/parquet-file.ts";
import { CLI, TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { queryParquet } from "../support/parquet.ts";
import { asNobody, canMount, mountTmpfs } from "../support/permissions.ts";
import { type DecodedSeries, decodeWriteRequest } from "../support/remote-write.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

// DuckDB is loaded by each process again.
setDefaultTimeout(patience(60_000));

/** A host whose services change at every millisecond. */
class BusyHost extends TestHost {
  async start(series = 20): Promise<void> {
    await this.agentProcess();
    const mv = this.client();
    const requests = mv.counter("requests_total", { labels: ["path"] });
    const children = Array.from({ length: series }, (_, i) => requests.labels({ path: `/${i}` }));
    const level = mv.gauge("level");
    const seconds = mv.histogram("seconds", { buckets: [0.1, 1] });
    await mv.ready;
    let step = 0;
    const timer = setInterval(() => {
      step++;
      for (const child of children) child.inc(step % 3);
      level.set(Math.sin(step));
      seconds.observe(step % 2);
    }, 1);
    this.onEnd(() => clearInterval(timer));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** `microview collect` of this host at a millisecond, as a child. */
  collect(...flags: string[]) {
    const args = ["collect", "--socket", this.socketPath, "--app", "shop", "--interval", "1ms"];
    return this.own(
      Bun.spawn([process.execPath, CLI, ...args, ...flags], {
        stdin: "ignore",
        stdout: Bun.file(this.path("stdout")),
        stderr: Bun.file(this.path("stderr")),
      }),
    );
  }

  /** The same to its end. */
  record(...flags: string[]) {
    const args = ["--socket", this.socketPath, "--app", "shop", "--interval", "1ms", ...flags];
    return runCli(["collect", ...args]);
  }

  text(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  bytes(name: string): number {
    return statSync(this.path(name), { throwIfNoEntry: false })?.size ?? 0;
  }
}

/** Lines that are whole. */
function wholeLines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}

/** A recording of a few snapshots, made once; it ends with the tests. */
let recordedHost: Promise<{ host: BusyHost; path: string }> | undefined;
async function smallRecording(): Promise<string> {
  recordedHost ??= (async () => {
    const host = new BusyHost();
    await host.start(1);
    const path = host.path("run.parquet");
    await host.record("--count", "5", "--out", path);
    return { host, path };
  })();
  return (await recordedHost).path;
}
afterAll(async () => await (await recordedHost)?.host[Symbol.asyncDispose]());

async function replayed(path: string, ...flags: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCli([
    ...["replay", path, "--speed", "max", "--format", "ndjson"],
    ...flags,
  ]);
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

describe("a recorded run", () => {
  test("is replayed as it was printed, whatever it goes to, and recorded again is the same", async () => {
    await using host = new BusyHost();
    await host.start();
    const path = host.path("run.parquet");
    const run = await host.record("--count", "300", "--out", path, "--format", "ndjson");
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toMatch(/run\.parquet: 300 snapshots, 6600 samples, .* bytes per sample\n/);
    expect(existsSync(journalOf(path))).toBe(false);
    expect(await replayed(path)).toBe(run.stdout);

    const again = host.path("again.parquet");
    const copy = await runCli(["replay", path, "--speed", "max", "--out", again]);
    expect(copy).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await replayed(again)).toBe(run.stdout);
    const all = "SELECT * FROM read_parquet(FILE)";
    expect(await queryParquet(again, all)).toEqual(await queryParquet(path, all));

    for (const name of ["run.ndjson", "run.ndjson.gz", "run.ndjson.zst"]) {
      const { exitCode } = await runCli([
        "replay",
        path,
        "--speed",
        "max",
        "--out",
        host.path(name),
      ]);
      expect(exitCode).toBe(0);
      const bytes = readFileSync(host.path(name));
      const text = name.endsWith("gz")
        ? Bun.gunzipSync(bytes)
        : name.endsWith("zst")
          ? Bun.zstdDecompressSync(bytes)
          : bytes;
      expect(Buffer.from(text).toString()).toBe(run.stdout);
    }
    const csv = await runCli(["replay", path, "--speed", "max", "--out", host.path("run.csv")]);
    expect(csv.exitCode).toBe(0);
    const printed = await runCli(["replay", path, "--speed", "max", "--format", "csv"]);
    expect(host.text("run.csv")).toBe(printed.stdout);
    expect(wholeLines(printed.stdout)).toHaveLength(1 + 6600);
    const text = await runCli(["replay", path, "--speed", "max", "--format", "prometheus"]);
    expect(text.stdout.match(/^# TYPE requests_total counter$/gm)).toHaveLength(300);
  });

  test("can be asked for a part of it", async () => {
    await using host = new BusyHost();
    await host.start(2);
    const path = host.path("run.parquet");
    const { stdout } = await host.record("--count", "200", "--out", path, "--format", "ndjson");
    const lines = wholeLines(stdout).map((line) => JSON.parse(line));
    const gauges = wholeLines(await replayed(path, "--metric", "lev*")).map((line) =>
      JSON.parse(line),
    );
    expect(gauges.map(({ metrics }) => metrics)).toEqual(
      lines.map(({ metrics }) => metrics.filter(({ name }: { name: string }) => name === "level")),
    );
    const from = lines[50].time;
    const to = lines[99].time;
    const times = (text: string) => wholeLines(text).map((line) => JSON.parse(line).time);
    // Date.parse knows milliseconds.
    const wanted = lines
      .map(({ time }) => time)
      .filter((time) => Date.parse(time) >= Date.parse(from) && time <= to.slice(0, 23));
    expect(times(await replayed(path, "--from", from, "--to", to))).toEqual(wanted);
    const firstMs = Date.parse(lines[0].time);
    const late = times(await replayed(path, "--from", "100ms"));
    expect(Date.parse(late[0]!) - firstMs).toBeGreaterThanOrEqual(99);
    expect(late.at(-1)).toBe(lines.at(-1).time);
  });

  test("with writers by themselves has them, and their sums", async () => {
    await using host = new BusyHost();
    await host.start(2);
    const other = host.client({ service: "orders" });
    other
      .counter("requests_total", { labels: ["path"] })
      .labels({ path: "/" })
      .inc(5);
    await other.ready;
    const path = host.path("run.parquet");
    const flags = ["--count", "50", "--out", path, "--per-writer", "--format", "ndjson"];
    const run = await host.record(...flags);
    expect(run.exitCode).toBe(0);
    expect(await replayed(path, "--per-writer")).toBe(run.stdout);
    const sums = wholeLines(await replayed(path)).map((line) => JSON.parse(line));
    expect(sums.at(-1).metrics).toContainEqual(
      expect.objectContaining({ service: "orders", name: "requests_total", value: 5 }),
    );
    const columns = await queryParquet(path, "SELECT DISTINCT writer FROM FILE WHERE writer > 0");
    expect(columns.length).toBeGreaterThanOrEqual(2);
  });

  test("is read by others: SQL finds the values that were printed", async () => {
    await using host = new BusyHost();
    await host.start(3);
    const path = host.path("run.parquet");
    const { stdout } = await host.record("--count", "100", "--out", path, "--format", "ndjson");
    const last = JSON.parse(wholeLines(stdout).at(-1)!);
    const found = await queryParquet(
      path,
      `SELECT labels->>'path', arg_max(value, time) FROM FILE
       WHERE metric = 'requests_total' AND part = 'value' GROUP BY ALL ORDER BY ALL`,
    );
    type Printed = { name: string; labels: { path: string }; value: number };
    const printed = last.metrics
      .filter(({ name }: Printed) => name === "requests_total")
      .map(({ labels, value }: Printed) => [labels.path, value]);
    expect(found).toEqual(printed.sort());
    const snapshots = await queryParquet(
      path,
      "SELECT count(*)::INTEGER, sum(missed)::INTEGER FROM FILE WHERE part = 'snapshot'",
    );
    const missed = wholeLines(stdout).reduce((sum, line) => sum + JSON.parse(line).missed, 0);
    expect(snapshots).toEqual([[100, missed]]);
  });
});

describe("a recorded run that is sent on", () => {
  /** A recording of 100 ms, and what it has of its gauge by time in ms. */
  async function recorded(host: BusyHost) {
    await host.start(1);
    const path = host.path("run.parquet");
    const { stdout } = await host.record("--count", "100", "--out", path, "--format", "ndjson");
    const levels = wholeLines(stdout).map((line) => {
      const { time, metrics } = JSON.parse(line);
      const { value } = metrics.find(({ name }: { name: string }) => name === "level");
      return { ms: Date.parse(`${time.slice(0, 23)}Z`), value };
    });
    return { path, levels };
  }

  test("by remote write has the times at which it was recorded", async () => {
    await using host = new BusyHost();
    const { path, levels } = await recorded(host);
    const samples: DecodedSeries["samples"] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        for (const { labels, samples: some } of decodeWriteRequest(await request.bytes())) {
          const name = labels.find((label) => label.name === "__name__")?.value;
          if (name === "level") samples.push(...some.filter(({ stale }) => !stale));
        }
        return new Response(null, { status: 204 });
      },
    });
    host.onEnd(() => server.stop(true));
    const push = ["--remote-write", `${server.url}api/v1/write`, "--remote-write-protocol", "1"];
    const { exitCode, stderr } = await runCli(["replay", path, "--speed", "max", ...push]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stderr).toContain(`replayed ${path}: 100 snapshots, 300 samples in `);
    expect(samples.map(({ value }) => value)).toEqual(levels.map(({ value }) => value));
    // Of two in the same millisecond the later has the next one.
    const lateMs = samples.map(({ timestamp }, i) => timestamp - levels[i]!.ms);
    expect(Math.min(...lateMs)).toBe(0);
    expect(Math.max(...lateMs)).toBeLessThan(10);
  });

  test("by OTLP has them too, and with --now those of its replay", async () => {
    await using host = new BusyHost();
    const { path, levels } = await recorded(host);
    for (const flags of [[], ["--now"]]) {
      await using receiver = new OtlpReceiver();
      const before = Date.now();
      const push = ["--otlp", receiver.url, "--otlp-interval", "10ms"];
      const { exitCode, stderr } = await runCli(["replay", path, ...push, ...flags]);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      const points = receiver.metrics
        .filter(({ name }) => name === "level")
        .flatMap(({ points: some }) => some)
        .filter(({ asDouble }) => asDouble !== undefined);
      expect(points.length).toBeGreaterThan(1);
      for (const { timeUnixNano, asDouble } of points) {
        const ms = Math.floor(Number(BigInt(timeUnixNano) / 1_000n) / 1000);
        if (flags.length === 0) expect(levels).toContainEqual({ ms, value: asDouble! });
        else expect(ms).toBeGreaterThanOrEqual(before);
      }
    }
  });

  test("by OTLP at any speed has a point for each interval of the recording", async () => {
    await using host = new BusyHost();
    const { path, levels } = await recorded(host);
    await using receiver = new OtlpReceiver();
    const push = ["--otlp", receiver.url, "--otlp-interval", "10ms"];
    const { exitCode, stderr } = await runCli(["replay", path, "--speed", "max", ...push]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    const times = receiver.metrics
      .filter(({ name }) => name === "level")
      .flatMap(({ points }) => points.map(({ timeUnixNano }) => Number(timeUnixNano) / 1e6));
    const lastsMs = levels.at(-1)!.ms - levels[0]!.ms;
    expect(times.length).toBeGreaterThanOrEqual(Math.floor(lastsMs / 30));
    const steps = times.slice(1).map((ms, i) => ms - times[i]!);
    expect(Math.min(...steps)).toBeGreaterThan(8);
  });

  test("waits for a receiver that is away, longer than the end of collect does", async () => {
    await using host = new BusyHost();
    const { path, levels } = await recorded(host);
    let values: number[] = [];
    let openMs = 0;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        openMs ||= Date.now() + 6_000;
        if (Date.now() < openMs) {
          return new Response(null, { status: 503, headers: { "retry-after": "6" } });
        }
        const all = decodeWriteRequest(await request.bytes());
        const ofLevel = all.filter(({ labels }) => labels.some(({ value }) => value === "level"));
        values = [...values, ...ofLevel.flatMap(({ samples }) => samples.map((s) => s.value))];
        return new Response(null, { status: 204 });
      },
    });
    host.onEnd(() => server.stop(true));
    const push = ["--remote-write", `${server.url}api/v1/write`, "--remote-write-protocol", "1"];
    const { exitCode, stderr } = await runCli(["replay", path, "--speed", "max", ...push]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(values).toEqual(levels.map(({ value }) => value));
  });

  test("can be scraped while it is replayed", async () => {
    await using host = new BusyHost();
    const { path } = await recorded(host);
    const child = host.own(
      Bun.spawn([process.execPath, CLI, "replay", path, "--loop", "--listen", "0"], {
        stdin: "ignore",
        stdout: "ignore",
        stderr: Bun.file(host.path("stderr")),
      }),
    );
    const [, url] = await until("it says where it is scraped", () => {
      return /scraped at (\S+)/.exec(host.text("stderr"));
    });
    const text = await until("it has something", async () => {
      const body = await (await fetch(url!)).text();
      return body.includes("requests_total") ? body : undefined;
    });
    expect(text).toMatch(/^level\{app="shop",service="auth"\} /m);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });
});

describe("a recording that does not end well", () => {
  test("of a collector that is killed has all parts that were closed, to the last value", async () => {
    await using host = new BusyHost();
    await host.start();
    const path = host.path("run.parquet");
    const flags = ["--out", path, "--out-block", "50ms", "--format", "ndjson"];
    const collector = host.collect(...flags);
    await until("some parts are closed", () => {
      return host.bytes("run.parquet.open") > 20_000 && host.bytes("stdout") > 1e6;
    });
    collector.kill("SIGKILL");
    await collector.exited;
    // As it is, it has no footer; a replay completes it, and then anybody can read it.
    expect(queryParquet(path, "SELECT count(*) FROM FILE")).rejects.toThrow();
    const repair = await runCli(["replay", path, "--repair"]);
    expect(repair).toMatchObject({ exitCode: 0, stdout: "" });
    expect(repair.stderr).toContain("its recording was interrupted: completed with ");
    const again = await runCli(["replay", path, "--repair"]);
    expect(again.stderr).toContain(`${path}: it is complete; `);
    const stdout = await replayed(path);
    const printed = host.text("stdout");
    expect(wholeLines(stdout).length).toBeGreaterThan(100);
    // What was printed last may be a part of a line that was recorded whole.
    const common = Math.min(stdout.length, printed.lastIndexOf("\n") + 1);
    expect(stdout.slice(0, common)).toBe(printed.slice(0, common));
    expect(existsSync(journalOf(path))).toBe(false);
    const [[count]] = (await queryParquet(
      path,
      "SELECT count(*)::INTEGER FROM FILE WHERE part = 'snapshot'",
    )) as [[number]];
    expect(count).toBe(wholeLines(stdout).length);
  });

  test("by Ctrl-C is complete", async () => {
    await using host = new BusyHost();
    await host.start();
    const path = host.path("run.parquet");
    const collector = host.collect("--out", path, "--format", "ndjson");
    await until("it has printed", () => host.bytes("stdout") > 1e6);
    collector.kill("SIGINT");
    expect(await collector.exited).toBe(0);
    expect(existsSync(journalOf(path))).toBe(false);
    expect(await replayed(path)).toBe(host.text("stdout"));
  });

  test("is left alone while its recorder lives", async () => {
    await using host = new BusyHost();
    await host.start(2);
    const path = host.path("run.parquet");
    const collector = host.collect("--out", path, "--out-block", "20ms");
    await until("some parts are closed", () => host.bytes("run.parquet.open") > 10_000);
    const replay = await runCli(["replay", path]);
    expect(replay).toMatchObject({ exitCode: 1, stdout: "" });
    expect(replay.stderr).toContain(`${path}: it is being recorded by another process`);
    const other = await host.record("--count", "1", "--out", path, "--force");
    expect(other).toMatchObject({ exitCode: 1, stdout: "" });
    expect(other.stderr).toContain("it is being recorded by another process");
    collector.kill("SIGTERM");
    expect(await collector.exited).toBe(0);
    expect(await replayed(path)).not.toBe("");
  });

  test.skipIf(!canMount)(
    "for the disk is full has what was closed before, and says so",
    async () => {
      await using host = new BusyHost();
      await host.start(200);
      const disk = mountTmpfs("size=400k")!;
      host.onEnd(() => disk.unmount());
      const path = join(disk.path, "run.parquet");
      const { exitCode, stderr } = await host.record("--out", path, "--out-block", "50ms");
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`microview: --out: cannot write ${path}: the disk is full\nhint: `);
      const lines = wholeLines(await replayed(path));
      expect(lines.length).toBeGreaterThan(10);

      const text = join(disk.path, "run.ndjson");
      const second = await host.record("--out", text);
      expect(second.exitCode).toBe(1);
      expect(second.stderr).toContain(`cannot write ${text}: the disk is full`);
    },
    patience(60_000),
  );
});

describe("--out", () => {
  test("replaces no file unless it is told to", async () => {
    await using host = new BusyHost();
    await host.start(1);
    for (const name of ["run.parquet", "run.ndjson", "run.csv"]) {
      const path = host.path(name);
      writeFileSync(path, "mine");
      const refused = await host.record("--once", "--out", path);
      expect(refused).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: `microview: --out: cannot write ${path}: it already exists\nhint: choose another name, or use --force to replace it\n`,
      });
      expect(host.text(name)).toBe("mine");
      const { exitCode } = await host.record("--once", "--out", path, "--force");
      expect(exitCode).toBe(0);
      expect(host.text(name)).not.toStartWith("mine");
    }
    const nowhere = await host.record("--once", "--out", "/no/such/folder/run.parquet");
    expect(nowhere).toMatchObject({ exitCode: 1, stdout: "" });
    expect(nowhere.stderr).toContain("its folder does not exist");
  });

  test.each(["run.parquet", "run.ndjson", "run.csv.gz", "run.ndjson.zst"])(
    "refuses what is no plain file as %s, and waits for nobody",
    async (name) => {
      await using host = new BusyHost();
      await host.start(1);
      const path = host.path(name);
      for (const make of [["mkdir"], ["mkfifo"], ["ln", "-s", "/dev/full"]]) {
        Bun.spawnSync([...make, path]);
        const { exitCode, stderr } = await host.record("--once", "--out", path, "--force");
        const reason = make[0] === "mkdir" ? "it is a directory" : "it is no plain file";
        expect({ exitCode, stderr }).toEqual({
          exitCode: 1,
          stderr: `microview: --out: cannot write ${path}: ${reason}\n`,
        });
        rmSync(path, { recursive: true });
      }
    },
  );

  test.each(["run.parquet", "run.csv", "run.ndjson.gz"])(
    "leaves no %s behind when it has nothing to write and fails",
    async (name) => {
      await using host = new BusyHost();
      await host.start(1);
      const path = host.path(name);
      const port = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
      host.onEnd(() => port.stop(true));
      for (const flags of [
        ["--metric", "nope"],
        ["--service", "nope"],
        ["--listen", `${port.port}`],
      ]) {
        const failed = await host.record("--count", "1", "--out", path, ...flags);
        expect([flags, failed.exitCode, existsSync(path)]).toEqual([flags, 1, false]);
      }
      const recording = await smallRecording();
      const replay = ["replay", recording, "--speed", "max", "--out", path, "--metric", "nope"];
      expect((await runCli(replay)).exitCode).toBe(1);
      expect(existsSync(path)).toBe(false);
      expect((await host.record("--count", "1", "--out", path)).exitCode).toBe(0);
      expect(existsSync(path)).toBe(true);
    },
  );

  test("keeps a file that has something when it fails", async () => {
    await using host = new BusyHost();
    await host.start(1);
    const path = host.path("run.csv");
    const flags = ["--metric", "level", "--metric", "nope"];
    expect((await host.record("--count", "1", "--out", path, ...flags)).exitCode).toBe(1);
    expect(host.text("run.csv")).toContain("level");
  });

  test.each([
    [["--out", "run.txt"], "--out: the end of run.txt does not say how to write it"],
    [["--out", "run.parquet.gz"], "--out: Parquet is compressed inside"],
    [["--force"], "--force needs --out"],
    [["--out-block", "1s"], "--out-block needs --out"],
  ])("%j is wrong usage", async (flags, message) => {
    const { exitCode, stdout, stderr } = await runCli(["collect", ...flags]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(`microview: ${message}\n`);
  });
});

describe("replay", () => {
  test.each([
    [[], "FILE is missing"],
    [["run.ndjson"], "run.ndjson cannot be replayed: ndjson does not hold"],
    [["a.parquet", "--speed", "0"], "--speed cannot be '0'"],
    [["a.parquet", "--speed", "fast"], "--speed cannot be 'fast'"],
    [["a.parquet", "--from", "yesterday"], "--from is no time: 'yesterday'"],
    [["a.parquet", "--from", "3s", "--to", "1s"], "--from 3s is later than --to 1s"],
    [
      ["a.parquet", "--from", "2026-01-02", "--to", "2026-01-01"],
      "--from 2026-01-02 is later than --to 2026-01-01",
    ],
    [["a.parquet", "--speed", "max", "--now"], "--now and --speed max exclude each other"],
    [["a.parquet", "--loop", "--out", "b.parquet"], "--loop and --out exclude each other"],
    [["a.parquet", "--loop", "--otlp", "http://localhost:1"], "--loop would push the same times"],
  ])("%j is wrong usage", async (flags, message) => {
    const { exitCode, stdout, stderr } = await runCli(["replay", ...flags]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toStartWith(`microview: ${message}`);
  });

  test.each([
    ["--app shpo", "no application matches 'shpo'", "did you mean shop?"],
    ["--service aut", "no service matches 'aut'", "did you mean auth?"],
    ["--metric levle", "no metric matches 'levle'", "did you mean level?"],
    ["--metric zzz", "no metric matches 'zzz'", "there are level, requests_total, seconds"],
    ["--from 3s --to 2026-01-01", "--from 3s is later than --to 2026-01-01", "give the earlier"],
    ["--from 1h", "nothing was recorded from 1h", "is from 20"],
    ["--to 2001-01-01", "nothing was recorded to 2001-01-01", "is from 20"],
    ["--app shop --from 1h --to 2h", "nothing was recorded of shop from 1h to 2h", "is from 20"],
  ])("%s is an error that says what there is", async (flags, message, hint) => {
    const path = await smallRecording();
    const { exitCode, stderr } = await runCli([
      "replay",
      path,
      "--speed",
      "max",
      ...flags.split(" "),
    ]);
    expect({ exitCode, message: stderr.split("\n")[0] }).toEqual({
      exitCode: 1,
      message: `microview: ${message}`,
    });
    expect(stderr.split("\n")[1]).toContain(hint);
  });

  test("invents no writers where none were recorded by themselves", async () => {
    const path = await smallRecording();
    expect(await runCli(["replay", path, "--speed", "max", "--per-writer"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `microview: --per-writer: ${path} was not recorded per writer\nhint: record it with --per-writer, or replay it without\n`,
    });
  });

  test("says what is wrong with a file", async () => {
    const good = readFileSync(await smallRecording());
    await using host = new TestHost();
    const path = (name: string) => join(host.folder, name);
    const foreign = path("foreign.parquet");
    await queryParquet(foreign, "COPY (SELECT 1 AS a) TO FILE (FORMAT parquet)");
    writeFileSync(path("text.parquet"), "hello\n");
    writeFileSync(path("empty.parquet"), "");
    writeFileSync(path("it's cut.parquet"), good.subarray(0, 500));
    writeFileSync(path("begun.parquet"), "PAR1");
    writeFileSync(path("damaged.parquet"), "PAR1 and nothing else PAR1");
    mkdirSync(path("folder.parquet"));
    Bun.spawnSync(["mkfifo", path("fifo.parquet")]);
    symlinkSync("loop.parquet", path("loop.parquet"));
    const wrong = {
      "missing.parquet": "there is no such file\nhint: `microview collect --out run.parquet`",
      "text.parquet/run.parquet": "a part of its path is no directory\n",
      "text.parquet": "it is no Parquet file\n",
      "empty.parquet": "it is empty\n",
      "it's cut.parquet":
        "its end is missing: it was cut off, or the .open file beside it is gone\n",
      "begun.parquet": "its end is missing",
      "damaged.parquet": "cannot be read as a recording: ",
      "folder.parquet": "it is a directory\n",
      "fifo.parquet": "it is no plain file\n",
      "loop.parquet": "its symbolic links go round in circles\n",
      "foreign.parquet": "it is a Parquet file, but no recording of `microview collect --out`\n",
    };
    for (const [name, reason] of Object.entries(wrong)) {
      for (const flags of [[], ["--repair"]]) {
        const { exitCode, stdout, stderr } = await runCli(["replay", path(name), ...flags]);
        expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
        expect(stderr).toStartWith(`microview: ${path(name)}: ${reason}`);
        expect(stderr).not.toContain("/proc/self");
      }
    }
  });

  test.skipIf(asNobody === undefined)("says that this user may not read a file", async () => {
    await using host = new TestHost();
    chmodSync(host.folder, 0o755);
    const path = join(host.folder, "run.parquet");
    writeFileSync(path, "PAR1", { mode: 0o000 });
    const command = [...asNobody!, process.execPath, CLI, "replay", path];
    const { exitCode, stderr } = Bun.spawnSync(command, {
      env: { PATH: "", HOME: "/nonexistent" },
    });
    expect({ exitCode, stderr: stderr.toString() }).toEqual({
      exitCode: 1,
      stderr: `microview: ${path}: this user may not read it\n`,
    });
  });

  test("does not write over what it reads", async () => {
    await using host = new BusyHost();
    await host.start(1);
    const path = host.path("run.parquet");
    await host.record("--count", "5", "--out", path);
    const before = readFileSync(path);
    const { exitCode, stderr } = await runCli(["replay", path, "--out", path, "--force"]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: `microview: --out ${path} is the file that is replayed\n`,
    });
    expect(readFileSync(path)).toEqual(before);
  });

  test("follows no link where its journal is to be", async () => {
    await using host = new BusyHost();
    await host.start(1);
    writeFileSync(host.path("precious"), "mine");
    symlinkSync(host.path("precious"), host.path("run.parquet.open"));
    const { exitCode } = await host.record("--once", "--out", host.path("run.parquet"));
    expect(exitCode).toBe(1);
    expect(host.text("precious")).toBe("mine");
    expect(existsSync(host.path("run.parquet"))).toBe(false);
  });

  test("goes on and on with --loop, at the pace that is asked for, until it is told to end", async () => {
    await using host = new BusyHost();
    await host.start(1);
    const path = host.path("run.parquet");
    await host.record("--count", "20", "--out", path);
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          CLI,
          "replay",
          path,
          "--loop",
          "--now",
          "--speed",
          "10",
          "--format",
          "ndjson",
        ],
        { stdin: "ignore", stdout: Bun.file(host.path("looped")), stderr: "ignore" },
      ),
    );
    await until("it has begun again", () => wholeLines(host.text("looped")).length > 60);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    const times = wholeLines(host.text("looped")).map((line) => Date.parse(JSON.parse(line).time));
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

test.each(["ndjson", "csv", "prometheus"])(
  "a reader of %s that has enough ends collect and replay without a word",
  async (format) => {
    await using host = new BusyHost();
    await host.start(5);
    const path = host.path("run.parquet");
    await host.record("--count", "500", "--out", path);
    const bun = `'${process.execPath}' '${CLI}'`;
    for (const command of [
      `collect --socket '${host.socketPath}' --interval 1ms`,
      `replay '${path}' --speed max`,
    ]) {
      const line = `${bun} ${command} --format ${format} | head -3; echo \${PIPESTATUS[0]} >&2`;
      const shell = Bun.spawnSync(["bash", "-c", line]);
      expect(shell.stderr.toString()).toBe("141\n");
      expect(wholeLines(shell.stdout.toString())).toHaveLength(3);
    }
  },
);
