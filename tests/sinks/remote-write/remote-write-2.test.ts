// Remote write 2.0: what a request says beside samples, what becomes of it where the receiver knows only 1.0, and what
// is made of what a receiver says it has written.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { WriteAhead } from "../../../src/sinks/delivery/index.ts";
import {
  type Encoded,
  type FlatOptions,
  RemoteWrite,
  RemoteWriteEncoder,
  type RemoteWriteOptions,
  type WireVersion,
} from "../../../src/sinks/remote-write/index.ts";
import { toVersion1 } from "../../../src/sinks/remote-write/transcode.ts";
import { define, Scratch } from "../../support/pools.ts";
import { decodeWriteRequest, decompress, Store } from "../../support/remote-write.ts";
import { decodeRequest2, Receiver2, writtenHeaders } from "../../support/remote-write-2.ts";
import { until } from "../../support/wait.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();
const START_MS = Date.UTC(2026, 0, 2);

const OPTIONS = { labels: [], instanceOf: (source: string) => source };

function encoded(
  protocol: WireVersion,
  give: (encoder: RemoteWriteEncoder) => void,
  options: Partial<FlatOptions> = {},
): Encoded[] {
  const requests: Encoded[] = [];
  const encoder = new RemoteWriteEncoder({
    ...OPTIONS,
    ...options,
    protocol,
    maxSamples: 1000,
    onRequest: (request) => requests.push(request),
  });
  give(encoder);
  encoder.flush();
  return requests;
}

function pushing(url: string, options: Partial<RemoteWriteOptions> = {}) {
  const notices: string[] = [];
  const exporter = new RemoteWrite({
    ...OPTIONS,
    url,
    headers: () => ({}),
    version: "0.0.0",
    onNotice: (text) => notices.push(text),
    delayMs: 5,
    backoffMs: { first: 5, last: 20 },
    ...options,
  });
  return { exporter, notices };
}

/** A service with a counter that goes up by one each ms. */
class Counting {
  readonly source = new Source(scratch);
  count = 0;

  constructor() {
    this.source.writer.put(define.counter("c_total"), [], 0);
  }

  write(exporter: { write: RemoteWrite["write"] }, times = 1): void {
    for (let i = 0; i < times; i++) {
      this.source.writer.store("c_total", [], ++this.count);
      exporter.write(this.source.snapshot(0, { takenAtMs: START_MS + this.count }));
    }
  }
}

const SERIES = 'c_total{app="shop",instance="host:7070",service="auth"}';
const upTo = (n: number) =>
  Array.from({ length: n }, (_, i): [number, number] => [START_MS + i + 1, i + 1]);

describe("a request of 2.0", () => {
  test("says what its metrics are, and since when they count", () => {
    const source = new Source(scratch);
    const help = "What it counts.";
    source.writer.put({ ...define.counter("c_total", ["n"]), help, unit: "bytes" }, ["1"], 1);
    source.writer.put(define.gauge("g"), [], 1);
    source.writer.put({ ...define.histogram("h", [1]), unit: "seconds" }, [], 1, 2, 3);
    const since = Math.round([...source.app.directory.writers.values()][0]!.startedAtMs);
    const takenAtMs = since + 10;
    const [request] = encoded(2, (encoder) => encoder.write(source.snapshot(0, { takenAtMs })));
    const told = decodeRequest2(request!.body).map(
      ({ labels, type, help: its, unit, created, starts }) => {
        return [
          labels.find(({ name }) => name === "__name__")!.value,
          type,
          its,
          unit,
          created,
          starts,
        ];
      },
    );
    expect(told).toEqual([
      ["c_total", 1, help, "bytes", since, [since]],
      ["g", 2, "", "", 0, [0]],
      ["h_bucket", 3, "", "seconds", since, [since]],
      ["h_bucket", 3, "", "seconds", since, [since]],
      ["h_sum", 3, "", "seconds", since, [since]],
      ["h_count", 3, "", "seconds", since, [since]],
    ]);
  });

  describe("says when a series began", () => {
    /** Starts and values of each series, sample by sample, from a time on. */
    class Told {
      readonly requests: Encoded[] = [];
      readonly encoder: RemoteWriteEncoder;

      constructor(
        readonly fromMs: number,
        options: Partial<FlatOptions> = {},
      ) {
        this.encoder = new RemoteWriteEncoder({
          ...{ ...OPTIONS, ...options, protocol: 2, maxSamples: 1000 },
          onRequest: (request) => this.requests.push(request),
        });
      }

      write(source: Source, afterMs: number): void {
        this.encoder.write(source.snapshot(0, { takenAtMs: this.fromMs + afterMs }));
      }

      /** @returns by name and own labels: start, time and value, times from the first on */
      all(): Record<string, [number, number, number | string][]> {
        this.encoder.flush();
        const all: Record<string, [number, number, number | string][]> = {};
        for (const { body } of this.requests) {
          for (const { labels, samples, starts, created, histograms } of decodeRequest2(body)) {
            const own = labels.filter(({ name }) => !["app", "instance", "service"].includes(name));
            const name = own.map(({ value }) => value).join(" ");
            all[name] ??= [];
            for (const [i, { timestamp, value }] of samples.entries()) {
              expect(starts[i]).toBe(created);
              const shown = Number.isNaN(value) ? "ended" : value;
              all[name].push([starts[i]! - this.fromMs, timestamp - this.fromMs, shown]);
            }
            for (const { timestamp, startTimestamp, count } of histograms) {
              all[name].push([startTimestamp - this.fromMs, timestamp - this.fromMs, count]);
            }
          }
        }
        return all;
      }
    }

    test("again where it went back, and no other", () => {
      const source = new Source(scratch);
      const { writer } = source;
      const told = new Told(Math.ceil(writer.record.startedAtMs) + 100);
      const since = Math.floor(writer.record.startedAtMs) - told.fromMs;
      writer.put(define.counter("a_total"), [], 0);
      writer.put(define.counter("b_total"), [], 0);
      writer.put(define.gauge("g", "max"), [], 0);
      writer.put(define.histogram("h", [1]), [], 0, 0, 0);
      for (const [i, value] of [5, 7, 2, 3].entries()) {
        writer.store("a_total", [], value);
        writer.store("b_total", [], i);
        writer.store("g", [], value);
        writer.store("h", [], value, 1, -i);
        // What comes beside it changes nothing of that.
        if (i === 2) writer.put(define.counter("c_total"), [], 1);
        told.write(source, i * 10);
      }
      const all = told.all();
      expect(all["a_total"]).toEqual([
        [since, 0, 5],
        [since, 10, 7],
        [10, 20, 2],
        [10, 30, 3],
      ]);
      expect(all["b_total"]!.map(([start]) => start)).toEqual([since, since, since, since]);
      expect(all["c_total"]!.map(([start]) => start)).toEqual([since, since]);
      expect(all["g"]!.map(([, , value]) => value)).toEqual([5, 7, 2, 3]);
      for (const name of ["h_bucket 1.0", "h_bucket +Inf", "h_sum", "h_count"]) {
        expect(all[name]!.map(([start]) => start)).toEqual([since, since, 10, 10]);
      }
    });

    test("again where a native histogram went back", () => {
      const source = new Source(scratch);
      const { writer } = source;
      const told = new Told(Math.ceil(writer.record.startedAtMs) + 100, { histograms: "native" });
      const metric = define.logLinear("h", { min: 1, max: 4, error: 0.25 });
      writer.put(metric, [], 0);
      for (const [i, value] of [5, 6, 1].entries()) {
        writer.store("h", [], value);
        told.write(source, i * 10);
      }
      const since = Math.floor(writer.record.startedAtMs) - told.fromMs;
      expect(told.all()["h"]).toEqual([
        [since, 0, 5],
        [since, 10, 6],
        [10, 20, 1],
      ]);
    });

    test("again when it was released and is back", () => {
      const source = new Source(scratch);
      const { writer, app } = source;
      const told = new Told(Math.ceil(writer.record.startedAtMs) + 100);
      const since = Math.floor(writer.record.startedAtMs) - told.fromMs;
      const metric = define.counter("a_total", ["n"]);
      writer.put(metric, ["1"], 5);
      told.write(source, 0);
      const { turn } = app.register(writer.id, []);
      app.release(writer.id, [{ name: "a_total", labelNames: ["n"], series: [["1"]] }], turn);
      told.write(source, 10);
      writer.put(metric, ["1"], 9);
      told.write(source, 20);
      told.write(source, 30);
      expect(told.all()["a_total 1"]).toEqual([
        [since, 0, 5],
        [since, 10, "ended"],
        [10, 20, 9],
        [10, 30, 9],
      ]);
    });

    test("where it did, when an agent is back that was away, or began again meanwhile", () => {
      const source = new Source(scratch);
      const { writer } = source;
      const told = new Told(Math.ceil(writer.record.startedAtMs) + 100);
      const since = Math.floor(writer.record.startedAtMs) - told.fromMs;
      for (const name of ["a_total", "b_total"]) writer.put(define.counter(name), [], 5);
      told.write(source, 0);
      told.encoder.end("host:7070", "shop", told.fromMs + 10);
      writer.store("a_total", [], 7);
      writer.store("b_total", [], 1);
      told.write(source, 20);
      told.write(source, 30);
      const all = told.all();
      expect(all["a_total"]).toEqual([
        [since, 0, 5],
        [since, 10, "ended"],
        [since, 20, 7],
        [since, 30, 7],
      ]);
      expect(all["b_total"]!.slice(2)).toEqual([
        [10, 20, 1],
        [10, 30, 1],
      ]);
    });

    test("where it did, when its pool was made again and it goes on with what it had counted", () => {
      const [source, other] = [new Source(scratch), new Source(scratch)];
      const told = new Told(Math.ceil(other.writer.record.startedAtMs) + 100);
      source.writer.put(define.counter("a_total"), [], 1000);
      source.writer.put(define.counter("b_total"), [], 1000);
      told.write(source, 0);
      const since = Math.floor(source.writer.record.startedAtMs) - told.fromMs;
      // In another order, and one of them does not go on.
      other.writer.put(define.counter("b_total"), [], 3);
      other.writer.put(define.counter("a_total"), [], 1001);
      told.write(other, 10);
      const all = told.all();
      expect(all["a_total"]).toEqual([
        [since, 0, 1000],
        [since, 10, 1001],
      ]);
      expect(all["b_total"]).toEqual([
        [since, 0, 1000],
        [0, 10, 3],
      ]);
    });
  });

  test("is the same as one of 1.0 when it is made one, native histograms included", () => {
    const step = fc.record({
      n: fc.nat(9),
      count: fc.nat(1000),
      gauge: fc.option(fc.double({ noNaN: true })),
      buckets: fc.array(fc.nat(5), { minLength: 11, maxLength: 11 }),
      flush: fc.boolean(),
    });
    const histograms = fc.constantFrom("powers" as const, "native" as const);
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), histograms, (steps, form) => {
        const source = new Source(scratch);
        source.writer.put(define.gauge("g", "max"), [], Number.NaN);
        source.writer.put(define.logLinear("t", { min: 0.5, max: 4, error: 0.2 }), []);
        const encoders = ([1, 2] as const).map((protocol) => {
          const requests: Encoded[] = [];
          const onRequest = (request: Encoded) => void requests.push(request);
          const common = { ...OPTIONS, histograms: form, maxSamples: 50, onRequest };
          return { encoder: new RemoteWriteEncoder({ ...common, protocol }), requests };
        });
        for (const [at, { n, count, gauge, buckets, flush }] of steps.entries()) {
          source.writer.put(define.counter("c_total", ["n"]), [`${n}`], count);
          source.writer.store("g", [], gauge ?? Number.NaN);
          source.writer.store("t", [], ...buckets);
          for (const { encoder } of encoders) {
            encoder.write(source.snapshot(0, { takenAtMs: START_MS + at }));
            if (flush) encoder.flush();
          }
        }
        for (const { encoder } of encoders) {
          encoder.end("host:7070", "shop", START_MS + 100);
          encoder.flush();
        }
        const [one, two] = encoders.map(({ requests }) => requests);
        const stores = [one!.map(({ body }) => body), two!.map(({ body }) => toVersion1(body))].map(
          (bodies) => {
            const store = new Store();
            for (const body of bodies) store.take(body);
            const natives = bodies
              .flatMap((body) => decodeWriteRequest(body))
              .flatMap((series) =>
                series.histograms.map((bytes) => [
                  series.labels,
                  Buffer.from(bytes as Uint8Array).toString("hex"),
                ]),
              );
            return { stored: store.stored, natives };
          },
        );
        expect(stores[1]).toEqual(stores[0]!);
        expect(stores[0]!.natives.length > 0).toBe(form === "native");
        const sizes = ([requests]: Encoded[][]) => requests!.reduce((sum, r) => sum + r.samples, 0);
        expect(sizes([two!])).toBe(sizes([one!]));
      }),
      { numRuns: 60 },
    );
  });

  test("that is damaged is refused, whatever is wrong with it, and takes no memory for it", () => {
    const [request] = encoded(2, (encoder) => new Counting().write(encoder, 20));
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(), (place, byte, length) => {
        const body = request!.body.slice(0, 1 + (length % request!.body.length));
        body[place % body.length] = byte;
        try {
          decompress(toVersion1(body));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a receiver", () => {
  test("of 2.0 is sent that, without a complaint", async () => {
    await using receiver = new Receiver2();
    const { exporter, notices } = pushing(receiver.writeUrl);
    new Counting().write(exporter, 100);
    const { undelivered } = await exporter.close(5000);
    expect({ undelivered, notices, complaints: receiver.complaints }).toEqual({
      undelivered: 0,
      notices: [],
      complaints: [],
    });
    expect([...receiver.stored.get(SERIES)!]).toEqual(upTo(100));
    expect(receiver.about.get(SERIES)!.type).toBe(1);
  });

  test.each([
    ["that answers 415", () => new Response("what is this", { status: 415 }), 1],
    ["that answers 400, as those of 1.x", () => new Response("no", { status: 400 }), 1],
    ["that takes it for an empty request", () => new Response(null, { status: 204 }), 1],
    ["that fails over it each time", () => new Response("oops", { status: 500 }), 5],
  ])("%s is sent 1.0 from then on, and loses nothing", async (_, refusal, attempts) => {
    const store = new Store();
    const versions: (string | null)[] = [];
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const body = await request.bytes();
        versions.push(request.headers.get("x-prometheus-remote-write-version"));
        if (request.headers.get("content-type") !== "application/x-protobuf") return refusal();
        store.take(body);
        return new Response(null, { status: 204 });
      },
    });
    const { exporter, notices } = pushing(`http://127.0.0.1:${server.port}/`);
    const counting = new Counting();
    // Several requests wait before anything is known.
    for (let i = 0; i < 3; i++) {
      counting.write(exporter, 30);
      exporter.encoder.flush();
    }
    await until("all is taken", () => exporter.backlog.items === 0);
    counting.write(exporter, 10);
    expect((await exporter.close(5000)).undelivered).toBe(0);
    expect([...store.stored.get(SERIES)!]).toEqual(upTo(100));
    const tried = versions.splice(0, attempts);
    expect(new Set(tried)).toEqual(new Set(["2.0.0"]));
    expect(new Set(versions)).toEqual(new Set(["0.1.0"]));
    expect(notices).toContainEqual(expect.stringContaining("speaks remote write 1.0"));
  });

  test("of 1.0 that is only away is not taken for one that knows no 2.0", async () => {
    await using receiver = new Receiver2((_, n) =>
      n < 3 ? new Response("later", { status: 503 }) : undefined,
    );
    const { exporter, notices } = pushing(receiver.writeUrl);
    new Counting().write(exporter, 10);
    expect((await exporter.close(5000)).undelivered).toBe(0);
    expect([...receiver.stored.get(SERIES)!]).toEqual(upTo(10));
    expect(notices.join()).not.toContain("1.0");
  });

  test("that has written a part of a request has refused the rest", async () => {
    await using receiver = new Receiver2((_, n) =>
      n === 0
        ? new Response("3 are too old", { status: 400, headers: writtenHeaders(7) })
        : undefined,
    );
    const { exporter, notices } = pushing(receiver.writeUrl);
    const counting = new Counting();
    counting.write(exporter, 10);
    exporter.encoder.flush();
    await until("it has answered", () => exporter.backlog.items === 0);
    counting.write(exporter, 5);
    const { undelivered } = await exporter.close(5000);
    expect(undelivered).toBe(3);
    expect(exporter.counters).toMatchObject({ items: 12, refused: 3 });
    expect(notices).toEqual([expect.stringContaining("refused 3 samples")]);
  });

  test("that has to know 2.0 and does not has refused what it was sent", async () => {
    await using receiver = new Receiver2(() => new Response(null, { status: 204 }));
    const { exporter, notices } = pushing(receiver.writeUrl, { protocol: "2" });
    new Counting().write(exporter, 10);
    expect((await exporter.close(5000)).undelivered).toBe(10);
    expect(notices).toEqual([expect.stringContaining("does not know remote write 2.0")]);
  });

  test("is sent what an earlier run has left, in whichever version that was written", async () => {
    const folder = join(scratch.path(), "wal");
    const counting = new Counting();
    const files = new WriteAhead(folder, 1 << 20);
    const leave = (version: WireVersion) => {
      const requests = encoded(version, (encoder) => counting.write(encoder, 10));
      for (const { body, samples } of requests) files.push({ body, items: samples, version });
    };
    leave(1);
    leave(2);
    leave(1);
    files.close();
    const store = new Store();
    const seen: string[] = [];
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        seen.push(request.headers.get("content-type")!);
        store.take(await request.bytes());
        return new Response(null, { status: 204 });
      },
    });
    const { exporter } = pushing(`http://127.0.0.1:${server.port}/`, {
      protocol: "1",
      writeAhead: { folder, maxBytes: 1 << 20 },
    });
    expect((await exporter.close(5000)).undelivered).toBe(0);
    expect([...store.stored.get(SERIES)!]).toEqual(upTo(30));
    expect(seen).toEqual(Array(3).fill("application/x-protobuf"));
  });
});
