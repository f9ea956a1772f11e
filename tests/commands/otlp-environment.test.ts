// `--otlp env`: when OpenTelemetry's environment variables are used, and what is said of those that name no receiver.

import { expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { runCli } from "./run-cli.ts";

const ALL = "OTEL_EXPORTER_OTLP_";

test.each([
  [{}, "--otlp env: the environment names no receiver"],
  [{ [`${ALL}ENDPOINT`]: "s3cret" }, `--otlp env: ${ALL}ENDPOINT is no http or https URL`],
  [{ [`${ALL}ENDPOINT`]: "http://me:s3cret@a/" }, "has a user or password"],
  [
    { [`${ALL}ENDPOINT`]: "http://a", [`${ALL}PROTOCOL`]: "grpc" },
    `--otlp env: ${ALL}PROTOCOL asks for gRPC`,
  ],
])("%j is wrong usage, and what it holds is not repeated", async (environment, reason) => {
  const { exitCode, stderr } = await runCli(["collect", "--otlp", "env"], environment);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(reason);
  expect(stderr).not.toContain("s3cret");
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
