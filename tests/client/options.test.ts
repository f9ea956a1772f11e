// What a caller without types gets wrong is named, with what to give.

import { describe, expect, test } from "bun:test";
import { DefinitionError, MicroView, MicroViewClient } from "../../src/client/index.ts";

// biome-ignore lint/suspicious/noExplicitAny: callers without types.
const Untyped = MicroView as any;
const EXAMPLE = 'give { app: "shop", service: "auth" }';

describe("new MicroView", () => {
  test.each([
    ["nothing", undefined, 'have to be an object, e.g. { app: "shop", service: "auth" }'],
    ["null", null, "have to be an object"],
    ["a text", "shop", "have to be an object"],
    ["no service", { app: "shop" }, `service is missing: ${EXAMPLE}`],
    ["no app", { service: "auth" }, `app is missing: ${EXAMPLE}`],
    ["an app that is a number", { app: 5, service: "auth" }, "app has to be a string, got 5"],
    ["a service that is an object", { app: "shop", service: {} }, "service has to be a string"],
    ["a port for a socket", { app: "shop", service: "auth", socket: 7070 }, "socket has to be"],
    ["an empty socket", { app: "shop", service: "auth", socket: "" }, "that is not empty"],
    ["an empty pool directory", { app: "shop", service: "auth", poolDir: "" }, "poolDir has to be"],
    ["a text for onWarning", { app: "shop", service: "auth", onWarning: "x" }, "a function"],
  ])("of %s says what is wrong", (_, options, message) => {
    expect(() => new Untyped(options)).toThrow(DefinitionError);
    expect(() => new Untyped(options)).toThrow(message);
    expect(() => new Untyped(options)).toThrow(/^new MicroView: /);
  });

  test("of the prototype asks for a service too", () => {
    // biome-ignore lint/suspicious/noExplicitAny: callers without types.
    expect(() => new (MicroViewClient as any)()).toThrow("the service has to be a string");
  });
});

describe("a metric", () => {
  const mv = new Untyped({ app: "shop", service: "auth", socket: "/nowhere/agent.sock" });

  test.each([
    ["no name", () => mv.counter(), "the name of a metric has to be a string, got undefined"],
    ["a name that is a number", () => mv.gauge(5), "has to be a string, got 5"],
    ["a text for its options", () => mv.counter("a_total", "help"), "have to be an object"],
    ["one label as text", () => mv.counter("b_total", { labels: "route" }), '["route", "status"]'],
    ["labels that are numbers", () => mv.counter("c_total", { labels: [1] }), "labels has to be"],
    ["help that is a number", () => mv.counter("d_total", { help: 5 }), "help has to be a string"],
    ["one bucket as number", () => mv.histogram("e", { buckets: 5 }), "an array of numbers"],
    ["buckets that are texts", () => mv.histogram("f", { buckets: ["1"] }), "an array of numbers"],
    [
      "prom-client's name for labels",
      () => mv.counter("h_total", { labelNames: ["route"] }),
      "the counter h_total has no option labelNames; it takes help, unit, labels, dialect",
    ],
    ["buckets of a counter", () => mv.counter("i_total", { buckets: [1] }), "no option buckets"],
    [
      "a range of a gauge",
      () => mv.gauge("j", { max: 1 }),
      "it takes help, unit, labels, dialect, combine",
    ],
    [
      "a misspelt option",
      () => mv.histogram("k", { bucket: [1] }),
      "the histogram k has no option bucket",
    ],
  ])("with %s is refused, and says so", (_, declare, message) => {
    expect(declare).toThrow(DefinitionError);
    expect(declare).toThrow(message);
  });

  test("may be given options that are undefined", () => {
    mv.counter("l_total", { labelNames: undefined }).inc();
  });

  test("takes its buckets as any array of numbers", () => {
    const histogram = mv.histogram("g", { buckets: new Float64Array([1, 2]) });
    histogram.observe(1.5);
    expect(histogram.count).toBe(1);
  });
});
