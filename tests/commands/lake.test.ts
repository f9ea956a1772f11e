// `microview lake` and `microview lake status`, as they are typed.

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLI, TestHost } from "../support/host.ts";
import { LakeProcess, logBlock, newSegmentId, putSegment } from "../support/lakes.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

test("lake says where it listens, how to send and how to ask, and ends by SIGTERM with 0", async () => {
  await using host = new TestHost();
  const lake = await LakeProcess.start(host);
  const { url } = lake;
  expect(lake.find("the lake is open")).toMatchObject({
    dir: join(host.folder, "lake"),
    send: `microview agent --lake ${url}`,
    ask: `microview query --lake ${url}`,
  });
  expect((await putSegment(url, newSegmentId(), [logBlock(10)])).status).toBe(201);
  expect(await lake.end("SIGTERM")).toBe(0);
  expect(lake.find("the lake is closed")).toBeDefined();
  expect(lake.stray).toBe("");
});

test("lake status shows what a lake holds, as text and as JSON", async () => {
  await using host = new TestHost();
  const { url } = await LakeProcess.start(host);
  await putSegment(url, newSegmentId(), [logBlock(10)]);
  const text = await runCli(["lake", "status", "--lake", url]);
  expect(text.exitCode).toBe(0);
  expect(text.stdout).toMatch(/^logs +10$/m);
  expect(text.stdout).toMatch(/^streams +1, 1 alive$/m);
  expect(text.stdout).toMatch(/^lost +nothing since the lake was started$/m);
  expect(text.stdout).toMatch(/^log_entries +\d/m);
  const json = await runCli(["lake", "status", "--json"], { MICROVIEW_LAKE: url });
  expect(JSON.parse(json.stdout)).toMatchObject({ blocks: 1, events: { logs: 10 } });
});

test("lake refuses a folder that another lake has, a port that is taken, and the world without tokens", async () => {
  await using host = new TestHost();
  const first = await LakeProcess.start(host);
  const dir = ["--dir", join(host.folder, "lake")];
  const second = await runCli(["lake", ...dir, "--port", "0"]);
  expect(second.exitCode).toBe(1);
  expect(second.stderr).toContain(`another lake uses ${dir[1]}: the process ${first.child.pid}`);
  const other = ["--dir", join(host.folder, "other")];
  const port = await runCli(["lake", ...other, "--port", new URL(first.url).port]);
  expect([port.exitCode, port.stderr]).toEqual([1, expect.stringContaining("already in use")]);
  const open = await runCli(["lake", ...other, "--host", "0.0.0.0", "--port", "0"]);
  expect([open.exitCode, open.stderr]).toEqual([1, expect.stringContaining("--token-file")]);
  const tokens = join(host.folder, "tokens");
  writeFileSync(tokens, `${"t".repeat(24)} scopes=ingset\n`);
  const mistyped = await runCli(["lake", ...other, "--port", "0", "--token-file", tokens]);
  expect(mistyped.stderr).toContain("write scopes=ingest,events:read");
});

test("lake status refuses flags of a lake that is started, and a lake those of status", async () => {
  const environment = { MICROVIEW_LAKE: "http://127.0.0.1:1" };
  const status = await runCli(["lake", "status", "--port", "7080"], environment);
  expect([status.exitCode, status.stderr]).toEqual([
    2,
    "microview: --port does not go with 'lake status'\nhint: it goes with 'lake'\n",
  ]);
  const start = await runCli(["lake", "--json"]);
  expect([start.exitCode, start.stderr]).toEqual([
    2,
    "microview: --json does not go with 'lake'\nhint: it goes with 'lake status'\n",
  ]);
});

test("on a terminal, lake has lines of their own for how to send and to ask", async () => {
  await using host = new TestHost();
  let shown = "";
  const child = host.own(
    Bun.spawn([process.execPath, CLI, "lake", "--port", "0", "--dir", join(host.folder, "lake")], {
      env: surroundings(),
      terminal: {
        cols: 80,
        rows: 24,
        data: (_terminal, bytes) => {
          shown += bytes.toString();
        },
      },
    }),
  );
  host.onEnd(() => child.terminal!.close());
  const lines = () => Bun.stripANSI(shown).replaceAll("\r", "").split("\n");
  await until("it says how to ask it", () => lines().some((line) => line.startsWith("  ask ")));
  expect(lines().slice(1, 4)).toEqual([
    expect.stringMatching(/^ {2}send {2}microview agent --lake http:\/\/127\.0\.0\.1:\d+$/),
    expect.stringMatching(/^ {2}otlp {2}OTEL_EXPORTER_OTLP_ENDPOINT=http:\S+$/),
    expect.stringMatching(/^ {2}ask {3}microview query --lake http:\S+$/),
  ]);
});

test("lake status says that no lake is there", async () => {
  const { exitCode, stderr } = await runCli(["lake", "status", "--lake", "http://127.0.0.1:1"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain("cannot ask the lake at http://127.0.0.1:1");
});
