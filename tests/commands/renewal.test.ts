// Files of tokens and certificates as people and systems replace them, under a command that goes on.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Authority, type Pem } from "../support/certificates.ts";
import { type AgentProcess, CLI, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

const ONE = "first-token-of-the-tests";
const TWO = "second-token-of-the-tests";

async function status(port: number, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${port}/health`, { headers });
  await response.text();
  return response.status;
}

/** Waits until one token is taken and the other one is not. */
function holds(agent: AgentProcess, right: string, wrong: string) {
  return until("the tokens hold", async () => {
    const answers = [await status(agent.port, right), await status(agent.port, wrong)];
    return answers[0] === 200 && answers[1] === 401;
  });
}

/** As a Kubernetes secret is mounted: the file is a link into a folder, which is a link that is turned. */
function secret(folder: string, version: number, text: string): void {
  const data = `..${version}`;
  mkdirSync(join(folder, data), { recursive: true });
  writeFileSync(join(folder, data, "token"), text);
  symlinkSync(data, join(folder, "..next"));
  renameSync(join(folder, "..next"), join(folder, "..data"));
  if (version === 1) symlinkSync("..data/token", join(folder, "token"));
}

describe("a token file", () => {
  test("that is renamed over, as editors do it, or a link that is turned, is read again", async () => {
    await using host = new TestHost();
    const folder = join(host.folder, "secret");
    secret(folder, 1, ONE);
    const agent = await host.agentProcess("--token-file", join(folder, "token"));
    await holds(agent, ONE, TWO);
    secret(folder, 2, TWO);
    await holds(agent, TWO, ONE);
    rmSync(join(folder, "..1"), { recursive: true });
    writeFileSync(join(folder, "new"), `${ONE}\n`);
    renameSync(join(folder, "new"), join(folder, "token"));
    await holds(agent, ONE, TWO);
    expect(await agent.end("SIGTERM")).toBe(0);
  });

  test("is read at once at a SIGHUP, which ends nothing", async () => {
    await using host = new TestHost();
    const file = join(host.folder, "token");
    writeFileSync(file, ONE);
    const agent = await host.agentProcess("--token-file", file);
    writeFileSync(file, `${TWO} name=two`);
    agent.child.kill("SIGHUP");
    await until("it is read", () => agent.find("the tokens were read again"));
    await holds(agent, TWO, ONE);
    expect(await agent.end("SIGTERM")).toBe(0);
  });

  test("that cannot be used, or is gone, leaves the tokens as they were, and is told of by line", async () => {
    await using host = new TestHost();
    const file = join(host.folder, "token");
    writeFileSync(file, ONE);
    const agent = await host.agentProcess("--token-file", file);
    const complaint = (text: string) =>
      until(`it complains: ${text}`, () =>
        agent.log.find(
          ({ message, reason }) =>
            message === "the tokens stay as they were" && String(reason).includes(text),
        ),
      );
    writeFileSync(file, `${TWO}\n# one more\nthird-token-of-the-tests scopes=everything\n`);
    const { reason } = await complaint("line 3: scopes= takes some of");
    expect(reason).not.toContain("third-token");
    rmSync(file);
    await complaint("there is no such file");
    writeFileSync(file, "");
    await complaint("is empty");
    await holds(agent, ONE, TWO);
    writeFileSync(file, TWO);
    await holds(agent, TWO, ONE);
    await agent.end("SIGTERM");
    expect(JSON.stringify(agent.log) + agent.text).not.toMatch(/(first|second|third)-token/);
  });
});

describe("without a file to be read again, a SIGHUP ends", () => {
  test("no agent: it answers on", async () => {
    await using host = new TestHost();
    const agent = await host.agentProcess();
    for (let i = 0; i < 5; i++) {
      agent.child.kill("SIGHUP");
      const answer = await fetch(`http://127.0.0.1:${agent.port}/healthz`);
      expect(answer.status).toBe(200);
    }
    expect(await agent.end("SIGTERM")).toBe(0);
  });

  test.each([
    ["is scraped", ["--listen", "0"]],
    ["records", ["--out", "run.ndjson"]],
    ["prints", ["--format", "ndjson"]],
  ])("no collector that %s and has no terminal", async (_, flags) => {
    await using host = new TestHost();
    await host.agent();
    host.client().counter("c_total").inc(1);
    const command = ["collect", "--socket", host.socketPath, "--interval", "10ms", ...flags];
    const child = host.own(
      Bun.spawn([process.execPath, CLI, ...command], {
        cwd: host.folder,
        env: surroundings(),
        stdin: "ignore",
        stdout: Bun.file(join(host.folder, "output")),
        stderr: Bun.file(join(host.folder, "said")),
      }),
    );
    const grown = () =>
      ["output", "said", "run.ndjson"].some((name) => {
        const stat = statSync(join(host.folder, name), { throwIfNoEntry: false });
        return stat !== undefined && stat.size > 0;
      });
    await until("it works", grown);
    for (let i = 0; i < 5; i++) {
      child.kill("SIGHUP");
      await Bun.sleep(20);
    }
    expect(child.exitCode).toBeNull();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });
});

/** Name in the certificate that is shown on a port. */
async function shown(port: number, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { port, host: "127.0.0.1", ca, servername: "localhost" };
  const socket = connectTls(options, () => resolve(String(socket.getPeerCertificate().subject.CN)));
  socket.on("error", reject);
  return promise.finally(() => socket.destroy());
}

test("certificates are shown again when both files fit, on every port that shows them", async () => {
  using authority = new Authority();
  await using host = new TestHost();
  const [cert, key, token] = ["cert.pem", "key.pem", "token"].map((name) =>
    join(host.folder, name),
  );
  const put = (pem: Pem, what: "cert" | "both") => {
    writeFileSync(cert!, pem.cert);
    if (what === "both") writeFileSync(key!, pem.key);
  };
  put(authority.sign("first"), "both");
  writeFileSync(token!, ONE);
  const agent = await host.agentProcess(
    ...["--tls-cert", cert!, "--tls-key", key!, "--token-file", token!],
  );
  const scraper = host.own(
    Bun.spawn(
      [
        ...[process.execPath, CLI, "collect", "--socket", host.socketPath, "--listen", "0"],
        ...["--listen-tls-cert", cert!, "--listen-tls-key", key!, "--listen-token-file", token!],
      ],
      {
        env: surroundings(),
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      },
    ),
  );
  const [, url] = (await new Lines(scraper.stderr).next()).split("scraped at ");
  expect(url).toStartWith("https://127.0.0.1:");
  const ports = [agent.port, agent.dataPort, Number(new URL(url!).port)];
  const all = (ca: string) => Promise.all(ports.map((port) => shown(port, ca)));
  expect(await all(authority.cert)).toEqual(["first", "first", "first"]);

  // Between the two writes they do not fit each other.
  const second = authority.sign("second");
  put(second, "cert");
  await until("it complains", () => agent.find("the certificates stay as they were"));
  expect((await all(authority.cert))[0]).toBe("first");
  put(second, "both");
  await until("the second one is shown", async () =>
    (await all(authority.cert)).every((name) => name === "second"),
  );
  writeFileSync(token!, TWO);
  await until("the new token is taken by both", async () => {
    const headers = { authorization: `Bearer ${TWO}` };
    const tls = { ca: authority.cert };
    const urls = [`https://localhost:${ports[0]}/health`, `https://localhost:${ports[2]}/metrics`];
    const answers = await Promise.all(urls.map((each) => fetch(each, { headers, tls })));
    return answers.every(({ ok }) => ok);
  });
});

test("a collector says that the certificate it shows to scrapers has expired", async () => {
  await using host = new TestHost();
  using authority = new Authority();
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(host.folder, name));
  const late = authority.sign("late", "ended");
  writeFileSync(cert!, late.cert);
  writeFileSync(key!, late.key);
  await host.agent();
  const child = host.own(
    Bun.spawn(
      [
        ...[process.execPath, CLI, "collect", "--socket", host.socketPath, "--listen", "0"],
        ...["--listen-tls-cert", cert!, "--listen-tls-key", key!],
      ],
      { env: surroundings(), stdin: "ignore", stdout: "ignore", stderr: "pipe" },
    ),
  );
  const lines = new Lines(child.stderr);
  for (let line = ""; !line.includes("the certificate has expired"); ) line = await lines.next();
});
