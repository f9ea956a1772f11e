// What `microview collect` says besides what it has read: on stderr, so that data stays data.

import { expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
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
    "no metric matches 'nope': there is auth_requests_total, orders_requests_total, sessions",
  ],
  [["--service", "auht"], "no service matches 'auht': did you mean auth?"],
  [["--app", "shop,bank"], "no application matches 'bank': there is shop"],
  [
    ["--service", "auth", "--metric", "orders_*"],
    "no series matches: each of the globs fits something, but nothing fits all of them",
  ],
])("%j prints nothing of it, and says why", async (flags, reason) => {
  await using host = new TestHost();
  await serving(host);
  for (const format of ["ndjson", "csv", "prometheus", "table"]) {
    const app = flags[0] === "--app" ? [] : ["--app", "shop"];
    const { exitCode, stderr } = await runCli([
      ...["collect", "--once", "--socket", host.socketPath, "--format", format],
      ...app,
      ...flags,
    ]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: `${reason}\n` });
  }
});

test("globs that fit something are no news, and several that do not are each told once", async () => {
  await using host = new TestHost();
  await serving(host);
  const fits = await once(host, "--metric", "auth_*,sessions", "--service", "{auth,x}");
  expect(fits).toMatchObject({ exitCode: 0, stderr: "" });
  const flags = ["--metric", "auth_*,nope,sesions", "--count", "3", "--interval", "5ms"];
  const { stderr } = await runCli(["collect", "--socket", host.socketPath, ...flags]);
  expect(stderr.match(/no metric matches/g)).toHaveLength(2);
  expect(stderr).toContain("no metric matches 'sesions': did you mean sessions?\n");
});

test("a host on which nothing is registered yet has no name to suggest", async () => {
  await using host = new TestHost();
  await host.agent();
  await host.client().ready;
  const { exitCode, stderr } = await once(host, "--metric", "nope");
  expect({ exitCode, stderr }).toEqual({
    exitCode: 0,
    stderr: "no metric matches 'nope': there is none yet\n",
  });
});

test("a socket that was named and is not there, or where nobody answers, is an error", async () => {
  await using host = new TestHost();
  // The socket of an agent that was killed stays as a file.
  const killed = await host.agentProcess("--socket", `${host.folder}/killed.sock`);
  await killed.end("SIGKILL");
  for (const [path, reason] of [
    [`${host.folder}/nope.sock`, "there is no such file"],
    [`${host.folder}/killed.sock`, "nobody listens there"],
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
