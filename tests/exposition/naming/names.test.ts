// What metrics of OpenTelemetry's are called by Prometheus's rules.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { prometheusNames } from "../../../src/exposition/index.ts";
import { checkDefinition, type MetricDefinition } from "../../../src/layout/index.ts";
import { define } from "../../support/pools.ts";

const otel = (definition: MetricDefinition, unit = ""): MetricDefinition => ({
  ...definition,
  unit,
  dialect: "opentelemetry",
});

const nameOf = (definition: MetricDefinition) => prometheusNames(definition).name;

describe("a name in Prometheus's formats", () => {
  test("is what it was, with its labels and unit, unless it is in OpenTelemetry's dialect", () => {
    const definition = { ...define.counter("jobs", ["a__b"]), unit: "s" };
    expect(prometheusNames(definition)).toBe(definition);
  });

  test("has underscores where letters and digits end, and one of them at a time", () => {
    expect(nameOf(otel(define.gauge("a.b/c-d_e..f._", "last")))).toBe("a_b_c_d_e_f");
  });

  test.each([
    ["s", "http_server_request_duration_seconds"],
    ["ms", "http_server_request_duration_milliseconds"],
    ["By", "http_server_request_duration_bytes"],
    ["MiBy/s", "http_server_request_duration_mebibytes_per_second"],
    ["1/min", "http_server_request_duration_per_minute"],
    ["{request}", "http_server_request_duration"],
    ["{request}/s", "http_server_request_duration_per_second"],
    ["By{fancy}", "http_server_request_duration_bytes"],
    ["1", "http_server_request_duration"],
    ["", "http_server_request_duration"],
    ["furlong", "http_server_request_duration_furlong"],
    ["constructor", "http_server_request_duration_constructor"],
    ["duration", "http_server_request_duration"],
  ])("ends with its unit, %p", (unit, name) => {
    expect(nameOf(otel(define.histogram("http.server.request.duration", [1]), unit))).toBe(name);
  });

  test("of a counter ends with _total, behind the unit and once", () => {
    expect(nameOf(otel(define.counter("requests")))).toBe("requests_total");
    expect(nameOf(otel(define.counter("requests.total"), "{request}"))).toBe("requests_total");
    expect(nameOf(otel(define.counter("sent.total"), "By"))).toBe("sent_bytes_total");
    expect(nameOf(otel(define.counter("sent.bytes"), "By"))).toBe("sent_bytes_total");
    expect(nameOf(otel(define.counter("total")))).toBe("total_total");
  });

  test("of a gauge without dimension ends with _ratio, and that of an UpDownCounter does not", () => {
    expect(nameOf(otel(define.gauge("utilization", "last"), "1"))).toBe("utilization_ratio");
    expect(nameOf(otel(define.gauge("queue.length"), "1"))).toBe("queue_length");
  });

  test("has labels that Prometheus takes, none of them twice, and none that buckets need", () => {
    const keys = [
      "http.method",
      "http_method",
      "http-method",
      "__x",
      "0",
      "日本",
      "le",
      "__name__",
    ];
    const shown = (definition: MetricDefinition) => prometheusNames(otel(definition)).labelNames;
    expect(shown(define.counter("c", keys))).toEqual([
      "http_method",
      "http_method_2",
      "http_method_3",
      "_x",
      "key_0",
      "key__",
      "le_2",
      "_name_",
    ]);
    expect(shown(define.histogram("h", [1], ["quantile"]))).toEqual(["quantile_2"]);
  });

  test("is one that Prometheus takes, whatever it is", () => {
    const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_./-]{0,40}$/);
    const labels = fc.uniqueArray(fc.stringMatching(/^[^\s"\\=,{}\p{C}\p{Z}]{1,9}$/u), {
      maxLength: 8,
    });
    const unit = fc.oneof(fc.constantFrom("s", "1", "By/s"), fc.string({ maxLength: 12 }));
    const kind = fc.constantFrom(
      define.counter("x"),
      define.gauge("x", "last"),
      define.histogram("x", [1]),
    );
    fc.assert(
      fc.property(name, labels, unit, kind, (given, labelNames, ofUnit, base) => {
        const definition = otel({ ...base, name: given, labelNames: labelNames.sort() }, ofUnit);
        checkDefinition(definition);
        const { dialect: _, ...rest } = { ...definition, ...prometheusNames(definition) };
        checkDefinition(rest);
      }),
    );
  });
});
