// What is said of servers that cannot be asked: each kind of failure has its own words, and says what to do.

import { afterAll, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { type Attempt, failureOf } from "../../src/http/index.ts";
import { encodeHello } from "../../src/layout/index.ts";
import { Authority } from "../support/certificates.ts";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

const FLAGS = { ca: "--ca", identity: "--client-cert", tls: "--tls" };

const authority = new Authority();
const stranger = new Authority("another-ca");
const server = authority.sign("agent");
const servers: { stop(): unknown }[] = [];

afterAll(() => {
  for (const each of servers) each.stop();
  authority[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

function http(tls?: Bun.TLSOptions, hostname = "127.0.0.1"): number {
  const one = Bun.serve({
    hostname,
    port: 0,
    ...(tls === undefined ? {} : { tls }),
    fetch: () => new Response("hello"),
  });
  servers.push({ stop: () => one.stop(true) });
  return one.port!;
}

/** A port that says something at once, or when it is said something to, and then ends. */
async function saying(bytes: string | Uint8Array, isAtOnce: boolean): Promise<number> {
  const one: Server = createServer((socket) => {
    socket.on("error", () => {});
    if (isAtOnce) socket.write(bytes);
    else socket.once("data", () => socket.end(bytes));
  }).listen(0, "127.0.0.1");
  await until("it listens", () => one.listening);
  servers.push({ stop: () => one.close() });
  return (one.address() as { port: number }).port;
}

/** What is said of a request. @param withinMs for servers that answer */
async function said(
  url: string,
  tls?: NonNullable<Attempt["tls"]>,
  withinMs = 20_000,
): Promise<string> {
  try {
    const signal = AbortSignal.timeout(withinMs);
    const response = await fetch(url, { signal, ...(tls === undefined ? {} : { tls }) });
    return `answered ${response.status}`;
  } catch (error) {
    return failureOf(error, { url, flags: FLAGS, ...(tls === undefined ? {} : { tls }) });
  }
}

describe("without TLS", () => {
  test("a port where nobody listens, and a host that is unknown", async () => {
    expect(await said("http://127.0.0.1:1/")).toBe("nobody listens there");
    expect(await said("http://nope.invalid/")).toMatch(/^the host is unknown/);
  });

  test("a server that speaks TLS, or asks for a certificate by it", async () => {
    const { cert, key } = server;
    expect(await said(`http://127.0.0.1:${http({ cert, key })}/`)).toBe(
      "it speaks TLS: give --tls",
    );
    const asking = { cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    expect(await said(`http://127.0.0.1:${http(asking)}/`)).toBe("it speaks TLS: give --tls");
  });

  test.each([
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n", true, "it is a port of SSH"],
    [
      "mail",
      "220 mail\u0007 ESMTP\r\n",
      true,
      'it speaks no HTTP, and begins with "220 mail? ESMTP"',
    ],
    [
      "gRPC",
      new Uint8Array([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]),
      false,
      "it speaks HTTP/2 without TLS, as gRPC does",
    ],
    ["nothing", "", false, "it has closed the connection"],
  ])("a port of %s", async (_, bytes, isAtOnce, reason) => {
    expect(await said(`http://127.0.0.1:${await saying(bytes, isAtOnce)}/`)).toBe(reason);
  });

  test("a port that takes connections and does not answer", async () => {
    const url = `http://127.0.0.1:${await saying("", true)}/`;
    expect(await said(url, undefined, 500)).toBe("it takes connections and does not answer");
  });

  test("the data port of an agent, of which a greeting is no other", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    expect(await said(`http://127.0.0.1:${agent.dataPort}/`)).toBe(
      "it is the data port of an agent: give its REST port, 7070 unless the agent's --port says otherwise",
    );
    // What echoes is not taken for one.
    const port = await saying(encodeHello(""), false);
    expect(await said(`http://127.0.0.1:${port}/`)).not.toContain("data port");
  });
});

describe("by TLS", () => {
  const { cert, key } = server;
  const ca = authority.cert;

  test("a certificate of an unknown authority, of none, for others, and of another time", async () => {
    const port = http({ cert, key }, "0.0.0.0");
    expect(await said(`https://localhost:${port}/`, {})).toBe(
      "its certificate is signed by none of the authorities that the system trusts: name the one that has signed it with --ca",
    );
    expect(await said(`https://localhost:${port}/`, { ca: stranger.cert })).toBe(
      "its certificate is signed by none of the authorities that --ca names: name the one that has signed it with --ca",
    );
    expect(await said(`https://127.0.0.2:${port}/`, { ca })).toBe(
      "its certificate is for localhost, 127.0.0.1, and not for 127.0.0.2: use a name that is in it",
    );
    const own = authority.selfSigned("self");
    expect(await said(`https://localhost:${http(own)}/`, { ca })).toBe(
      "its certificate is self-signed: if that is meant, name it with --ca",
    );
    expect(
      await said(`https://localhost:${http(authority.sign("old", "ended"))}/`, { ca }),
    ).toMatch(
      /^its certificate, or that of its authority, has expired \(its own ends .* 2021 GMT\)$/,
    );
    expect(
      await said(`https://localhost:${http(authority.sign("new", "to come"))}/`, { ca }),
    ).toMatch(
      /^its certificate is not valid yet \(it begins .* 2048 GMT\): look at this host's clock$/,
    );
  });

  test("a server that requires a client certificate, and one that does not take ours", async () => {
    const port = http({ cert, key, ca, requestCert: true, rejectUnauthorized: true });
    const url = `https://localhost:${port}/`;
    expect(await said(url, { ca, ...authority.sign("client") })).toBe("answered 200");
    expect(await said(url, { ca })).toBe("it requires a client certificate: give --client-cert");
    expect(await said(url, { ca, ...stranger.sign("client") })).toBe(
      "it does not take the client certificate: one of the authorities that it trusts has to have signed it",
    );
    expect(await said(url, { ca, ...authority.sign("late", "ended") })).toMatch(
      /^it does not take the client certificate, which has expired 2021-/,
    );
  });

  test("a server that speaks no TLS", async () => {
    const url = (port: number) => `https://localhost:${port}/`;
    expect(await said(url(http()), { ca })).toBe("it speaks no TLS: it answers in plain HTTP");
    const ssh = await saying("SSH-2.0-OpenSSH_9.2\r\n", true);
    expect(await said(url(ssh), { ca })).toBe("it speaks no TLS: it is a port of SSH");
    await using host = new TestHost();
    const agent = await host.agent();
    expect(await said(url(agent.dataPort), { ca })).toStartWith(
      "it speaks no TLS: it is the data port of an agent",
    );
  });
});
