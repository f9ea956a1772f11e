// Flags that `microview agent` cannot follow: each error names the flag or the cause, and what to do.

import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { AgentProcess, TestHost } from "../support/host.ts";
import { asNobody, nobodyUid } from "../support/permissions.ts";
import { until } from "../support/wait.ts";

/** Starts an agent that is not to serve. @returns its exit code and what it said */
async function refused(host: TestHost, flags: readonly string[], wrapper: readonly string[] = []) {
  const agent = new AgentProcess(host, flags, wrapper);
  const exitCode = await agent.exited();
  expect(agent.find("the agent serves")).toBeUndefined();
  // One line for the cause and one for what to do, and nothing about a defect.
  expect(agent.text).toMatch(/^[^\n]+\nhint: [^\n]+\n$/);
  expect(agent.text).not.toContain("defect");
  return { exitCode, text: agent.text };
}

describe("microview agent is refused", () => {
  const cases: [string, string[], number, string, string][] = [
    [
      "one port for both",
      ["--port", "22400", "--data-port", "22400"],
      2,
      "--port and --data-port are both 22400",
      "two listeners",
    ],
    [
      "a host that does not exist",
      ["--host", "banana.invalid"],
      1,
      "--host banana.invalid: there is no such host",
      "127.0.0.1",
    ],
    ["a number that is no address", ["--host", "127.0.0.300"], 1, "there is no such host", "127"],
    [
      "an address of another host",
      ["--host", "192.0.2.7", "--insecure"],
      1,
      "--host 192.0.2.7 is no address of this host",
      "0.0.0.0",
    ],
    [
      "a host with a port",
      ["--host", "127.0.0.1:7070"],
      2,
      "--host takes an address alone: '127.0.0.1:7070'",
      "--port",
    ],
    ["a URL for a host", ["--host", "http://127.0.0.1"], 2, "an address alone", "--port"],
    [
      "pools that it could not open itself",
      ["--pool-mode", "0444"],
      2,
      "--pool-mode leaves the owner without: '0444'",
      "0660",
    ],
    ["a scan once in two months", ["--scan-interval", "60d"], 2, "too long: 60d", "24d"],
    ["a lake that is no URL", ["--lake", "lake:7080"], 2, "--lake is no http or https URL", "http"],
    [
      "a spool below a file",
      ["--lake", "http://127.0.0.1:1", "--spool", "/dev/null/spool"],
      1,
      "cannot use /dev/null/spool",
      "--spool DIR",
    ],
    ["a sample once in two months", ["--process-metrics", "60d"], 2, "too long: 60d", "off"],
  ];
  for (const [what, flags, code, message, hint] of cases) {
    test(`${what}`, async () => {
      await using host = new TestHost();
      const { exitCode, text } = await refused(host, flags);
      expect(exitCode).toBe(code);
      expect(text.split("\n")[0]).toContain(message);
      expect(text.split("\n")[1]).toContain(hint);
      expect(existsSync(`${host.socketPath}.lock`)).toBe(false);
    });
  }

  test("a group that cannot be one, by its flag", async () => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, ["--group", "99999999999"]);
    expect(await agent.exited()).toBe(2);
    expect(agent.text).toContain("--group: 99999999999 is no number that a group can have");
  });

  test.each([
    ["--spool", "/tmp/spool"],
    ["--spool-size", "1GiB"],
    ["--lake-token-file", "/tmp/token"],
  ])("%s without a lake", async (flag, value) => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, [flag, value]);
    expect(await agent.exited()).toBe(2);
    expect(agent.text).toBe(`microview: ${flag} needs --lake\n`);
  });

  test.each(["--port", "--data-port"])("a taken %s, by that flag", async (flag) => {
    await using host = new TestHost();
    const server = createServer().listen(0, "127.0.0.1");
    await until("the port is known", () => server.listening);
    host.onEnd(() => server.close());
    const { port } = server.address() as { port: number };
    const { exitCode, text } = await refused(host, [flag, String(port)]);
    expect(exitCode).toBe(1);
    expect(text).toContain(`cannot listen on 127.0.0.1:${port}: the address is already in use`);
    expect(text.split("\n")[1]).toEndWith(`or give another ${flag}`);
  });

  test("a socket whose path is longer than the system allows, to the byte", async () => {
    await using host = new TestHost();
    const folder = `${host.folder}/`;
    const path = (bytes: number) => folder + "s".repeat(bytes - folder.length);
    const { exitCode, text } = await refused(host, ["--socket", path(108)]);
    expect(exitCode).toBe(1);
    expect(text).toContain("the path of the socket has 108 bytes, and the system allows 107");
    expect(text).toContain("MICROVIEW_SOCKET");
    await host.agentProcess("--socket", path(107));
    const mv = host.client({ socket: path(107) });
    mv.counter("requests_total").inc();
    expect(await mv.ready).toEqual({ attached: true });
  });

  test("a folder or a file in the place of its socket", async () => {
    await using host = new TestHost();
    writeFileSync(join(host.folder, "file"), "precious");
    mkdirSync(join(host.folder, "folder"));
    for (const name of ["file", "folder"]) {
      const { text } = await refused(host, ["--socket", join(host.folder, name)]);
      expect(text).toContain(`${join(host.folder, name)} exists and is no socket`);
    }
    const { text } = await refused(host, ["--socket", join(host.folder, "file/agent.sock")]);
    expect(text).toContain("cannot be made");
  });

  test.skipIf(asNobody === undefined || process.getuid?.() !== 0)(
    "a socket that another user's agent serves, with its user, or has left",
    async () => {
      await using host = new TestHost();
      chmodSync(host.folder, 0o777);
      const pools = join(host.folder, "pools");
      mkdirSync(pools);
      chownSync(pools, nobodyUid, -1);
      const flags = ["--pool-dir", pools];
      const first = await host.agentProcess();
      const { exitCode, text } = await refused(host, flags, asNobody!);
      expect(exitCode).toBe(1);
      expect(text).toContain(`an agent of user 0 serves ${host.socketPath} already`);
      await first.end("SIGKILL");
      const { text: left } = await refused(host, flags, asNobody!);
      expect(left).toContain(
        `an agent of user 0 lives or has left its lock ${host.socketPath}.lock`,
      );
      expect(left).toContain("remove it as that user");
    },
  );
});
