// Views: what they select, and what becomes of it.

import { describe, expect, test } from "bun:test";
import {
  AggregationType,
  createAllowListAttributesProcessor,
  createDenyListAttributesProcessor,
  MeterProvider,
  type ViewOptions,
} from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { providerOn, seriesOf, told } from "./provider.ts";

/** Names and definitions of what is in the pool. */
function metricsOf(host: TestHost) {
  return [...host.view().read().directory.metrics.values()].map(({ definition }) => definition);
}

describe("a view", () => {
  test("gives another name and description, and says how gauges become one", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [
        { instrumentName: "a.b", name: "c.d", description: "seen" },
        { instrumentName: "load", combine: "max" },
      ],
    });
    const meter = provider.getMeter("m");
    meter.createCounter("a.b", { description: "made" }).add(1);
    meter.createGauge("load").record(1);
    await provider.ready;
    expect(metricsOf(host)).toMatchObject([
      { name: "c.d", help: "seen" },
      { name: "load", combine: "max" },
    ]);
  });

  test("drops, and lets the rest be", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [{ instrumentName: "debug.*", aggregation: { type: AggregationType.DROP } }],
    });
    const meter = provider.getMeter("m");
    meter.createCounter("debug.x").add(1);
    meter.createObservableGauge("debug.y").addCallback((result) => result.observe(1));
    meter.createCounter("x").add(1);
    await provider.forceFlush();
    await provider.ready;
    expect(metricsOf(host).map(({ name }) => name)).toEqual(["x"]);
  });

  test("keeps some attributes, or all but some, and adds up what is alike then", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [
        {
          instrumentName: "kept",
          attributesProcessors: [createAllowListAttributesProcessor(["route"])],
        },
        {
          instrumentName: "left",
          attributesProcessors: [createDenyListAttributesProcessor(["user"])],
        },
      ],
    });
    const meter = provider.getMeter("m");
    const observed = meter.createObservableCounter("left");
    observed.addCallback((result) => {
      for (let i = 0; i < 4; i++) result.observe(10, { user: i, route: i % 2 });
    });
    const counter = meter.createCounter("kept");
    for (let i = 0; i < 100; i++) counter.add(1, { user: `u${i}`, route: "/" });
    counter.add(1);
    await provider.forceFlush();
    await provider.forceFlush();
    await provider.ready;
    expect(seriesOf(host, "kept")).toEqual({ '[["route","/"]]': [100], "[]": [1] });
    expect(seriesOf(host, "left")).toEqual({ '[["route","0"]]': [20], '[["route","1"]]': [20] });
  });

  test("may use any processor, with the context of the call, and one that throws is told of", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const contexts: unknown[] = [];
    const adding = {
      process: (incoming: object, context?: unknown) => {
        contexts.push(context);
        return { ...incoming, tenant: "t1" };
      },
    };
    const throwing = {
      process: () => {
        throw new Error("no");
      },
    };
    const provider = providerOn(host, {
      views: [
        { instrumentName: "a", attributesProcessors: [adding] },
        { instrumentName: "b", attributesProcessors: [throwing] },
      ],
    });
    const meter = provider.getMeter("m");
    const context = { getValue: () => 1 } as never;
    meter.createCounter("a").add(1, { x: "y" }, context);
    meter.createCounter("b").add(1, { x: "y" });
    await provider.ready;
    expect(seriesOf(host, "a")).toEqual({ '[["tenant","t1"],["x","y"]]': [1] });
    expect(seriesOf(host, "b")).toEqual({ '[["x","y"]]': [1] });
    expect(contexts).toEqual([context]);
    expect(messages).toEqual(["microview: an attributes processor of b has thrown: Error: no"]);
  });

  const selectors: [ViewOptions, string[]][] = [
    [{ instrumentName: "*" }, ["http.a", "http.b", "db"]],
    [{ instrumentName: "http.*" }, ["http.a", "http.b"]],
    [{ instrumentName: "http.?" }, ["http.a", "http.b"]],
    [{ instrumentName: "http" }, []],
    [{ instrumentType: "HISTOGRAM" }, ["http.b"]],
    [{ instrumentUnit: "By" }, ["db"]],
    [{ meterName: "one" }, ["http.a", "http.b"]],
    [{ meterVersion: "2" }, ["db"]],
    [{ meterSchemaUrl: "https://x" }, ["db"]],
    [{ instrumentName: "http.*", instrumentType: "COUNTER" }, ["http.a"]],
  ];
  test.each(selectors)("of %j is for %j", async (selector, names) => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, { views: [{ ...selector, description: "selected" }] });
    provider.getMeter("one").createCounter("http.a").add(1);
    provider.getMeter("one").createHistogram("http.b", { unit: "s" }).record(1);
    provider
      .getMeter("two", "2", { schemaUrl: "https://x" })
      .createCounter("db", { unit: "By" })
      .add(1);
    await provider.ready;
    const selected = metricsOf(host).filter(({ help }) => help === "selected");
    expect(selected.map(({ name }) => name)).toEqual(names);
  });

  test("beside another makes two metrics of one instrument", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [
        { instrumentName: "took", name: "took.sum", aggregation: { type: AggregationType.SUM } },
        { instrumentType: "HISTOGRAM" },
      ],
    });
    provider
      .getMeter("m")
      .createHistogram("took", { advice: { explicitBucketBoundaries: [1] } })
      .record(3);
    await provider.ready;
    expect(seriesOf(host, "took.sum")).toEqual({ "[]": [3] });
    expect(seriesOf(host, "took")).toEqual({ "[]": [0, 1, 3] });
  });

  test("of a sum adds, and of a last value keeps the last, whatever the instrument is", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, {
      views: [
        { instrumentName: "g", aggregation: { type: AggregationType.SUM } },
        { instrumentName: "c", aggregation: { type: AggregationType.LAST_VALUE } },
      ],
    });
    const meter = provider.getMeter("m");
    const gauge = meter.createGauge("g");
    const counter = meter.createCounter("c");
    for (const value of [5, 3]) {
      gauge.record(value);
      counter.add(value);
    }
    await provider.ready;
    expect(seriesOf(host, "g")["[]"]![0]).toBe(8);
    expect(seriesOf(host, "c")["[]"]![0]).toBe(3);
  });

  test("that selects nothing, or names several instruments, is refused at once", () => {
    const make = (view: ViewOptions) => () => new MeterProvider({ views: [view] });
    expect(make({ name: "x" })).toThrow(/selects nothing/);
    expect(make({ name: "x", instrumentName: "a*" })).toThrow(/several instruments/);
    expect(make({ name: "x", instrumentType: "COUNTER" })).toThrow(/several instruments/);
  });

  test("that names instruments with a ? is taken, as by the SDK", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, { views: [{ name: "renamed", instrumentName: "a?" }] });
    const meter = provider.getMeter("m");
    meter.createCounter("ab").add(1);
    meter.createCounter("abc").add(2);
    // Another kind under the name that a view has given is refused, as any two of one name are.
    meter.createHistogram("ac").record(4);
    await provider.ready;
    expect(seriesOf(host, "renamed")).toEqual({ "[]": [1] });
    expect(seriesOf(host, "abc")).toEqual({ "[]": [2] });
    expect(host.warnings.map(({ code }) => code)).toEqual(["not-shared"]);
  });
});
