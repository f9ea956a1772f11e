// What the commands do in an environment with a proxy: nothing for this host reaches it, above all no token, and an
// error that came by it names it.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { runCli } from "./run-cli.ts";

/** What came to the proxy, which answers nothing but 502. */
let seen = "";
const proxy = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket, bytes) {
      seen += new TextDecoder().decode(bytes);
      socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nnope");
    },
  },
});
const url = `http://eva:s3cret@127.0.0.1:${proxy.port}`;
const ENVIRONMENT = { HTTP_PROXY: url, HTTPS_PROXY: url, ALL_PROXY: url };
const NAME = `the proxy 127.0.0.1:${proxy.port}`;

beforeEach(() => {
  seen = "";
});
afterAll(() => proxy.stop(true));

async function serving(host: TestHost) {
  const agent = await host.agent({ tokens: [{ token: "agents-token", name: "reader" }] });
  const mv = host.client();
  mv.counter("requests_total").inc(3);
  await mv.ready;
  const tokenFile = join(host.folder, "token");
  await Bun.write(tokenFile, "agents-token\n");
  return { agent, tokenFile };
}

describe("on loopback a proxy sees nothing", () => {
  test.each(["127.0.0.1", "localhost"])("of who reads an agent at %s", async (name) => {
    await using host = new TestHost();
    const { agent, tokenFile } = await serving(host);
    const { exitCode, stderr } = await runCli(
      [
        ...["collect", `${name}:${agent.port}`, "--once", "--transport", "tcp"],
        ...["--token-file", tokenFile],
      ],
      ENVIRONMENT,
    );
    expect({ exitCode, stderr, seen }).toEqual({ exitCode: 0, stderr: "", seen: "" });
  });

  test("of what is pushed by remote write and OTLP", async () => {
    await using host = new TestHost();
    await using receiver = new OtlpReceiver();
    await serving(host);
    let writes = 0;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch() {
        writes++;
        return new Response(null, { status: 204 });
      },
    });
    host.onEnd(() => server.stop(true));
    const { exitCode, stderr } = await runCli(
      [
        ...["collect", "--once", "--socket", host.socketPath, "--app", "shop"],
        ...["--remote-write", `http://127.0.0.1:${server.port}/`],
        ...["--remote-write-protocol", "1", "--otlp", receiver.url],
      ],
      ENVIRONMENT,
    );
    expect({ exitCode, stderr, seen }).toEqual({ exitCode: 0, stderr: "", seen: "" });
    expect([writes, receiver.paths.length]).toEqual([1, 1]);
  });

  test("of doctor, which finds the agent", async () => {
    await using host = new TestHost();
    const { agent } = await serving(host);
    const { stdout } = await runCli(
      [
        ...["doctor", "--json", "--port", String(agent.port)],
        ...["--socket", host.socketPath, "--pool-dir", host.poolDir],
      ],
      ENVIRONMENT,
    );
    const { findings } = JSON.parse(stdout) as { findings: { id: string; finding: string }[] };
    expect(findings.find(({ id }) => id === "agent-port")?.finding).toContain("asks for a token");
    expect(seen).toBe("");
  });
});

describe("elsewhere", () => {
  test("an agent is asked by the proxy, which the error names without its password", async () => {
    const { exitCode, stderr } = await runCli(["collect", "far.test:7070", "--once"], ENVIRONMENT);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`${NAME} (HTTP_PROXY)`);
    expect(stderr).not.toContain("s3cret");
    expect(seen).toStartWith("GET http://far.test:7070/health HTTP/1.1\r\n");
  });

  test("a proxy that is not there is named", async () => {
    const { stderr } = await runCli(["collect", "far.test:7070", "--once"], {
      http_proxy: "http://127.0.0.1:1",
    });
    expect(stderr).toContain("through the proxy 127.0.0.1:1 (http_proxy)");
  });

  test("NO_PROXY is kept", async () => {
    const { exitCode, stderr } = await runCli(["collect", "far.test:7070", "--once"], {
      ...ENVIRONMENT,
      NO_PROXY: ".test",
    });
    expect(exitCode).toBe(1);
    expect(stderr).not.toContain("proxy");
    expect(seen).toBe("");
  });

  test("a receiver is asked by the proxy, which is named when it does not take anything", async () => {
    await using host = new TestHost();
    await serving(host);
    const { exitCode, stderr } = await runCli(
      [
        ...["collect", "--once", "--socket", host.socketPath, "--app", "shop"],
        ...["--remote-write", "https://far.test/write", "--remote-write-protocol", "1"],
      ],
      ENVIRONMENT,
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`${NAME} (HTTPS_PROXY)`);
    expect(stderr).not.toContain("s3cret");
    expect(seen).toStartWith("CONNECT far.test:443 HTTP/1.1\r\n");
  });
});
