// What differs from prom-client on purpose, as docs/prom-client.md lists it; both sides, so that the list stays true.

import { describe, expect, test } from "bun:test";
import * as theirs from "prom-client";
import * as ours from "../../src/prom-client/index.ts";
import type { Client } from "./both.ts";

/** What a program gives with prom-client, and with ours. */
async function both(program: (client: Client, registry: Client) => unknown): Promise<unknown[]> {
  const run = async (client: Client) => {
    const registry = new client.Registry(client.openMetricsContentType);
    return await program(client, registry);
  };
  return [await run(theirs), await run(ours)];
}

function counter(client: Client, registry: Client, more: object = {}) {
  return new client.Counter({ name: "c", help: "h", registers: [registry], ...more });
}

describe("unlike prom-client", () => {
  test("what get() gives does not go on changing", async () => {
    const values = await both(async (client, registry) => {
      const metric = counter(client, registry);
      const [sample] = (await metric.get()).values;
      metric.inc();
      return sample.value;
    });
    expect(values).toEqual([1, 0]);
  });

  test("default labels do not stay with the values", async () => {
    const texts = await both(async (client, registry) => {
      counter(client, registry);
      registry.setDefaultLabels({ env: "dev" });
      await registry.getMetricsAsJSON();
      registry.setDefaultLabels({});
      return (await registry.metrics()).includes("env");
    });
    expect(texts).toEqual([true, false]);
  });

  test("a child keeps the labels that it was asked for", async () => {
    const values = await both(async (client, registry) => {
      const metric = counter(client, registry, { labelNames: ["a"] });
      const labels = { a: "x" };
      const child = metric.labels(labels);
      child.inc();
      labels.a = "y";
      child.inc();
      return (await metric.get()).values.length;
    });
    expect(values).toEqual([2, 1]);
  });

  test("label values that look like labels are not mixed up with them", async () => {
    const values = await both(async (client, registry) => {
      const metric = counter(client, registry, { labelNames: ["a", "b"] });
      metric.inc({ a: "1,b:2" });
      metric.inc({ a: "1", b: "2" });
      return (await metric.get()).values.length;
    });
    expect(values).toEqual([1, 2]);
  });

  test("the empty text is no text when it is added", async () => {
    const values = await both(async (client, registry) => {
      const metric = counter(client, registry);
      metric.inc(2);
      metric.inc("");
      metric.inc(1);
      return (await metric.get()).values[0].value;
    });
    expect(values).toEqual(["21", 3]);
  });

  test("a bound of −1 does not take what is above all bounds", async () => {
    const values = await both(async (client, registry) => {
      const options = { name: "h", help: "h", registers: [registry], buckets: [-1, 1] };
      const histogram = new client.Histogram(options);
      histogram.observe(100);
      return (await histogram.get()).values[0].value;
    });
    expect(values).toEqual([1, 0]);
  });

  test("an exemplar that is refused leaves nothing in the text", async () => {
    const texts = await both(async (client, registry) => {
      const metric = counter(client, registry, { enableExemplars: true });
      expect(() => metric.inc({ exemplarLabels: { a: "x".repeat(200) } })).toThrow(RangeError);
      return (await registry.metrics()).split("\n")[2];
    });
    expect(texts).toEqual(["c_total 1 # {} +Inf undefined", "c_total 1"]);
  });

  test("inc() returns nothing", async () => {
    const returned = await both((client, registry) => counter(client, registry).inc());
    expect(returned).toEqual([{ labelHash: "" }, undefined]);
  });
});
