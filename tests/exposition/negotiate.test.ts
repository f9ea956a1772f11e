import { describe, expect, test } from "bun:test";
import { acceptsGzip, negotiate } from "../../src/exposition/index.ts";

/** As it came over the wire. */
const PROMETHEUS_2_42 =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const PROMETHEUS_3_PROTOBUF = `application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,${PROMETHEUS_3}`;

describe("Accept", () => {
  test.each([
    [null, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"],
    ["text/plain", "text"],
    ["text/*", "text"],
    ["application/*", "text"],
    ["image/png", "text"],
    [PROMETHEUS_2_42, "openmetrics"],
    [PROMETHEUS_3, "openmetrics"],
    [PROMETHEUS_3_PROTOBUF, "openmetrics"],
    ["text/plain;version=0.0.4;q=1,*/*;q=0.1", "text"],
    ["application/openmetrics-text", "openmetrics"],
    ["APPLICATION/OpenMetrics-Text ; VERSION=1.0.0 ; Q=1", "openmetrics"],
    ['application/openmetrics-text; version="1.0.0"; charset=utf-8', "openmetrics"],
    ["application/openmetrics-text;version=0.0.1", "text"],
    ["application/openmetrics-text;q=0", "text"],
    ["application/openmetrics-text;q=0,application/openmetrics-text;version=1.0.0", "openmetrics"],
    ["application/openmetrics-text;version=1.0.0;q=0,application/openmetrics-text", "text"],
    ["text/plain,application/openmetrics-text", "openmetrics"],
    ["text/plain,application/openmetrics-text;q=0.9", "text"],
    ["*/*,application/openmetrics-text;q=0.9", "text"],
    ["text/plain;q=0,*/*,application/openmetrics-text;q=0.1", "openmetrics"],
    ["application/openmetrics-text;q=nonsense", "text"],
    ["application/openmetrics-text;q=1.5", "text"],
    [",,;;q,=;q=1,application/openmetrics-text", "openmetrics"],
    ["application/json", "json"],
    ["application/json, text/plain, */*", "json"],
    ["application/json;q=0.1, text/plain", "text"],
    ["text/json", "text"],
    [`${"a/b,".repeat(1000)}application/json`, "text"],
  ] as const)("%j is answered with %s", (accept, expected) => {
    expect(negotiate(accept, ["json", "openmetrics"]).format).toBe(expected);
  });

  test("is not answered with what is not offered", () => {
    const formatFor = (accept: string, offered: "openmetrics"[]) =>
      negotiate(accept, offered).format;
    expect(formatFor("application/json", ["openmetrics"])).toBe("text");
    expect(formatFor("application/json, application/openmetrics-text;q=0.2", ["openmetrics"])).toBe(
      "openmetrics",
    );
    expect(formatFor("application/openmetrics-text", [])).toBe("text");
  });

  const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  const TEXT_0 = "text/plain; version=0.0.4; charset=utf-8";
  const TEXT_1 = "text/plain; version=1.0.0; charset=utf-8";
  test.each([
    [null, TEXT_0, "underscores"],
    [PROMETHEUS_2_42, OPENMETRICS, "underscores"],
    [PROMETHEUS_3, `${OPENMETRICS}; escaping=allow-utf-8`, "allow-utf-8"],
    [PROMETHEUS_3_PROTOBUF, `${OPENMETRICS}; escaping=allow-utf-8`, "allow-utf-8"],
    ["text/plain", TEXT_0, "underscores"],
    ["text/plain;version=0.0.4", TEXT_0, "underscores"],
    // 0.0.4 has no names in quotes.
    ["text/plain;version=0.0.4;escaping=allow-utf-8", TEXT_0, "underscores"],
    ["text/plain;version=1.0.0", TEXT_1, "underscores"],
    [
      "text/plain;version=1.0.0;escaping=allow-utf-8",
      `${TEXT_1}; escaping=allow-utf-8`,
      "allow-utf-8",
    ],
    ["text/plain;escaping=allow-utf-8", `${TEXT_1}; escaping=allow-utf-8`, "allow-utf-8"],
    [
      "text/plain;version=1.0.0;escaping=underscores",
      `${TEXT_1}; escaping=underscores`,
      "underscores",
    ],
    ["text/plain;version=1.0.0;escaping=dots", `${TEXT_1}; escaping=dots`, "dots"],
    ["text/plain;version=1.0.0;escaping=values;q=0.3", `${TEXT_1}; escaping=values`, "values"],
    ["text/plain;version=1.0.0;escaping=nonsense", TEXT_1, "underscores"],
    ["text/plain;version=2.0.0;escaping=dots", TEXT_0, "underscores"],
    [
      "text/plain;version=1.0.0;escaping=dots;q=0.4,text/plain;version=0.0.4;q=0.5",
      TEXT_0,
      "underscores",
    ],
    [
      "text/plain;version=1.0.0;escaping=dots,application/openmetrics-text;escaping=values;q=0.9",
      `${TEXT_1}; escaping=dots`,
      "dots",
    ],
    ["application/openmetrics-text", OPENMETRICS, "underscores"],
    ["application/openmetrics-text; escaping=Values", OPENMETRICS, "underscores"],
    ["*/*;escaping=dots", TEXT_0, "underscores"],
  ] as const)("%j is answered as %j, with %s", (accept, contentType, names) => {
    expect(negotiate(accept, ["json", "openmetrics"])).toMatchObject({ contentType, names });
  });
});

describe("Accept-Encoding", () => {
  test.each([
    [null, false],
    ["", false],
    ["gzip", true],
    ["x-gzip", true],
    ["GZIP;q=0.5", true],
    ["gzip;q=0", false],
    ["gzip, deflate, br, zstd", true],
    ["br;q=1.0, gzip;q=0.8, *;q=0.1", true],
    ["identity;q=1, gzip;q=0.5", false],
    ["identity;q=0.5, gzip;q=1", true],
    ["deflate, br", false],
    ["*", false],
  ] as const)("%j is sent with gzip: %p", (encoding, expected) => {
    expect(acceptsGzip(encoding)).toBe(expected);
  });
});
