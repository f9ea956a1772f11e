// What the commands say of agents, receivers and files that they cannot use: the cause, and what to do.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Authority } from "../support/certificates.ts";
import { TestHost } from "../support/host.ts";
import { runCli } from "./run-cli.ts";

/** What one read of an agent by TCP says. */
async function collected(agent: string, ...flags: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCli([
    ...["collect", agent, "--once", "--transport", "tcp", ...flags],
  ]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  return stderr;
}

async function file(host: TestHost, name: string, text: string): Promise<string> {
  const path = join(host.folder, name);
  await Bun.write(path, text);
  return path;
}

describe("an agent", () => {
  test("is named without its port, or by a URL", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    mv.counter("requests_total").inc();
    await mv.ready;
    for (const name of [`http://127.0.0.1:${agent.port}`, `http://localhost:${agent.port}/`]) {
      const { exitCode, stdout } = await runCli(["collect", name, "--once", "--app", "shop"]);
      expect({ name, exitCode }).toEqual({ name, exitCode: 0 });
      expect(stdout).toContain("requests_total");
    }
    const { exitCode, stderr } = await runCli(["collect", "http://a", "https://b", "--once"]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining("http://a:7070 is without TLS"),
    });
  });

  test("whose data port is given for its REST port is recognised", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    expect(await collected(`127.0.0.1:${agent.dataPort}`)).toContain(
      `no agent answers at 127.0.0.1:${agent.dataPort}: it is the data port of an agent: give its REST port`,
    );
    const { stdout } = await runCli([
      ...["doctor", "--port", String(agent.dataPort), "--socket", host.socketPath],
      ...["--pool-dir", host.poolDir],
    ]);
    expect(stdout).toContain("is no REST port of an agent: it is the data port of an agent");
  });

  test("that asks for a token says whether none was sent, or one that it does not know", async () => {
    await using host = new TestHost();
    const agent = await host.agent({ tokens: [{ token: "right-token", name: "ops" }] });
    const place = `127.0.0.1:${agent.port}`;
    expect(await collected(place)).toContain("asks for a token: give --token-file");
    const wrong = await file(host, "wrong", "wrong-token\n");
    const said = await collected(place, "--token-file", wrong);
    expect(said).toContain("does not know the token that it was sent");
    expect(said).not.toContain("wrong-token");
    const messages = async (headers: Record<string, string>) =>
      ((await (await fetch(`http://${place}/health`, { headers })).json()) as { message: string })
        .message;
    expect(await messages({})).toBe("the server asks for a token, and none was sent");
    expect(await messages({ authorization: "Bearer wrong" })).toBe(
      "the server does not know the token that was sent",
    );
  });

  test("by TLS that requires a client certificate says so", async () => {
    await using host = new TestHost();
    using authority = new Authority();
    const server = authority.sign("agent");
    const agent = await host.agent({ tls: { ...server, clientCa: authority.cert } });
    const ca = await file(host, "ca.pem", `\uFEFF${authority.cert}`);
    expect(await collected(`https://localhost:${agent.port}`, "--ca", ca)).toContain(
      "it requires a client certificate: give --client-cert and --client-key",
    );
    expect(await collected(`localhost:${agent.port}`)).toContain(
      "it speaks TLS: give --tls or --ca",
    );
    expect(await collected(`localhost:${agent.port}`, "--tls")).toContain(
      "name the one that has signed it with --ca",
    );
  });
});

describe("a file of certificates", () => {
  test.each([
    ["collect", ["collect", "--once"], "--ca"],
    ["remote write", ["collect", "--once", "--remote-write", "https://x"], "--remote-write-ca"],
    ["OTLP", ["collect", "--once", "--otlp", "https://x"], "--otlp-ca"],
    ["the agent's OTLP", ["agent", "--otlp", "https://x"], "--otlp-ca"],
  ])("of %s without one is refused at once", async (_, words, flag) => {
    await using host = new TestHost();
    using authority = new Authority();
    const path = await file(host, "key.pem", authority.sign("agent").key);
    const socket = ["--socket", host.socketPath];
    const { exitCode, stderr } = await runCli([...words, ...socket, flag, path]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining(
        `${flag}: there is no certificate in it (PEM); it is a private key`,
      ),
    });
  });

  test("whose key is another's is refused at once, wherever both are given", async () => {
    await using host = new TestHost();
    using authority = new Authority();
    const cert = await file(host, "cert.pem", authority.sign("agent").cert);
    const key = await file(host, "key.pem", authority.sign("other").key);
    for (const [words, prefix] of [
      [["collect", "--once"], "--client"],
      [["collect", "--once", "--otlp", "https://x"], "--otlp-client"],
      [["agent"], "--tls"],
    ] as const) {
      const { exitCode, stderr } = await runCli([
        ...[...words, "--socket", host.socketPath, `${prefix}-cert`, cert, `${prefix}-key`, key],
      ]);
      expect({ exitCode, stderr }).toEqual({
        exitCode: 2,
        stderr: expect.stringContaining(
          `${prefix}-key: it is not the key of the certificate of ${prefix}-cert`,
        ),
      });
    }
  });
});

test("a receiver says what is wrong with its certificate, or that it asks for ours", async () => {
  await using host = new TestHost();
  using authority = new Authority();
  await host.agent();
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  const { cert, key } = authority.sign("receiver");
  const asking = { ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key, ...asking },
    fetch: () => new Response(null, { status: 204 }),
  });
  host.onEnd(() => server.stop(true));
  const ca = await file(host, "ca.pem", authority.cert);
  const pushed = (...flags: string[]) =>
    runCli(["collect", "--once", "--socket", host.socketPath, "--app", "shop", ...flags]);
  const url = `https://localhost:${server.port}`;
  const [otlp, write] = await Promise.all([
    pushed("--otlp", url, "--otlp-ca", ca),
    pushed("--remote-write", url),
  ]);
  expect(otlp.stderr).toContain(
    "it requires a client certificate: give --otlp-client-cert and --otlp-client-key",
  );
  expect(write.stderr).toContain("name the one that has signed it with --remote-write-ca");
});
