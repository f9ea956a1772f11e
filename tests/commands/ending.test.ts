// How long-running commands end: by signals that come once, twice and thrice, by SIGKILL, and when their output cannot
// be written. With real processes, as the shell and `timeout` end them.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { journalOf } from "../../src/sinks/recording/parquet-file.ts";
import { CLI, ROOT, TestHost } from "../support/host.ts";
import { queryParquet } from "../support/parquet.ts";
import { signalTaken } from "../support/signals.ts";
import { patience, patienceNow } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(patience(120_000));

const BUN = process.execPath;
/** Sent at once, as `timeout` does, which signals its child and then its group. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** A host with a service that counts. */
class CountingHost extends TestHost {
  async start(): Promise<void> {
    await this.agentProcess();
    const mv = this.client();
    const requests = mv.counter("requests_total");
    await mv.ready;
    const timer = setInterval(() => requests.inc(), 1);
    this.onEnd(() => clearInterval(timer));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  bytes(name: string): number {
    return statSync(this.path(name), { throwIfNoEntry: false })?.size ?? 0;
  }

  text(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  /** `microview collect --out` below `wrapper`; what it says goes to files of that name. */
  collect(name: string, wrapper: readonly string[], ...flags: string[]) {
    const what = ["--socket", this.socketPath, "--app", "shop", "--interval", "10ms"];
    const args = ["collect", ...what, "--out", this.path(name), ...flags];
    return this.own(
      Bun.spawn([...wrapper, BUN, CLI, ...args], {
        stdin: "ignore",
        stdout: Bun.file(this.path(`${name}.stdout`)),
        stderr: Bun.file(this.path(`${name}.stderr`)),
        env: surroundings(),
      }),
    );
  }

  /** A port that takes connections and never answers. */
  async silentPort(): Promise<number> {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.onEnd(() => void server.close());
    return (server.address() as { port: number }).port;
  }
}

/** The program that never finishes, told to end by `signals` with the pauses between them that are given. */
async function endUnfinished(withinMs: number, ...signals: [NodeJS.Signals, pauseMs: number][]) {
  const program = join(ROOT, "tests/commands/finishing-program.ts");
  const child = Bun.spawn([BUN, program, String(withinMs)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let stdout = "";
  let stderr = "";
  const reading = Promise.all([
    (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) stdout += text;
    })(),
    (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
    })(),
  ]);
  await until("it runs", () => stdout.includes("ready"));
  for (const [signal, pauseMs] of signals) {
    await signalTaken(child, signal);
    await Bun.sleep(pauseMs);
  }
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      await reading;
    },
  };
}

describe("a program that finishes", () => {
  test("says at what it is, and goes on after a second signal", async () => {
    await using ended = await endUnfinished(30_000, ["SIGINT", 20], ["SIGINT", 0]);
    await until("it says so", () => ended.stderr() !== "");
    expect(ended.stderr()).toBe(
      "microview: finishing: completing run.parquet; a third signal within a second gives up\n",
    );
    expect(ended.child.exitCode).toBeNull();
  });

  test("says so without a second signal too, when it takes longer than a moment", async () => {
    await using ended = await endUnfinished(30_000, ["SIGTERM", 0]);
    await until("it says so", () => ended.stderr().startsWith("microview: finishing: "));
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "gives up at a third %s within a second, and says what is left",
    async (signal, code) => {
      await using ended = await endUnfinished(30_000, [signal, 30], [signal, 30], [signal, 0]);
      expect(await ended.child.exited).toBe(code);
      await until("it says so", () => ended.stderr() !== "");
      expect(ended.stderr()).toContain(
        "microview: gave up, 3 signals within a second: completing run.parquet (replay completes it)\n",
      );
    },
  );

  test("does not give up at signals that are further apart", async () => {
    await using ended = await endUnfinished(
      30_000,
      ["SIGINT", 1_200],
      ["SIGINT", 1_200],
      ["SIGINT", 700],
    );
    expect(ended.child.exitCode).toBeNull();
  });

  test("gives up by itself in the end", async () => {
    await using ended = await endUnfinished(1_500, ["SIGINT", 0]);
    expect(await ended.child.exited).toBe(1);
    const text = "gave up, not finished after 1.5 s: completing run.parquet";
    await until("it says so", () => ended.stderr().includes(text));
  });
});

describe("a SIGHUP", () => {
  test("ends a program whose terminal is closed", async () => {
    const program = join(ROOT, "tests/commands/finishing-program.ts");
    let text = "";
    const child = Bun.spawn([BUN, program, "30000"], {
      terminal: {
        data(_, bytes) {
          text += Buffer.from(bytes).toString();
        },
      },
    });
    try {
      await until("it runs", () => text.includes("ready"));
      child.kill("SIGHUP");
      await until("it finishes", () => text.includes("finishing because of SIGHUP"));
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("ends none that has no terminal", async () => {
    await using ended = await endUnfinished(30_000, ["SIGHUP", 30], ["SIGHUP", 30], ["SIGHUP", 30]);
    expect(ended.stdout()).toBe("ready\n");
    ended.child.kill("SIGTERM");
    await until("it finishes", () => ended.stdout().includes("finishing because of SIGTERM"));
  });
});

/** What a text file holds, by lines that are whole. */
function linesOf(path: string): string[] {
  const bytes = readFileSync(path);
  const text = path.endsWith("gz")
    ? gunzipSync(bytes)
    : path.endsWith("zst")
      ? Bun.zstdDecompressSync(bytes)
      : bytes;
  return text.toString().split("\n").slice(0, -1);
}

const TEXT_FILES = ["run.ndjson", "run.csv", "run.ndjson.gz", "run.csv.zst"];

describe("`timeout`, which signals twice", () => {
  test("leaves whole files behind", async () => {
    await using host = new CountingHost();
    await host.start();
    const runs = ["run.parquet", ...TEXT_FILES].map((name) => {
      const child = host.collect(name, ["timeout", "-s", "INT", "4"]);
      return { name, path: host.path(name), child };
    });
    for (const { name, path, child } of runs) {
      await child.exited;
      const [, snapshots = ""] =
        /run\.\S+: (\d+) snapshots?/.exec(host.text(`${name}.stderr`)) ?? [];
      expect(Number(snapshots)).toBeGreaterThan(0);
      if (name.endsWith("parquet")) {
        expect(existsSync(journalOf(path))).toBe(false);
        expect(
          await queryParquet(path, "SELECT count(*)::VARCHAR FROM FILE WHERE part = 'snapshot'"),
        ).toEqual([[snapshots]]);
      } else {
        const header = name.includes("csv") ? 1 : 0;
        expect(linesOf(path).length - header).toBe(Number(snapshots));
      }
    }
  });

  test("ends an agent in order", async () => {
    await using host = new TestHost();
    const flags = ["--socket", host.socketPath, "--pool-dir", host.poolDir];
    const child = host.own(
      Bun.spawn(
        [...["timeout", "-s", "TERM", "5", BUN, CLI, "agent", "--json-logs"], ...flags].concat([
          "--port",
          "0",
          "--data-port",
          "0",
        ]),
        { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
      ),
    );
    const text = await new Response(child.stderr).text();
    const messages = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).message);
    expect(messages).toContain("the agent serves");
    expect(await child.exited).toBe(124);
    expect(existsSync(host.socketPath)).toBe(false);
  });
});

describe("a receiver that never answers", () => {
  test.each(SIGNALS)(
    "keeps neither the file open nor the end away, at two of %s",
    async (signal) => {
      await using host = new CountingHost();
      await host.start();
      const path = host.path("run.parquet");
      const url = `http://127.0.0.1:${await host.silentPort()}`;
      const child = host.collect(
        "run.parquet",
        [],
        "--remote-write",
        `${url}/api/v1/write`,
        "--otlp",
        url,
      );
      await until("something is recorded", () => host.bytes("run.parquet") > 100);
      child.kill(signal);
      child.kill(signal);
      await until("the file is complete", () => !existsSync(journalOf(path)));
      expect(await child.exited).toBe(0);
      expect(host.text("run.parquet.stderr")).toContain(
        "finishing: delivering what is left; a third signal",
      );
      expect(await queryParquet(path, "SELECT count(*) > 1 FROM FILE")).toEqual([[true]]);
    },
  );

  test("keeps neither an agent nor a replay, and an agent says so in its log", async () => {
    await using host = new CountingHost();
    await host.start();
    const url = `http://127.0.0.1:${await host.silentPort()}`;
    const path = host.path("run.parquet");
    const recorded = host.collect("run.parquet", [], "--count", "20");
    expect(await recorded.exited).toBe(0);
    const replay = host.own(
      Bun.spawn([BUN, CLI, "replay", path, "--otlp", url, "--out", host.path("again.ndjson")], {
        ...{ stdin: "ignore", stdout: "ignore", env: surroundings() },
        stderr: Bun.file(host.path("replay")),
      }),
    );
    await until("it replays", () => host.bytes("again.ndjson") > 0);
    for (const signal of SIGNALS) replay.kill(signal);
    expect(await replay.exited).toBe(0);
    expect(linesOf(host.path("again.ndjson")).length).toBeGreaterThan(0);
    expect(host.text("replay")).toContain("finishing: delivering what is left; a third signal");

    await using other = new TestHost();
    const agent = await other.agentProcess("--otlp", url, "--otlp-interval", "100ms");
    for (const signal of SIGNALS) agent.child.kill(signal);
    expect(await agent.exited()).toBe(0);
    expect(agent.text).toBe("");
    expect(agent.find("pushing has ended")).toBeDefined();
  });

  test("is given up at the third signal, and what is on disk is readable", async () => {
    await using host = new CountingHost();
    await host.start();
    const path = host.path("run.parquet");
    const url = `http://127.0.0.1:${await host.silentPort()}/api/v1/write`;
    const child = host.collect("run.parquet", [], "--remote-write", url);
    await until("something is recorded", () => host.bytes("run.parquet") > 100);
    for (let i = 0; i < 3; i++) {
      await signalTaken(child, "SIGINT");
      await Bun.sleep(50);
    }
    expect(await child.exited).toBe(130);
    expect(host.text("run.parquet.stderr")).toContain(
      "microview: gave up, 3 signals within a second",
    );
    expect(await runCli(["replay", path, "--repair"])).toMatchObject({ exitCode: 0 });
    expect(await queryParquet(path, "SELECT count(*) > 1 FROM FILE")).toEqual([[true]]);
  });
});

describe("`kill -9` of a run", () => {
  test("of some seconds loses at most about a second of a recording", async () => {
    await using host = new CountingHost();
    await host.start();
    const path = host.path("run.parquet");
    const child = host.collect("run.parquet", [], "--format", "ndjson");
    const times = () =>
      host
        .text("run.parquet.stdout")
        .split("\n")
        .slice(0, -1)
        .map((line) => Date.parse(JSON.parse(line).time));
    await until("three seconds are printed", () => {
      const all = times();
      return all.at(-1)! - all[0]! >= 3_000;
    });
    child.kill("SIGKILL");
    await child.exited;
    const lastMs = times().at(-1)!;
    const repaired = await runCli(["replay", path, "--repair"]);
    expect(repaired).toMatchObject({ exitCode: 0 });
    const [[recordedMs]] = (await queryParquet(
      path,
      "SELECT epoch_ms(max(time))::DOUBLE FROM FILE WHERE part = 'snapshot'",
    )) as [[number]];
    // The thread that writes needs a moment, and longer on a busy machine.
    expect(lastMs - recordedMs).toBeLessThan(patienceNow(2_000));
  });

  test("loses at most about a second of text", async () => {
    await using host = new CountingHost();
    await host.start();
    const runs = TEXT_FILES.map((name) => ({
      name,
      child: host.collect(name, [], "--format", "ndjson"),
    }));
    for (const { name, child } of runs) {
      const printed = () => host.text(`${name}.stdout`).split("\n").slice(0, -1);
      await until("three seconds are printed", () => printed().length > 300);
      child.kill("SIGKILL");
      await child.exited;
      const [first] = [...printed()].reverse();
      const lastMs = Date.parse(JSON.parse(first!).time);
      const last = linesOf(host.path(name)).at(-1)!;
      const time = name.includes("csv") ? last.split(",")[0]! : JSON.parse(last).time;
      expect(lastMs - Date.parse(time)).toBeLessThan(patienceNow(2_000));
    }
  });
});

describe("output that cannot be written", () => {
  const COMMANDS = ["--help", "--version", "doctor", "completion bash", "inspect --help"];

  function shell(line: string) {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["bash", "-c", line, BUN, CLI], {
      env: surroundings(),
    });
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  test.each(COMMANDS)("of `microview %s` on a full device is one line", (command) => {
    expect(shell(`"$0" "$1" ${command} > /dev/full`)).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "microview: cannot write to standard output: the disk is full\n",
    });
  });

  test.each(COMMANDS)(
    "of `microview %s` into a closed pipe ends it as it ends others",
    (command) => {
      const { stdout, stderr } = shell(`"$0" "$1" ${command} | true; echo \${PIPESTATUS[0]}`);
      expect({ stdout, stderr }).toEqual({ stdout: "141\n", stderr: "" });
    },
  );

  test.each(["2>/dev/full", "2>&-"])("for errors, with %s, changes no exit code", (redirection) => {
    expect(shell(`"$0" "$1" nosuch ${redirection}`)).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "",
    });
  });

  test("ends collect and replay in one line, and what they record is whole", async () => {
    await using host = new CountingHost();
    await host.start();
    const path = host.path("run.parquet");
    for (const format of ["ndjson", "csv", "prometheus", "table"]) {
      const flags = `--socket ${host.socketPath} --app shop --interval 10ms --format ${format}`;
      const ran = shell(`"$0" "$1" collect ${flags} --out ${path} --force > /dev/full`);
      expect(ran.exitCode).toBe(1);
      expect(ran.stderr.split("\n")[0]).toBe(
        "microview: cannot write to standard output: the disk is full",
      );
      expect(ran.stderr).toMatch(/run\.parquet: \d+ snapshots?, /);
      expect(ran.stderr.split("\n").length).toBeLessThanOrEqual(4);
      const again = shell(`"$0" "$1" replay ${path} --format ${format} > /dev/full`);
      expect(again.exitCode).toBe(1);
      expect(again.stderr.split("\n")[0]).toBe(
        "microview: cannot write to standard output: the disk is full",
      );
    }
  });
});
