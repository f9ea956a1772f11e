// GET /metrics as scrapers meet it: formats, filters, writers, deaths, and texts of any length.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { writeDensePool } from "../../bench/lib/dense-pool.ts";
import type { Agent } from "../../src/agent/agent.ts";
import { SLOTS_PER_PAGE } from "../../src/layout/index.ts";
import { type AgentProcess, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import {
  promtool,
  promtoolFindings,
  pythonWithClient,
  readByPython,
  ScrapingPrometheus,
} from "../support/metrics-readers.ts";
import { parseOpenMetrics } from "../support/openmetrics.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";

setDefaultTimeout(patience(60_000));

const OPEN = { accept: "application/openmetrics-text;version=1.0.0" };

function url({ port }: { port: number }, query = ""): string {
  return `http://127.0.0.1:${port}/metrics${query}`;
}

async function get(
  agent: Agent | AgentProcess,
  query = "",
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await fetch(url(agent, query), { headers });
  expect(response.status).toBe(200);
  return response.text();
}

/** A metric's samples in the text format. */
async function samples(agent: Agent | AgentProcess, metric: string, query = "") {
  const family = parsePrometheus(await get(agent, query)).get(metric);
  return Object.fromEntries(family?.samples ?? []);
}

/** A client with each kind of metric, and names that want escapes. */
async function everyKind(host: TestHost): Promise<void> {
  const mv = host.client({ service: 'auth "x"\\\n' });
  const help = 'What "it" does,\nand C:\\where.';
  const requests = mv.counter("http_requests_total", { labels: ["route"], help });
  for (const route of ["/", 'a"b\\c\nd', "日本\u0000\r\u2028", ""]) requests.labels(route).inc(2.5);
  mv.gauge("queue_length", { help }).set(-1.25);
  mv.gauge("load_ratio", { help, labels: ["cpu"] })
    .labels("0")
    .set(Number.POSITIVE_INFINITY);
  mv.histogram("latency_seconds", { help, unit: "seconds", buckets: [0.1, 2.5] }).observe(0.5);
  const sizes = { help, unit: "bytes", min: 1, max: 1e6, error: 0.3, labels: ["kind"] };
  mv.histogram("size_bytes", sizes).labels("a").observe(500);
  await mv.ready;
}

describe("a scrape", () => {
  test("has the format that is asked for, and says what it varies by", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    await everyKind(host);
    const prometheus =
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (const [accept, type] of [
      [undefined, "text/plain; version=0.0.4; charset=utf-8"],
      ["text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"],
      [prometheus, "application/openmetrics-text; version=1.0.0; charset=utf-8"],
      ["application/json", "application/json;charset=utf-8"],
    ]) {
      const { headers } = await fetch(url(agent), accept ? { headers: { accept } } : {});
      expect(headers.get("content-type")).toBe(type!);
      if (accept !== "application/json") {
        expect(headers.get("vary")).toBe("accept, accept-encoding");
      }
    }
    expect([...parseOpenMetrics(await get(agent, "?app=shop", OPEN)).keys()]).toEqual([
      "http_requests",
      "queue_length",
      "load_ratio",
      "latency_seconds",
      "size_bytes",
    ]);
  });

  test("shows what clashes without a type, logged once and counted, whichever service came first", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const [auth, cart] = [host.client({ service: "auth" }), host.client({ service: "cart" })];
    auth.counter("orders_total").inc(2);
    await auth.ready;
    cart.counter("orders_created_total").inc(3);
    cart.gauge("depth").set(4);
    await cart.ready;
    auth.counter("depth").inc(5);
    const shop = 'app="shop"';
    await until("it is there", async () =>
      (await get(agent, "?app=shop")).includes(`depth{${shop},service="auth"} 5`),
    );
    for (let i = 0; i < 3; i++) {
      const families = parseOpenMetrics(await get(agent, "?app=shop", OPEN));
      const types = [...families].map(([name, { type }]) => [name, type]).sort();
      expect(types).toEqual([
        ["depth", "unknown"],
        ["orders_created_total", "unknown"],
        ["orders_total", "unknown"],
      ]);
      expect(Object.fromEntries(families.get("depth")!.samples)).toEqual({
        [`depth{${shop},service="auth"}`]: 5,
        [`depth{${shop},service="cart"}`]: 4,
      });
    }
    const counted = await samples(agent, "microview_agent_name_clashes_total", "?app=microview");
    expect(Object.values(counted)).toEqual([4]);
    const told = host.log.filter(({ message }) => message.includes("without its type"));
    expect(told.length).toBe(4);
  });

  test("is compressed when that is asked for, and the same", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    await everyKind(host);
    const fetched = (encoding: string) =>
      fetch(url(agent, "?app=shop"), {
        headers: { "accept-encoding": encoding },
        decompress: false,
      });
    const plain = await fetched("identity");
    const packed = await fetched("gzip");
    expect(plain.headers.get("content-encoding")).toBeNull();
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    const text = await plain.text();
    expect(gunzipSync(await packed.arrayBuffer()).toString()).toBe(text);
    expect(text).toContain("http_requests_total");
  });

  test.skipIf(promtool === null)("is nothing that promtool complains of", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    await everyKind(host);
    // By the conventions of its linter a label may not hold what Prometheus cannot show, but for the line's end.
    expect(await promtoolFindings(await get(agent))).toBe("");
    // It does find what is wrong: this test would not see that it finds nothing ever.
    expect(await promtoolFindings("# TYPE a counter\na 1\n")).toContain("_total");
  });

  test.skipIf(pythonWithClient === undefined)(
    "is read in OpenMetrics by the Python client, which is strict",
    async () => {
      await using host = new TestHost();
      const agent = await host.agent();
      await everyKind(host);
      const before = Date.now() / 1000 - 60;
      const families = await readByPython(await get(agent, "", OPEN));
      const service = 'auth "x"\\\n';
      const help = 'What "it" does,\nand C:\\where.';
      const routes = ["/", 'a"b\\c\nd', "日本\u0000\r\u2028", ""];
      expect(families["http_requests"]).toEqual([
        "counter",
        "",
        help,
        routes.flatMap((route) => {
          const labels = { route, app: "shop", service };
          return [
            ["http_requests_total", labels, "2.5"],
            ["http_requests_created", labels, expect.stringMatching(/^\d+\.\d+$/)],
          ];
        }),
      ]);
      for (const family of ["latency_seconds", "size_bytes"]) {
        const created = families[family]![3].filter(([name]) => name === `${family}_created`);
        expect(created.map(([, , since]) => Number(since) > before)).toEqual([true]);
      }
      const without = await readByPython(await get(agent, "?created=0", OPEN));
      const names = Object.values(without).flatMap(([, , , all]) => all.map(([name]) => name));
      expect(names.filter((name) => name.endsWith("_created"))).toEqual([]);
      expect(families["latency_seconds"]!.slice(0, 3)).toEqual(["histogram", "seconds", help]);
      expect(families["microview_agent_requests"]![0]).toBe("counter");
    },
  );
});

describe("a query", () => {
  /** Applications shop and bank, each with two services of two metrics. */
  async function serving(host: TestHost, options: Parameters<TestHost["agent"]>[0] = {}) {
    const agent = await host.agent(options);
    for (const app of ["shop", "shop-eu", "bank"]) {
      for (const service of ["auth", "cart"]) {
        const mv = host.client({ app, service });
        mv.counter("requests_total").inc();
        mv.gauge("queue_length").set(1);
        await mv.ready;
      }
    }
    return agent;
  }

  const names = (text: string) =>
    [...parsePrometheus(text).values()]
      .flatMap((family) => [...family.samples.keys()])
      .map((key) => /^(\w+)\{app="([^"]*)",service="([^"]*)"\}$/.exec(key)!.slice(1).join(" "));

  test("chooses by globs, each as often as needed, and all of them have to fit", async () => {
    await using host = new TestHost();
    const agent = await serving(host);
    const chosen = async (query: string) => names(await get(agent, query));
    expect(await chosen("?app=shop&service=auth")).toEqual([
      "requests_total shop auth",
      "queue_length shop auth",
    ]);
    expect(await chosen("?app=shop*&metric[]=req*&service[]=c?rt")).toEqual([
      "requests_total shop cart",
      "requests_total shop-eu cart",
    ]);
    expect(await chosen("?app=shop&app[]=bank&metric=queue_length&service={auth,x}")).toEqual([
      "queue_length shop auth",
      "queue_length bank auth",
    ]);
    expect(await chosen("?app=shop&metric=no_such")).toEqual([]);
    expect(await get(agent, "?metric=no_such", OPEN)).toBe("# EOF\n");
  });

  test("of a token shows its applications alone, whatever it asks for", async () => {
    await using host = new TestHost();
    const agent = await serving(host, {
      tokens: [
        { token: "ops-token-of-the-tests", name: "ops" },
        { token: "team-token-of-the-tests", name: "team", apps: ["shop", "shop-*"] },
      ],
    });
    const asTeam = async (query: string) =>
      get(agent, query, { authorization: "Bearer team-token-of-the-tests" });
    const asOps = async (query: string) =>
      get(agent, query, { authorization: "Bearer ops-token-of-the-tests" });
    const apps = (text: string) => [...new Set(names(text).map((name) => name.split(" ")[1]!))];
    for (const query of ["?metric=requests_total", "?metric=requests_total&app=*&app=bank"]) {
      // In turns: what is remembered for one is not shown to the other.
      expect(apps(await asOps(query))).toEqual(["shop", "shop-eu", "bank"]);
      expect(apps(await asTeam(query))).toEqual(["shop", "shop-eu"]);
    }
    expect(await asTeam("?app=bank")).toBe("");
    expect(await asTeam("?app=bank&per_writer=1")).toBe("");
    expect((await fetch(url(agent))).status).toBe(401);
  });

  test.each([
    ["a glob that is too long", `?metric=${"a".repeat(256)}`, "at most"],
    ["too many globs", `?${"app=a&".repeat(65)}`, "at most"],
    ["a misspelt parameter", "?metrc=depth", "there is no parameter 'metrc'"],
    ["buckets that there are none of", "?buckets=few", "one of powers, all"],
  ])("with %s is refused with a reason", async (_, query, reason) => {
    await using host = new TestHost();
    const agent = await host.agent();
    const response = await fetch(url(agent, query));
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      code: "invalid-query",
      message: expect.stringContaining(reason),
      hint: expect.stringContaining("metric=GLOB"),
    });
  });

  test("for writers shows each by itself, and they add up to the service's total", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    for (const [count, size] of [
      [1, 0.05],
      [20, 0.5],
      [300, 5],
    ] as const) {
      const mv = host.client();
      mv.counter("requests_total", { labels: ["writer"] })
        .labels("w")
        .inc(count);
      mv.histogram("latency_seconds", { buckets: [0.1, 1] }).observe(size);
      mv.gauge("highest", { combine: "max" }).set(count);
      await mv.ready;
    }
    const { pid } = process;
    const query = "?app=shop&per_writer=1";
    expect(await samples(agent, "requests_total", query)).toEqual({
      // The metric's own label goes first.
      [`requests_total{app="shop",microview_writer="1",pid="${pid}",service="auth",writer="w"}`]: 1,
      [`requests_total{app="shop",microview_writer="2",pid="${pid}",service="auth",writer="w"}`]: 20,
      [`requests_total{app="shop",microview_writer="3",pid="${pid}",service="auth",writer="w"}`]: 300,
    });
    expect(Object.values(await samples(agent, "highest", query))).toEqual([1, 20, 300]);
    expect(Object.values(await samples(agent, "highest"))).toEqual([300]);
    const sum = (all: Record<string, number>) => Object.values(all).reduce((a, b) => a + b, 0);
    const each = await samples(agent, "latency_seconds", query);
    const total = await samples(agent, "latency_seconds", "?app=shop");
    expect(Object.keys(each)).toHaveLength(3 * Object.keys(total).length);
    expect(sum(each)).toBeCloseTo(sum(total), 9);
    parseOpenMetrics(await get(agent, query, OPEN));
  });
});

describe("a replica that dies", () => {
  test("takes nothing from its service's totals, which never go back", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const replicas = await Promise.all(
      [300, 50].map(async (count) => {
        const child = host.run("tests/client/fixtures/counting.ts", { socket: host.socketPath });
        const lines = new Lines(child.stdout);
        child.stdin.write(`${count}\n`);
        child.stdin.flush();
        await lines.next();
        return { child, count };
      }),
    );
    const total = async () => (await samples(agent, "requests_total", "?app=shop"))[TOTAL];
    const TOTAL = 'requests_total{app="shop",service="auth"}';
    await until("both have counted", async () => (await total()) === 350);
    const before = await get(agent, "?app=shop&metric=latency_seconds");
    const since = async () =>
      parseOpenMetrics(await get(agent, "?app=shop&metric=requests_total", OPEN))
        .get("requests")!
        .samples.get('requests_created{app="shop",service="auth"}');
    const began = await since();
    expect(began).toBeGreaterThan(0);
    const seen: (number | undefined)[] = [];
    replicas[0]!.child.kill("SIGKILL");
    await replicas[0]!.child.exited;
    const folded = async () => {
      seen.push(await total());
      return (await samples(agent, "microview_agent_writers_folded_total"))[
        'microview_agent_writers_folded_total{app="microview",service="agent"}'
      ];
    };
    await until("its counts are kept", async () => (await folded()) === 1);
    seen.push(await total());
    expect(new Set(seen)).toEqual(new Set([350]));
    expect(await get(agent, "?app=shop&metric=latency_seconds")).toBe(before);
    const pid = replicas[1]!.child.pid;
    expect(
      Object.entries(await samples(agent, "requests_total", "?app=shop&per_writer=1"))
        .map(([name, value]) => [name.replace(/writer="\d+"/, 'writer="N"'), value])
        .sort(),
    ).toEqual([
      [`requests_total{app="shop",pid="${pid}",service="auth",writer="N"}`, 50],
      ['requests_total{app="shop",service="auth",writer="retained"}', 300],
    ]);
    // What is kept of the dead began when it had.
    expect(await since()).toBe(began);
    // The gauge of the dead is gone, that of the living stays.
    expect(Object.values(await samples(agent, "depth", "?app=shop"))).toEqual([50]);
  });
});

const KIB = 1024;
/** Pages for a million series and some. */
const MILLION_PAGES = Math.ceil(1_000_000 / SLOTS_PER_PAGE);

/** Of a process, in KiB: what it has now, and the most it had. */
function memoryOf(pid: number): { now: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)![1]);
  return { now: kib("VmRSS"), most: kib("VmHWM") };
}

describe("a text of a million series", () => {
  test(
    "takes the agent little memory, whether it is read fast, slowly, or not to its end",
    async () => {
      await using host = new TestHost();
      writeDensePool(host.poolDir, "dense", MILLION_PAGES);
      const agent = await host.agentProcess("--max-series", "2000000");
      const count = MILLION_PAGES * SLOTS_PER_PAGE;
      const read = async (query: string, encoding: string, bytesMax = Number.POSITIVE_INFINITY) => {
        const response = await fetch(url(agent, query), {
          headers: { "accept-encoding": encoding },
          decompress: false,
        });
        let [bytes, lines] = [0, 0];
        const reader = response.body!.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          bytes += value.length;
          for (const each of value) if (each === 10) lines++;
          if (bytes > bytesMax) {
            await reader.cancel();
            break;
          }
        }
        return { bytes, lines };
      };
      // What the agent needs to know the series is no part of it.
      await read("?app=dense", "identity", 1 << 20);
      const before = memoryOf(agent.pid).now;
      const grownKib = () => memoryOf(agent.pid).most - before;
      const { bytes, lines } = await read("?app=dense", "identity");
      expect(lines).toBe(count + 2);
      expect(bytes).toBeGreaterThan(45 << 20);
      await read("?app=dense", "identity");
      await read("?app=dense", "gzip");
      // A value each, the names that are kept, and pieces that the engine has not cleared away yet. Made of strings it
      // would be twelve times the text.
      expect(grownKib() * KIB).toBeLessThan(5 * bytes);
      await read("?app=dense&per_writer=1", "identity");
      for (let i = 0; i < 5; i++) await read("?app=dense", "identity", 4 << 20);
      expect(grownKib() * KIB).toBeLessThan(8 * bytes);
    },
    patience(120_000),
  );

  test(
    "waits for a reader that does not read, and answers others meanwhile",
    async () => {
      await using host = new TestHost();
      writeDensePool(host.poolDir, "dense", MILLION_PAGES);
      const agent = await host.agentProcess("--max-series", "2000000");
      await get(agent, "?app=none");
      const before = memoryOf(agent.pid).now;
      const stalled = await fetch(url(agent, "?app=dense"), {
        headers: { "accept-encoding": "identity" },
      });
      const reader = stalled.body!.getReader();
      const { value } = await reader.read();
      expect(value!.length).toBeGreaterThan(0);
      let last = 0;
      await until("it makes no more text", async () => {
        const { now } = memoryOf(agent.pid);
        const still = Math.abs(now - last) < 100;
        last = now;
        expect(await get(agent, "?app=microview")).toContain("microview_agent_apps");
        return still;
      });
      expect(memoryOf(agent.pid).most - before).toBeLessThan(64 * KIB);
      await reader.cancel();
    },
    patience(120_000),
  );
});

describe("long texts", () => {
  /** Series whose text is longer than what sockets keep. */
  const PAGES = 600;

  /** Asks for everything and reads nothing of it. */
  async function stall(agent: Agent): Promise<Socket> {
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {});
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    socket.pause();
    socket.write("GET /metrics?app=dense HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    return socket;
  }

  test("are refused beyond the limit with a time to come again, and short ones are not", async () => {
    await using host = new TestHost();
    writeDensePool(host.poolDir, "dense", PAGES);
    const agent = await host.agent({ limits: { scrapes: 2 } });
    const stalled = [await stall(agent), await stall(agent)];
    host.onEnd(() => stalled.forEach((socket) => void socket.destroy()));
    const refusal = await until("the limit is reached", async () => {
      const response = await fetch(url(agent, "?app=dense"));
      if (response.status === 503) return response;
      await response.body?.cancel();
      return undefined;
    });
    expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refusal.json()).toMatchObject({
      code: "scrapes-full",
      hint: expect.stringContaining("?app="),
    });
    const limits = await samples(agent, "microview_agent_limit_reached_total", "?app=microview");
    const [name, count] = Object.entries(limits)[0]!;
    expect(name).toContain('code="scrapes-full"');
    expect(count).toBeGreaterThan(0);
    for (const socket of stalled) socket.destroy();
    await until("there is room again", async () => {
      const response = await fetch(url(agent, "?app=dense"));
      await response.body?.cancel();
      return response.status === 200;
    });
  });

  test("are cut when they are not taken in time, and that is counted", async () => {
    await using host = new TestHost();
    writeDensePool(host.poolDir, "dense", PAGES);
    const agent = await host.agent({ limits: { scrapes: 1 }, scrapeDeadlineMs: 100 });
    const socket = await stall(agent);
    host.onEnd(() => void socket.destroy());
    await until("it is cut", async () => {
      const cut = await samples(agent, "microview_agent_scrapes_cut_total", "?app=microview");
      return Object.values(cut)[0] === 1;
    });
    // Whoever reads on finds no end: neither the last chunk nor a mark.
    let tail = "";
    socket.on("data", (bytes) => {
      tail = (tail + bytes.toString("latin1")).slice(-100);
    });
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.resume();
    await closed;
    expect(tail).not.toEndWith("0\r\n\r\n");
    const response = await fetch(url(agent, "?app=dense"));
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });
});

describe("a scrape while the structure moves", () => {
  test("tells what was there when it began, whole, whatever comes and goes meanwhile", async () => {
    await using host = new TestHost();
    writeDensePool(host.poolDir, "dense", 300);
    const agent = await host.agent({ limits: { seriesPerMetric: 1_000_000 } });
    const other = host.client({ app: "dense", service: "dense" });
    const mine = other.counter("requests", { labels: ["id"] });
    mine.labels("1").inc(5);
    await other.ready;
    const query = "?app=dense";
    let counted = 5;
    for (const more of ["", "&per_writer=1"]) {
      const expected = await get(agent, query + more);
      const before = counted;
      const response = await fetch(url(agent, query + more), {
        headers: { "accept-encoding": "identity" },
      });
      const reader = response.body!.getReader();
      const parts = [(await reader.read()).value!];
      // New series of the same metric, new metrics, and a writer that leaves its pages to another.
      const late = host.client({ app: "dense", service: "dense" });
      for (let i = 0; i < 2000; i++) late.counter("requests", { labels: ["id"] }).labels(`n${i}`);
      late.counter("brand_new_total").inc();
      await late.ready;
      mine.labels("1").inc(1000);
      counted += 1000;
      await late.close();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        parts.push(value);
      }
      const text = Buffer.concat(parts).toString();
      expect(text === expected).toBe(true);
      const own = [...parsePrometheus(text).get("requests")!.samples]
        .filter(([name]) => name.includes('id="1"'))
        .map(([, value]) => value);
      // The pool's own writer has 1.
      expect(own.sort()).toEqual(more === "" ? [before + 1] : [1, before].sort());
    }
  });
});

test("lines of a metric whose label values are long come whole over a connection that breaks off", async () => {
  await using host = new TestHost();
  const agent = await host.agent();
  const mv = host.client();
  const counter = mv.counter("c_total", { labels: ["v"] });
  for (let i = 0; i < 3000; i++) counter.labels("x".repeat(1000) + i).inc(i);
  await mv.ready;
  const aborted = await fetch(url(agent, "?app=shop"));
  await aborted.body!.cancel();
  const family = parsePrometheus(await get(agent, "?app=shop")).get("c_total")!;
  expect(family.samples.size).toBe(3000);
});

describe("Prometheus", () => {
  test.skipIf(Bun.which("prometheus") === null)(
    "scrapes the agent in OpenMetrics with gzip, and has its series under their own names",
    async () => {
      await using host = new TestHost();
      const agent = await host.agent();
      await everyKind(host);
      const asked = Promise.withResolvers<string>();
      // In between, to see what it asks for.
      const spy = createServer((socket) => {
        socket.on("data", (bytes) => asked.resolve(bytes.toString()));
        socket.on("error", () => {});
      });
      await new Promise<void>((resolve) => spy.listen(0, "127.0.0.1", resolve));
      host.onEnd(() => void spy.close());
      const { port: spyPort } = spy.address() as { port: number };
      await using prometheus = await new ScrapingPrometheus({
        agent: { port: agent.port, more: ["params: { app: [shop] }", "honor_labels: true"] },
        spy: { port: spyPort },
      }).start();
      const head = (await asked.promise).toLowerCase();
      expect(head).toMatch(/accept: application\/openmetrics-text;version=1\.0\.0[,;]/);
      expect(head).toContain("accept-encoding: gzip");
      const found = await until("it has scraped", async () => {
        const all = await prometheus.query('{app="shop"}');
        return all.length > 0 && all;
      });
      const service = 'auth "x"\\\n';
      const value = (name: string, labels: Record<string, string> = {}) =>
        found.find(({ metric }) => {
          return (
            metric["__name__"] === name &&
            metric["service"] === service &&
            Object.entries(labels).every(([key, each]) => metric[key] === each)
          );
        })?.value?.[1];
      expect(value("http_requests_total", { route: 'a"b\\c\nd' })).toBe("2.5");
      const since = Number(value("http_requests_created", { route: "/" }));
      expect(Math.abs(Date.now() / 1000 - since)).toBeLessThan(120);
      expect(value("queue_length")).toBe("-1.25");
      expect(value("load_ratio", { cpu: "0" })).toBe("+Inf");
      expect(value("latency_seconds_bucket", { le: "2.5" })).toBe("1");
      expect(value("latency_seconds_sum")).toBe("0.5");
      expect(value("size_bytes_count", { kind: "a" })).toBe("1");
      const response = await fetch(
        `${prometheus.url}/api/v1/targets/metadata?metric=http_requests`,
      );
      const { data } = (await response.json()) as { data: unknown[] };
      expect(data).toEqual([expect.objectContaining({ type: "counter" })]);
    },
    patience(60_000),
  );
});

test("the prototype's registry is for the caller's applications, and filters leave it as it was", async () => {
  await using host = new TestHost();
  const agent = await host.agent({ allowRegister: true });
  await fetch(url(agent), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ microservice_id: "pay", name: "a", type: false, value: 1 }),
  });
  const json = JSON.parse(await get(agent, "?app=shop", { accept: "application/json" }));
  expect(Object.keys(json)).toContain("pay");
});
