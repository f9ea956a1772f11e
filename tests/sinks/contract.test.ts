// What every sink does, whatever it is for. A new one is a line in SINKS: how it is made, and how what it has delivered
// is read back. Those that push do it to real receivers on loopback.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { ClashLog } from "../../src/exposition/index.ts";
import { Gather, PoolBuilder, type PoolSnapshot } from "../../src/layout/index.ts";
import { FileSink } from "../../src/sinks/file/index.ts";
import {
  CsvSink,
  NdjsonSink,
  type Sink,
  type SinkOptions,
  Sinks,
  TableSink,
} from "../../src/sinks/index.ts";
import { Otlp, type OtlpOptions } from "../../src/sinks/otlp/index.ts";
import { PrometheusSink, ScrapeServer } from "../../src/sinks/prometheus/index.ts";
import { Recorder, Recording } from "../../src/sinks/recording/index.ts";
import { RemoteWrite, type RemoteWriteOptions } from "../../src/sinks/remote-write/index.ts";
import { ROOT } from "../support/host.ts";
import { OtlpReceiver } from "../support/otlp.ts";
import { define, Scratch } from "../support/pools.ts";
import { Receiver2 } from "../support/remote-write-2.ts";
import { patience } from "../support/speed.ts";
import { until } from "../support/wait.ts";
import { Output, Source } from "./snapshots.ts";

// A recording has a thread that loads DuckDB.
setDefaultTimeout(patience(60_000));

const scratch = new Scratch();
const folder = mkdtempSync("/tmp/microview-test-");
afterAll(() => rmSync(folder, { recursive: true }));
const GRACE_MS = 5000;
/** Applications that end, and of how many of them a sink may keep something for when they come again. */
const APPLICATIONS = 1000;
const KEPT_MAX = 50;
let files = 0;

/** A sink with whoever takes what it has. */
interface Made {
  sink: Sink;
  /** Closes it, unless it is. @returns source and value of all that it has delivered of `c_total` */
  delivered(): Promise<string[]>;
  /** Lets go of what stands around it. */
  release?(): unknown;
}

interface Kind {
  make(): Made | Promise<Made>;
  /** One that was given something that nobody takes. */
  stuck?(): Promise<Made>;
  /** One that shows each writer by itself. @returns pid and value of all that it has delivered of `c_total` */
  byWriter?(): ByWriter | Promise<ByWriter>;
  /** What nobody takes is kept, and counts as not delivered. */
  isSent?: true;
}

interface ByWriter {
  sink: Sink;
  delivered(): Promise<string[]>;
}

const SINKS: Readonly<Record<string, Kind>> = {
  "a table": {
    make: () => text((to) => new TableSink(to), /^.* c_total +(\d+)/gm),
  },
  "lines of JSON": {
    make: () => text((to) => new NdjsonSink(to), /"name":"c_total".*?"value":(\d+)/g),
    byWriter: () => writers((to) => new NdjsonSink(to), /"pid":(\d+).*?"value":(\d+.*?)}/g),
  },
  "comma-separated values": {
    make: () => text((to) => new CsvSink(to), /,c_total,,counter,,(\d+)/g),
    byWriter: () => writers((to) => new CsvSink(to), /,counter,,1,(\d+),7,(.*?),/g),
  },
  "Prometheus's text": {
    make: () => text((to) => new PrometheusSink({ ...to, labelSource: true }), IN_PROMETHEUS),
  },
  "a compressed file": { make: file },
  "a recording": { make: recording, byWriter: recordingByWriter },
  "a server for scrapers": { make: scrapeServer, stuck: stuckScraper },
  "remote write": { make: remoteWrite, stuck: () => stuck(remoteWriteTo), isSent: true },
  OTLP: { make: otlp, stuck: () => stuck(otlpTo), isSent: true },
  "a set of sinks": {
    async make() {
      const { sink, ...rest } = await remoteWrite();
      const set = new Sinks(() => {});
      set.add("lines", new NdjsonSink(new Output()));
      set.add("remote write", sink);
      return { sink: set, ...rest };
    },
  },
};

const IN_PROMETHEUS = /^c_total\{.*\} (\d+)$/gm;

function text(make: (options: SinkOptions) => Sink, pattern: RegExp): Made {
  const output = new Output();
  const sink = make(output);
  return {
    sink,
    async delivered() {
      await sink.close(GRACE_MS);
      return found(output.text, pattern);
    },
  };
}

/** @param pattern finds a value in a line, which says where it is from, or a line before it does */
function found(text: string, pattern: RegExp): string[] {
  let source: string | undefined;
  return text.split("\n").flatMap((line) => {
    source = sourceIn(line) ?? source;
    return [...line.matchAll(pattern)].map(([, value]) => `${source} ${value}`);
  });
}

function sourceIn(text: string): string | undefined {
  return /\w+:7070/.exec(text)?.[0];
}

/** Shows writers by themselves. @param pattern finds a pid, and a value with its rate */
function writers(make: (options: SinkOptions) => Sink, pattern: RegExp): ByWriter {
  const output = new Output();
  const sink = make({ ...output, perWriter: true });
  return {
    sink,
    async delivered() {
      await sink.close(GRACE_MS);
      return [...output.text.matchAll(pattern)].map(([, pid, value]) => `${pid} ${value}`);
    },
  };
}

function onFailure(error: Error): never {
  throw error;
}

function file(): Made {
  const path = join(folder, `${files++}.ndjson.gz`);
  const sink = new FileSink({
    ...{ path, format: "ndjson", compression: "gzip", replace: false, onFailure },
  });
  return {
    sink,
    async delivered() {
      await sink.close();
      const plain = Bun.gunzipSync(await Bun.file(path).bytes());
      return found(new TextDecoder().decode(plain), /"name":"c_total".*?"value":(\d+)/g);
    },
  };
}

async function recording(): Promise<Made> {
  const path = join(folder, `${files++}.parquet`);
  const sink = await Recorder.open({ path, replace: false, blockMs: 60_000, onFailure });
  return {
    sink,
    async delivered() {
      await sink.close();
      return found(await replayed(path), /"name":"c_total".*?"value":(\d+)/g);
    },
  };
}

/** A recording as lines of JSON. */
async function replayed(path: string, options: { perWriter?: boolean } = {}): Promise<string> {
  const output = new Output();
  const sink = new NdjsonSink({ ...output, ...options });
  using recorded = await Recording.open(path);
  for await (const snapshot of recorded.snapshots({})) sink.write(snapshot);
  return output.text;
}

async function recordingByWriter(): Promise<ByWriter> {
  const path = join(folder, `${files++}.parquet`);
  const sink = await Recorder.open({
    ...{ path, replace: false, blockMs: 60_000, perWriter: true, onFailure },
  });
  return {
    sink,
    async delivered() {
      await sink.close();
      const text = await replayed(path, { perWriter: true });
      return [...text.matchAll(/"pid":(\d+).*?"value":(\d+.*?)}/g)].map(
        ([, pid, value]) => `${pid} ${value}`,
      );
    },
  };
}

function scrapeServer(): Made {
  const sink = new ScrapeServer({
    ...{ host: "127.0.0.1", port: 0, tokens: undefined, tls: undefined },
    ...{ intervalMs: 1000, labelSource: true, wants: () => true },
    ...{ statistics: () => [], pushes: () => [], clashes: new ClashLog(() => {}) },
    log: { error() {}, warn() {}, info() {}, debug() {} },
    flags: { allowHost: "--allow-host", cert: "--cert", key: "--key", clientCa: "--client-ca" },
  });
  return {
    sink,
    async delivered() {
      const scraped = await (await fetch(sink.url)).text();
      await sink.close(GRACE_MS);
      return found(scraped, IN_PROMETHEUS);
    },
  };
}

/** Asks for more than connections hold, and reads the beginning alone. */
async function stuckScraper(): Promise<Made> {
  const made = scrapeServer();
  const source = new Source(scratch);
  const metric = define.gauge("long", "sum", ["name"]);
  for (let i = 0; i < 50; i++) source.writer.put(metric, [`${i} ${"x".repeat(1000)}`], i);
  for (let i = 0; i < 200; i++) made.sink.write(source.snapshot(0, { source: `host-${i}:7070` }));
  const { port } = new URL((made.sink as ScrapeServer).url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  await new Promise<void>((resolve) => {
    socket.once("data", () => {
      socket.pause();
      resolve();
    });
  });
  return { ...made, release: () => socket.destroy() };
}

const PUSHED = {
  ...{ headers: () => ({}), version: "1.2.3", onNotice: () => {} },
  backoffMs: { first: 5, last: 20 },
};

function remoteWriteTo(url: string, options: Partial<RemoteWriteOptions> = {}): RemoteWrite {
  return new RemoteWrite({
    ...{ ...PUSHED, url, labels: [], instanceOf: (source) => source, delayMs: 5 },
    ...options,
  });
}

function remoteWrite(): Made {
  const receiver = new Receiver2();
  const sink = remoteWriteTo(receiver.writeUrl);
  return {
    sink,
    async delivered() {
      await sink.close(GRACE_MS);
      return [...receiver.stored].flatMap(([name, series]) => {
        const values = [...series.values()].filter((value) => !Number.isNaN(value));
        return values.map((value) => `${sourceIn(name)} ${value}`);
      });
    },
    release: () => receiver[Symbol.asyncDispose](),
  };
}

function otlpTo(url: string, options: Partial<OtlpOptions> = {}): Otlp {
  return new Otlp({
    ...{ ...PUSHED, url, format: "protobuf", compression: "gzip", temporality: "cumulative" },
    ...{ intervalMs: 0, resourceOf: (source) => [["host.name", source]] },
    ...options,
  });
}

function otlp(): Made {
  const receiver = new OtlpReceiver();
  const sink = otlpTo(`${receiver.url}/v1/metrics`);
  return {
    sink,
    async delivered() {
      await sink.close(GRACE_MS);
      return receiver.metrics.flatMap(({ resource, points }) => {
        const values = points.flatMap(({ asDouble }) => (asDouble === undefined ? [] : [asDouble]));
        return values.map((value) => `${resource["host.name"]} ${value}`);
      });
    },
    release: () => receiver[Symbol.asyncDispose](),
  };
}

/** Pushes to somebody who takes requests and never answers. */
async function stuck(make: (url: string, options: { maxMemoryBytes: number }) => Sink) {
  const asked = Promise.withResolvers<void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      asked.resolve();
      return new Promise<Response>(() => {});
    },
  });
  const sink = make(`http://127.0.0.1:${server.port}/`, { maxMemoryBytes: 1 });
  sink.write(new Counting().snapshot(1));
  await asked.promise;
  return { sink, delivered: async () => [], release: () => server.stop(true) };
}

/** A service with one counter. Its snapshots are taken a second after each other, and none before now: ends are marked then. */
class Counting {
  readonly source = new Source(scratch);
  #seconds = 0;
  #takenAtMs = 0;

  constructor() {
    this.source.writer.put(define.counter("c_total"), [], 0);
  }

  snapshot(value: number, from = "host:7070") {
    this.source.writer.store("c_total", [], value);
    this.#takenAtMs = Math.max(this.#takenAtMs + 1000, Date.now() + 1);
    return this.source.snapshot(this.#seconds++, { source: from, takenAtMs: this.#takenAtMs });
  }
}

/** A snapshot of a pool of its own, which nothing holds but the snapshot. */
function snapshotOf(app: string, pid: number, value: number, atS: number): PoolSnapshot {
  const pool = new PoolBuilder(app);
  const service = pool.service("auth");
  const writer = pool.writer(service, { pid, threadId: 7, startedAtMs: pid * 1000 });
  const metric = pool.metric(service, define.counter("c_total"));
  const { at } = pool.series(writer, metric);
  pool.slots[at] = value;
  const { structure, slots } = pool;
  const values = new Float64Array(structure.valueCount);
  new Gather(structure).into(slots, values);
  return {
    ...{ source: "host:7070", app, sequence: 1, generation: 2, structure, values },
    ...{ takenAtMs: Date.now() + 1 + atS * 1000, monotonicNs: 1e9 + atS * 1e9 },
    ...{ readMs: 0.05, latenessMs: 0.1, missed: 0, gap: undefined },
    slots: { kind: "copy", data: slots },
  };
}

/** Makes a sink for a test, and lets go of all of it whatever becomes of that. */
async function using(make: () => Made | Promise<Made>, run: (made: Made) => Promise<void>) {
  const made = await make();
  try {
    await run(made);
  } finally {
    await made.sink.close(0);
    await made.release?.();
  }
}

describe.each(Object.entries(SINKS))("%s", (_, kind) => {
  const kept = (run: (made: Made) => Promise<void>) => () => using(kind.make, run);

  test(
    "waits for nothing before it has anything",
    kept(async ({ sink }) => {
      expect({ isBehind: sink.isBehind, isIdle: sink.isIdle }).toEqual({
        ...{ isBehind: false, isIdle: true },
      });
    }),
  );

  test(
    "keeps nothing of a frame's arrays",
    kept(async ({ sink, delivered }) => {
      const snapshot = new Counting().snapshot(7);
      sink.write(snapshot);
      snapshot.values.fill(666);
      snapshot.slots.data.fill(666);
      expect(await delivered()).toEqual(["host:7070 7"]);
    }),
  );

  test(
    "tells sources apart that have applications of the same name",
    kept(async ({ sink, delivered }) => {
      sink.write(new Counting().snapshot(7, "one:7070"));
      sink.write(new Counting().snapshot(8, "two:7070"));
      expect((await delivered()).sort()).toEqual(["one:7070 7", "two:7070 8"]);
    }),
  );

  test(
    "begins again when what was gone is written",
    kept(async ({ sink, delivered }) => {
      const counting = new Counting();
      sink.write(counting.snapshot(7));
      sink.gone("host:7070", "shop");
      sink.write(counting.snapshot(8));
      sink.gone("host:7070");
      sink.write(counting.snapshot(9));
      expect((await delivered()).at(-1)).toBe("host:7070 9");
    }),
  );

  test(
    "takes no notice when what it never had is gone",
    kept(async ({ sink, delivered }) => {
      sink.gone("nobody:7070", "shop");
      sink.gone("nobody:7070");
      sink.write(new Counting().snapshot(7));
      expect(await delivered()).toEqual(["host:7070 7"]);
    }),
  );

  test(
    "lets go of applications that come and end, however many there are",
    kept(async ({ sink }) => {
      const structures: WeakRef<object>[] = [];
      for (let i = 0; i < APPLICATIONS; i++) {
        const snapshot = snapshotOf(`job-${i}`, i + 1, i, i);
        structures.push(new WeakRef(snapshot.structure));
        sink.write(snapshot);
        sink.gone("host:7070", `job-${i}`);
        // Those that send do so meanwhile.
        if (i % 10 === 9) await Bun.sleep(0);
      }
      await until("nearly all is let go of", () => {
        Bun.gc(true);
        const left = structures.filter((each) => each.deref() !== undefined);
        return left.length <= KEPT_MAX;
      });
    }),
  );

  test(
    "has delivered all when it is closed, says so in a line at most, and is idle",
    kept(async ({ sink }) => {
      sink.write(new Counting().snapshot(7));
      const { summary, undelivered } = await sink.close(GRACE_MS);
      expect(undelivered).toBe(0);
      expect(summary).not.toContain("\n");
      expect(sink.isIdle).toBe(true);
    }),
  );

  test(
    "is closed once, however often it is told to",
    kept(async ({ sink, delivered }) => {
      sink.write(new Counting().snapshot(7));
      // What is served is asked for before.
      const values = await delivered();
      const [one, two] = await Promise.all([sink.close(GRACE_MS), sink.close(0)]);
      expect(two).toEqual(one);
      expect(await sink.close(0)).toEqual(one);
      expect(values).toEqual(["host:7070 7"]);
    }),
  );
});

const BY_WRITER = Object.entries(SINKS).flatMap(([name, { byWriter }]) =>
  byWriter === undefined ? [] : [[name, byWriter] as const],
);

describe.each(BY_WRITER)("%s that shows writers by themselves", (_, make) => {
  test.each([
    ["was replaced", false],
    ["was gone and comes again", true],
  ])("takes writer 1 of a pool that %s for another writer", async (_how, isGone) => {
    const { sink, delivered } = await make();
    sink.write(snapshotOf("shop", 100, 1000, 0));
    if (isGone) sink.gone("host:7070", "shop");
    sink.write(snapshotOf("shop", 200, 5000, 1));
    const [first, second, ...others] = await delivered();
    expect(others).toEqual([]);
    // A rate would be that of one process to the other.
    expect([first, second]).toEqual([
      expect.stringMatching(/^100 1\D?000\W*$/),
      expect.stringMatching(/^200 5\D?000\W*$/),
    ]);
  });
});

const STUCK = Object.entries(SINKS).flatMap(([name, { stuck, isSent = false }]) =>
  stuck === undefined ? [] : [[name, stuck, isSent] as const],
);

describe.each(STUCK)("%s whose receiver takes nothing", (_, make, isSent) => {
  test("closes within its grace, and says how much of it is lost", () =>
    using(make, async ({ sink }) => {
      const { undelivered } = await sink.close(50);
      expect(undelivered > 0).toBe(isSent);
      expect(sink.isIdle).toBe(true);
    }));

  test("is behind if it keeps what was not taken", () =>
    using(make, async ({ sink }) => {
      if (isSent) await until("it is behind", () => sink.isBehind);
      expect({ isBehind: sink.isBehind, isIdle: sink.isIdle }).toEqual({
        ...{ isBehind: isSent, isIdle: !isSent },
      });
    }));
});

test("text that nobody reads keeps its sink behind", async () => {
  const output = new Output();
  let isFull = false;
  const sink = new NdjsonSink({ ...output, isFull: () => isFull });
  expect(sink.isBehind).toBe(false);
  isFull = true;
  expect(sink.isBehind).toBe(true);
});

test("every class that is a sink is held to this contract", async () => {
  const kinds = new Set<string>();
  for (const { make } of Object.values(SINKS)) {
    await using(make, async ({ sink }) => void kinds.add(sink.constructor.name));
  }
  const classes: string[] = [];
  for (const path of new Bun.Glob("src/sinks/**/*.ts").scanSync(ROOT)) {
    const text = await Bun.file(join(ROOT, path)).text();
    for (const [, name] of text.matchAll(
      /^export class (\w+)(?:<.*?>)? (?:implements|extends) \w*Sink\b/gm,
    )) {
      classes.push(name!);
    }
  }
  expect(classes.sort()).toEqual([...kinds].sort());
});
