// Tokens and keys appear nowhere: not in what agent and collector write, answer or show of themselves, whatever is done
// to provoke it.

import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { encodeHello } from "../../src/layout/index.ts";
import { Authority } from "../support/certificates.ts";
import { CLI, TestHost } from "../support/host.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { WireClient } from "../support/wire-client.ts";

setDefaultTimeout(patience(60_000));

const RIGHT = "Zq3-right-token-of-the-tests";
const NEXT = "Zq3-next-token-of-the-tests";
const WRONG = "Zq3-wrong-token-of-the-tests";
const LATE = "Zq3-late-token-of-the-tests";
const BROKEN = "Zq3-broken-token-of-the-tests";

/** All of the tests' tokens begin like this. */
const SECRET = /Zq3/i;

/** What a process has written so far. */
class Written {
  text = "";

  constructor(...streams: ReadableStream<Uint8Array>[]) {
    for (const stream of streams) void this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.text += decoder.decode(chunk, { stream: true });
  }
}

function start(host: TestHost, ...words: string[]) {
  const child = host.own(
    Bun.spawn([process.execPath, CLI, ...words], {
      env: surroundings(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  return { child, written: new Written(child.stdout, child.stderr) };
}

/** What anybody on the host sees of a process and those that it has started. */
function shownBy(pid: number): string {
  const read = (path: string) => {
    try {
      return readFileSync(path, "latin1");
    } catch {
      return "";
    }
  };
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`)
      .split(" ")
      .filter((child) => child !== ""),
  );
  const own = ["cmdline", "environ", "comm"].map((name) => read(`/proc/${pid}/${name}`));
  const names = tasks.map((task) => read(`/proc/${pid}/task/${task}/comm`));
  return [...own, ...names, ...children.map((child) => shownBy(Number(child)))].join("\n");
}

/** Asks in every wrong way, and gives back all that was answered. */
async function provoke(port: number): Promise<string> {
  const answers: string[] = [];
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    answers.push(JSON.stringify([...response.headers]), await response.text());
  };
  const paths = ["/health", "/v1/apps", "/v1/tokens", "/metrics", "/openapi/json", "/nowhere"];
  for (const token of [RIGHT, WRONG, LATE]) {
    const headers = { authorization: `Bearer ${token}` };
    for (const path of paths) await ask(path, { headers });
    await ask(`/metrics?app=${"[".repeat(300)}`, { headers });
    await ask("/v1/apps/shop/writers", { method: "POST", headers, body: "{" });
    await ask("/v1/apps/shop/writers", {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify({ service: { token }, pid: token, threadId: -1 }),
    });
    await ask("/v1/rdma/session", { headers });
    await ask("/health", { headers: { authorization: `Basic ${token}` } });
    await ask(`/health?token=${token}`, { headers: { cookie: `token=${token}` } });
    await ask(`/v1/apps/${token}/${token}`, { headers: { authorization: "Bearer none" } });
    await ask("/health", { headers: { ...headers, host: "evil.example", origin: "http://evil" } });
  }
  return answers.join("\n");
}

/** What is not HTTP, with tokens in it. */
async function garble(port: number, dataPort: number): Promise<void> {
  for (const token of [RIGHT, WRONG]) {
    for (const [to, text] of [
      [port, `GET / HTTP/9.9\r\nAuthorization: Bearer ${token}\r\n\r\n`],
      [port, `Bearer ${token}\r\n\r\n`],
      [dataPort, `GET / HTTP/1.1\r\nAuthorization: Bearer ${token}\r\n\r\n`],
    ] as const) {
      const socket = connect(to, "127.0.0.1");
      let isOver = false;
      socket.on("close", () => {
        isOver = true;
      });
      socket.on("error", () => {});
      socket.resume();
      socket.end(text);
      await until("it is hung up", () => isOver);
    }
    using client = new WireClient(dataPort);
    const hello = encodeHello(token);
    hello[4] = 99;
    client.send(hello);
    await client.end();
    using late = new WireClient(dataPort);
    await late.hello(LATE);
  }
}

test.each([[], ["--json-logs"]])(
  "the agent keeps its tokens to itself: %p",
  async (...flags) => {
    await using host = new TestHost();
    const file = join(host.folder, "tokens");
    writeFileSync(file, `${RIGHT} name=ops\n${LATE} name=late expires=2020-01-01\n`);
    const { child, written } = start(
      host,
      ...["agent", "--socket", host.socketPath, "--pool-dir", host.poolDir, "--port", "0"],
      ...["--data-port", "0", "--log-level", "debug", "--token-file", file, ...flags],
    );
    await until("it serves", () => /the agent serves.*\n/.test(written.text));
    const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(written.text)![1]);
    const dataPort = Number(/"?dataPort"?[=:](\d+)/.exec(written.text)![1]);
    const answered = await provoke(port);
    await garble(port, dataPort);

    const wrong = join(host.folder, "wrong");
    writeFileSync(wrong, WRONG);
    const collected = start(
      host,
      ...["collect", `127.0.0.1:${port}`, "--transport", "tcp", "--once", "--token-file", wrong],
    );
    expect(await collected.child.exited).toBe(1);

    for (const text of [
      `${NEXT} ${BROKEN}`,
      `${NEXT} name=${BROKEN}\n${BROKEN}`,
      `${NEXT}\n${NEXT}`,
      `apps=shop ${BROKEN}`,
      `${NEXT} scopes=${BROKEN}`,
      `${NEXT} expires=${BROKEN}`,
      `${NEXT} ${BROKEN} apps=shop`,
      `${NEXT}\u00e9`,
    ]) {
      const before = written.text.length;
      writeFileSync(file, text);
      child.kill("SIGHUP");
      await until("it complains", () =>
        written.text.slice(before).includes("the tokens stay as they were"),
      );
    }
    writeFileSync(file, `${NEXT} name=ops`);
    child.kill("SIGHUP");
    await until("the next one is read", () => written.text.includes("read again"));
    const shown = shownBy(child.pid);
    expect(shown).toContain("--token-file");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    for (const text of [answered, shown, written.text, collected.written.text]) {
      expect(text.split("\n").filter((line) => SECRET.test(line))).toEqual([]);
    }
    expect(written.text).toContain("a call was refused");
  },
  patience(60_000),
);

test("keys of certificates appear nowhere, though they are mistaken for something else", async () => {
  using authority = new Authority();
  await using host = new TestHost();
  const { cert, key } = authority.sign("server");
  const put = (name: string, text: string) => {
    writeFileSync(join(host.folder, name), text);
    return join(host.folder, name);
  };
  const [certFile, keyFile] = [put("cert", cert), put("key", key)];
  const secret = key.split("\n")[1]!;
  const common = ["agent", "--socket", host.socketPath, "--pool-dir", host.poolDir, "--port", "0"];
  for (const flags of [
    ["--tls-cert", keyFile, "--tls-key", certFile],
    ["--tls-cert", certFile, "--tls-key", put("cut", key.slice(0, -60))],
    ["--tls-cert", certFile, "--tls-key", keyFile, "--tls-client-ca", keyFile],
    ["--token-file", keyFile],
    ["--tls-cert", certFile, "--tls-key", put("other", authority.sign("other").key)],
  ]) {
    const { child, written } = start(host, ...common, ...flags);
    expect([flags, await child.exited]).toEqual([flags, 2]);
    await until("it is said", () => written.text !== "");
    expect(written.text).not.toContain(secret);
  }
});
