// A service of OpenTelemetry's API as Prometheus sees it at the agent's /metrics.

import { describe, expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import {
  promtool,
  promtoolFindings,
  pythonWithClient,
  readByPython,
} from "../support/metrics-readers.ts";
import { parseOpenMetrics } from "../support/openmetrics.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { until } from "../support/wait.ts";
import { providerOn } from "./provider.ts";

/** A service with every kind of instrument, by the semantic conventions and beyond them. */
async function served(host: TestHost) {
  const agent = await host.agent();
  const provider = providerOn(host);
  const meter = provider.getMeter("lib", "1.0");
  const described = { description: "What it says." };
  const requests = meter.createCounter("http.server.requests", { unit: "{request}", ...described });
  requests.add(3, { "http.request.method": "GET", "http.route": "/a" });
  requests.add(2, { "http.request.method": "GET" });
  requests.add(1, { service: "mine", instance: "x", app: 'a"\\\n' });
  meter.createCounter("io.bytes", { unit: "By", ...described }).add(7);
  meter.createUpDownCounter("http.server.active_requests", described).add(4, { le: "x" });
  meter.createGauge("cpu.utilization", { unit: "1", ...described }).record(0.5);
  meter
    .createHistogram("http.server.request.duration", {
      ...{ unit: "s", ...described },
      advice: { explicitBucketBoundaries: [0.1, 1] },
    })
    .record(0.5, { le: "taken", "http.route": "/" });
  await provider.ready;
  const url = `http://127.0.0.1:${agent.port}/metrics?app=shop`;
  const get = async (accept: string) => (await fetch(url, { headers: { accept } })).text();
  return { provider, meter, get, url };
}

const HOME = 'app="shop"';
const SCOPE = 'otel_scope_name="lib",otel_scope_version="1.0"';

describe("the exposition of a service of OpenTelemetry's", () => {
  test("has its metrics by the rules that its specification has for Prometheus", async () => {
    await using host = new TestHost();
    const { get } = await served(host);
    const families = parsePrometheus(await get("text/plain"));
    const samples = Object.fromEntries([...families.values()].flatMap((each) => [...each.samples]));
    const method = 'http_request_method="GET"';
    expect(samples).toMatchObject({
      [`http_server_requests_total{${HOME},${method},http_route="/a",${SCOPE},service="auth"}`]: 3,
      [`http_server_requests_total{${HOME},${method},${SCOPE},service="auth"}`]: 2,
      [`io_bytes_total{${HOME},${SCOPE},service="auth"}`]: 7,
      [`http_server_active_requests{${HOME},le_2="x",${SCOPE},service="auth"}`]: 4,
      [`cpu_utilization_ratio{${HOME},${SCOPE},service="auth"}`]: 0.5,
      [`http_server_request_duration_seconds_bucket{${HOME},http_route="/",le="1.0",le_2="taken",${SCOPE},service="auth"}`]: 1,
    });
    expect(families.get("http_server_requests_total")).toMatchObject({
      type: "counter",
      help: "What it says.",
    });
    parseOpenMetrics(await get("application/openmetrics-text"));
  });

  test("has its names as they are for a Prometheus 3, which asks for that", async () => {
    await using host = new TestHost();
    const { get, url } = await served(host);
    const accept =
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    const { headers } = await fetch(url, { headers: { accept } });
    expect(headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
    );
    const text = await get(accept);
    const scope = '"otel.scope.name"="lib","otel.scope.version"="1.0"';
    expect(text).toContain(
      `\n{"http.server.requests","http.request.method"="GET",${scope},app="shop",service="auth"} 2\n`,
    );
    expect(text).toContain(
      `\n{"http.server.request.duration_bucket","http.route"="/",le_2="taken",${scope},app="shop",service="auth",le="1.0"} 1\n`,
    );
    expect(text).toContain('\n# TYPE "cpu.utilization" gauge\n');
    expect(text).toEndWith("# EOF\n");
  });

  test("follows attributes that come later", async () => {
    await using host = new TestHost();
    const { meter, get } = await served(host);
    meter.createCounter("http.server.requests", { unit: "{request}" }).add(9, { later: true });
    await until("it is there", async () => (await get("text/plain")).includes('{later="true",'));
    parsePrometheus(await get("text/plain"));
  });

  test.skipIf(promtool === null)("is nothing that promtool complains of", async () => {
    await using host = new TestHost();
    const { get } = await served(host);
    expect(await promtoolFindings(await get("text/plain"))).toBe("");
  });

  test.skipIf(pythonWithClient === undefined)(
    "is read by the Python client, which is strict",
    async () => {
      await using host = new TestHost();
      const { get } = await served(host);
      const families = await readByPython(await get("application/openmetrics-text"));
      expect(families["http_server_request_duration_seconds"]?.slice(0, 3)).toEqual([
        "histogram",
        "seconds",
        "What it says.",
      ]);
    },
  );
});
