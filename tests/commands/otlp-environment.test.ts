// `--otlp env`: what OpenTelemetry's environment variables say.

import { expect, test } from "bun:test";
import { otlpEnvironment } from "../../src/commands/push/environment.ts";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { runCli } from "./run-cli.ts";

const ALL = "OTEL_EXPORTER_OTLP_";
const METRICS = `${ALL}METRICS_`;

function unexpected(warning: string): never {
  throw new Error(`unexpected: ${warning}`);
}

test.each([
  [{ [`${ALL}ENDPOINT`]: "http://localhost:4318" }, "http://localhost:4318/v1/metrics"],
  [{ [`${ALL}ENDPOINT`]: "https://otlp.example/otlp/" }, "https://otlp.example/otlp/v1/metrics"],
  [{ [`${METRICS}ENDPOINT`]: "http://a:1/in" }, "http://a:1/in"],
  [{ [`${METRICS}ENDPOINT`]: "http://a:1", [`${ALL}ENDPOINT`]: "http://b:1" }, "http://a:1/"],
])("%j is the receiver %s", (environment, url) => {
  expect(otlpEnvironment(environment, unexpected)).toEqual({ url, headers: {} });
});

test("all of it is read, that of metrics first", () => {
  const found = otlpEnvironment(
    {
      [`${ALL}ENDPOINT`]: "http://a:1",
      [`${ALL}HEADERS`]: "Authorization=Bearer%20a%3Db, X-Scope-OrgID = team,",
      [`${ALL}PROTOCOL`]: "http/protobuf",
      [`${METRICS}PROTOCOL`]: "http/json",
      [`${ALL}COMPRESSION`]: "none",
      [`${METRICS}TEMPORALITY_PREFERENCE`]: "Delta",
      [`${ALL}TIMEOUT`]: "2000",
      OTEL_METRIC_EXPORT_INTERVAL: "60000",
      [`${ALL}CERTIFICATE`]: "/ca",
      [`${ALL}CLIENT_CERTIFICATE`]: "/cert",
      [`${ALL}CLIENT_KEY`]: "/key",
    },
    unexpected,
  );
  expect(found).toEqual({
    url: "http://a:1/v1/metrics",
    headers: { authorization: "Bearer a=b", "x-scope-orgid": "team" },
    format: "json",
    compression: "none",
    temporality: "delta",
    timeoutMs: 2000,
    intervalMs: 60_000,
    ca: "/ca",
    clientCert: "/cert",
    clientKey: "/key",
  });
});

test.each([
  [{}, "the environment names no receiver"],
  [{ [`${ALL}ENDPOINT`]: "s3cret" }, `${ALL}ENDPOINT is no http or https URL`],
  [{ [`${ALL}ENDPOINT`]: "http://me:s3cret@a/" }, "has a user or password"],
  [{ [`${ALL}PROTOCOL`]: "grpc" }, `${ALL}PROTOCOL asks for gRPC`],
  [{ [`${ALL}HEADERS`]: "s3cret" }, `${ALL}HEADERS is not understood`],
  [{ [`${ALL}HEADERS`]: "a=s3cret%0d%0ab" }, `${ALL}HEADERS is not understood`],
])("%j is refused, and what it holds is not repeated", (environment, reason) => {
  const complete = { [`${ALL}ENDPOINT`]: "http://a", ...environment };
  const given = Object.keys(environment).length === 0 ? {} : complete;
  let message = "";
  try {
    otlpEnvironment(given, unexpected);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain(reason);
  expect(message).not.toContain("s3cret");
});

test.each([
  ["PROTOCOL", "toString", "is not one of http/protobuf, http/json"],
  ["COMPRESSION", "s3cret", "is not one of gzip, none"],
  ["TEMPORALITY_PREFERENCE", "s3cret", "is not one of cumulative, delta, lowmemory"],
  ["TIMEOUT", "s3cret", "is no number of milliseconds from 10 on"],
  ["TIMEOUT", "0", "is no number of milliseconds from 10 on"],
])("a %s of %j is ignored with a warning, in which it is not repeated", (name, value, reason) => {
  const warnings: string[] = [];
  const environment = { [`${METRICS}ENDPOINT`]: "http://a:1/", [`${METRICS}${name}`]: value };
  const found = otlpEnvironment(environment, (text) => warnings.push(text));
  expect(found).toEqual({ url: "http://a:1/", headers: {} });
  expect(warnings).toEqual([`--otlp env: ${METRICS}${name} ${reason}: it is ignored`]);
});

test("is used where --otlp says env, and otherwise nobody looks at it", async () => {
  await using host = new TestHost();
  await using named = new OtlpReceiver();
  await using other = new OtlpReceiver();
  await host.agent();
  const mv = host.client();
  mv.counter("requests_total").inc();
  await mv.ready;
  const environment = {
    [`${ALL}ENDPOINT`]: named.url,
    [`${ALL}HEADERS`]: "authorization=Bearer%20s3cret",
  };
  const collect = (...flags: string[]) =>
    runCli(["collect", "--once", "--socket", host.socketPath, ...flags], environment);
  await collect("--format", "ndjson");
  expect(named.headers).toEqual([]);
  await collect("--otlp", other.url);
  expect(other.headers.length).toBeGreaterThan(0);
  expect(other.headers[0]?.get("authorization")).toBeNull();
  expect(named.headers).toEqual([]);
  await collect("--otlp", "env");
  expect(named.headers[0]?.get("authorization")).toBe("Bearer s3cret");
  expect(named.paths[0]).toBe("/v1/metrics");
});
