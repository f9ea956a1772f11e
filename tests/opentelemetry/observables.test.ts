// Instruments that are asked for their values.

import { describe, expect, test } from "bun:test";
import type { Attributes, Observable } from "@opentelemetry/api";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { providerOn, seriesOf, told } from "./provider.ts";

describe("an observable instrument", () => {
  test("is asked from time to time, without anybody asking for it", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host, { collectIntervalMs: 10 });
    let calls = 0;
    provider
      .getMeter("m")
      .createObservableCounter("c")
      .addCallback((result) => result.observe(++calls * 10));
    await until("it was asked several times", () => {
      const [value] = Object.values(seriesOf(host, "c"))[0] ?? [];
      return value !== undefined && value >= 30 && value % 10 === 0;
    });
  });

  test("tells totals, parts of sums, and values", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    let n = 0;
    meter.createObservableCounter("c").addCallback((result) => result.observe(100 + n, { a: 1 }));
    meter.createObservableUpDownCounter("u").addCallback(async (result) => result.observe(5 - n));
    meter.createObservableGauge("g").addCallback((result) => {
      result.observe(-1);
      result.observe(n);
    });
    const other = providerOn(host);
    other
      .getMeter("m")
      .createObservableUpDownCounter("u")
      .addCallback((r) => r.observe(50));
    other
      .getMeter("m")
      .createObservableCounter("c")
      .addCallback((r) => r.observe(1000, { a: 1 }));
    for (n = 1; n <= 3; n++) await provider.forceFlush();
    await other.forceFlush();
    await Promise.all([provider.ready, other.ready]);
    expect(seriesOf(host, "c")).toEqual({ '[["a","1"]]': [1103] });
    expect(seriesOf(host, "u")).toEqual({ "[]": [52] });
    expect(seriesOf(host, "g")["[]"]![0]).toBe(3);
  });

  test("is absent when it tells a value no more, or nothing of a sum; a total stays", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    let keys = ["x", "y"];
    const all = [
      meter.createObservableCounter("c"),
      meter.createObservableUpDownCounter("u"),
      meter.createObservableGauge("g"),
    ];
    const callback = (result: { observe(value: number, attributes: Attributes): void }) => {
      for (const key of keys) result.observe(7, { key });
    };
    for (const each of all) each.addCallback(callback);
    await provider.forceFlush();
    await provider.ready;
    keys = ["y"];
    await provider.forceFlush();
    const [x, y] = ['[["key","x"]]', '[["key","y"]]'] as const;
    const first = (name: string) => [seriesOf(host, name)[x]![0], seriesOf(host, name)[y]![0]];
    expect(first("c")).toEqual([7, 7]);
    expect(first("u")).toEqual([0, 7]);
    expect(first("g")).toEqual([Number.NaN, 7]);
    keys = ["x"];
    await provider.forceFlush();
    expect(first("g")).toEqual([7, Number.NaN]);
    for (const each of all) each.removeCallback(callback);
    await provider.forceFlush();
    expect(first("u")).toEqual([0, 0]);
    expect(first("g")).toEqual([Number.NaN, Number.NaN]);
  });

  test("gives up what it has told nothing of for some rounds, and has room for others", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host, { cardinalityLimit: 10 });
    const meter = provider.getMeter("m");
    let round = 0;
    for (const kind of ["Counter", "UpDownCounter", "Gauge"] as const) {
      meter[`createObservable${kind}`](kind).addCallback((result) => {
        result.observe(1, { connection: round });
        result.observe(round);
      });
    }
    for (round = 1; round <= 50; round++) await provider.forceFlush();
    await provider.ready;
    expect(messages).toEqual([]);
    for (const name of ["Counter", "UpDownCounter", "Gauge"]) {
      await until("nobody sees the old ones", () => Object.keys(seriesOf(host, name)).length <= 7);
      const series = seriesOf(host, name);
      expect(series['[["connection","50"]]']![0]).toBe(1);
      expect(series["[]"]![0]).toBe(50);
      expect(series['[["connection","1"]]']).toBeUndefined();
    }
    // One that comes again begins again.
    round = 1;
    await provider.forceFlush();
    await until("it is there again", () => seriesOf(host, "Counter")['[["connection","1"]]']);
  });

  test("that was made twice is one, whichever of the two has the callback", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    for (const key of ["a", "b"]) {
      meter.createObservableGauge("g").addCallback((result) => result.observe(1, { key }));
      meter.createObservableUpDownCounter("u").addCallback((result) => result.observe(2));
    }
    for (let i = 0; i < 3; i++) await provider.forceFlush();
    await provider.ready;
    const gauges = Object.values(seriesOf(host, "g")).map(([value]) => value);
    expect(gauges).toEqual([1, 1]);
    expect(seriesOf(host, "u")).toEqual({ "[]": [2] });
  });

  test("may share a callback with others, which tells of them alone", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    const [a, b, c] = ["a", "b", "c"].map((name) => meter.createObservableGauge(name)) as [
      Observable,
      Observable,
      Observable,
    ];
    let calls = 0;
    const callback = (result: { observe(of: Observable, value: number): void }) => {
      calls++;
      for (const each of [a, b, c]) result.observe(each, calls);
    };
    meter.addBatchObservableCallback(callback, [a, b]);
    meter.addBatchObservableCallback(callback, [b, a]);
    await provider.forceFlush();
    await provider.ready;
    expect(calls).toBe(1);
    expect(seriesOf(host, "a")["[]"]![0]).toBe(1);
    expect(seriesOf(host, "c")).toEqual({});
    meter.removeBatchObservableCallback(callback, [a]);
    await provider.forceFlush();
    expect(calls).toBe(2);
    meter.removeBatchObservableCallback(callback, [a, b]);
    await provider.forceFlush();
    expect(calls).toBe(2);
    const strange = [{ addCallback() {}, removeCallback() {} }, null] as never;
    meter.addBatchObservableCallback(callback, strange);
    expect(messages).toEqual([
      "microview: a callback is for no instrument of this provider, and is not called",
    ]);
  });

  test("is asked once for a callback that is given twice", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createObservableUpDownCounter("u");
    let calls = 0;
    const callback = (result: { observe(value: number): void }) => {
      calls++;
      result.observe(1);
    };
    counter.addCallback(callback);
    counter.addCallback(callback);
    await provider.forceFlush();
    expect(calls).toBe(1);
  });

  test("whose callback throws or rejects is told of, and keeps no other from being asked", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    const gauge = meter.createObservableGauge("bad");
    gauge.addCallback((result) => {
      result.observe(1);
      throw new Error("thrown");
    });
    gauge.addCallback(async () => {
      throw new Error("rejected");
    });
    gauge.addCallback("nothing" as never);
    meter.createObservableGauge("good").addCallback((result) => result.observe(1));
    await provider.forceFlush();
    await provider.ready;
    expect(seriesOf(host, "bad")).toEqual({});
    expect(seriesOf(host, "good")["[]"]![0]).toBe(1);
    expect(messages).toEqual([
      "microview: a callback is string, and is not called",
      "microview: a callback of bad has thrown: Error: thrown",
      "microview: a callback of bad has thrown: Error: rejected",
    ]);
  });

  test("that is slower than a round is not asked again meanwhile, and stored in a later one", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    const slow = Promise.withResolvers<void>();
    let calls = 0;
    meter.createObservableUpDownCounter("slow").addCallback(async (result) => {
      calls++;
      await slow.promise;
      result.observe(5);
    });
    meter.createObservableGauge("quick").addCallback((result) => result.observe(1));
    await provider.forceFlush({ timeoutMillis: 1 });
    await provider.forceFlush({ timeoutMillis: 1 });
    await provider.ready;
    expect(calls).toBe(1);
    expect(seriesOf(host, "quick")["[]"]![0]).toBe(1);
    slow.resolve();
    await slow.promise;
    await provider.forceFlush();
    await host.shows(5, "slow", { labels: { "otel.scope.name": "m" } });
    await provider.forceFlush();
    // Rounds of the provider's own may have come between.
    expect(calls).toBeGreaterThanOrEqual(2);
    expect(seriesOf(host, "slow")).toEqual({ "[]": [5] });
  });
});
