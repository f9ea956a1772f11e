// What `microview collect` says besides what it has read: on stderr, so that data stays data.

import { describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { HEADER, poolPath } from "../../src/layout/index.ts";
import { CLI, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

/** A host with an agent, and two services that have stored something. */
async function serving(host: TestHost): Promise<void> {
  await host.agent();
  for (const service of ["auth", "orders"]) {
    const mv = host.client({ service });
    mv.counter(`${service}_requests_total`).inc();
    mv.gauge("sessions").set(1);
    await mv.ready;
  }
}

/** One read of a host's agent. */
function once(host: TestHost, ...flags: string[]) {
  return runCli(["collect", "--once", "--socket", host.socketPath, "--app", "shop", ...flags]);
}

test.each([
  [
    ["--metric", "auth_request_total"],
    "no metric matches 'auth_request_total': did you mean auth_requests_total?",
  ],
  [
    ["--metric", "nope"],
    "no metric matches 'nope': there are auth_requests_total, orders_requests_total, sessions",
  ],
  [["--service", "auht"], "no service matches 'auht': did you mean auth?"],
  [["--app", "shop,bank"], "no application matches 'bank': there are microview, shop"],
  [
    ["--service", "auth", "--metric", "orders_*"],
    "no series matches: each of the globs fits something, but nothing fits all of them",
  ],
])("%j is an error that says why, and prints nothing of it", async (flags, reason) => {
  await using host = new TestHost();
  await serving(host);
  for (const format of ["ndjson", "csv", "prometheus", "table"]) {
    const app = flags[0] === "--app" ? [] : ["--app", "shop"];
    const { exitCode, stderr } = await runCli([
      ...["collect", "--once", "--socket", host.socketPath, "--format", format],
      ...app,
      ...flags,
    ]);
    const [message, hint] = reason.split(": ");
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: `microview: ${message}\nhint: ${reason.slice(message!.length + 2)}\n`,
    });
    expect(hint).toBeDefined();
  }
});

test("globs that fit something are no news, and several that do not are each told once", async () => {
  await using host = new TestHost();
  await serving(host);
  const fits = await once(host, "--metric", "auth_*,sessions", "--service", "{auth,x}");
  expect(fits).toMatchObject({ exitCode: 0, stderr: "" });
  const flags = ["--metric", "auth_*,nope,sesions", "--count", "3", "--interval", "5ms"];
  const bounded = await runCli(["collect", "--socket", host.socketPath, ...flags]);
  expect(bounded.exitCode).toBe(1);
  expect(bounded.stderr.match(/no metric matches/g)).toHaveLength(2);
  expect(bounded.stderr).toContain("no metric matches 'sesions': did you mean sessions?\n");
});

test.each([
  ["--app", "shpo", "no application matches 'shpo'"],
  ["--metric", "sesions", "no metric matches 'sesions'"],
])(
  "a run without an end says at once that %s %s fits nothing yet, waits, and fails in the end",
  async (flag, glob, message) => {
    await using host = new TestHost();
    await serving(host);
    const child = host.own(
      Bun.spawn([process.execPath, CLI, "collect", "--socket", host.socketPath, flag, glob], {
        stdin: "ignore",
        stdout: "ignore",
        stderr: Bun.file(join(host.folder, "stderr")),
      }),
    );
    const said = () => readFileSync(join(host.folder, "stderr"), "utf8");
    await until("it says so", () => said().includes(`${message} yet: did you mean `));
    expect(child.exitCode).toBeNull();
    child.kill("SIGINT");
    expect(await child.exited).toBe(1);
    expect(said()).toContain(`microview: ${message}\nhint: did you mean s`);
  },
);

test("where there is no application at all, that is what is said, whatever metric is asked for", async () => {
  await using host = new TestHost();
  const flags = ["collect", "--once", "--pool-dir", host.poolDir, "--metric", "nope"];
  const { exitCode, stdout, stderr } = await runCli(flags);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toContain("microview: ");
  expect(stderr).not.toContain("no metric matches");
});

test("what fits only later is no error", async () => {
  await using host = new TestHost();
  await serving(host);
  const child = host.own(
    Bun.spawn(
      [
        process.execPath,
        CLI,
        "collect",
        "--socket",
        host.socketPath,
        "--app",
        "bank",
        "--interval",
        "10ms",
      ],
      {
        stdin: "ignore",
        stdout: Bun.file(join(host.folder, "stdout")),
        stderr: Bun.file(join(host.folder, "stderr")),
      },
    ),
  );
  const said = (name: string) => readFileSync(join(host.folder, name), "utf8");
  await until("it says that there is none", () => said("stderr").includes("'bank' yet: there are"));
  const mv = host.client({ app: "bank" });
  mv.counter("booked_total").inc();
  await mv.ready;
  await until("it is read", () => said("stdout").includes("booked_total"));
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
});

test("a host on which nothing is registered yet has no name to suggest", async () => {
  await using host = new TestHost();
  await host.agent();
  await host.client().ready;
  const { exitCode, stderr } = await once(host, "--metric", "nope");
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: "microview: no metric matches 'nope'\nhint: there are no metrics\n",
  });
});

test("a socket that was named and is not there, or where nobody answers, is an error", async () => {
  await using host = new TestHost();
  // The socket of an agent that was killed stays as a file.
  const killed = await host.agentProcess("--socket", `${host.folder}/killed.sock`);
  await killed.end("SIGKILL");
  writeFileSync(`${host.folder}/file.sock`, "");
  for (const [path, reason] of [
    [`${host.folder}/nope.sock`, "there is no such file"],
    [`${host.folder}/killed.sock`, "nobody listens there"],
    [`${host.folder}/file.sock`, "it is no socket"],
  ]) {
    for (const transport of ["auto", "mmap", "tcp"]) {
      const flags = ["--once", "--socket", path!, "--transport", transport];
      const { exitCode, stdout, stderr } = await runCli(["collect", ...flags]);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).toStartWith(`microview: no agent answers at ${path}: ${reason}\n`);
      expect(stderr).toContain("hint: is `microview agent` running there?");
    }
  }
});

test("without an agent, and no socket named, the pools are read, which is said", async () => {
  await using host = new TestHost();
  const socket = `${host.folder}/nope.sock`;
  const { stderr } = await runCli(["collect", "--once", "--app", "no-such-app"], {
    MICROVIEW_SOCKET: socket,
  });
  expect(stderr).toStartWith(
    `local: no agent answers at ${socket}: there is no such file; the pools in /dev/shm are read without one\n`,
  );
  // Who names the pools needs no agent.
  await serving(host);
  const { exitCode, stderr: said } = await once(host, "--pool-dir", host.poolDir);
  expect({ exitCode, stderr: said }).toEqual({ exitCode: 0, stderr: "" });
});

describe("a run that ends by its time and has read nothing fails, and says why:", () => {
  function run(...flags: string[]) {
    return runCli(["collect", "--duration", "1500ms", ...flags]);
  }

  test("no agent", async () => {
    const { exitCode, stderr } = await run("127.0.0.1:1");
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      "microview: nothing was read within 1.5s\nhint: 127.0.0.1:1: no agent",
    );
  });

  test("no application", async () => {
    await using host = new TestHost();
    await host.agent();
    const { exitCode, stderr } = await run("--socket", host.socketPath, "--app", "shop");
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 1 });
    expect(stderr).toContain("microview: no application matches 'shop'\n");
  });

  test("no pool", async () => {
    await using host = new TestHost();
    mkdirSync(host.poolDir, { recursive: true });
    const flags = ["--socket", `${host.folder}/none.sock`, "--transport", "mmap"];
    for (const more of [["--pool-dir", host.poolDir], []]) {
      const { exitCode, stderr } = await run(...flags, ...more);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/\nhint: local(:| has no application)/);
    }
  });
});

test("pools of which none may be opened are not called absent", async () => {
  await using host = new TestHost();
  mkdirSync(`${host.poolDir}/shop`, { recursive: true });
  expect(Bun.spawnSync(["mkfifo", `${host.poolDir}/shop/pool`]).success).toBe(true);
  const { exitCode, stderr } = await runCli(["collect", "--once", "--pool-dir", host.poolDir], {
    MICROVIEW_SOCKET: `${host.folder}/none.sock`,
  });
  expect(exitCode).toBe(1);
  expect(stderr).toContain("microview: no pool of local can be read\n");
});

describe("--once beside a pool that cannot be read", () => {
  const kinds = {
    "cut short": (path: string) => truncateSync(path, 4096),
    "of five bytes": (path: string) => writeFileSync(path, "five!"),
    "whose size is no multiple of eight": (path: string) =>
      writeFileSync(path, "MICROVW\0 and more"),
    "that is a FIFO": (path: string) => {
      rmSync(path);
      expect(Bun.spawnSync(["mkfifo", path]).success).toBe(true);
    },
    "whose state makes no sense": (path: string) => patch(path, HEADER.pagesHighWater, 0xffff_ffff),
    "whose agent died while it changed the structure": (path: string) =>
      patch(path, HEADER.generation, 1),
  };
  /** Stores a u32 into a file. */
  function patch(path: string, offset: number, value: number): void {
    const fd = openSync(path, "r+");
    writeSync(fd, new Uint8Array(new Uint32Array([value]).buffer), 0, 4, offset);
    closeSync(fd);
  }

  test.each(Object.entries(kinds))(
    "%s it ends with the others and names the bad one",
    async (_, spoil) => {
      await using host = new TestHost();
      const agent = await host.agent();
      for (const app of ["bank", "shop"]) {
        const mv = host.client({ app });
        mv.counter(`${app}_requests_total`).inc(7);
        await mv.ready;
      }
      await agent.stop();
      spoil(poolPath("bank", host.poolDir));
      const flags = ["--pool-dir", host.poolDir, "--socket", host.socketPath];
      const all = await runCli(["collect", "--once", "--format", "ndjson", ...flags]);
      expect(all.stdout).toContain('"shop_requests_total"');
      expect(all.stderr.match(/^local: bank: /gm)).toHaveLength(1);
      expect(all.exitCode).toBe(0);
      const only = await runCli(["collect", "--once", "--app", "bank", ...flags]);
      expect(only).toMatchObject({ exitCode: 1, stdout: "" });
      expect(only.stderr).toContain("bank");
    },
  );
});
