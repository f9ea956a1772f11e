import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NameScheme } from "../../../src/exposition/index.ts";
import {
  type Encoded,
  RemoteWriteEncoder,
  type WireVersion,
} from "../../../src/sinks/remote-write/index.ts";
import { ask, define, Scratch, scan, TestWriter } from "../../support/pools.ts";
import {
  type DecodedSeries,
  decodeWriteRequest,
  Store,
  staleCount,
} from "../../support/remote-write.ts";
import { decodeRequest2 } from "../../support/remote-write-2.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();
const START_MS = Date.UTC(2026, 0, 2);

/** An encoder, and a receiver that takes only what is in order. */
class Pipe {
  readonly store = new Store();
  readonly requests: Encoded[] = [];
  readonly encoder: RemoteWriteEncoder;

  constructor(
    readonly protocol: WireVersion,
    maxSamples = 1000,
    labels: [string, string][] = [],
    instanceOf = (source: string) => source,
    names: NameScheme = "underscores",
  ) {
    this.encoder = new RemoteWriteEncoder({
      labels,

      instanceOf,
      names,
      protocol,
      maxSamples,
      onRequest: (request) => {
        this.requests.push(request);
        this.store.takeAll(this.decode(request));
      },
    });
  }

  decode({ body, version }: Encoded): DecodedSeries[] {
    expect(version).toBe(this.protocol);
    return version === 2 ? decodeRequest2(body) : decodeWriteRequest(body);
  }

  write(source: Source, afterMs: number, app = "shop"): void {
    this.encoder.write(source.snapshot(0, { app, takenAtMs: START_MS + afterMs }));
  }

  /** Samples of a series by ms after the start, flushed. */
  samples(series: string): [number, number][] {
    this.encoder.flush();
    return [...(this.store.stored.get(series) ?? [])].map(([at, value]) => [at - START_MS, value]);
  }
}

const HOME = 'app="shop",instance="host:7070"';

describe.each([1, 2] as const)("requests of remote write %d.0", (protocol) => {
  test("hold what was in the snapshots, whatever comes and goes meanwhile", () => {
    // Each step: which of four gauges have a value, whether a series is added, and whether it is flushed.
    const step = fc.record({
      gauges: fc.array(fc.option(fc.double({ noNaN: true })), { minLength: 4, maxLength: 4 }),
      add: fc.nat(9).map((n) => n === 0),
      flush: fc.nat(4).map((n) => n === 0),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 40 }),
        (steps, max) => {
          const pipe = new Pipe(protocol, max);
          const source = new Source(scratch);
          const gauges = [0, 1, 2, 3].map((i) => define.gauge(`g${i}`, "max"));
          for (const gauge of gauges) source.writer.put(gauge, [], Number.NaN);
          const expected = new Map<string, [number, number][]>();
          let added = 0;
          for (const [at, { gauges: values, add, flush }] of steps.entries()) {
            if (add) source.writer.put(define.counter("c_total", ["n"]), [String(added++)], 0);
            for (let n = 0; n < added; n++) {
              source.writer.store("c_total", [String(n)], at + n);
              const name = `c_total{app="shop",instance="host:7070",n="${n}",service="auth"}`;
              expected.set(name, [...(expected.get(name) ?? []), [at, at + n]]);
            }
            for (const [i, value] of values.entries()) {
              const name = `g${i}{${HOME},service="auth"}`;
              source.writer.store(`g${i}`, [], value ?? Number.NaN);
              const known = expected.get(name) ?? [];
              const last = known.at(-1)?.[1];
              if (value !== null) expected.set(name, [...known, [at, value]]);
              else if (last !== undefined && !Number.isNaN(last)) known.push([at, Number.NaN]);
            }
            pipe.write(source, at);
            if (flush) pipe.encoder.flush();
          }
          for (const [name, samples] of expected) expect(pipe.samples(name)).toEqual(samples);
          expect(pipe.store.stored.size).toBe(expected.size);
          for (const request of pipe.requests) {
            const found = pipe.decode(request).flatMap((each) => each.samples);
            expect(found).toHaveLength(request.samples);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("are no longer than was asked for, but for the snapshots of a moment", () => {
    const source = new Source(scratch);
    for (let i = 0; i < 30; i++) source.writer.put(define.counter("c_total", ["n"]), [`${i}`], i);
    const pipe = new Pipe(protocol, 12);
    for (let at = 0; at < 5; at++) pipe.write(source, at);
    pipe.encoder.flush();
    expect(Math.max(...pipe.requests.map(({ samples }) => samples))).toBeLessThan(24);
    expect(
      pipe.samples(`c_total{app="shop",instance="host:7070",n="29",service="auth"}`),
    ).toHaveLength(5);
  });

  test("go on with thousands of series while one after the other is added", () => {
    const source = new Source(scratch);
    const requests = define.counter("a_total", ["n"]);
    const late = define.counter("z_total", ["n"]);
    const names = (count: number) => Array.from({ length: count }, (_, n) => [`${n}`]);
    source.writer.register(ask(requests, names(1500)), ask(late, names(500)));
    const pipe = new Pipe(protocol, 700);
    for (let at = 0; at < 6; at++) {
      source.writer.put(requests, [`${1500 + at}`], at);
      source.writer.store("a_total", ["7"], at);
      source.writer.store("z_total", ["499"], -at);
      pipe.write(source, at);
    }
    const labels = (n: number) => `{app="shop",instance="host:7070",n="${n}",service="auth"}`;
    const times = [0, 1, 2, 3, 4, 5];
    expect(pipe.samples(`a_total${labels(7)}`)).toEqual(times.map((at) => [at, at]));
    expect(pipe.samples(`z_total${labels(499)}`).map(([at]) => at)).toEqual(times);
    expect(pipe.samples(`a_total${labels(1503)}`)).toEqual([3, 4, 5].map((at) => [at, 3]));
    expect(pipe.store.stored.size).toBe(2006);
  });

  test("say the end of a series in the bits that Prometheus keeps for it", () => {
    const source = new Source(scratch);
    source.writer.put(define.gauge("load", "max"), [], 1);
    source.writer.put(define.counter("c_total"), [], 1);
    const pipe = new Pipe(protocol);
    pipe.write(source, 0);
    source.writer.die();
    scan(source.app);
    pipe.write(source, 1);
    pipe.encoder.end("host:7070", "shop", START_MS + 5);
    pipe.encoder.flush();
    expect(pipe.samples(`load{${HOME},service="auth"}`)).toEqual([
      [0, 1],
      [1, Number.NaN],
    ]);
    expect(pipe.samples(`c_total{${HOME},service="auth"}`)).toEqual([
      [0, 1],
      [1, 1],
      [5, Number.NaN],
    ]);
    expect(pipe.requests.reduce((sum, { body }) => sum + staleCount(body), 0)).toBe(2);
    expect(pipe.encoder.counters.ended).toBe(2);
    // It comes again before anyone's clock has gone on.
    pipe.write(source, 5);
    expect(pipe.samples(`c_total{${HOME},service="auth"}`).at(-1)).toEqual([6, 1]);
  });

  test("end the series of a metric that was declared again, and go on with those that stay", () => {
    const source = new Source(scratch);
    source.writer.put(define.counter("a_total"), [], 1);
    source.writer.put(define.gauge("size", "sum", ["x"]), ["1"], 4);
    const pipe = new Pipe(protocol);
    pipe.write(source, 0);
    source.writer.die();
    scan(source.app);
    const writer = new TestWriter(source.app, { service: "auth" });
    writer.put(define.gauge("size", "sum", ["y"]), ["2"], 5);
    writer.put(define.counter("a_total"), [], 2);
    pipe.write(source, 1);
    expect(pipe.samples(`size{${HOME},service="auth",x="1"}`)).toEqual([
      [0, 4],
      [1, Number.NaN],
    ]);
    expect(pipe.samples(`size{${HOME},service="auth",y="2"}`)).toEqual([[1, 5]]);
    expect(pipe.samples(`a_total{${HOME},service="auth"}`)).toEqual([
      [0, 1],
      [1, 3],
    ]);
  });

  test("say where a series comes from that could look like one of another application", () => {
    const [one, two] = [new Source(scratch), new Source(scratch)];
    one.writer.put(define.counter("c_total"), [], 1);
    one.writer.put(define.histogram("took", [1]), [], 1, 2, 3);
    two.writer.put(define.counter("c_total", ["app"]), ["shop"], 7);
    two.writer.put(define.counter("took_count", ["app"]), ["shop"], 8);
    two.writer.put(define.counter("own_total"), [], 9);
    const pipe = new Pipe(protocol);
    pipe.write(one, 0);
    pipe.write(two, 0, "bank");
    const forged = 'instance="host:7070",microview_app="bank",service="auth"';
    expect(pipe.samples(`c_total{${HOME},service="auth"}`)).toEqual([[0, 1]]);
    expect(pipe.samples(`c_total{app="shop",${forged}}`)).toEqual([[0, 7]]);
    expect(pipe.samples(`took_count{app="shop",${forged}}`)).toEqual([[0, 8]]);
    expect(pipe.samples('own_total{app="bank",instance="host:7070",service="auth"}')).toEqual([
      [0, 9],
    ]);
    expect(pipe.encoder.counters.clashes).toBe(0);
  });

  test("leave out a series of a pool that is read by two names which become one, and count it", () => {
    const [one, two] = [new Source(scratch), new Source(scratch)];
    for (const { writer } of [one, two]) writer.put(define.counter("c_total"), [], 1);
    const pipe = new Pipe(protocol, 1000, [], () => "host");
    pipe.encoder.write(one.snapshot(0, { source: "host:1", takenAtMs: START_MS }));
    pipe.encoder.write(two.snapshot(0, { source: "host:2", takenAtMs: START_MS }));
    pipe.encoder.flush();
    expect(pipe.store.stored.size).toBe(1);
    expect(pipe.encoder.counters.clashes).toBe(1);
  });

  test("keep series apart whose labels are chosen to hash alike", () => {
    // What the first difference does to xxHash32, the second takes back under most seeds.
    const ends = [")o/E############abcB", ")ovt############abcb"];
    const metric = define.counter("c_total", ["n"]);
    const source = new Source(scratch);
    for (let n = 0; n < 40; n++) {
      // At each place in a word.
      const begin = `${n}${"-".repeat(40 + (n % 4))}`;
      for (const end of ends) source.writer.put(metric, [`${begin}${end}${"-".repeat(40)}`], 1);
    }
    const pipe = new Pipe(protocol);
    pipe.write(source, 0);
    pipe.encoder.flush();
    expect(pipe.encoder.counters.clashes).toBe(0);
    expect(pipe.store.stored.size).toBe(80);
  });

  test("have names of OpenTelemetry's by Prometheus's rules; what becomes one says what it is called", () => {
    const pipe = new Pipe(protocol);
    const source = new Source(scratch);
    const otel = (name: string, key: string) =>
      ({ ...define.counter(name, [key]), unit: "By", dialect: "opentelemetry" }) as const;
    source.writer.put(otel("sent.total", "peer.name"), ["a"], 1);
    source.writer.put(otel("sent", "peer-name"), ["b"], 2);
    source.writer.put(otel("sent-total", "peer_name"), ["a"], 4);
    pipe.write(source, 0);
    const samples = (original: string, peer: string) =>
      pipe.samples(
        `sent_bytes_total{${HOME},microview_original="${original}",peer_name="${peer}",service="auth"}`,
      );
    expect(samples("sent.total{peer.name}", "a")).toEqual([[0, 1]]);
    expect(samples("sent{peer-name}", "b")).toEqual([[0, 2]]);
    expect(samples("sent-total{peer_name}", "a")).toEqual([[0, 4]]);
  });

  test("have names of OpenTelemetry's as they are where that is asked for", () => {
    const pipe = new Pipe(protocol, 1000, [], undefined, "allow-utf-8");
    const source = new Source(scratch);
    const otel = { unit: "s", dialect: "opentelemetry" } as const;
    source.writer.put({ ...define.counter("http.requests", ["http.route"]), ...otel }, ["/"], 3);
    source.writer.put(
      { ...define.histogram("took.long", [1], ["größe", "😀", "\ufb00"]), ...otel },
      ["1", "2", "3"],
      1,
      2,
      3,
    );
    pipe.write(source, 0);
    expect(
      pipe.samples(
        `http.requests{${HOME.replace(",instance", ',http.route="/",instance')},service="auth"}`,
      ),
    ).toEqual([[0, 3]]);
    const names = [...pipe.store.stored.keys()].map((series) => series.split("{")[0]);
    expect(new Set(names)).toEqual(
      new Set(["http.requests", "took.long_bucket", "took.long_sum", "took.long_count"]),
    );
    const [first] = pipe.requests.flatMap((request) => pipe.decode(request)).slice(-1);
    // In the order of their bytes, which is not that of JavaScript's strings.
    expect(first!.labels.map(({ name }) => name)).toEqual([
      "__name__",
      "app",
      "größe",
      "instance",
      "service",
      "\ufb00",
      "😀",
    ]);
  });

  test("take labels of a series' own before those that are added, and order them by their bytes", () => {
    const source = new Source(scratch);
    source.writer.put(define.counter("c_total", ["Zone", "cluster", "b"]), ["z", "own", ""], 1);
    const pipe = new Pipe(protocol, 10, [["cluster", "eu"]]);
    pipe.write(source, 0);
    pipe.encoder.flush();
    const [{ labels } = { labels: [] }] = pipe.decode(pipe.requests[0]!);
    expect(labels.map(({ name, value }) => `${name}=${value}`)).toEqual([
      "Zone=z",
      "__name__=c_total",
      "app=shop",
      "cluster=own",
      "instance=host:7070",
      "service=auth",
    ]);
  });

  test("give two snapshots of a millisecond two times, and leave out those of a clock that was put back", () => {
    const source = new Source(scratch);
    source.writer.put(define.counter("c_total"), [], 1);
    const pipe = new Pipe(protocol);
    for (const at of [10.1, 10.9, 11.2, 5, 9, 14]) pipe.write(source, at);
    const times = pipe.samples(`c_total{${HOME},service="auth"}`).map(([at]) => at);
    expect(times).toEqual([10, 11, 12, 14]);
    expect(pipe.encoder.counters.late).toBe(2);
  });
});
