// That tests cannot reach an agent that happens to run on this machine with its defaults.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runCli } from "../commands/run-cli.ts";
import { ROOT } from "./host.ts";
import { NO_AGENT } from "./surroundings.ts";

test("the tests, their threads and their children have a socket at which no agent can be", async () => {
  expect(process.env["MICROVIEW_SOCKET"]).toBe(NO_AGENT);
  const code = "postMessage(process.env.MICROVIEW_SOCKET)";
  const thread = new Worker(URL.createObjectURL(new Blob([code])));
  const { promise, resolve } = Promise.withResolvers<unknown>();
  thread.onmessage = ({ data }) => resolve(data);
  expect(await promise).toBe(NO_AGENT);
  thread.terminate();
  const child = Bun.spawnSync(["sh", "-c", "echo $MICROVIEW_SOCKET"]);
  expect(child.stdout.toString()).toBe(`${NO_AGENT}\n`);
  const { stdout } = await runCli(["doctor"]);
  expect(stdout).toContain(`there is no ${NO_AGENT}`);
  const agent = await runCli(["agent", "--port", "0", "--data-port", "0"]);
  expect(agent.exitCode).toBe(1);
});

test("tests that are given another socket from outside do not run", () => {
  const env = { PATH: "/usr/bin:/bin", MICROVIEW_SOCKET: "/run/microview/agent.sock" };
  const file = "tests/support/surroundings.test.ts";
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "test", file], { cwd: ROOT, env });
  expect(exitCode).toBe(1);
  expect(stderr.toString()).toContain("they would write into the agent there: unset it");
});

test("processes of the tests get their environment from surroundings(), or name their socket", () => {
  const wrong = [...new Bun.Glob("tests/**/*.ts").scanSync(ROOT)].filter((file) => {
    // Machines of their own have nothing else on them.
    if (file.startsWith("tests/vm/") || file.endsWith("surroundings.ts")) return false;
    const text = readFileSync(join(ROOT, file), "utf8");
    return /env: \{ ?PATH: process\.env\["PATH"\] \?\? "",? ?\}/.test(text);
  });
  expect(wrong).toEqual([]);
});
