// `microview collect --listen`: what scrapers get of the agents that it reads, and who may scrape.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { writeDensePool } from "../../bench/lib/dense-pool.ts";
import { CLI, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { flood } from "../support/malformed.ts";
import { promtool, promtoolFindings } from "../support/metrics-readers.ts";
import { parseOpenMetrics } from "../support/openmetrics.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { patience } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";
import { until } from "../support/wait.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(patience(60_000));

/** A collector that serves; its URL is that of /metrics. */
function listening(host: TestHost, ...flags: string[]) {
  return listeningBy([], host, ...flags);
}

/** The same, started by a command. */
async function listeningBy(command: readonly string[], host: TestHost, ...flags: string[]) {
  const program = [...command, process.execPath, CLI, "collect", "--interval", "10ms"];
  const child = host.own(
    Bun.spawn([...program, ...flags], {
      env: surroundings(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  const lines = new Lines(child.stderr);
  const url = (await lines.next()).replace("scraped at ", "");
  return { child, url, lines };
}

async function scrape(url: string, query = "", headers: Record<string, string> = {}) {
  const response = await fetch(url + query, { headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** Samples of a metric now. */
async function sampled(url: string, metric: string, query = ""): Promise<Record<string, number>> {
  const family = parsePrometheus((await scrape(url, query)).text).get(metric);
  return Object.fromEntries(family?.samples ?? []);
}

/** Samples of a metric, when there are so many. */
function samples(url: string, metric: string, count: number, query = "") {
  return until(`there are ${count} samples of ${metric}`, async () => {
    const found = await sampled(url, metric, query);
    return Object.keys(found).length === count && found;
  });
}

/** A host with an agent and a service that has counted. */
async function serving(host: TestHost, count: number) {
  const agent = await host.agent();
  const mv = host.client();
  mv.counter("requests_total", { help: "Requests." }).inc(count);
  mv.gauge("queue_length", { help: "Length." }).set(count);
  await mv.ready;
  return agent;
}

describe("collect --listen", () => {
  test("tells what becomes of what it pushes besides, by protocol", async () => {
    await using host = new TestHost();
    await using receiver = new OtlpReceiver();
    await serving(host, 3);
    const { url } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0", "--otlp", receiver.url],
      ...["--otlp-interval", "20ms", "--remote-write", "http://127.0.0.1:1/"],
    );
    const of = (metric: string, protocol: string) =>
      `${metric}{app="microview",protocol="${protocol}",service="collect"}`;
    await until("one is taken, and the other waits", async () => {
      const taken = "microview_collect_push_samples_total";
      const waiting = "microview_collect_push_waiting_bytes";
      const { [of(taken, "otlp")]: samples = 0, [of(taken, "remote-write")]: none } = await sampled(
        url,
        taken,
      );
      const { [of(waiting, "remote-write")]: bytes = 0 } = await sampled(url, waiting);
      return samples > 0 && none === 0 && bytes > 0;
    });
  });

  test("tells once of names that clash, though it is scraped and pushes, and counts them", async () => {
    await using host = new TestHost();
    await host.agent();
    const [auth, cart] = [host.client({ service: "auth" }), host.client({ service: "cart" })];
    auth.counter("depth").inc(2);
    cart.gauge("depth").set(3);
    await Promise.all([auth.ready, cart.ready]);
    const { child, url, lines } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0", "--app", "shop"],
      ...["--remote-write", "http://127.0.0.1:1/"],
    );
    await samples(url, "depth", 2);
    const counted = await until("both are counted", async () => {
      const found = Object.values(await sampled(url, "microview_collect_name_clashes_total"));
      return found[0] === 2 && found;
    });
    expect(counted).toEqual([2]);
    for (let i = 0; i < 3; i++) await scrape(url);
    child.kill("SIGTERM");
    const told: string[] = [];
    try {
      for (;;) told.push(await lines.next());
    } catch {
      // It has said all.
    }
    expect(told.filter((line) => line.includes("without its type"))).toEqual([
      "the counter depth is shown without its type: another metric needs the name depth",
      "the gauge depth is shown without its type: another metric needs the name depth",
    ]);
  });

  test("serves what it reads, in both formats, and prints nothing", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { child, url } = await listening(host, "--socket", host.socketPath, "--listen", "0");
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    expect(await samples(url, "requests_total", 1)).toEqual({
      'requests_total{app="shop",service="auth"}': 3,
    });
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    const open = await scrape(url, "?app=shop&per_writer=1&created=0", { accept });
    expect(open.headers.get("content-type")).toStartWith("application/openmetrics-text");
    expect(Object.fromEntries(parseOpenMetrics(open.text).get("requests")!.samples)).toEqual({
      [`requests_total{app="shop",pid="${process.pid}",service="auth",writer="1"}`]: 3,
    });
    const registry = await scrape(url, "", { accept: "application/json" });
    expect(registry.headers.get("content-type")).toStartWith("text/plain");
    child.kill("SIGTERM");
    expect(await new Response(child.stdout).text()).toBe("");
    expect(await child.exited).toBe(0);
  });

  test.skipIf(promtool === null)("tells of itself, and promtool finds nothing", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { url } = await listening(host, "--socket", host.socketPath, "--listen", ":0");
    await samples(url, "requests_total", 1);
    const { text } = await scrape(url);
    const up = parsePrometheus(text).get("microview_collect_up")!;
    expect([...up.samples]).toEqual([
      ['microview_collect_up{app="microview",instance="local",service="collect"}', 1],
    ]);
    expect(await promtoolFindings(text)).toBe("");
    expect((await scrape(url, "?app=shop")).text).not.toContain("microview_collect");
  });

  test("answers as many long scrapes at once as it is told to, and tells how many it has refused", async () => {
    await using host = new TestHost();
    writeDensePool(host.poolDir, "dense", 600);
    await host.agent();
    const flags = ["--listen", "0", "--listen-max-scrapes", "1"];
    const { url } = await listening(host, "--socket", host.socketPath, ...flags);
    const stalled = connect(Number(new URL(url).port), "127.0.0.1");
    host.onEnd(() => void stalled.destroy());
    stalled.pause();
    const refusal = await until("a second is refused", async () => {
      // Until the pool is read there is nothing long.
      if (stalled.writable)
        stalled.write("GET /metrics?app=dense HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
      const response = await fetch(`${url}?app=dense`);
      if (response.status === 503) return response;
      await response.body?.cancel();
      return undefined;
    });
    expect(refusal.headers.get("retry-after")).toMatch(/^\d+$/);
    const refused = await sampled(url, "microview_collect_scrapes_refused_total", "?app=microview");
    expect(Object.values(refused)[0]).toBeGreaterThan(0);
  });

  test("tells agents apart by instance, and goes on without one that goes away", async () => {
    await using one = new TestHost();
    await using two = new TestHost();
    const agents = [await serving(one, 1), await serving(two, 2)];
    const names = agents.map(({ port }) => `127.0.0.1:${port}`);
    const { url } = await listening(one, ...names, "--listen", "0");
    const of = (name: string, i: number, service = "auth", app = "shop") =>
      `${name}{app="${app}",instance="${names[i]}",service="${service}"}`;
    expect(await samples(url, "requests_total", 2)).toEqual({
      [of("requests_total", 0)]: 1,
      [of("requests_total", 1)]: 2,
    });
    await agents[1]!.stop();
    // A pool that is mapped is read on without its agent; over TCP it is not.
    const { url: remote } = await listening(
      one,
      ...[names[0]!, "--listen", "0", "--transport", "tcp"],
    );
    await samples(remote, "requests_total", 1);
    await agents[0]!.stop();
    await samples(remote, "requests_total", 0);
    const up = await samples(remote, "microview_collect_up", 1);
    expect(Object.values(up)).toEqual([0]);
  });

  test("shows only what is read: filters of the command and of the query both hold", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { url } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0", "--metric", "requests_*"],
    );
    await samples(url, "requests_total", 1);
    const { text } = await scrape(url);
    expect(text).not.toContain("queue_length");
    expect((await scrape(url, "?metric=queue_length")).text).toBe("");
    for (const query of [`?metric=${"a".repeat(256)}`, "?metrc=depth"]) {
      const { status, text: refusal } = await scrape(url, query);
      expect(status).toBe(400);
      expect(JSON.parse(refusal).code).toBe("invalid-query");
    }
  });

  test("prints too where a format is asked for", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { child, url } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0", "--format", "ndjson"],
    );
    expect(JSON.parse(await new Lines(child.stdout).next())).toBeObject();
    await samples(url, "requests_total", 1);
  });

  test("answers /healthz without a token, and nothing else", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const file = join(host.folder, "tokens");
    writeFileSync(
      file,
      "ops-token-of-the-tests name=ops\nteam-token-of-the-tests apps=other name=team\n",
    );
    const { url } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0.0.0.0:0", "--listen-token-file", file],
    );
    const local = url.replace("0.0.0.0", "127.0.0.1");
    const as = (token: string) => ({ authorization: `Bearer ${token}` });
    const health = await scrape(local.replace("/metrics", "/healthz"));
    expect([health.status, health.text]).toEqual([200, "ok\n"]);
    for (const headers of [{}, as("wrong"), as("ops-token-of-the-test")]) {
      const { status, text } = await scrape(local, "", headers);
      expect([status, JSON.parse(text).code]).toEqual([401, "denied"]);
    }
    await until("the token of all sees it", async () => {
      return (await scrape(local, "", as("ops-token-of-the-tests"))).text.includes('app="shop"');
    });
    const team = await scrape(local, "", as("team-token-of-the-tests"));
    expect([team.status, team.text]).toEqual([200, ""]);
    const post = await fetch(local, { method: "POST", headers: as("ops-token-of-the-tests") });
    expect(post.status).toBe(405);
    expect((await scrape(local.replace("/metrics", "/"))).status).toBe(404);
  });

  test("answers no web page of another site, whose name may lead here", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { url } = await listening(host, "--socket", host.socketPath, "--listen", "0");
    expect((await scrape(url, "", { host: "evil.example" })).status).toBe(403);
    expect((await scrape(url, "", { origin: "https://evil.example" })).status).toBe(403);
  });

  test.each([
    [["--listen", "0.0.0.0:0"], 2, "reachable from other hosts", "--listen-token-file"],
    [["--listen", "[::]:0"], 2, "reachable from other hosts", "--listen-insecure"],
    [["--listen", "here"], 2, "--listen is not an address", "HOST:PORT"],
    [["--listen", "70000"], 2, "70000", ""],
    [["--listen", "0", "--once"], 2, "--listen and --once exclude each other", ""],
    [["--listen", "0", "--listen-token-file", "/nowhere"], 2, "--listen-token-file", ""],
  ])("%j is refused: %d", async (flags, code, reason, hint) => {
    await using host = new TestHost();
    await serving(host, 1);
    const { exitCode, stdout, stderr } = await runCli([
      ...["collect", "--socket", host.socketPath],
      ...flags,
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: code, stdout: "" });
    expect(stderr).toContain(reason);
    expect(stderr).toContain(hint);
  });

  test.each([
    ...[
      "--listen-token-file",
      "--listen-tls-cert",
      "--listen-tls-key",
      "--listen-tls-client-ca",
    ].map((flag) => [flag, "file"]),
    ["--listen-max-scrapes", "8"],
    ["--listen-allow-host", "a.example"],
    ["--listen-insecure"],
  ])("needs to be given for %s", async (...flags) => {
    const { exitCode, stderr } = await runCli(["collect", "--count", "1", ...flags]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: `microview: ${flags[0]} needs --listen\n`,
    });
  });

  test("on a port that is taken is an error that names it", async () => {
    await using host = new TestHost();
    await serving(host, 1);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    host.onEnd(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const flags = ["--socket", host.socketPath, "--listen", String(port)];
    const { exitCode, stderr } = await runCli(["collect", ...flags]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}: the address is already in use`);
    expect(stderr).toContain("or give another --listen\n");
  });

  test("on a host that does not exist, or is another one, names the cause", async () => {
    await using host = new TestHost();
    for (const [name, reason] of [
      ["banana.invalid", "there is no such host"],
      ["192.0.2.1", "is no address of this host"],
    ]) {
      const flags = ["--socket", host.socketPath, "--listen", `${name}:0`, "--listen-insecure"];
      const { exitCode, stderr } = await runCli(["collect", ...flags]);
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`--listen ${name}`);
      expect(stderr).toContain(reason!);
    }
  });

  test("beyond loopback without a token is insecure, and has to be said", async () => {
    await using host = new TestHost();
    await serving(host, 3);
    const { url } = await listening(
      host,
      ...["--socket", host.socketPath, "--listen", "0.0.0.0:0", "--listen-insecure"],
    );
    await samples(url.replace("0.0.0.0", "127.0.0.1"), "requests_total", 1);
  });
});

test("a scrape by another method is answered with the methods that there are, and one without a host is answered", async () => {
  await using host = new TestHost();
  await serving(host, 3);
  const { url } = await listening(host, "--socket", host.socketPath, "--listen", "0");
  for (const path of ["/metrics", "/healthz"]) {
    for (const method of ["OPTIONS", "PUT", "DELETE"]) {
      const answer = await fetch(new URL(path, url), { method });
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
  }
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes;
  });
  socket.write("GET /healthz HTTP/1.0\r\n\r\n");
  await until("it is answered", () => text.endsWith("\r\n\r\nok\n"));
  socket.destroy();
});

test("malformed scrapes of all kinds leave no stack and few lines, and others are answered", async () => {
  await using host = new TestHost();
  await serving(host, 3);
  const { child, url, lines } = await listening(host, "--socket", host.socketPath, "--listen", "0");
  const said: string[] = [];
  const ended = (async () => {
    for (;;) said.push(await lines.next());
  })().catch(() => {});
  const startMs = performance.now();
  const { answers } = await flood({ port: Number(new URL(url).port), host: "127.0.0.1" }, 20_000);
  const seconds = (performance.now() - startMs) / 1000;
  expect([...answers.keys()].sort()).toEqual(expect.arrayContaining(["400", "404", "405"]));
  expect(answers.get("500")).toBeUndefined();
  await samples(url, "requests_total", 1);
  child.kill("SIGTERM");
  await ended;
  expect(said.join("\n")).not.toMatch(/node_modules|\.ts\b|\bat .*:\d+:\d+/);
  expect(said.length).toBeLessThan(150 + 12 * seconds);
}, 120_000);

test("connections of scrapers that leave no file to open are ended, and others are answered", async () => {
  await using host = new TestHost();
  await serving(host, 3);
  const fewFiles = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"];
  const flags = ["--socket", host.socketPath, "--listen", "0"];
  const { child, url, lines } = await listeningBy(fewFiles, host, ...flags);
  await samples(url, "requests_total", 1);
  for (let i = 0; i < 150; i++) {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    host.onEnd(() => void socket.destroy());
    socket.on("error", () => {});
  }
  let line = "";
  while (!line.includes('code="too-many-connections"')) line = await lines.next();
  expect(line).toContain('transport="listen"');
  expect(await (await fetch(new URL("/healthz", url))).text()).toBe("ok\n");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});
