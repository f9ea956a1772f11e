// What OpenTelemetry's environment variables say.

import { expect, test } from "bun:test";
import { otlpEnvironment } from "../../../src/sinks/otlp/index.ts";

const ALL = "OTEL_EXPORTER_OTLP_";
const METRICS = `${ALL}METRICS_`;

const READING = {
  label: "the environment",
  parseUrl(text: string, label: string): string {
    if (!URL.canParse(text)) throw new Error(`${label} is no URL`);
    return new URL(text).href;
  },
  onWarning(warning: string): void {
    throw new Error(`unexpected: ${warning}`);
  },
};

test.each([
  [{ [`${ALL}ENDPOINT`]: "http://localhost:4318" }, "http://localhost:4318/v1/metrics"],
  [{ [`${ALL}ENDPOINT`]: "https://otlp.example/otlp/" }, "https://otlp.example/otlp/v1/metrics"],
  [{ [`${METRICS}ENDPOINT`]: "http://a:1/in" }, "http://a:1/in"],
  [{ [`${METRICS}ENDPOINT`]: "http://a:1", [`${ALL}ENDPOINT`]: "http://b:1" }, "http://a:1/"],
])("%j is the receiver %s", (environment, url) => {
  expect(otlpEnvironment(environment, READING)).toEqual({ url, headers: {} });
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
    READING,
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

test("an environment that says nothing names no receiver", () => {
  expect(otlpEnvironment({}, READING)).toEqual({ headers: {} });
});

test.each([
  [{ [`${ALL}ENDPOINT`]: "s3cret" }, `the environment: ${ALL}ENDPOINT is no URL`],
  [{ [`${ALL}PROTOCOL`]: "grpc" }, `${ALL}PROTOCOL asks for gRPC`],
  [{ [`${ALL}HEADERS`]: "s3cret" }, `${ALL}HEADERS is not understood`],
  [{ [`${ALL}HEADERS`]: "a=s3cret%0d%0ab" }, `${ALL}HEADERS is not understood`],
])("%j is refused, and what it holds is not repeated", (environment, reason) => {
  const complete = { [`${ALL}ENDPOINT`]: "http://a", ...environment };
  let message = "";
  try {
    otlpEnvironment(complete, READING);
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
  const found = otlpEnvironment(environment, {
    ...READING,
    onWarning: (text) => warnings.push(text),
  });
  expect(found).toEqual({ url: "http://a:1/", headers: {} });
  expect(warnings).toEqual([`the environment: ${METRICS}${name} ${reason}: it is ignored`]);
});
