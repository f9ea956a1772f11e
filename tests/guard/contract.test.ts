// What every server of ours gets by being served by the guard. Two toys stand for all of them: one writes down its routes
// and answers by itself, the other leaves that to Elysia. A new server's tests copy `lines` and the calls below.

import { describe, expect, test } from "bun:test";
import { Elysia } from "elysia";
import {
  ANYONE,
  CallError,
  CONNECTION_LIMITS,
  checkExposure,
  createLog,
  Guard,
  type GuardedServer,
  grantOf,
  needs,
  Routes,
  serve,
  type TlsIdentity,
  type TokenEntry,
} from "../../src/guard/index.ts";
import { Authority } from "../support/certificates.ts";
import { type LogLine, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

const TOKENS: TokenEntry[] = [
  { token: "token-of-the-dashboard", name: "dashboard", scopes: ["read"] },
  { token: "token-of-the-shipper", name: "shipper", scopes: ["read", "register"] },
  { token: "token-that-has-expired", name: "late", expiresAtMs: 1_000 },
];
const READER = "token-of-the-dashboard";
const SHIPPER = "token-of-the-shipper";

const FLAGS = {
  ...{ allowHost: "--lake-allow-host", maxRequests: "--lake-max-requests" },
  ...{ cert: "--lake-cert", key: "--lake-key", clientCa: "--lake-client-ca" },
};

const FAILURE = new CallError("internal", "the lake failed to answer", "its log says why", 500);

/** What the lake does, whoever finds its routes. */
interface Work {
  query(request: Request): Response | Promise<Response>;
  ship(request: Request): Promise<Response>;
}

/** How a server finds its routes: what it gives to `serve`. */
type Toy = (
  work: Work,
  server: () => GuardedServer,
) => Pick<Parameters<typeof serve>[1], "routes" | "answer">;

const byHand: Toy = ({ query, ship }) => ({
  routes: new Routes(
    () => [
      { method: "GET", path: "/query", detail: needs("read") },
      { method: "POST", path: "/blocks/:table", detail: needs("register") },
      { method: "GET", path: "/secret" },
    ],
    { hint: "GET /query" },
  ),
  answer: (request) => (request.method === "POST" ? ship(request) : query(request)),
});

const byElysia: Toy = ({ query, ship }, server) => {
  const routes = new Routes(() => app.routes, { hint: "GET /query" });
  const app = new Elysia({ normalize: false })
    // First of all, so that it is asked of each route that follows.
    .onTransform(routes.authorize)
    .onError(({ error, code, request }) =>
      server().answerTo(code === "NOT_FOUND" ? routes.refusalOf(request) : error, request),
    )
    .get("/query", ({ request }) => query(request), {
      detail: { summary: "Rows", ...needs("read") },
    })
    .post("/blocks/:table", ({ request }) => ship(request), {
      detail: { summary: "Take a block", ...needs("register") },
      parse: "none",
    })
    .get("/secret", () => "");
  return { answer: (request) => app.handle(request) };
};

/** What a test does otherwise. */
interface Options {
  /** Undefined when none is asked for. */
  tokens?: readonly TokenEntry[] | undefined;
  tls?: TlsIdentity;
  requestsPerS?: number;
  wrongPerS?: number;
  query?: Work["query"];
}

/** A lake of one test, with what it has logged. */
function lake(host: TestHost, toy: Toy, options: Options = {}) {
  const tokens = "tokens" in options ? options.tokens : TOKENS;
  const {
    tls,
    requestsPerS = 1_000,
    wrongPerS = 1_000,
    query = () => new Response("rows"),
  } = options;
  const log: LogLine[] = [];
  const guard = new Guard({
    ...{ tokens, anyone: ANYONE, flags: FLAGS, allowHosts: ["lake.example"] },
    limits: { requestsPerS, wrongPerS },
    log: createLog("debug", true, (line) => log.push(JSON.parse(line))),
    transportOf: () => "lake",
  });
  const work: Work = {
    query,
    ship: async (request) => new Response(`${grantOf(request).name} ${await request.text()}`),
  };
  const server = serve(guard, {
    ...toy(work, () => server),
    ...{ host: "127.0.0.1", port: 0, limits: CONNECTION_LIMITS, failure: FAILURE },
    maxBodyBytes: 8,
    ...(tls === undefined ? {} : { tls }),
  });
  host.onEnd(() => server.stop(1));
  const scheme = tls === undefined ? "http" : "https";
  const call = (path: string, token?: string, init: BunFetchRequestInit = {}) =>
    fetch(`${scheme}://127.0.0.1:${server.port}${path}`, {
      ...init,
      keepalive: false,
      headers: {
        ...(init.headers as Record<string, string>),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
  /** The lines about calls that were refused. */
  const lines = () => log.filter(({ audit }) => audit === "refused");
  return { guard, server, call, log, lines };
}

/** The status of an answer, and the code of an error. */
async function told(response: Response | Promise<Response>): Promise<string> {
  const { ok, status } = await response;
  if (ok) return String(status);
  const { code, message, hint } = (await (await response).json()) as CallError;
  expect([message, hint]).not.toContain("");
  return `${status} ${code}`;
}

/** A body that does not say how long it is. */
const inChunks = (...chunks: string[]) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });

describe.each([
  ["answers by itself", byHand],
  ["is served by Elysia", byElysia],
])("a server that %s", (_, toy) => {
  test("answers who may call, as whom it knows them", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy);
    expect(await (await call("/query", READER)).text()).toBe("rows");
    const shipped = await call("/blocks/logs", SHIPPER, { method: "POST", body: "12345678" });
    expect(await shipped.text()).toBe("shipper 12345678");
    const streamed = { method: "POST", body: inChunks("1234", "5678") };
    expect(await (await call("/blocks/logs", SHIPPER, streamed)).text()).toBe("shipper 12345678");
    expect(lines()).toEqual([]);
  });

  test("refuses a caller without a right token by 401, or without the route's scope by 403", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy);
    expect(await told(call("/query"))).toBe("401 denied");
    expect(await told(call("/query", "token-that-nobody-has"))).toBe("401 denied");
    expect(await told(call("/query", "token-that-has-expired"))).toBe("401 expired-token");
    expect(await told(call("/blocks/logs", READER, { method: "POST", body: "1" }))).toBe(
      "403 needs-register-scope",
    );
    expect(await told(call("/secret", SHIPPER))).toBe("403 no-scope-declared");
    expect(lines().map(({ code, token, path }) => [code, token, path])).toEqual([
      ["denied", "nobody", "/query"],
      ["denied", "nobody", "/query"],
      ["expired-token", "nobody", "/query"],
      ["needs-register-scope", "dashboard", "/blocks/logs"],
      ["no-scope-declared", "shipper", "/secret"],
    ]);
    for (const { transport, peer } of lines())
      expect([transport, peer]).toEqual(["lake", "127.0.0.1"]);
  });

  test("tells what is not there by 404, and which methods there are by 405", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy);
    expect(await told(call("/nowhere", READER))).toBe("404 no-such-route");
    const wrong = await call("/query", READER, { method: "DELETE" });
    expect(wrong.headers.get("allow")).toBe("GET, HEAD");
    expect(await told(wrong)).toBe("405 no-such-method");
    expect((await call("/query", READER, { method: "HEAD" })).status).toBe(200);
    // A mistake is no refusal.
    expect(lines()).toEqual([]);
  });

  test("refuses a body that is too long by 413, whether it says so or not", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy);
    for (const body of ["123456789", inChunks("1234", "56789")]) {
      const answer = call("/blocks/logs", SHIPPER, { method: "POST", body });
      expect(await told(answer)).toBe("413 body-full");
    }
    expect(lines().map(({ code, token }) => [code, token])).toEqual([
      ["body-full", "shipper"],
      ["body-full", "shipper"],
    ]);
  });

  test("asks those who call too often to wait, by 429 with Retry-After", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy, { requestsPerS: 0.5 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => call("/query", READER)));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(8);
    for (const answer of refused) {
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await answer.json()).toMatchObject({
        code: "too-many-requests",
        hint: "ask less often, or start the server with a higher --lake-max-requests",
      });
    }
    expect(lines()).toHaveLength(refused.length);
  });

  test("asks those who guess tokens to wait, also when a guess is right", async () => {
    await using host = new TestHost();
    // One at once, and the next after six seconds.
    const { call } = lake(host, toy, { wrongPerS: 0.167 });
    expect(await told(call("/query", "token-that-nobody-has"))).toBe("401 denied");
    expect(await told(call("/query", READER))).toBe("429 too-many-wrong-tokens");
  });

  test("says to everybody that it lives", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy);
    expect(await (await call("/healthz")).text()).toBe("ok\n");
    expect(lines()).toEqual([]);
  });

  test("that asks for no token lets callers read, and only under names of this host", async () => {
    await using host = new TestHost();
    const { call, lines } = lake(host, toy, { tokens: undefined });
    const under = (name: string) => call("/query", undefined, { headers: { host: name } });
    expect(await told(call("/query"))).toBe("200");
    expect(await told(under("lake.example:80"))).toBe("200");
    const foreign = await under("attacker.example");
    expect(await foreign.clone().text()).toContain("--lake-allow-host");
    expect(await told(foreign)).toBe("403 foreign-host");
    const origin = { headers: { origin: "https://attacker.example" } };
    expect(await told(call("/query", undefined, origin))).toBe("403 foreign-origin");
    expect(await told(call("/blocks/logs", undefined, { method: "POST", body: "1" }))).toBe(
      "403 needs-register-scope",
    );
    expect(lines()).toHaveLength(3);
  });

  test("takes other tokens while it runs", async () => {
    await using host = new TestHost();
    const { guard, call } = lake(host, toy);
    guard.renewTokens([{ token: "token-of-the-new-dashboard", name: "dashboard" }]);
    expect(await told(call("/query", "token-of-the-new-dashboard"))).toBe("200");
    expect(await told(call("/query", READER))).toBe("401 denied");
  });

  test("shows another certificate while it runs, and refuses one that cannot be used", async () => {
    await using host = new TestHost();
    using first = new Authority("first");
    using second = new Authority("second");
    const { server, call } = lake(host, toy, { tls: first.sign("lake") });
    const trusting = (ca: string) => call("/query", READER, { tls: { ca } });
    expect(await told(trusting(first.cert))).toBe("200");
    const next = second.sign("lake");
    expect(() => server.renewTls({ ...next, cert: next.key })).toThrow("--lake-cert: ");
    expect(await told(trusting(first.cert))).toBe("200");
    server.renewTls(next);
    expect(await told(trusting(second.cert))).toBe("200");
    await expect(trusting(first.cert)).rejects.toThrow();
  });

  test("answers what was under way when it stops, and waits for nothing that takes too long", async () => {
    await using host = new TestHost();
    for (const isAnswered of [true, false]) {
      const { promise, resolve } = Promise.withResolvers<Response>();
      let asked = false;
      const query = () => {
        asked = true;
        return promise;
      };
      const { server, call } = lake(host, toy, { query });
      const answer = told(call("/query", READER)).catch(() => "nothing");
      await until("it is under way", () => asked);
      const stopped = server.stop(isAnswered ? undefined : 1);
      if (isAnswered) resolve(new Response("rows"));
      await stopped;
      expect(await answer).toBe(isAnswered ? "200" : "nothing");
      await expect(call("/query", READER)).rejects.toThrow();
    }
  });

  test("tells the log why it has failed, and the caller only that it has", async () => {
    await using host = new TestHost();
    const query = () => {
      throw new Error("the password of the store is xyzzy");
    };
    const { call, log, lines } = lake(host, toy, { query });
    const answer = await call("/query", READER);
    expect(await answer.clone().text()).not.toContain("xyzzy");
    expect(await told(answer)).toBe("500 internal");
    expect(log.some(({ error }) => String(error).includes("xyzzy"))).toBeTrue();
    expect(lines()).toEqual([]);
  });

  test("never logs a token", async () => {
    await using host = new TestHost();
    const { call, log } = lake(host, toy);
    for (const { token } of TOKENS) await call(`/blocks/${token}`, undefined, { method: "POST" });
    for (const { token } of TOKENS) expect(JSON.stringify(log)).not.toContain(token);
  });
});

test("a server that strangers could reach does not start, unless somebody has said that it may", () => {
  const open = { host: "0.0.0.0", insecure: false };
  expect(() => checkExposure(open, "give --lake-token-file FILE")).toThrow(
    expect.objectContaining({ name: "ExposedError", hint: "give --lake-token-file FILE" }),
  );
  for (const more of [{ insecure: true }, { tokens: TOKENS }, { host: "127.0.0.1" }]) {
    checkExposure({ ...open, ...more }, "");
  }
});

describe("of several routes that fit a path", () => {
  const routes = new Routes(
    () => [
      { method: "GET", path: "/tables/:name", detail: needs("read") },
      { method: "GET", path: "/tables/all", detail: needs("admin") },
      { method: "POST", path: "/tables/:name", detail: needs("register") },
    ],
    { hint: "" },
  );

  test("each has to be granted, and none of another method", async () => {
    await using host = new TestHost();
    const { call } = lake(host, () => ({ routes, answer: () => new Response("") }));
    expect(await told(call("/tables/logs", READER))).toBe("200");
    expect(await told(call("/tables/all", READER))).toBe("403 needs-admin-scope");
  });
});
