import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MemoryBacklog } from "../../../src/sinks/delivery/index.ts";
import { retryAfterMs, Sender, type SenderOptions } from "../../../src/sinks/delivery/sender.ts";
import { patienceNow } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";

/** A receiver that answers as it is told, first to last, and with 204 afterwards. */
class Receiver implements AsyncDisposable {
  readonly bodies: number[] = [];
  readonly headers: Headers[] = [];
  readonly atMs: number[] = [];
  readonly #server;

  constructor(readonly answers: (() => Response | Promise<Response>)[] = []) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        this.atMs.push(performance.now());
        this.bodies.push((await request.bytes())[0]!);
        this.headers.push(request.headers);
        return this.answers.shift()?.() ?? new Response(null, { status: 204 });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/write`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

/** A sender with so many requests of ten samples each. */
function sender(url: string, requests: number, options: Partial<SenderOptions> = {}) {
  const backlog = new MemoryBacklog(1000);
  for (let n = 1; n <= requests; n++) backlog.push({ body: new Uint8Array([n]), items: 10 });
  const notices: string[] = [];
  const made = new Sender(backlog, {
    url,
    name: "the receiver",
    itemNoun: "sample",
    headers: () => ({}),
    mayPass: (status) => status >= 500 || status === 429,
    onNotice: (text) => notices.push(text),
    backoffMs: { first: 5, last: 20 },
    ...options,
  });
  made.start();
  return { made, backlog, notices };
}

const answer =
  (status: number, text = "", headers = {}) =>
  () =>
    new Response(text, { status, headers });

describe("a sender", () => {
  test("sends again what may pass, in order, and says it once", async () => {
    await using receiver = new Receiver([answer(503, "busy"), answer(500), answer(429)]);
    const { made, notices } = sender(receiver.url, 3);
    expect(await made.stop(5000)).toBe(0);
    expect(receiver.bodies).toEqual([1, 1, 1, 1, 2, 3]);
    expect(made.counters).toMatchObject({ requests: 6, retries: 3, items: 30, refused: 0 });
    expect(notices).toEqual([
      "the receiver does not take what it is sent, which is kept and tried again: 503: busy",
      expect.stringMatching(
        /^the receiver takes what it is sent again, after .* s; nothing was lost$/,
      ),
    ]);
  });

  test("drops what is refused, counts it, and says each reason once", async () => {
    const refused = [answer(400, "out of order\n"), answer(400, "again"), answer(302)];
    await using receiver = new Receiver(refused);
    const { made, notices } = sender(receiver.url, 4);
    await made.stop(5000);
    expect(receiver.bodies).toEqual([1, 2, 3, 4]);
    expect(made.counters).toMatchObject({ items: 10, refused: 30, retries: 0 });
    expect(notices).toEqual([
      "the receiver has refused 10 samples, which are dropped: 400: out of order",
      "the receiver has refused 10 samples, which are dropped: 302",
    ]);
  });

  test("sends each request where it goes and how, and hands over those that are refused before they go", async () => {
    const asked: string[] = [];
    await using server = {
      it: Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: async (request) => {
          const [number] = await request.bytes();
          asked.push(`${request.method} ${new URL(request.url).pathname}`);
          return new Response("no", { status: number === 2 ? 400 : 201 });
        },
      }),
      [Symbol.asyncDispose]: () => server.it.stop(true),
    };
    const url = `http://127.0.0.1:${server.it.port}`;
    const refused: [number, string, number][] = [];
    const { made, backlog, notices } = sender(url, 3, {
      method: "PUT",
      urlOf: ({ body }) => `${url}/v1/segments/${body[0]}`,
      refusedAre: "put aside",
      onRefused: ({ body }, reason) => refused.push([body[0]!, reason, backlog.items]),
    });
    expect(await made.stop(5000)).toBe(0);
    expect(asked).toEqual([1, 2, 3].map((number) => `PUT /v1/segments/${number}`));
    expect(refused).toEqual([[2, "400: no", 20]]);
    expect(notices).toEqual(["the receiver has refused 10 samples, which are put aside: 400: no"]);
  });

  test("waits as long as the receiver asks for", async () => {
    await using receiver = new Receiver([answer(429, "", { "retry-after": "1" })]);
    const { made } = sender(receiver.url, 1);
    expect(await made.stop(5000)).toBe(0);
    expect(receiver.atMs[1]! - receiver.atMs[0]!).toBeGreaterThan(950);
  });

  test("waits until the date that the receiver names", async () => {
    // Dates are whole seconds.
    const untilMs = Math.floor(Date.now() / 1000) * 1000 + 2000;
    const headers = { "retry-after": new Date(untilMs).toUTCString() };
    const askedAtMs: number[] = [];
    const asked = (answer: () => Response) => () => {
      askedAtMs.push(Date.now());
      return answer();
    };
    const answers = [asked(answer(503, "", headers)), asked(answer(204))];
    await using receiver = new Receiver(answers);
    const { made } = sender(receiver.url, 1);
    expect(await made.stop(10_000)).toBe(0);
    // A clock's ticks and a timer's are not the same ones.
    expect(askedAtMs[1]!).toBeGreaterThan(untilMs - 50);
  });

  test.each([301, 302, 303, 307, 308])(
    "follows no redirect (%i): what it sends and who it is are for the receiver that was named",
    async (status) => {
      await using other = new Receiver();
      await using receiver = new Receiver([answer(status, "", { location: other.url })]);
      const headers = () => ({ authorization: "Bearer s3cret" });
      const { made, notices } = sender(receiver.url, 2, { headers });
      await made.stop(5000);
      expect(other.bodies).toEqual([]);
      expect(receiver.bodies).toEqual([1, 2]);
      expect(made.counters).toMatchObject({ items: 10, refused: 10, retries: 0 });
      expect(notices[0]).toContain(`which are dropped: ${status}`);
      expect(notices[0]).not.toContain("s3cret");
    },
  );

  test("ends in time when the receiver does not answer, and tells what was not delivered", async () => {
    const hanging = Promise.withResolvers<Response>();
    await using receiver = new Receiver([() => hanging.promise]);
    const { made } = sender(receiver.url, 2);
    await until("it was asked", () => receiver.bodies.length === 1);
    const startMs = performance.now();
    expect(await made.stop(50)).toBe(20);
    expect(performance.now() - startMs).toBeLessThan(patienceNow(2000));
    hanging.resolve(new Response());
  });

  test("gives a receiver up that does not answer in time, and tries again", async () => {
    const hanging = Promise.withResolvers<Response>();
    await using receiver = new Receiver([() => hanging.promise]);
    const { made, notices } = sender(receiver.url, 1, { timeoutMs: 500 });
    expect(await made.stop(5000)).toBe(0);
    expect(notices[0]).toContain("it does not answer in time");
    hanging.resolve(new Response());
  });

  test("asks for its headers each time: a token may have been replaced, or its file be away", async () => {
    await using receiver = new Receiver();
    const tokens = ["one", undefined, "two"];
    const { made, notices } = sender(receiver.url, 2, {
      headers: () => {
        const token = tokens.shift();
        if (token === undefined) throw new Error("there is no token");
        return { authorization: `Bearer ${token}` };
      },
    });
    expect(await made.stop(5000)).toBe(0);
    expect(receiver.headers.map((each) => each.get("authorization"))).toEqual([
      "Bearer one",
      "Bearer two",
    ]);
    expect(notices[0]).toContain("there is no token");
  });

  test("says what was dropped for want of room while the receiver was away", async () => {
    await using receiver = new Receiver(Array(8).fill(answer(503)));
    const { made, backlog, notices } = sender(receiver.url, 1);
    await until("it is missed", () => notices.length === 1);
    for (let n = 0; n < 3; n++) backlog.push({ body: new Uint8Array(600).fill(50 + n), items: 7 });
    expect(await made.stop(5000)).toBe(0);
    expect(backlog.dropped).toBe(24);
    expect(receiver.bodies.at(-1)).toBe(52);
    expect(notices[1]).toContain("24 samples were dropped, for which there was no room");
  });
});

test("shows a receiver that asks for it who we are, by a certificate that may have been replaced", async () => {
  const folder = mkdtempSync("/tmp/microview-test-");
  const pem = async (name: string) => {
    const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
    const made = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost"],
      ...["-keyout", key, "-out", cert],
    ]);
    expect(made.exitCode).toBe(0);
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  };
  const [server, ours, others] = [await pem("server"), await pem("ours"), await pem("others")];
  rmSync(folder, { recursive: true });
  let taken = 0;
  const listener = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { ...server, ca: ours.cert, requestCert: true, rejectUnauthorized: true },
    fetch() {
      taken++;
      return new Response(null, { status: 204 });
    },
  });
  const url = `https://localhost:${listener.port}/`;
  let shown = others;
  const { made, notices } = sender(url, 1, { ca: server.cert, identity: () => shown });
  await until("the wrong one is refused", () => notices.length > 0);
  expect(taken).toBe(0);
  shown = ours;
  expect(await made.stop(5000)).toBe(0);
  expect(taken).toBe(1);
  await listener.stop(true);
});

test("over TLS a receiver is trusted by the certificates that are given, and by no others", async () => {
  const folder = mkdtempSync("/tmp/microview-test-");
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
    ...["-keyout", key, "-out", cert],
  ]);
  expect(made.exitCode).toBe(0);
  const tls = { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  rmSync(folder, { recursive: true });
  let taken = 0;
  const fetch = () => {
    taken++;
    return new Response(null, { status: 204 });
  };
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, tls, fetch });
  const url = `https://localhost:${server.port}/`;
  const trusting = sender(url, 1, { ca: tls.cert });
  expect(await trusting.made.stop(5000)).toBe(0);
  expect(taken).toBe(1);
  const careful = sender(url, 1);
  await until("it has tried", () => careful.notices.length > 0);
  expect(await careful.made.stop(0)).toBe(10);
  expect(careful.notices[0]).toContain("certificate");
  expect(taken).toBe(1);
  await server.stop(true);
});

test("Retry-After is seconds or a date, and nobody is left for hours", () => {
  const now = Date.UTC(2026, 0, 1);
  const of = (value: string) =>
    retryAfterMs(new Response(null, { headers: { "retry-after": value } }), now);
  expect(of("3")).toBe(3000);
  expect(of("0")).toBe(0);
  expect(of(new Date(now + 7000).toUTCString())).toBe(7000);
  expect(of(new Date(now - 7000).toUTCString())).toBe(0);
  expect(of("86400")).toBe(300_000);
  expect(of("soon")).toBeUndefined();
  expect(retryAfterMs(new Response(), now)).toBeUndefined();
});
