// `microview events set`: services record more or less at once, without a call, for a time; and who may ask for it.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { EventFollower } from "../../src/events/index.ts";
import { LakeStandIn } from "../events/shipping/stand-in.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

async function set(host: TestHost, ...flags: string[]) {
  return runCli(["events", "set", "--socket", host.socketPath, ...flags]);
}

function recorded(host: TestHost): string[] {
  const follower = new EventFollower({
    poolDir: host.poolDir,
    wantsApp: () => true,
    wantsService: () => true,
    onUnreadable: () => {},
  });
  try {
    return follower.next().flatMap((row) => (row.kind === "log" ? [row.message] : [row.kind]));
  } finally {
    follower.close();
  }
}

describe.each(["keeps", "ships"])("an agent that %s rings", (what) => {
  test("has services record what is asked for, those that come later too, until it is taken back", async () => {
    await using host = new TestHost();
    await using lake = new LakeStandIn();
    const spool = join(host.folder, "spool");
    const shipping = {
      lake: lake.url,
      spool,
      spoolBytes: 1 << 24,
      spoolAgeMs: 1e9,
      host: "here",
      isForAll: false,
    };
    await host.agent(what === "ships" ? { shipping } : {});
    const auth = host.client({ poolDir: host.poolDir });
    auth.log.debug("hidden");
    auth.log.info("first");
    await until("it is held", async () => {
      const { stdout } = await set(host, "--app", "shop", "--level", "debug", "--spans", "off");
      return stdout.startsWith("set for 1 thread ");
    });
    const nowhere = await set(host, "--app", "nope", "--level", "trace");
    expect(nowhere.stdout).toStartWith("set for 0 threads ");
    expect((await set(host, "--reset", "--app", "nope")).stdout).toBe(
      "taken back; something else is set for 1 thread\n",
    );
    auth.log.debug("asked for");
    auth.span("none").run(() => {});
    const later = host.client({ poolDir: host.poolDir, service: "later" });
    later.log.info("first of later");
    await until("the later one is told", () => {
      later.log.debug("asked for later");
      return recorded(host).includes("asked for later");
    });
    const shown = await runCli(["events", "settings", "--socket", host.socketPath]);
    expect(JSON.parse(shown.stdout)).toEqual([
      { apps: ["shop"], services: [], level: "debug", spans: false, until: expect.any(String) },
    ]);
    expect((await set(host, "--reset")).stdout).toBe("taken back; nothing is set any more\n");
    auth.log.debug("hidden again");
    auth.span("some").run(() => {});
    const all = recorded(host);
    for (const text of ["first", "asked for", "first of later", "span"])
      expect(all).toContain(text);
    for (const text of ["hidden", "hidden again"]) expect(all).not.toContain(text);
    expect(all.filter((each) => each === "span")).toHaveLength(1);
    const { stdout } = await runCli(["events", "settings", "--socket", host.socketPath]);
    expect(JSON.parse(stdout)).toEqual([]);
  }, 60_000);
});

describe("microview events set", () => {
  test("is for the agent's own user, and for tokens that may administer", async () => {
    await using host = new TestHost();
    const tokenFile = join(host.folder, "tokens");
    await Bun.write(tokenFile, "a-token-that-may-look-around scopes=read name=reader\n");
    const tokens = [
      { token: "a-token-that-may-look-around", name: "reader", scopes: ["read"] as const },
      { token: "a-token-that-may-administer", name: "boss", scopes: ["admin"] as const },
    ];
    const agent = await host.agent({ tokens });
    const there = ["events", "set", "--level", "warn", "--agent", `127.0.0.1:${agent.port}`];
    const asked = async () => {
      const { exitCode, stdout, stderr } = await runCli([...there, "--token-file", tokenFile]);
      return [exitCode, stdout + stderr.replaceAll("\n", " ")];
    };
    expect(await asked()).toEqual([1, expect.stringContaining("the agent refuses (403)")]);
    await Bun.write(tokenFile, "a-token-that-may-administer scopes=admin name=boss\n");
    expect(await asked()).toEqual([0, expect.stringContaining("set for 0 threads")]);
    const without = join(host.folder, "none.sock");
    const set = ["events", "set", "--level", "warn", "--socket"];
    expect(await runCli([...set, without])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(
        `there is no agent at ${without}\nhint: start \`microview agent\``,
      ),
    });
    // A socket whose owner has left no secret that this user may read.
    await Bun.write(without, "");
    expect(await runCli([...set, without])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("run this as the agent's user or root"),
    });
  });

  test.each([
    [["set"], "nothing is set"],
    [["set", "--reset", "--level", "info"], "--reset takes back"],
    [["set", "--level", "loud"], "--level"],
    [["set", "--sample", "2"], "--sample is no share"],
    [["set", "--level", "info", "--once"], "--once does not go with 'events set'"],
    [["tail", "--spans", "on"], "--spans does not go with 'events tail'"],
    [["settings", "--app", "shop"], "--app does not go with 'events settings'"],
  ])("refuses %j", async (words, reason) => {
    const { exitCode, stderr } = await runCli(["events", ...words]);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(reason)]);
  });
});
