// `microview agent --json-logs`: each line on stderr is JSON, whatever happens.

import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { AgentProcess, ROOT, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

interface Line {
  time: string;
  level: string;
  message: string;
  hint?: string;
}

/** The lines of a text, each of which has to be one of a log. */
function lines(text: string): Line[] {
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { time, level, message, ...rest } = JSON.parse(line) as Line;
      expect(Number.isNaN(Date.parse(time))).toBe(false);
      expect(["error", "warn", "info", "debug"]).toContain(level);
      expect(message).not.toBe("");
      return { time, level, message, ...rest };
    });
}

describe("an agent that cannot begin says so in JSON:", () => {
  const cases: [name: string, code: number, flags: (host: TestHost) => string[]][] = [
    ["an unknown flag", 2, () => ["--nonsense"]],
    ["a value that cannot be", 2, () => ["--max-apps", "none"]],
    ["a token file that is not there", 2, () => ["--token-file", "/nowhere"]],
    ["a port beyond what there are", 2, () => ["--port", "70000"]],
    ["an address of strangers", 1, () => ["--host", "0.0.0.0"]],
    ["a group that is not there", 2, () => ["--group", "no-such-group-of-the-tests"]],
    [
      "a socket that is somebody's file",
      1,
      (host) => {
        mkdirSync(join(host.folder, "x.sock"));
        return ["--socket", join(host.folder, "x.sock")];
      },
    ],
  ];
  test.each(cases)("%s", async (_, code, flags) => {
    await using host = new TestHost();
    const agent = new AgentProcess(host, flags(host));
    expect(await agent.exited()).toBe(code);
    expect(agent.stray).toBe("");
    const { level, message } = agent.log.at(-1)!;
    expect(level).toBe("error");
    expect(message).not.toContain("\n");
  });
});

test("an agent that is taken for something else, signalled twice and asked nonsense writes only JSON", async () => {
  await using host = new TestHost();
  const file = join(host.folder, "tokens");
  writeFileSync(file, "token-of-the-tests");
  const agent = await host.agentProcess("--log-level", "debug", "--token-file", file);
  for (const text of [
    "GET /healthz HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "\x16\x03\0",
  ]) {
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(text);
    await new Promise((resolve) => socket.once("data", resolve).once("close", resolve));
    socket.destroy();
  }
  writeFileSync(file, "one two three");
  agent.child.kill("SIGHUP");
  await until("it complains", () => agent.find("the tokens stay as they were"));
  agent.child.kill("SIGTERM");
  agent.child.kill("SIGTERM");
  expect(await agent.exited()).toBe(0);
  expect(agent.stray).toBe("");
});

/** Runs what a program does with `--json-logs`. */
async function run(code: string): Promise<{ code: number; text: string }> {
  const faults = JSON.stringify(join(ROOT, "src/command-line/faults.ts"));
  const program = `
    import { Faults } from ${faults};
    new Faults(true).watch();
    ${code}
    setTimeout(() => {}, 200);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stderr: "pipe", stdout: "ignore" });
  const text = await new Response(child.stderr).text();
  return { code: await child.exited, text };
}

test.each([
  ["an error that nobody has caught", "setTimeout(() => { throw new Error('lost') });", 1, "lost"],
  ["a promise that nobody waits for", "void Promise.reject(new Error('lost'));", 1, "lost"],
  [
    "a warning of the runtime",
    "process.emitWarning('too many listeners');",
    0,
    "too many listeners",
  ],
  [
    "something thrown that is no error",
    "setTimeout(() => { throw 'text\\nof two lines' });",
    1,
    "text\nof two lines",
  ],
])("%s is a line of JSON", async (_, program, expected, message) => {
  const { code, text } = await run(program);
  expect(code).toBe(expected);
  const said = lines(text);
  expect(said).toHaveLength(1);
  expect(said[0]!.message).toBe(message);
});
