// Names that Prometheus takes only since version 3: as they are, or spelt as a scraper asks for.
// https://prometheus.io/docs/instrumenting/content_negotiation/ and …/escaping_schemes/

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  escapeLabelName,
  escapeName,
  NAME_SCHEMES,
  type NameScheme,
  negotiate,
} from "../../src/exposition/index.ts";
import type { MetricDefinition } from "../../src/layout/index.ts";
import { exposedPool, textOf } from "../support/exposed.ts";
import { hasGoReader, readByPrometheus } from "../support/go-reader.ts";
import { define } from "../support/pools.ts";
import { patience } from "../support/speed.ts";

function otel(definition: MetricDefinition, unit = ""): MetricDefinition {
  return { ...definition, unit, dialect: "opentelemetry" };
}

const START_MS = Date.UTC(2026, 0, 2);
const shop = exposedPool(
  "shop",
  "auth",
  [
    {
      definition: otel(
        { ...define.counter("http.server.requests", ["größe", "http.route"]), help: 'A "b"\\.' },
        "{request}",
      ),
      series: [[["1", '/a"b'], 3]],
    },
    {
      definition: otel(define.histogram("http.server.duration", [1], ["http.route"]), "s"),
      series: [[["/"], 1, 2, 4.5]],
    },
    { definition: otel(define.gauge("cpu.load", "max")), series: [[[], 0.5]] },
    { definition: define.counter("jobs_total", ["kind"]), series: [[["x"], 7]] },
  ],
  START_MS,
);

/** As it is answered to an Accept. */
function answered(accept: string): { contentType: string; text: string } {
  const as = negotiate(accept, ["openmetrics"]);
  return {
    contentType: as.contentType,
    text: textOf([shop], { format: as.format, names: as.names }),
  };
}

function accept(type: "text/plain" | "application/openmetrics-text", scheme: NameScheme): string {
  return `${type};version=1.0.0;escaping=${scheme}`;
}

describe("names of OpenTelemetry's", () => {
  test("are in quotes, within the braces, where a scraper takes them as they are", () => {
    expect(answered(accept("text/plain", "allow-utf-8"))).toEqual({
      contentType: "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
      text: [
        '# HELP "http.server.requests" A "b"\\\\.',
        '# TYPE "http.server.requests" counter',
        '{"http.server.requests","größe"="1","http.route"="/a\\"b",app="shop",service="auth"} 3',
        '# HELP "http.server.duration" ',
        '# TYPE "http.server.duration" histogram',
        '{"http.server.duration_bucket","http.route"="/",app="shop",service="auth",le="1.0"} 1',
        '{"http.server.duration_bucket","http.route"="/",app="shop",service="auth",le="+Inf"} 3',
        '{"http.server.duration_sum","http.route"="/",app="shop",service="auth"} 4.5',
        '{"http.server.duration_count","http.route"="/",app="shop",service="auth"} 3',
        '# HELP "cpu.load" ',
        '# TYPE "cpu.load" gauge',
        '{"cpu.load",app="shop",service="auth"} 0.5',
        "# HELP jobs_total ",
        "# TYPE jobs_total counter",
        'jobs_total{kind="x",app="shop",service="auth"} 7',
        "",
      ].join("\n"),
    });
  });

  test("are so in OpenMetrics too, with the time when they began", () => {
    const { text } = answered(accept("application/openmetrics-text", "allow-utf-8"));
    // A counter without `_total` has no type there.
    expect(text).toContain('# TYPE "http.server.requests" unknown\n');
    expect(text).toContain(
      `{"http.server.duration_created","http.route"="/",app="shop",service="auth"} ${START_MS / 1000}\n`,
    );
    expect(text).toContain("# TYPE jobs counter\n");
    expect(text).toContain(`jobs_created{kind="x",app="shop",service="auth"} ${START_MS / 1000}\n`);
  });

  test.each([
    ["underscores", "http_server_requests_total", "http_route", "jobs_total"],
    ["dots", "http_dot_server_dot_requests", "http_dot_route", "jobs__total"],
    ["values", "U__http_2e_server_2e_requests", "U__http_2e_route", "jobs_total"],
  ] as const)("are spelt by %s where a scraper asks for that", (scheme, name, label, plain) => {
    const { text, contentType } = answered(accept("text/plain", scheme));
    expect(contentType).toEndWith(`; escaping=${scheme}`);
    expect(text).toContain(`\n${name}{`);
    expect(text).toContain(`,${label}="/a\\"b",`);
    expect(text).toContain(`\n${plain}{kind="x",`);
    expect(text).not.toContain('{"');
  });

  test("are as ever for those who say nothing of them", () => {
    const ever = textOf([shop]);
    for (const header of ["", "text/plain", "text/plain;version=0.0.4;escaping=allow-utf-8"]) {
      expect(answered(header).text).toBe(ever);
    }
    expect(answered(accept("text/plain", "underscores")).text).toBe(ever);
  });

  test.skipIf(!hasGoReader)(
    "are read by Prometheus's own parsers, in every scheme and format",
    async () => {
      const types = ["text/plain", "application/openmetrics-text"] as const;
      const asked = types.flatMap((type) => NAME_SCHEMES.map((scheme) => accept(type, scheme)));
      const found = await readByPrometheus(asked.map(answered));
      expect(found.map(({ wrong }) => wrong)).toEqual(asked.map(() => ""));
      for (const { series } of [found[0]!, found[4]!]) {
        // Prometheus's names, by scheme `underscores`.
        expect(series.map(({ labels }) => labels["__name__"])).toContain(
          "http_server_requests_total",
        );
      }
      const utf8 = found[asked.indexOf(accept("text/plain", "allow-utf-8"))]!;
      expect(utf8.series).toContainEqual({
        labels: {
          __name__: "http.server.requests",
          "http.route": '/a"b',
          größe: "1",
          app: "shop",
          service: "auth",
        },
        value: "3",
      });
      expect(utf8.types).toMatchObject({
        "http.server.requests": "counter",
        "http.server.duration": "histogram",
      });
    },
  );

  test.skipIf(!hasGoReader)(
    "are read whatever they are",
    async () => {
      const name = fc.stringMatching(/^[ab][._/-]?[ab_](\.total|_total|\.count)?$/);
      const key = fc
        .string({ minLength: 1, maxLength: 4, unit: "grapheme" })
        .filter((text) => /^[^\s\p{Cc}\p{Cf}\p{Cs}\p{Z}"\\=,{}]+$/u.test(text));
      const keys = fc.uniqueArray(
        fc.oneof(key, fc.constantFrom("le", "__name__", "a:b", "app", "1x")),
        {
          maxLength: 3,
        },
      );
      const metric = fc.record({ name, keys: keys.map((all) => all.sort()), kind: fc.nat(2) });
      const distinct = fc.uniqueArray(metric, {
        minLength: 1,
        maxLength: 6,
        selector: (each) => JSON.stringify([each.name, each.keys]),
      });
      const texts = fc.sample(distinct, { numRuns: 300, seed: 7 }).flatMap((metrics) => {
        const pool = exposedPool(
          "shop",
          "auth",
          metrics.map(({ name: of, keys: labelNames, kind }, i) => {
            const definition = [
              define.counter(of, labelNames),
              define.gauge(of, "max", labelNames),
              define.histogram(of, [1], labelNames),
            ][kind]!;
            const values = kind === 2 ? [1, 2, 3] : [i];
            return {
              definition: otel(definition),
              series: [[labelNames.map(() => "v"), ...values]],
            };
          }),
          START_MS,
        );
        return NAME_SCHEMES.flatMap((scheme) =>
          (["text/plain", "application/openmetrics-text"] as const).map((type) => {
            const { contentType, format, names } = negotiate(accept(type, scheme), ["openmetrics"]);
            return { contentType, text: textOf([pool], { format, names }) };
          }),
        );
      });
      const found = await readByPrometheus(texts);
      const wrong = found.flatMap(({ wrong: why }, i) =>
        why === "" ? [] : [{ why, ...texts[i]! }],
      );
      expect(wrong.slice(0, 3)).toEqual([]);
      expect(found.length).toBe(2400);
    },
    patience(60_000),
  );
});

describe("a name", () => {
  // As in the tests of github.com/prometheus/common/model.
  test.each([
    [
      "no:escaping_required",
      "no:escaping_required",
      "no:escaping__required",
      "no:escaping_required",
    ],
    [
      "mysystem.prod.west.cpu.load",
      "mysystem_prod_west_cpu_load",
      "mysystem_dot_prod_dot_west_dot_cpu_dot_load",
      "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load",
    ],
    [
      "mysystem.prod.west.cpu.load_total",
      "mysystem_prod_west_cpu_load_total",
      "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
      "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
    ],
    ["http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"],
    ["label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"],
    ["1x", "_x", "__x", "U___31_x"],
  ])("%j is spelt by each scheme as elsewhere", (name, underscores, dots, values) => {
    expect(escapeName(name, "underscores")).toBe(underscores);
    expect(escapeName(name, "dots")).toBe(dots);
    expect(escapeName(name, "values")).toBe(values);
    expect(escapeName(name, "allow-utf-8")).toBe(name);
  });

  test("of a label has no colon where names are old ones", () => {
    expect(escapeLabelName("a:b", "underscores")).toBe("a_b");
    expect(escapeLabelName("a:b", "values")).toBe("U__a_3a_b");
  });
});
