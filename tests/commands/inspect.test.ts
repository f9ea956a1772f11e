import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { HEADER, INFO_LABELS, LAYOUT_VERSION } from "../../src/layout/index.ts";
import { addShop, PoolDirectory } from "../inspector/pools.ts";
import { HOSTILE, hostileCharacters } from "../sinks/snapshots.ts";
import { define, Scratch, TestWriter } from "../support/pools.ts";
import { surroundings } from "../support/surroundings.ts";
import { runCli } from "./run-cli.ts";

const scratch = new Scratch();

function shop() {
  const directory = new PoolDirectory(scratch);
  return { directory, ...addShop(directory) };
}

function inspect(directory: PoolDirectory, ...args: string[]) {
  return runCli(["inspect", "--pool-dir", directory.path, ...args]);
}

describe("microview inspect", () => {
  test("prints applications, services, writers, pages, series and values", async () => {
    const { directory } = shop();
    const { exitCode, stdout, stderr } = await inspect(directory);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.split("\n");
    expect(lines[0]).toBe(`shop  ${directory.file("shop")}`);
    expect(lines[1]).toContain(`agent   alive, pid ${process.pid} · layout ${LAYOUT_VERSION}`);
    expect(lines[2]).toContain("pages   2 of 64 in use");
    expect(lines.slice(4)).toEqual([
      "  auth",
      expect.stringMatching(
        /^ {4}writer #1 {2}alive · pid 42, thread 7 · since .*Z · page 0 · 5 series$/,
      ),
      "    gauge      hottest                    absent: nobody alive has set it",
      "    gauge      memory_bytes               1.5 KiB",
      '    counter    requests_total{path="/a"}  7',
      '    counter    requests_total{path="/b"}  5',
      "    histogram  wait_seconds               100 observed · sum 70 ms · p50 555.6 µs · p90 1 ms · p99 1.9 ms",
      "",
      "  cart",
      expect.stringContaining("writer #2"),
      "    counter    items_total  3",
      "",
    ]);
  });

  test("needs no agent, and says that there is none", async () => {
    const { directory, app } = shop();
    app.pool.close();
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`agent   none (the last one had pid ${process.pid})`);
    expect(stdout).toContain('requests_total{path="/a"}  7');
  });

  test("says when the agent died in a change", async () => {
    const { directory, app } = shop();
    new Uint32Array(app.pool.mapping.buffer)[HEADER.generation / 4]!++;
    app.pool.close();
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("its agent died while it changed the structure");
  });

  test("marks writers that are dead", async () => {
    const { directory, writer } = shop();
    writer.die();
    expect((await inspect(directory, "--service", "auth")).stdout).toContain("writer #1  dead");
  });

  test("narrows to services and metrics, and leaves out what has none of them", async () => {
    const { directory } = shop();
    directory.add("bank");
    const { stdout } = await inspect(directory, "--metric", "requests_*");
    expect(stdout).toContain("requests_total");
    for (const other of ["bank", "cart", "memory_bytes"]) expect(stdout).not.toContain(other);
  });

  test("of an empty host says what to do, and exits 0", async () => {
    const directory = new PoolDirectory(scratch);
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("There are no applications");
    expect(stdout).toContain("microview agent");
    expect(JSON.parse((await inspect(directory, "--json")).stdout)).toEqual({
      pools: [],
      setAside: [],
    });
  });

  test.each([
    ["--app", "shp", "no application matches 'shp'", "did you mean shop?"],
    ["--service", "aut", "no service matches 'aut'", "did you mean auth?"],
    [
      "--metric",
      "request_total",
      "no metric matches 'request_total'",
      "did you mean requests_total?",
    ],
    ["--metric", "zzz*", "no metric matches 'zzz*'", "there are hottest, items_total"],
    ["--metric", "items_total --service auth", "no series matches", "each of the globs fits"],
  ])("with %s %s names the nearest", async (flag, glob, message, hint) => {
    const { directory } = shop();
    const { exitCode, stdout, stderr } = await inspect(directory, flag, ...glob.split(" "));
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toStartWith(`microview: ${message}\nhint: ${hint}`);
  });

  test.each(["--app", "--service", "--metric"])(
    "of an empty host with %s is an error, too",
    async (flag) => {
      const directory = new PoolDirectory(scratch);
      const { exitCode, stdout, stderr } = await inspect(directory, flag, "nosuch");
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).toMatch(/^microview: no \w+ matches 'nosuch'\nhint: there are no \w+s\n$/);
    },
  );

  test("without its directory says so", async () => {
    const { exitCode, stderr } = await runCli(["inspect", "--pool-dir", scratch.path()]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("is not there\nhint: --pool-dir names");
  });

  test("reports what cannot be read, shows the others, and exits 1", async () => {
    const { directory } = shop();
    mkdirSync(`${directory.path}/alien`);
    writeFileSync(directory.file("alien"), "#!/bin/sh\n".repeat(100));
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(1);
    expect(stdout).toContain("cannot be read: this is not a pool: its first bytes are not MICROVW");
    expect(stdout).toContain('requests_total{path="/a"}  7');
  });

  test("reports damage with its place in the file, and exits 1", async () => {
    const { directory, app } = shop();
    const { header, mapping } = app.pool;
    const place = header.directoryOffset + app.directory.length - 32;
    mapping.bytes()[place + 28]! ^= 1;
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      `damaged at byte ${place} (0x${place.toString(16)}): a record of type 6`,
    );
    expect(stdout).toContain('requests_total{path="/a"}  7');
  });

  test("names pools that an agent has set aside", async () => {
    const { directory } = shop();
    const aside = `${directory.file("shop")}.damaged-2026`;
    renameSync(directory.file("shop"), aside);
    const { exitCode, stdout } = await inspect(directory);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(aside);
  });

  test("of hostile names sends no control to the terminal, in any form", async () => {
    const directory = new PoolDirectory(scratch);
    const writer = new TestWriter(directory.add("shop"), { service: HOSTILE });
    writer.put(
      { ...define.counter("evil_total", ["v"]), unit: HOSTILE, help: HOSTILE },
      [HOSTILE],
      3,
    );
    for (const args of [[], ["--raw"], ["--json"], ["--json", "--raw"], ["--service", "x"]]) {
      const { stdout, stderr } = await inspect(directory, ...args);
      expect(stdout + stderr).toContain("2J");
      expect(hostileCharacters(stdout + stderr)).toEqual([]);
    }
    const { pools } = JSON.parse((await inspect(directory, "--json")).stdout);
    expect(pools[0].services[0].metrics[0].series[0]).toEqual({ labels: { v: HOSTILE }, value: 3 });
  });
});

describe("microview inspect of processes", () => {
  const told = [
    "shop",
    "containerd",
    "3f9a1c2b4d5e",
    "auth",
    "auth-7d9f8c6b54-x2x7q",
    "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "shop",
    "node-1",
    "Deployment",
    "auth",
    "",
  ];

  /** A shop with a writer of this process, and what an agent tells of it in its own pool. */
  function named() {
    const { directory, app } = shop();
    new TestWriter(app, { service: "auth", pid: process.pid, threadId: 0 });
    const own = new TestWriter(directory.add("microview"), { service: "auth", pid: process.pid });
    const info = define.gauge("microview_process_info", "max", [
      "app",
      ...Object.keys(INFO_LABELS),
    ]);
    own.put(info, told, 1);
    // It was told so before the names were known.
    own.put(info, [...told.slice(0, 3), "", "", told[5]!, "", "", "", "", ""], Number.NaN);
    return directory;
  }

  test("shows the container, the pod and the workload, as the agent tells them", async () => {
    const { exitCode, stdout } = await inspect(named(), "--app", "shop");
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      `\n    process ${process.pid} · container auth 3f9a1c2b4d5e (containerd) · pod shop/auth-7d9f8c6b54-x2x7q · node node-1 · Deployment auth (by its name)\n`,
    );
    expect(stdout).not.toContain("process 42");
  });

  test("has them for programs, without what is not known", async () => {
    const { stdout } = await inspect(named(), "--app", "shop", "--json");
    const [auth] = JSON.parse(stdout).pools[0].services;
    expect(auth.processes).toContainEqual({
      pid: process.pid,
      hostPid: process.pid,
      runtime: "containerd",
      containerId: "3f9a1c2b4d5e",
      containerName: "auth",
      podUid: "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
      podName: "auth-7d9f8c6b54-x2x7q",
      namespace: "shop",
      nodeName: "node-1",
      workloadKind: "Deployment",
      workloadName: "auth",
      workloadGuessed: true,
    });
    expect(auth.processes).toContainEqual({ pid: 42, hostPid: null });
  });
});

describe("microview inspect --json", () => {
  test("prints one object with everything", async () => {
    const { directory } = shop();
    const { pools } = JSON.parse((await inspect(directory, "--json")).stdout);
    expect(pools).toMatchObject([
      {
        app: "shop",
        path: directory.file("shop"),
        layoutVersion: LAYOUT_VERSION,
        agent: { alive: true, pid: process.pid },
        consistency: "settled",
        pages: { used: 2, highWater: 2, capacity: 64 },
        damage: [],
        services: [
          {
            name: "auth",
            writers: [{ id: 1, life: "alive", pid: 42, grants: [{ page: 0, pages: 1 }] }],
            metrics: [
              { name: "hottest", series: [{ labels: {}, absent: true }] },
              { name: "memory_bytes", series: [{ labels: {}, value: 1536 }] },
              {
                name: "requests_total",
                kind: "counter",
                series: [
                  { labels: { path: "/a" }, value: 7 },
                  { labels: { path: "/b" }, value: 5 },
                ],
              },
              { name: "wait_seconds", series: [{ count: 100, p90: 0.001 }] },
            ],
          },
          { name: "cart" },
        ],
      },
    ]);
  });

  test("has the error of a pool that cannot be read in its place", async () => {
    const directory = new PoolDirectory(scratch);
    mkdirSync(`${directory.path}/alien`);
    writeFileSync(directory.file("alien"), "");
    const { exitCode, stdout } = await inspect(directory, "--json");
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout).pools).toEqual([
      { app: "alien", path: directory.file("alien"), error: expect.stringContaining("at least") },
    ]);
  });
});

describe("microview inspect --raw", () => {
  test("prints header, journal, records and pages with offsets and bytes", async () => {
    const { directory } = shop();
    const { stdout } = await inspect(directory, "--raw");
    expect(stdout).toMatch(/^ {4}0x00000000 {2}4d4943524f565700 {4}magic/m);
    expect(stdout).toMatch(
      /^ {4}0x[0-9a-f]{8} {2}service {6}24 bytes {2}crc ok {5}service 1 "auth"$/m,
    );
    expect(stdout).toMatch(/^ {2}page 0 at 0x[0-9a-f]{8}$/m);
    expect(stdout).toMatch(
      /^ {4}0x[0-9a-f]{8} {2}slot {3}1 {2}0000000000001c40 {13}7 {2}writer 1 series 2 requests_total\{path="\/a"\}$/m,
    );
  });

  test("prints what there is of the header of a file that is no pool", async () => {
    const directory = new PoolDirectory(scratch);
    mkdirSync(`${directory.path}/alien`);
    writeFileSync(directory.file("alien"), "MICROVW\0????");
    const { stdout } = await inspect(directory, "--raw");
    expect(stdout).toContain("cannot be read");
    expect(stdout).toMatch(/0x00000008 {2}3f3f3f3f {12}version/);
  });

  test("is there for programs too", async () => {
    const { directory } = shop();
    const { pools } = JSON.parse((await inspect(directory, "--raw", "--json")).stdout);
    expect(pools[0].raw.header[0]).toMatchObject({ offset: 0, name: "magic" });
    expect(pools[0].raw.pages[0].slots[0]).toMatchObject({ slot: 0, value: 5 });
  });
});

describe("microview inspect --watch", () => {
  test("prints again each second what has changed, and ends in order when told to", async () => {
    const { directory, writer } = shop();
    const child = Bun.spawn(
      [
        process.execPath,
        `${import.meta.dir}/../../src/cli.ts`,
        ...[
          "inspect",
          "--pool-dir",
          directory.path,
          "--watch",
          "--json",
          "--metric",
          "requests_total",
        ],
      ],
      { env: surroundings(), stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const seen: number[] = [];
    let text = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        seen.push(line.pools[0].services[0].metrics[0].series[0].value);
        if (seen.length === 1) writer.store("requests_total", ["/a"], 8);
        else child.kill("SIGINT");
      }
    }
    expect(seen).toEqual([7, 8]);
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});
