// What Prometheus and VictoriaMetrics have stored is what was sent: also when they are killed meanwhile, or we are.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { logLinearIndex } from "../../../src/layout/definitions/histogram.ts";
import { shapeOf, slotsPerSeries } from "../../../src/layout/index.ts";
import { RemoteWrite, type RemoteWriteOptions } from "../../../src/sinks/remote-write/index.ts";
import { TestHost } from "../../support/host.ts";
import { define, Scratch, scan } from "../../support/pools.ts";
import { Prometheus, type Stored, VictoriaMetrics } from "../../support/receivers.ts";
import { patience } from "../../support/speed.ts";
import { until } from "../../support/wait.ts";
import { Source } from "../snapshots.ts";

const scratch = new Scratch();
const TIMEOUT_MS = patience(30_000);

/** Pushes as `collect` does, with less patience. */
function pushing(url: string, options: Partial<RemoteWriteOptions> = {}): RemoteWrite {
  return new RemoteWrite({
    url,
    headers: () => ({}),
    labels: [["cluster", "eu"]],

    instanceOf: (source) => source,
    version: "0.0.0",
    onNotice: () => {},
    delayMs: 20,
    backoffMs: { first: 10, last: 100 },
    ...options,
  });
}

/** A service that counts on, and remembers what a receiver should have of it. */
class Service {
  readonly source = new Source(scratch);
  readonly sent: Stored = new Map();
  readonly startMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;
  step = 0;

  constructor() {
    const { writer } = this.source;
    writer.put(define.counter("requests_total", ["route", "empty"]), ["/a", ""], 0);
    writer.put(define.counter("requests_total", ["route", "empty"]), ["/b", "no"], 0);
    writer.put(define.gauge("sessions"), [], 0);
    writer.put(define.histogram("size_bytes", [1, 10]), [], 0, 0, 0, 0);
    writer.put(define.logLinear("took_seconds", { min: 0.5, max: 4, error: 0.2 }), []);
  }

  /** Counts, and gives the snapshot to an exporter. */
  tick(exporter: { write: RemoteWrite["write"] }, apart = 10): void {
    const { writer } = this.source;
    const n = this.step++;
    const timeMs = this.startMs + n * apart;
    const expect = (name: string, labels: string, value: number) =>
      this.#expect(name, labels, timeMs, value);
    writer.store("requests_total", ["/a", ""], n);
    writer.store("requests_total", ["/b", "no"], 2 * n + 0.5);
    writer.store("sessions", [], 7 - n);
    writer.store("size_bytes", [], n, 1, 2 * n, 1e300);
    // Two parts to each power of two: below, [0.5, 0.75), … [3, 4), [4, 6), above, then the sum.
    writer.store("took_seconds", [], 1, n, 2, 3, 4, 5, 6, 7, 8, 9);
    expect("requests_total", 'route="/a"', n);
    expect("requests_total", 'empty="no",route="/b"', 2 * n + 0.5);
    expect("sessions", "", 7 - n);
    expect("size_bytes_bucket", 'le="1.0"', n);
    expect("size_bytes_bucket", 'le="10.0"', n + 1);
    expect("size_bytes_bucket", 'le="+Inf"', 3 * n + 1);
    expect("size_bytes_sum", "", 1e300);
    expect("size_bytes_count", "", 3 * n + 1);
    expect("took_seconds_bucket", 'le="0.5"', 1);
    expect("took_seconds_bucket", 'le="1.0"', n + 3);
    expect("took_seconds_bucket", 'le="2.0"', n + 10);
    expect("took_seconds_bucket", 'le="4.0"', n + 21);
    // The range ends between two powers of two.
    expect("took_seconds_bucket", 'le="6.0"', n + 28);
    expect("took_seconds_bucket", 'le="+Inf"', n + 36);
    expect("took_seconds_sum", "", 9);
    expect("took_seconds_count", "", n + 36);
    exporter.write(this.source.snapshot(n, { takenAtMs: timeMs + 0.25 }));
  }

  #expect(name: string, labels: string, timeMs: number, value: number): void {
    const home = ['app="shop"', 'cluster="eu"', 'instance="host:7070"', 'service="auth"'];
    const pairs = [...home, ...(labels === "" ? [] : labels.split(","))].sort();
    const series = `${name}{${pairs.join(",")}}`;
    let samples = this.sent.get(series);
    if (samples === undefined) {
      samples = new Map();
      this.sent.set(series, samples);
    }
    samples.set(timeMs, value);
  }
}

/** Maps as sorted lists, which tell better in what they differ. */
function plain(stored: Stored): Record<string, [number, number][]> {
  return Object.fromEntries(
    [...stored].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, samples]) => [name, [...samples]]),
  );
}

test.each([
  ["Prometheus", () => new Prometheus()],
  ["VictoriaMetrics", () => new VictoriaMetrics()],
])(
  "%s stores what was sent, also through its being killed",
  async (_, make) => {
    await using receiver = await make().start();
    const notices: string[] = [];
    const exporter = pushing(receiver.writeUrl, { onNotice: (text) => notices.push(text) });
    const service = new Service();
    for (let i = 0; i < 100; i++) service.tick(exporter);
    // All of it: what is taken just before the end would be refused when it is sent again.
    await until("it is stored", () => !exporter.encoder.pending && exporter.backlog.items === 0);
    await receiver.kill();
    for (let i = 0; i < 100; i++) service.tick(exporter);
    await until("it is missed", () => exporter.sender.counters.retries > 1);
    await receiver.start();
    await until(
      "all is delivered",
      () => !exporter.encoder.pending && exporter.backlog.items === 0,
    );
    for (let i = 0; i < 50; i++) service.tick(exporter);
    const { undelivered } = await exporter.close(5000);
    expect(undelivered).toBe(0);
    expect(plain(await receiver.stored())).toEqual(plain(service.sent));
    expect(notices).toEqual([
      expect.stringContaining("speaks remote write 1.0"),
      expect.stringContaining("which is kept and tried again"),
      expect.stringContaining("nothing was lost"),
    ]);
  },
  TIMEOUT_MS,
);

test(
  "Prometheus computes quantiles of native histograms as near as is promised, sent by 1.0 after 2.0 was tried",
  async () => {
    await using receiver = await new Prometheus(["native-histograms"]).start();
    const exporter = pushing(receiver.writeUrl, { histograms: "native" });
    const source = new Source(scratch);
    const definition = define.logLinear("took_seconds", { min: 1e-6, max: 1e3, error: 0.0625 });
    const shape = shapeOf(definition);
    const slots = new Array<number>(slotsPerSeries(definition)).fill(0);
    source.writer.put(definition, [], ...slots);
    // Spread over four powers of ten, as latencies are.
    const values = Array.from({ length: 5000 }, (_, i) => 0.0002 * 10 ** ((4 * i) / 5000));
    const startMs = Date.now() - 60_000;
    for (let s = 0; s <= 20; s++) {
      for (const value of values.slice((s - 1) * 250, s * 250)) {
        slots[logLinearIndex(shape, value)]!++;
        slots[slots.length - 1]! += value;
      }
      source.writer.store("took_seconds", [], ...slots);
      exporter.write(source.snapshot(s, { takenAtMs: startMs + s * 1000 }));
    }
    await until("it is stored", () => !exporter.encoder.pending && exporter.backlog.items === 0);
    const ask = async (query: string) =>
      Number((await receiver.query(query, startMs + 20_000))[0]?.value?.[1]);
    expect(await ask("histogram_count(took_seconds)")).toBe(values.length);
    expect(await ask("histogram_sum(took_seconds)")).toBeCloseTo(slots.at(-1)!, 6);
    for (const q of [0.01, 0.1, 0.5, 0.9, 0.99, 0.999]) {
      const truth = values[Math.ceil(q * values.length) - 1]!;
      const told = await ask(`histogram_quantile(${q}, took_seconds)`);
      expect(Math.abs(told / truth - 1)).toBeLessThan(0.155);
    }
    exporter.gone("host:7070", "shop");
    expect((await exporter.close(5000)).undelivered).toBe(0);
    expect(await receiver.query("took_seconds", Date.now() + 1000)).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "a series that ends is stale at once: a gauge nobody sets, an application that is gone",
  async () => {
    await using receiver = await new Prometheus().start();
    const exporter = pushing(receiver.writeUrl);
    const source = new Source(scratch);
    source.writer.put(define.gauge("load", "max"), [], 3);
    source.writer.put(define.counter("jobs_total"), [], 5);
    const startMs = Date.now() - 10_000;
    const at = (s: number) => exporter.write(source.snapshot(s, { takenAtMs: startMs + s * 1000 }));
    const names = async (s: number) => {
      const found = await receiver.query('{__name__!=""}', startMs + s * 1000);
      return found.map(({ metric }) => metric["__name__"]).sort();
    };
    at(0);
    source.writer.die();
    scan(source.app);
    at(1);
    exporter.gone("host:7070", "shop");
    await exporter.close(5000);
    expect(await names(0.5)).toEqual(["jobs_total", "load"]);
    expect(await names(1.5)).toEqual(["jobs_total"]);
    expect(await receiver.query('{__name__!=""}', Date.now() + 1000)).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "the series of an agent that is away for long are stale, and go on when it is back",
  async () => {
    await using receiver = await new Prometheus().start();
    const exporter = pushing(receiver.writeUrl, { awayMs: 40 });
    const source = new Source(scratch);
    source.writer.put(define.counter("jobs_total"), [], 5);
    exporter.write(source.snapshot(0, { takenAtMs: Date.now() }));
    const found = () => receiver.query("jobs_total", Date.now() + 1000);
    await until("it is stored", () => exporter.sender.counters.items > 0);
    await until("it is stale", async () => (await found()).length === 0);
    exporter.write(source.snapshot(1, { takenAtMs: Date.now() }));
    expect((await exporter.close(5000)).undelivered).toBe(0);
    expect(await found()).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test(
  "a collector that is killed while the receiver is away loses nothing of what it had written ahead",
  async () => {
    await using host = new TestHost();
    await using receiver = new Prometheus();
    const folder = mkdtempSync("/tmp/microview-wal-");
    host.onEnd(() => rmSync(folder, { recursive: true }));
    await receiver.start();
    await receiver.kill();
    await host.agent();
    const mv = host.client();
    const ticks = mv.counter("ticks_total");
    await mv.ready;
    const ticking = setInterval(() => ticks.inc(), 1);
    host.onEnd(() => clearInterval(ticking));
    const flags = ["--app", "shop", "--metric", "ticks_total", "--interval", "10ms"];
    const collect = (...more: string[]) =>
      host.own(
        Bun.spawn(
          [
            ...[...host.microview, "collect", "--socket", host.socketPath, ...flags],
            ...["--remote-write", receiver.writeUrl, "--remote-write-wal", join(folder, "wal")],
            ...["--format", "csv", ...more],
          ],
          { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
        ),
      );
    const killed = collect();
    let printed = "";
    const reading = (async () => {
      for await (const part of killed.stdout) printed += new TextDecoder().decode(part);
    })();
    await until("much was read", () => printed.split("\n").length > 80);
    killed.kill("SIGKILL");
    await reading;
    await receiver.start();
    const second = collect("--count", "5");
    const [stderr, rest] = await Promise.all([
      new Response(second.stderr).text(),
      new Response(second.stdout).text(),
      second.exited,
    ]);
    expect(stderr).toContain("by remote write");
    const seen = [...csvSamples(printed), ...csvSamples(rest)];
    const stored = await receiver.stored();
    const labels = `app="shop",instance=${JSON.stringify(hostname())},service="auth"`;
    const samples = stored.get(`ticks_total{${labels}}`);
    // What was read in the last moments had not been written yet.
    const killedAtMs = csvSamples(printed).at(-1)![0];
    const kept = seen.filter(([timeMs]) => timeMs < killedAtMs - 400 || timeMs > killedAtMs);
    expect(kept.length).toBeGreaterThan(20);
    // Microseconds may have been rounded up; and of two reads within a millisecond the second is given the next.
    const isStored = ([timeMs, value]: [number, number]) =>
      [timeMs, timeMs - 1, timeMs + 1].some((each) => samples?.get(each) === value);
    expect(kept.filter((each) => !isStored(each))).toEqual([]);
  },
  TIMEOUT_MS,
);

/** Time in whole ms, and value. */
function csvSamples(text: string): [number, number][] {
  const [head = "", ...lines] = text.split("\n").slice(0, text.endsWith("\n") ? -1 : -2);
  const value = head.split(",").indexOf("value");
  return lines.map((line) => {
    const cells = line.split(",");
    return [Math.floor(Date.parse(cells[0]!)), Number(cells[value])];
  });
}
