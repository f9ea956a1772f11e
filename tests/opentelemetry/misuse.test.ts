// What a program may do wrong, or do late: none of it reaches it as an error.

import { describe, expect, test } from "bun:test";
import { type Meter, metrics, ValueType } from "@opentelemetry/api";
import { MeterProvider } from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";
import { providerOn, seriesOf, told } from "./provider.ts";

describe("a value", () => {
  test("that an instrument does not take is left out, and told of once", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    const counter = meter.createCounter("c");
    const upDown = meter.createUpDownCounter("u");
    const gauge = meter.createGauge("g");
    const histogram = meter.createHistogram("h", { advice: { explicitBucketBoundaries: [1] } });
    const noText = Object.create(null);
    const strange = [
      Number.NaN,
      "1",
      1n,
      undefined,
      null,
      {},
      noText,
      Symbol("s"),
      () => 1,
    ] as never[];
    for (const value of [...strange, Number.POSITIVE_INFINITY, -1, -1]) {
      counter.add(value, { a: 1 });
      histogram.record(value);
    }
    for (const value of [...strange, Number.NEGATIVE_INFINITY]) upDown.add(value);
    for (const value of strange) gauge.record(value);
    counter.add(1);
    upDown.add(-1);
    gauge.record(Number.NEGATIVE_INFINITY);
    histogram.record(0);
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({ "[]": [1] });
    expect(seriesOf(host, "u")).toEqual({ "[]": [-1] });
    expect(seriesOf(host, "g")["[]"]![0]).toBe(Number.NEGATIVE_INFINITY);
    expect(seriesOf(host, "h")).toEqual({ "[]": [1, 0, 0] });
    expect(messages).toContain(
      "microview: c takes finite numbers that are not negative: -1 is left out",
    );
    expect(messages).toHaveLength(new Set(messages).size);
  });

  test("of an instrument of whole numbers loses its fraction", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    const counter = meter.createCounter("c", { valueType: ValueType.INT });
    for (const value of [1.9, 2, 2.2]) counter.add(value);
    const gauge = meter.createObservableGauge("g", { valueType: ValueType.INT });
    gauge.addCallback((result) => result.observe(-1.5));
    await provider.forceFlush();
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({ "[]": [5] });
    expect(seriesOf(host, "g")["[]"]![0]).toBe(-1);
    expect(messages).toEqual([
      "microview: c takes whole numbers: fractions are cut off",
      "microview: g takes whole numbers: fractions are cut off",
    ]);
  });
});

describe("attributes", () => {
  test("that a label cannot have become what it can, and are told of", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    const circle: unknown[] = [];
    circle.push(circle);
    counter.add(1, { "a b": "1", "": "2", ["k".repeat(256)]: "3", "otel.scope.name": "mine" });
    counter.add(1, { long: "é".repeat(600), half: "\ud800", circle: circle as never });
    counter.add(1, { n: Number.NaN, i: Number.NEGATIVE_INFINITY, z: null as never, __proto__: {} });
    counter.add(1, "text" as never);
    await provider.ready;
    const series = Object.keys(seriesOf(host, "c")).sort();
    expect(series).toEqual([
      '[["0","t"],["1","e"],["2","x"],["3","t"]]',
      '[["a_b","1"]]',
      `[["circle","[object Array]"],["half","\ufffd"],["long",${JSON.stringify("é".repeat(512))}]]`,
      '[["i","-Infinity"],["n","NaN"]]',
    ]);
    expect(messages).toHaveLength(5);
  });
});

test("attributes that throw when they are looked at are left out, whoever looks", async () => {
  await using host = new TestHost();
  await host.agent();
  const messages = told(host);
  const provider = providerOn(host);
  const meter = provider.getMeter("m");
  const thrown = Object.create(null);
  const hostile = [
    {
      get a(): string {
        throw new Error("got");
      },
    },
    new Proxy(
      {},
      {
        ownKeys() {
          throw thrown;
        },
      },
    ),
    {
      a: {
        toJSON() {
          throw new Error("json");
        },
      } as never,
    },
  ];
  const counter = meter.createCounter("c");
  const gauge = meter.createObservableGauge("g");
  for (const attributes of hostile) {
    counter.add(1, attributes);
    gauge.addCallback((result) => result.observe(1, attributes));
  }
  counter.add(1);
  await provider.forceFlush();
  await provider.ready;
  expect(seriesOf(host, "c")).toEqual({ "[]": [1], '[["a","[object Object]"]]': [1] });
  expect(messages).toContain("microview: attributes of c cannot be read: Error: got");
  expect(messages).toContain(
    "microview: attributes of c cannot be read: something that is no text",
  );
});

describe("an instrument", () => {
  test("that cannot be stored counts nowhere, and is told of", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    for (const name of ["", "1a", "a b", "é", "x".repeat(256), undefined as never]) {
      meter.createCounter(name).add(1);
    }
    meter.createCounter("ok").add(1);
    meter.createCounter("ok", { unit: "s" }).add(10);
    provider.getMeter("other").createHistogram("OK").record(10);
    meter.createCounter("OK").add(1);
    meter.createCounter("wordy", { description: "ä".repeat(5000), unit: "u".repeat(80) }).add(1);
    await provider.ready;
    // "undefined" is a name.
    const names = [...host.view().read().directory.metrics.values()].map((m) => m.definition.name);
    expect(names.sort()).toEqual(["ok", "undefined", "wordy"]);
    expect(seriesOf(host, "ok")).toEqual({ "[]": [2] });
    expect(messages.filter((text) => text.includes("has no valid name"))).toHaveLength(5);
    expect(messages.filter((text) => text.includes("another one than that of its name"))).toEqual([
      'microview: the instrument "ok" is another one than that of its name, its values go nowhere (one name has one kind, unit and buckets in a service; a view may give it another)',
      'microview: the instrument "OK" is another one than that of its name, its values go nowhere (one name has one kind, unit and buckets in a service; a view may give it another)',
    ]);
    // It is told to those too who have set no logger.
    expect(host.warnings.map(({ code }) => code)).toEqual(Array(7).fill("not-shared"));
  });

  test("that is asked for its values is another than one that is not, but of another meter", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const [one, two] = [provider.getMeter("one"), provider.getMeter("two")];
    one.createCounter("c").add(1);
    for (const meter of [one, two]) {
      meter.createObservableCounter("c").addCallback((result) => result.observe(100));
    }
    await provider.forceFlush();
    await provider.ready;
    await host.shows(1, "c", { labels: { "otel.scope.name": "one" } });
    await host.shows(100, "c", { labels: { "otel.scope.name": "two" } });
    expect(host.warnings.map(({ code }) => code)).toEqual(["not-shared"]);
  });

  test("is made of whatever a program without types gives", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    const meter = provider.getMeter(null as never, null as never, null as never);
    meter.createCounter("c", null as never).add(1, null as never);
    meter.createHistogram("h", { advice: { explicitBucketBoundaries: "5" as never } }).record(1);
    meter.createHistogram("i", { advice: null as never, unit: 5 as never }).record(1);
    meter.addBatchObservableCallback(null as never, null as never);
    meter.removeBatchObservableCallback(null as never, null as never);
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({ "[]": [1] });
    expect(seriesOf(host, "h")["[]"]).toHaveLength(17);
    expect(seriesOf(host, "i")["[]"]).toHaveLength(17);
  });

  test("whose unit or description is too long keeps its beginning, with a warning", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const meter = providerOn(host).getMeter("m");
    meter.createCounter("wordy", { description: "ä".repeat(5000), unit: "u".repeat(64) });
    meter.createCounter("terse", { description: "ä".repeat(2048), unit: "u".repeat(63) });
    expect(messages).toEqual([
      "microview: wordy: its unit is cut to 63 bytes",
      "microview: wordy: its description is cut to 4096 bytes",
    ]);
  });

  test("that is described in two ways keeps the longer description, with a warning", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const meter = provider.getMeter("m");
    for (const description of ["", "short", "longer", "long"]) {
      meter.createCounter("c", { description }).add(0);
      if (description === "") meter.createCounter("d").add(0);
    }
    for (const description of ["short", "longer", "long"]) {
      meter.createHistogram("h", { description });
    }
    meter.createHistogram("h").record(1);
    meter.createCounter("d", { description: "later" }).add(0, { a: 1 });
    await provider.ready;
    const metrics = [...host.view().read().directory.metrics.values()];
    const helps = (name: string) =>
      metrics
        .filter(({ definition }) => definition.name === name)
        .map(({ definition }) => definition.help);
    expect(helps("h")).toEqual(["longer"]);
    // What is declared already keeps its own.
    expect(helps("c")).toEqual([""]);
    expect(helps("d")).toEqual(["", "later"]);
    expect(messages).toEqual([
      "microview: c is described in two ways: the longer one is kept",
      "microview: h is described in two ways: the longer one is kept",
    ]);
  });

  test("made twice is one", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    for (let i = 0; i < 3; i++) provider.getMeter("m", "1").createCounter("c").add(1, { a: "b" });
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({ '[["a","b"]]': [3] });
  });
});

/** A program that counts, with this in its environment. */
function counting(host: TestHost, env: Record<string, string>) {
  const code = `
    import { MeterProvider } from "${import.meta.dir}/../../src/opentelemetry/index.ts";
    const provider = new MeterProvider();
    provider.getMeter("m").createCounter("c").add(1);
    await provider.ready;
    await provider.shutdown();`;
  const places = { MICROVIEW_SOCKET: host.socketPath, MICROVIEW_POOL_DIR: host.poolDir };
  const child = Bun.spawn([process.execPath, "-e", code], {
    env: surroundings({ ...places, ...env }),
    stderr: "pipe",
  });
  host.own(child);
  return child;
}

describe("a provider", () => {
  test("works on without an agent, and with a logger that throws", async () => {
    await using host = new TestHost();
    const provider = providerOn(host);
    const { diag } = await import("@opentelemetry/api");
    const logger = new Proxy(
      {},
      {
        get: () => () => {
          throw new Error("full");
        },
      },
    );
    diag.setLogger(logger as never, { suppressOverrideMessage: true });
    host.onEnd(() => diag.disable());
    const meter = provider.getMeter("m");
    meter.createCounter("c").add(-1);
    meter.createCounter("c").add(1);
    await provider.forceFlush();
    await provider.shutdown();
    expect(host.warnings).toEqual([]);
  });

  test("gives back its place when it is shut down, and what goes on is told to nobody", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    const counter = provider.getMeter("m").createCounter("c");
    counter.add(1);
    let asked = 0;
    provider
      .getMeter("m")
      .createObservableGauge("g")
      .addCallback(() => void asked++);
    await provider.ready;
    await Promise.all([provider.shutdown(), provider.shutdown()]);
    expect(asked).toBe(1);
    expect(host.view().writers("auth")).toEqual([]);
    counter.add(1);
    provider.getMeter("n").createCounter("d").add(1);
    await provider.forceFlush();
    expect(seriesOf(host, "c")).toEqual({ "[]": [1] });
    expect(messages).toEqual(["microview: forceFlush() comes after shutdown(), and does nothing"]);
  });

  test("tells of a meter without a name, whose instruments are of a scope without one", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = providerOn(host);
    provider.getMeter("").createCounter("c").add(1);
    await provider.ready;
    expect(messages).toEqual([
      "microview: a meter has no name: its instruments do not say what made them",
    ]);
  });

  test("is what the API asks for, and serves instruments that are made by it", async () => {
    await using host = new TestHost();
    await host.agent();
    const provider = providerOn(host);
    metrics.setGlobalMeterProvider(provider);
    host.onEnd(() => metrics.disable());
    const meter: Meter = metrics.getMeter("lib");
    meter.createCounter<{ route: string }>("c").add(1, { route: "/" });
    await provider.ready;
    expect(seriesOf(host, "c")).toEqual({ '[["route","/"]]': [1] });
  });

  test("takes service and application from a resource, and no readers", async () => {
    await using host = new TestHost();
    await host.agent();
    const messages = told(host);
    const provider = new MeterProvider({
      socket: host.socketPath,
      poolDir: host.poolDir,
      resource: { attributes: { "service.name": "cart", "service.namespace": "store" } },
      readers: [{}],
    });
    host.onEnd(() => provider.shutdown());
    provider.getMeter("m").createCounter("c").add(1);
    await provider.ready;
    expect(seriesOf(host, "c", { app: "store", service: "cart" })).toEqual({ "[]": [1] });
    expect(messages).toEqual(["microview: readers of a provider are not used: the agent reads"]);
  });

  test.each([
    [{}, "default", "unknown_service:bun"],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=a%20b, service.namespace=n,x" }, "n", "a b"],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=%zz" }, "default", "unknown_service:bun"],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=a", OTEL_SERVICE_NAME: "b" }, "default", "b"],
    [{ MICROVIEW_APP: "m", MICROVIEW_SERVICE: "s", OTEL_SERVICE_NAME: "" }, "m", "s"],
  ])("of an environment of %j is of application %j and service %j", async (env, app, service) => {
    await using host = new TestHost();
    await host.agent();
    const child = counting(host, env);
    expect(await child.exited).toBe(0);
    expect(seriesOf(host, "c", { app, service })).toEqual({ "[]": [1] });
  });

  test.each([
    [
      { OTEL_RESOURCE_ATTRIBUTES: "service.namespace=My%20Shop,service.name=a=b" },
      "My_Shop",
      "a=b",
    ],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.namespace=team/shop" }, "team_shop", undefined],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.namespace=Caf%C3%A9" }, "Cafe", undefined],
    [
      { OTEL_RESOURCE_ATTRIBUTES: `service.namespace=${"n".repeat(300)}` },
      "n".repeat(64),
      undefined,
    ],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.namespace=..%2F..%2Fetc" }, "etc", undefined],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.namespace=shop.new-1" }, "shop_new-1", undefined],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.namespace=%E5%95%86%E5%BA%97" }, "default", undefined],
    [{ MICROVIEW_APP: "my shop" }, "my_shop", undefined],
    [{ OTEL_SERVICE_NAME: "é".repeat(300) }, "default", "é".repeat(127)],
    [{ OTEL_RESOURCE_ATTRIBUTES: "service.name=%", MICROVIEW_SERVICE: " " }, "default", undefined],
    [
      { OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: "nonsense" },
      "default",
      undefined,
    ],
  ])(
    "does not fail for an environment of %j, but says what it makes of it",
    async (env, app, service = "unknown_service:bun") => {
      await using host = new TestHost();
      await host.agent();
      const child = counting(host, env);
      const said = await new Response(child.stderr).text();
      expect(await child.exited).toBe(0);
      expect(seriesOf(host, "c", { app, service })).toEqual({ "[]": [1] });
      expect(said.trim().split("\n")).toEqual([expect.stringMatching(/^microview: .*\(.*\)$/)]);
    },
  );

  test("takes names from a resource that it is given as they can be names", async () => {
    await using host = new TestHost();
    await host.agent();
    const warnings: string[] = [];
    const provider = new MeterProvider({
      socket: host.socketPath,
      poolDir: host.poolDir,
      resource: { attributes: { "service.name": "é".repeat(300), "service.namespace": "a b" } },
      onWarning: ({ message }) => warnings.push(message),
    });
    host.onEnd(() => provider.shutdown());
    provider.getMeter("m").createCounter("c").add(1);
    await provider.ready;
    expect(seriesOf(host, "c", { app: "a_b", service: "é".repeat(127) })).toEqual({ "[]": [1] });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toBe(
      `"a b" of the resource's service.namespace cannot be the name of an application`,
    );
    // What the program itself says is a mistake of its own.
    expect(() => new MeterProvider({ app: "a b" })).toThrow(/application name/);
  });

  test("does not keep a program from ending", async () => {
    await using host = new TestHost();
    const child = host.own(
      Bun.spawn(
        [
          process.execPath,
          "-e",
          `import { MeterProvider } from "${import.meta.dir}/../../src/opentelemetry/index.ts";
           const provider = new MeterProvider({ app: "a", service: "b", socket: "/nowhere" });
           provider.getMeter("m").createObservableGauge("g").addCallback(() => {});
           console.log(Object.keys(require.cache).some((path) => path.includes("@opentelemetry")));`,
        ],
        { stdout: "pipe" },
      ),
    );
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stdout).text()).toBe("false\n");
  });
});
