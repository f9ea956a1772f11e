// What ends a process is recorded, and the process ends as it would have ended.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RingEvent } from "../../../src/layout/index.ts";
import { ROOT, TestHost } from "../../support/host.ts";
import { outcomeOf } from "../../support/outcome.ts";
import { surroundings } from "../../support/surroundings.ts";
import { eventsOf } from "./recorded.ts";

const REGISTER = join(ROOT, "src/client/register.ts");
const CLIENT = JSON.stringify(join(ROOT, "src/client/index.ts"));
const NAMED = { MICROVIEW_APP: "shop", MICROVIEW_SERVICE: "auth" };

type Log = RingEvent & { kind: "log" };

function logs(host: TestHost): Log[] {
  return eventsOf(host).filter((event): event is Log => event.kind === "log");
}

async function run(
  host: TestHost,
  program: string,
  { flags = [] as string[], env = NAMED as Record<string, string> } = {},
) {
  writeFileSync(join(host.folder, "program.ts"), program);
  const child = Bun.spawn([process.execPath, ...flags, "program.ts"], {
    cwd: host.folder,
    env: surroundings({ MICROVIEW_POOL_DIR: host.poolDir, ...env }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return outcomeOf(host.own(child));
}

/** Runs a program with and without the preload: it ends in the same way. */
async function preloaded(host: TestHost, program: string, flags: string[] = []) {
  const usual = await run(host, program, { flags });
  const outcome = await run(host, program, { flags: [...flags, "--preload", REGISTER] });
  // Bun leaves nameless functions out of a stack that somebody has looked at.
  const known = (text: string) =>
    text.replaceAll(/\(node:\d+\)/g, "(node)").replaceAll(/at <anonymous> \((.*)\)/g, "at $1");
  expect({ ...outcome, stderr: known(outcome.stderr) }).toEqual({
    ...usual,
    stderr: known(usual.stderr),
  });
  return outcome;
}

const thrown = (message: string, origin: string) => ({
  level: "fatal",
  target: "process",
  message,
  properties: { origin, error: { name: "Error", message, stack: expect.stringContaining("at ") } },
});

describe("a process that ends by itself", () => {
  test.each([
    ["throws while it is loaded", `throw new Error("boom");`],
    ["throws later", `setTimeout(() => { throw new Error("boom"); }, 1);`],
    ["throws in a microtask", `queueMicrotask(() => { throw new Error("boom"); });`],
    ["waits for what is rejected", `await Promise.reject(new Error("boom")); export {};`],
    ["rejects, and nobody handles it", `void Promise.reject(new Error("boom"));`],
    [
      "rejects in an asynchronous function",
      `async function deep() { await 1; throw new Error("boom"); } void deep();`,
    ],
  ])("and %s leaves why", async (_how, program) => {
    await using host = new TestHost();
    const { exitCode, stderr } = await preloaded(host, program);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("boom");
    const origin = expect.stringMatching(/^(uncaughtException|unhandledRejection)$/);
    expect(logs(host)).toMatchObject([thrown("boom", origin)]);
  });

  test("leaves each of several reasons, whatever they are", async () => {
    await using host = new TestHost();
    const program = `
      setTimeout(() => {
        void Promise.reject("a text");
        void Promise.reject({ password: "hidden", code: 7 });
        void Promise.reject(new Error("boom", { cause: new Error("below") }));
      }, 1);`;
    await preloaded(host, program);
    expect(logs(host)).toMatchObject([
      { message: "unhandled rejection: a text", properties: { origin: "unhandledRejection" } },
      { properties: { reason: { password: "[redacted]", code: 7 } } },
      { message: "boom", properties: { error: { cause: { message: "below" } } } },
    ]);
  });

  test.each(["warn", "none", "strict", "throw", "warn-with-error-code"])(
    "does so where Bun is told what to do with rejections: %s",
    async (mode) => {
      await using host = new TestHost();
      await preloaded(host, `void Promise.reject(new Error("boom"));`, [
        `--unhandled-rejections=${mode}`,
      ]);
      expect(logs(host)).toMatchObject([thrown("boom", "unhandledRejection")]);
    },
  );

  test("goes on where it handles them, and what it handled is recorded", async () => {
    await using host = new TestHost();
    const program = `
      process.on("unhandledRejection", (reason) => console.log("handled", String(reason)));
      process.on("uncaughtException", (error) => console.log("caught", String(error)));
      void Promise.reject(new Error("one"));
      setTimeout(() => { throw new Error("two"); }, 1);
      setTimeout(() => console.log("alive"), 20);`;
    const { stdout, exitCode } = await preloaded(host, program);
    expect(exitCode).toBe(0);
    expect(stdout).toBe("handled Error: one\ncaught Error: two\nalive\n");
    expect(logs(host)).toMatchObject([
      thrown("one", "unhandledRejection"),
      thrown("two", "uncaughtException"),
    ]);
  });

  test("in its first millisecond has recorded what it logged", async () => {
    await using host = new TestHost();
    const program = `
      import { MicroView } from ${CLIENT};
      new MicroView({ app: "shop", service: "auth" }).log.info("last words", { n: 1 });
      process.exit(7);`;
    const { exitCode } = await preloaded(host, program);
    expect(exitCode).toBe(7);
    expect(logs(host).map(({ message }) => message)).toEqual(["last words", "last words"]);
  });

  test("again and again before any agent is there leaves each time", async () => {
    await using host = new TestHost();
    const flags = ["--preload", REGISTER];
    for (let i = 0; i < 3; i++) await run(host, `throw new Error("boom ${i}");`, { flags });
    const messages = logs(host).map(({ message }) => message);
    expect(messages.sort()).toEqual(["boom 0", "boom 1", "boom 2"]);
  });
});

describe("the reason", () => {
  test("is in the ring of the service that the program has made, among its lines", async () => {
    await using host = new TestHost();
    const program = `
      import ${JSON.stringify(REGISTER)};
      import { MicroView } from ${CLIENT};
      new MicroView({ app: "shop", service: "billing" }).log.info("begun");
      throw new Error("boom");`;
    const { exitCode } = await run(host, program, { env: {} });
    expect(exitCode).toBe(1);
    expect(logs(host)).toMatchObject([
      { message: "begun" },
      thrown("boom", expect.anything() as never),
    ]);
  });

  test("is nowhere where nobody has said which service it is, and that is said", async () => {
    await using host = new TestHost();
    const flags = ["--preload", REGISTER];
    const { exitCode, stderr } = await run(host, `throw new Error("boom");`, { flags, env: {} });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("set MICROVIEW_APP and MICROVIEW_SERVICE");
    expect(stderr).toContain("boom");
  });

  test("of a Worker is in the Worker's ring, and the Worker ends as it would", async () => {
    for (const how of [
      `throw new Error("boom");`,
      `void Promise.reject(new Error("boom"));`,
      `setTimeout(() => { throw new Error("boom"); }, 1);`,
    ]) {
      await using host = new TestHost();
      const program = `
        import { Worker } from "node:worker_threads";
        const worker = new Worker(new URL("./worker.ts", import.meta.url));
        worker.on("error", ({ message }) => console.log("error", message));
        worker.on("exit", (code) => console.log("exit", code));`;
      const outcomes: unknown[] = [];
      for (const first of ["", `import ${JSON.stringify(REGISTER)};`]) {
        writeFileSync(join(host.folder, "worker.ts"), `${first}\n${how}`);
        const { stdout, exitCode } = await run(host, program);
        outcomes.push({ stdout, exitCode });
      }
      expect(outcomes[1]).toEqual(outcomes[0]);
      expect(outcomes[1]).toEqual({ stdout: "error boom\nexit 1\n", exitCode: 0 });
      expect(logs(host)).toMatchObject([thrown("boom", expect.anything() as never)]);
    }
  });

  test("of each worker of a cluster is in a ring of its own", async () => {
    await using host = new TestHost();
    const program = `
      import cluster from "node:cluster";
      import ${JSON.stringify(REGISTER)};
      if (cluster.isPrimary) {
        for (const part of ["1", "2"]) cluster.fork({ PART: part });
        let ended = 0;
        cluster.on("exit", (_worker, code) => {
          console.log("exit", code);
          if (++ended === 2) process.exit(0);
        });
      } else {
        throw new Error("boom " + process.env.PART);
      }`;
    const { stdout } = await run(host, program);
    expect(stdout).toBe("exit 1\nexit 1\n");
    const messages = logs(host).map(({ message }) => message);
    expect(messages.sort()).toEqual(["boom 1", "boom 2"]);
  });
});
