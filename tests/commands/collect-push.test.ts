// What the flags that push do, up to what a receiver is sent; tests/sinks/remote-write has what it stores.

import { expect, test } from "bun:test";
import { hostname } from "node:os";
import { join } from "node:path";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { decodeWriteRequest } from "../support/remote-write.ts";
import { checkHeaders2, decodeRequest2, writtenHeaders } from "../support/remote-write-2.ts";
import { runCli } from "./run-cli.ts";

/** A host with a service that counts, and a receiver that keeps what it is sent. */
async function serving(host: TestHost, status = 204) {
  await host.agent();
  const mv = host.client();
  mv.counter("requests_total").inc(3);
  mv.counter("other_total").inc(4);
  await mv.ready;
  const requests: { headers: Headers; body: Uint8Array; path: string }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { headers, url } = request;
      requests.push({ headers, body: await request.bytes(), path: new URL(url).pathname });
      // Both versions are taken.
      return new Response(null, {
        status,
        ...(status === 204 ? { headers: writtenHeaders(1000) } : {}),
      });
    },
  });
  host.onEnd(() => server.stop(true));
  const collect = (...flags: string[]) =>
    runCli(["collect", "--once", "--socket", host.socketPath, ...flags]);
  return { requests, collect, url: `http://127.0.0.1:${server.port}` };
}

test("an error for an address at which nothing takes remote write lists those at which receivers do", async () => {
  await using host = new TestHost();
  const { collect, url } = await serving(host, 404);
  for (const protocol of ["auto", "1", "2"]) {
    const push = ["--remote-write-protocol", protocol, "--remote-write"];
    const short = await collect(...push, url);
    expect(short.exitCode).toBe(1);
    expect(short.stderr).toMatch(
      /404 \(is that the whole address\? .* at \/api\/v1\/write, Mimir at/,
    );
    const whole = await collect(...push, `${url}/api/v1/write`);
    expect(whole.stderr).toContain("--web.enable-remote-write-receiver");
  }
});

test("--remote-write sends what was read, and prints nothing unless that is asked for", async () => {
  await using host = new TestHost();
  const { requests, collect, url } = await serving(host);
  const push = ["--remote-write", `${url}/api/v1/write`, "--metric", "requests_*"];
  const label = ["--remote-write-label", "cluster=eu,zone=1", "--remote-write-protocol", "1"];
  expect(await collect(...push, ...label)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  const [{ headers, body, path } = { headers: new Headers(), body: new Uint8Array(), path: "" }] =
    requests;
  expect(path).toBe("/api/v1/write");
  expect(headers.get("content-type")).toBe("application/x-protobuf");
  expect(headers.get("content-encoding")).toBe("snappy");
  expect(headers.get("x-prometheus-remote-write-version")).toBe("0.1.0");
  expect(headers.get("user-agent")).toMatch(/^microview\/\d/);
  expect(headers.get("authorization")).toBeNull();
  const series = decodeWriteRequest(body);
  expect(series.map(({ labels, samples }) => [labels, samples.map(({ value }) => value)])).toEqual([
    [
      Object.entries({
        __name__: "requests_total",
        app: "shop",
        cluster: "eu",
        instance: hostname(),
        service: "auth",
        zone: "1",
      }).map(([name, value]) => ({ name, value })),
      [3],
    ],
  ]);
  const { stdout } = await collect(...push, "--format", "prometheus");
  expect(stdout).toContain("requests_total{");
});

test("--remote-write speaks 2.0 to who knows it, and --remote-write-histograms says in which form", async () => {
  await using host = new TestHost();
  const { requests, collect, url } = await serving(host);
  const mv = host.client({ service: "slow" });
  mv.histogram("took_seconds").observe(0.25);
  await mv.ready;
  const series = async (...flags: string[]) => {
    requests.length = 0;
    const push = ["--remote-write", url, "--app", "shop", ...flags];
    expect(await collect(...push)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    for (const { headers } of requests) checkHeaders2(headers);
    return requests.flatMap(({ body }) => decodeRequest2(body));
  };
  const buckets = async (form: string) =>
    (await series("--remote-write-histograms", form)).filter(({ labels }) =>
      labels.some(({ value }) => value === "took_seconds_bucket"),
    ).length;
  expect(await buckets("powers")).toBe(32);
  expect(await buckets("all")).toBeGreaterThan(200);
  const native = (await series("--remote-write-histograms", "native")).flatMap(
    ({ histograms }) => histograms,
  );
  expect(native).toEqual([expect.objectContaining({ count: 1, sum: 0.25, schema: 3 })]);
  expect((await series()).map(({ type }) => type)).toContain(1);
});

test("--remote-write-names utf-8 sends names of OpenTelemetry's as they are", async () => {
  await using host = new TestHost();
  const { requests, collect, url } = await serving(host);
  const mv = host.client({ service: "otel" });
  mv.counter("http.requests", {
    dialect: "opentelemetry",
    unit: "{request}",
    labels: ["http.route"],
  })
    .labels("/")
    .inc(2);
  await mv.ready;
  const namesOf = async (...flags: string[]) => {
    requests.length = 0;
    const push = ["--remote-write", url, "--app", "shop", "--service", "otel", ...flags];
    expect(await collect(...push)).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    const all = requests.flatMap(({ body }) => decodeRequest2(body));
    return all.map(({ labels }) =>
      labels.flatMap(({ name, value }) => (/^(__name__|http)/.test(name) ? [name, value] : [])),
    );
  };
  const asEver = [["__name__", "http_requests_total", "http_route", "/"]];
  expect(await namesOf()).toEqual(asEver);
  expect(await namesOf("--remote-write-names", "underscores")).toEqual(asEver);
  expect(await namesOf("--remote-write-names", "utf-8")).toEqual([
    ["__name__", "http.requests", "http.route", "/"],
  ]);
});

test.each([
  ["token", "s3cret\n", { authorization: "Bearer s3cret" }],
  ["auth", "eva:s3:cret\n", { authorization: `Basic ${btoa("eva:s3:cret")}` }],
  ["header", "X-Scope-OrgID: team\nX-Other:1\n", { "x-scope-orgid": "team", "x-other": "1" }],
])("--remote-write-%s-file says who we are", async (kind, text, expected) => {
  await using host = new TestHost();
  const { requests, collect, url } = await serving(host);
  const file = join(host.folder, "secret");
  await Bun.write(file, text);
  const flags = ["--remote-write", url, `--remote-write-${kind}-file`, file];
  expect(await collect(...flags)).toMatchObject({ exitCode: 0, stderr: "" });
  for (const [name, value] of Object.entries(expected)) {
    expect(requests[0]?.headers.get(name)).toBe(value);
  }
});

test.each(["protobuf", "json"])(
  "--otlp sends what was read as %s, with who it is",
  async (format) => {
    await using host = new TestHost();
    await using receiver = new OtlpReceiver();
    await serving(host);
    const file = join(host.folder, "headers");
    await Bun.write(file, "Authorization: Bearer s3cret\n");
    const { exitCode, stdout, stderr } = await runCli(
      [
        ...["collect", "--once", "--socket", host.socketPath, "--metric", "requests_*"],
        ...["--otlp", receiver.url, "--otlp-format", format, "--otlp-header-file", file],
      ],
      {
        OTEL_RESOURCE_ATTRIBUTES: "k8s.pod.name=auth-1,container.id=a%2Cb,service.name=other, bad",
      },
    );
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(receiver.paths).toEqual(["/v1/metrics"]);
    expect(receiver.headers[0]?.get("authorization")).toBe("Bearer s3cret");
    expect(receiver.metrics.map(({ name, resource }) => ({ name, resource }))).toEqual([
      {
        name: "requests_total",
        resource: {
          "service.name": "auth",
          "service.namespace": "shop",
          "service.instance.id": hostname(),
          "host.name": hostname(),
          "k8s.pod.name": "auth-1",
          "container.id": "a,b",
        },
      },
    ]);
  },
);

test("a bounded run fails when a receiver has not taken everything", async () => {
  await using host = new TestHost();
  const { collect, url } = await serving(host, 403);
  const { exitCode, stderr } = await collect("--remote-write", url, "--app", "shop");
  expect(exitCode).toBe(1);
  expect(stderr).toContain("has refused 2 samples, which are dropped: 403");
  expect(stderr).toContain("not all was delivered: ");
});

test.each([
  [["--remote-write", "ftp://x"], "--remote-write is no http or https URL"],
  [["--remote-write", "http://a:b@x/"], "--remote-write has a user or password"],
  [["--remote-write-label", "__name__=x"], "--remote-write-label is no label: '__name__=x'"],
  [["--remote-write-label", "cluster"], "--remote-write-label is no label: 'cluster'"],
  [["--remote-write-wal-size", "1KiB"], "--remote-write-wal-size is too small: 1KiB"],
  [
    ["--remote-write", "http://x", "--remote-write-token-file", "/nope"],
    "--remote-write-token-file: cannot read /nope: there is no such file",
  ],
  [["--remote-write-wal", "/tmp/x"], "--remote-write-wal needs --remote-write"],
  [["--remote-write-wal-size", "2MiB"], "--remote-write-wal-size needs --remote-write-wal"],
  [["--otlp", "localhost:4318"], "--otlp is no http or https URL"],
  [["--otlp-header-file", "/tmp/x"], "--otlp-header-file needs --otlp"],
])("%j is refused, and says why", async (flags, reason) => {
  const { exitCode, stderr } = await runCli(["collect", ...flags]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(reason) });
});

test("a secret's file that is not understood is not repeated", async () => {
  await using host = new TestHost();
  const file = join(host.folder, "secret");
  await Bun.write(file, "two words\n");
  for (const kind of ["token", "auth", "header"]) {
    const { exitCode, stderr } = await runCli([
      ...["collect", "--remote-write", "http://127.0.0.1:1"],
      ...[`--remote-write-${kind}-file`, file],
    ]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${file} is not understood`);
    expect(stderr).not.toContain("words");
  }
});
