// A Pushgateway is sent what prom-client would send it: method, path, headers, body, and what comes back.

import { describe, expect, spyOn, test } from "bun:test";
import http from "node:http";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";
import type { Client } from "./both.ts";

interface Received {
  method: string;
  path: string;
  authorization: string | null;
  encoding: string | null;
  custom: string | null;
  body: string;
}

/** A gateway that keeps what it was sent. */
class Gateway implements Disposable {
  readonly received: Received[] = [];
  status = 202;
  delayMs = 0;
  readonly #server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const { headers } = request;
      const bytes = await request.bytes();
      const encoding = headers.get("content-encoding");
      const body = encoding === "gzip" && bytes.length > 0 ? gunzipSync(bytes) : bytes;
      this.received.push({
        method: request.method,
        path: pathname + search,
        authorization: headers.get("authorization"),
        encoding,
        custom: headers.get("unit-test"),
        body: Buffer.from(body).toString(),
      });
      await Bun.sleep(this.delayMs);
      return new Response(`status ${this.status}`, { status: this.status });
    },
  });

  url(credentials = "", path = ""): string {
    return `http://${credentials}127.0.0.1:${this.#server.port}${path}`;
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}

/** Sends with both, and holds that the gateway was sent the same. @returns what it was sent */
async function same(
  program: (client: Client, registry: Client, gateway: Gateway) => Promise<unknown>,
): Promise<{ received: Received[]; results: unknown[] }> {
  const outcomes = [];
  for (const client of [theirs, ours] as Client[]) {
    using gateway = new Gateway();
    const registry = new client.Registry();
    new client.Counter({ name: "test", help: "test", registers: [registry] }).inc(100);
    const result = await program(client, registry, gateway);
    outcomes.push({ received: gateway.received, results: [result] });
  }
  expect(outcomes[1]).toEqual(outcomes[0]!);
  return outcomes[1]!;
}

const EXPOSED = "# HELP test test\n# TYPE test counter\ntest 100\n";

/** A program's own tests, which mock in each of the usual ways. Nothing listens where they push to. */
const MOCKING = `
  import { expect, jest, mock, spyOn, test } from "bun:test";
  import http from "node:http";
  import https from "node:https";
  import { Pushgateway, Registry } from ${JSON.stringify(join(ROOT, "src/prom-client/index.ts"))};

  const push = (protocol) =>
    new Pushgateway(protocol + "://127.0.0.1:1", {}, new Registry()).push({ jobName: "j" }).catch(String);
  const fake = () => { throw new Error("mocked"); };

  for (const [protocol, module] of Object.entries({ http, https })) {
    test("spyOn", async () => {
      const request = spyOn(module, "request").mockImplementation(fake);
      expect(await push(protocol)).toBe("Error: mocked");
      request.mockRestore();
      expect(await push(protocol)).toContain("ECONNREFUSED");
    });
    for (const name of [protocol, "node:" + protocol]) {
      test("jest.mock with names alone", async () => {
        jest.mock(name, () => ({ request: fake }));
        expect(await push(protocol)).toBe("Error: mocked");
      });
      test("mock.module with a default", async () => {
        mock.module(name, () => ({ default: { request: fake }, request: fake }));
        expect(await push(protocol)).toBe("Error: mocked");
      });
    }
  }
`;

describe("a Pushgateway", () => {
  test("is sent the metrics to add, to replace and to delete", async () => {
    const { received } = await same(async (client, registry, gateway) => {
      const to = new client.Pushgateway(gateway.url(), null, registry);
      const groupings = { key: "va&lue", other: "a/b" };
      const { body, resp } = await to.pushAdd({ jobName: "test&Job", groupings });
      await to.push({ jobName: "job" });
      await to.delete({ jobName: "job", groupings: {} });
      return [body, resp.statusCode];
    });
    expect(received.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/metrics/job/test%26Job/key/va%26lue/other/a%2Fb", EXPOSED],
      ["PUT", "/metrics/job/job", EXPOSED],
      ["DELETE", "/metrics/job/job", ""],
    ]);
  });

  test("may be below a path, and want a name and a password", async () => {
    const { received } = await same(async (client, registry, gateway) => {
      const url = gateway.url("user:pa%20ss@", "/below/path");
      await new client.Pushgateway(url, null, registry).push({ jobName: "job" });
    });
    expect(received[0]!.path).toBe("/below/path/metrics/job/job");
    expect(received[0]!.authorization).toBe(`Basic ${btoa("user:pa ss")}`);
  });

  test("is sent headers of the caller's, and gzip when they say so", async () => {
    const { received } = await same(async (client, registry, gateway) => {
      const headers = { "Content-Encoding": "gzip", "unit-test": "1" };
      const to = new client.Pushgateway(gateway.url(), { headers }, registry);
      await to.push({ jobName: "job" });
      await to.delete({ jobName: "job" });
    });
    expect(received.map(({ encoding, custom, body }) => [encoding, custom, body])).toEqual([
      ["gzip", "1", EXPOSED],
      [null, "1", ""],
    ]);
  });

  test("goes on getting gzip after a deletion", async () => {
    using gateway = new Gateway();
    const headers = { "Content-Encoding": "gzip" };
    const to = new ours.Pushgateway(gateway.url(), { headers }, new ours.Registry());
    await to.delete({ jobName: "job" });
    await to.push({ jobName: "job" });
    expect(gateway.received.map(({ encoding }) => encoding)).toEqual([null, "gzip"]);
  });

  test("is named a job, unless it is told that none is needed", async () => {
    const { received } = await same(async (client, registry, gateway) => {
      const to = new client.Pushgateway(gateway.url(), {}, registry);
      const errors = ["push", "pushAdd", "delete"].map((call) => {
        try {
          to[call]();
        } catch (error) {
          return String(error);
        }
        return "nothing thrown";
      });
      const free = new client.Pushgateway(gateway.url(), { requireJobName: false }, registry);
      await free.push();
      await free.push({ groupings: { a: "b" } });
      return errors;
    });
    expect(received.map(({ path }) => path)).toEqual(["/metrics", "/metrics"]);
  });

  test("is called before the metrics are collected, by the function that a program may watch", async () => {
    const request = spyOn(http, "request");
    try {
      const { results } = await same(async (client, registry, gateway) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        registry.getSingleMetric("test").collect = () => promise;
        request.mockClear();
        const pushed = new client.Pushgateway(gateway.url(), {}, registry).push({ jobName: "job" });
        const calls = request.mock.calls.length;
        const { path } = request.mock.calls[0]![0] as http.RequestOptions;
        resolve();
        await pushed;
        return { calls, path };
      });
      expect(results).toEqual([{ calls: 1, path: "/metrics/job/job" }]);
    } finally {
      request.mockRestore();
    }
  });

  test("gets no request from a program that has put a mock in the place of http or https", async () => {
    await using host = new TestHost();
    const path = join(host.folder, "mocked.test.ts");
    await Bun.write(path, MOCKING);
    const child = host.own(
      Bun.spawn([process.execPath, "test", path], {
        cwd: host.folder,
        env: surroundings({ MICROVIEW_SOCKET: host.socketPath }),
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      }),
    );
    const said = await new Response(child.stderr).text();
    expect(said).toContain(" 10 pass");
    expect(said).toContain(" 0 fail");
  });

  test("is not pushed to when the metrics cannot be collected", async () => {
    const { received, results } = await same(async (client, registry, gateway) => {
      registry.getSingleMetric("test").collect = () => {
        throw new Error("no value today");
      };
      const to = new client.Pushgateway(gateway.url(), {}, registry);
      return await to.push({ jobName: "job" }).catch(String);
    });
    expect(received).toEqual([]);
    expect(results).toEqual(["Error: no value today"]);
  });

  test("that refuses, is away or is too slow makes the promise fail", async () => {
    const { results } = await same(async (client, registry, gateway) => {
      gateway.status = 500;
      const refused = await new client.Pushgateway(gateway.url(), {}, registry)
        .push({ jobName: "job" })
        .catch((error: Error) => error.message);
      const away = await new client.Pushgateway("http://127.0.0.1:1", {}, registry)
        .push({ jobName: "job" })
        .catch((error: { code: string }) => error.code);
      gateway.delayMs = 5_000;
      const slow = await new client.Pushgateway(gateway.url(), { timeout: 50 }, registry)
        .push({ jobName: "job" })
        .catch((error: Error) => error.message);
      return [refused, away, slow];
    });
    expect(results).toEqual([
      ["push failed with status 500, status 500", "ECONNREFUSED", "Pushgateway request timed out"],
    ]);
  });

  test("is sent the global registry's metrics when none is named", async () => {
    using gateway = new Gateway();
    const gauge = new ours.Gauge({ name: "pushed", help: "h" });
    gauge.set(3);
    await new ours.Pushgateway(gateway.url()).push({ jobName: "job" });
    ours.register.clear();
    expect(gateway.received[0]!.body).toBe("# HELP pushed h\n# TYPE pushed gauge\npushed 3\n");
  });
});
