// One run of `microview collect`: a collector, a sink, and the conditions under which it ends.

import {
  Collector,
  type CollectorEvent,
  type Filter,
  type PollMode,
  type Target,
  type TransportChoice,
  wantedBy,
} from "../../collector/index.ts";
import type { Exporter } from "../../export/index.ts";
import type { RdmaPortSpec } from "../../ffi/index.ts";
import { defaultSocketPath, type PoolSnapshot } from "../../layout/index.ts";
import {
  CsvSink,
  NdjsonSink,
  PrometheusSink,
  printable,
  processTerminal,
  type Sink,
  TableSink,
} from "../../sinks/index.ts";
import { exportersOf } from "../push/exporters.ts";
import type { PushOptions } from "../push/flags.ts";
import type { Endpoint } from "../support/endpoint.ts";
import { CliError, UsageError } from "../support/errors.ts";
import { timeoutExponent } from "../support/rdma.ts";
import { once } from "../support/stop.ts";
import { styleFor } from "../support/style.ts";
import { type CredentialOptions, credentialsOf } from "./credentials.ts";
import type { ListenOptions } from "./listen-flags.ts";
import type { ScrapeServer } from "./scrape-server.ts";
import { Sightings } from "./sightings.ts";
import { statisticsLine } from "./statistics-line.ts";

/** How long the end waits for receivers of what was pushed. */
const EXPORT_GRACE_MS = 5_000;
/** Of what is said while the screen is the table's. */
const MAX_KEPT_NOTICES = 100;

export interface CollectOptions
  extends Partial<PushOptions>,
    Partial<ListenOptions>,
    CredentialOptions {
  app: readonly string[];
  service: readonly string[];
  metric: readonly string[];
  perWriter: boolean;
  interval: number;
  once: boolean;
  count: number | undefined;
  duration: number | undefined;
  format: "table" | "ndjson" | "csv" | "prometheus" | undefined;
  transport: TransportChoice;
  socket: string | undefined;
  poolDir: string | undefined;
  rdma: RdmaPortSpec | "auto";
  rdmaMtu: number;
  rdmaTimeout: number;
  rdmaRetries: number;
  rdmaCm: boolean;
  poll: PollMode;
}

export interface CollectSurroundings {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  stop: AbortSignal;
}

export class CollectRun {
  readonly #options: CollectOptions;
  readonly #surroundings: CollectSurroundings;
  readonly #collector: Collector;
  readonly #sink: Sink;
  /** Where snapshots are pushed to, besides. */
  readonly #exporters: readonly Exporter[];
  readonly #filter: Filter;
  /** Serves what is read, where that is asked for. */
  #scrapes: ScrapeServer | undefined;
  readonly #isTable: boolean;
  /** The screen is the table's. */
  readonly #isLive: boolean;
  /** Snapshots after which a pool has delivered what was asked for. */
  readonly #wantedRounds: number;
  /** Pools to wait for, by agent; known once it is connected. */
  readonly #expected = new Map<string, number>();
  readonly #rounds = new Map<string, number>();
  readonly #sources: number;
  /** Until every pool was read once. */
  #sightings: Sightings | undefined;
  /** What is said when the screen is free again. */
  readonly #last: string[] = [];
  #finished: () => void = () => {};
  #failure: CliError | undefined;

  constructor(
    options: CollectOptions,
    endpoints: readonly Endpoint[],
    surroundings: CollectSurroundings,
  ) {
    this.#options = options;
    this.#surroundings = surroundings;
    if (options.once && options.count !== undefined) {
      throw new UsageError("--once and --count exclude each other");
    }
    if (options.listen !== undefined && options.once) {
      throw new UsageError("--listen and --once exclude each other");
    }
    this.#wantedRounds = options.once ? 1 : (options.count ?? Number.POSITIVE_INFINITY);
    const isTerminal = surroundings.stdout.isTTY === true;
    const filter: Filter = {
      apps: options.app,
      services: options.service,
      metrics: options.metric,
    };
    this.#filter = filter;
    this.#exporters = exportersOf(options, filter, (text) => this.#tellAside(text));
    // What pushes has said where its data goes: it is printed too where that is asked for, or somebody looks.
    const isServed = this.#exporters.length > 0 || options.listen !== undefined;
    const piped = isServed ? "none" : "ndjson";
    const format = options.format ?? (isTerminal ? "table" : piped);
    this.#isTable = format === "table";
    this.#isLive = this.#isTable && isTerminal && !options.once;
    const targets = targetsOf(options, endpoints);
    this.#sources = targets.length;
    this.#sink = this.#makeSink(format, filter, this.#isLive);
    this.#sightings = new Sightings(filter);
    const credentials = credentialsOf(options, (text) => this.#tellAside(text));
    this.#collector = new Collector({
      targets,
      intervalMs: options.interval,
      filter,
      transport: options.transport,
      verbs: {
        mtu: options.rdmaMtu,
        timeout: timeoutExponent(options.rdmaTimeout),
        retries: options.rdmaRetries,
        manager: options.rdmaCm,
        ...(options.rdma === "auto" ? {} : { port: options.rdma }),
      },
      poll: options.poll,
      onSnapshot: (snapshot) => this.#take(snapshot),
      onEvent: (event) => this.#note(event),
      credentials,
    });
  }

  /** Collects until the run ends by itself or is stopped. @throws CliError when an agent cannot be read */
  async finish(): Promise<void> {
    const { stop } = this.#surroundings;
    try {
      await this.#listen();
    } catch (error) {
      this.#sink.close();
      await this.#endExports();
      throw error;
    }
    const finished = new Promise<void>((resolve) => {
      this.#finished = resolve;
    });
    const timer = setTimeout(() => this.#finished(), this.#options.duration ?? 2 ** 31 - 1);
    this.#collector.start();
    try {
      await Promise.race([finished, once(stop)]);
    } finally {
      clearTimeout(timer);
      await this.#collector.stop();
      this.#sink.close();
      await this.#scrapes?.close();
      await this.#endExports();
    }
    if (this.#failure !== undefined) throw this.#failure;
    for (const text of this.#last) this.#say(text);
    if (!this.#options.once && stop.reason !== "EPIPE") this.#say(this.#summary());
  }

  /** Delivers what is left. What a bounded run could not deliver makes it fail. */
  async #endExports(): Promise<void> {
    const ends = await Promise.all(this.#exporters.map((each) => each.close(EXPORT_GRACE_MS)));
    for (const { summary, undelivered } of ends) {
      if (!this.#options.once) this.#last.push(summary);
      if (undelivered > 0 && Number.isFinite(this.#wantedRounds)) {
        this.#failure ??= new CliError({ message: `not all was delivered: ${summary}` });
      }
    }
  }

  async #listen(): Promise<void> {
    const { listen, interval: intervalMs } = this.#options;
    if (listen === undefined) return;
    const { ScrapeServer } = await import("./scrape-server.ts");
    this.#scrapes = new ScrapeServer({
      ...this.#options,
      intervalMs,
      wants: wantedBy(this.#filter).metric,
      labelSource: this.#sources > 1,
      statistics: () => this.#collector.statistics,
      pushes: () => this.#exporters.map(({ counters }) => counters),
      say: (line) => this.#tellAside(line),
    });
    // The live table has the screen.
    const text = `scraped at ${this.#scrapes.url}`;
    if (this.#isLive) this.#last.push(text);
    else this.#say(text);
  }

  #makeSink(format: string, filter: Filter, live: boolean): Sink {
    const { stdout } = this.#surroundings;
    const common = {
      write: (text: string) => void stdout.write(text),
      wanted: wantedBy(filter).metric,
      perWriter: this.#options.perWriter,
    };
    switch (format) {
      case "table":
        return new TableSink({
          ...common,
          style: styleFor(stdout),
          intervalMs: this.#options.interval,
          ...(live ? { terminal: processTerminal(), onQuit: () => this.#finished() } : {}),
        });
      case "csv":
        return new CsvSink(common);
      case "prometheus":
        return new PrometheusSink({
          ...common,
          labelSource: this.#sources > 1,
          terminal: stdout.isTTY === true,
        });
      case "none":
        return { write() {}, flush() {}, close() {} };
      default:
        return new NdjsonSink(common);
    }
  }

  #take(snapshot: PoolSnapshot): void {
    const key = `${snapshot.source} ${snapshot.app}`;
    const round = (this.#rounds.get(key) ?? 0) + 1;
    if (round > this.#wantedRounds) return;
    this.#rounds.set(key, round);
    this.#sink.write(snapshot);
    this.#scrapes?.write(snapshot);
    for (const exporter of this.#exporters) exporter.write(snapshot);
    if (this.#sightings !== undefined) this.#see(this.#sightings, snapshot);
    if (round === this.#wantedRounds && this.#isComplete(this.#wantedRounds)) this.#finished();
  }

  /** Says, once every pool was read, which globs fit nothing: no output alone does not tell why. */
  #see(sightings: Sightings, snapshot: PoolSnapshot): void {
    sightings.add(snapshot);
    if (!this.#isComplete(1)) return;
    this.#sightings = undefined;
    // The live table tells it in its own place.
    if (!this.#isLive) for (const complaint of sightings.complaints()) this.#say(complaint);
  }

  /** Whether every pool of every agent has been read so often. */
  #isComplete(wantedRounds: number): boolean {
    if (this.#expected.size < this.#sources) return false;
    let complete = 0;
    for (const rounds of this.#rounds.values()) if (rounds >= wantedRounds) complete++;
    let expected = 0;
    for (const pools of this.#expected.values()) expected += pools;
    return complete >= expected;
  }

  #note(event: CollectorEvent): void {
    const bounded = Number.isFinite(this.#wantedRounds);
    if (event.kind === "connected") {
      this.#expected.set(event.source, event.pools ?? 0);
      if (bounded && event.pools === 0) this.#failNothingThere(event.source);
      return;
    }
    if (event.app !== undefined) {
      for (const exporter of this.#exporters) exporter.gone(event.source, event.app);
    }
    if (event.kind === "away") this.#scrapes?.gone(event.source);
    if (event.app !== undefined) this.#scrapes?.gone(event.source, event.app);
    const text = `${event.source}: ${printable(event.message)}`;
    if (event.kind === "away" && (event.fatal || (bounded && !this.#expected.has(event.source)))) {
      this.#failure ??= new CliError({
        message: event.message,
        hint: event.fatal
          ? undefined
          : "is `microview agent` running there? `microview doctor` tells more",
      });
      this.#finished();
      return;
    }
    if (event.kind === "agentless" && this.#isLive) this.#last.push(text);
    // The table shows the rest by itself.
    else if (!this.#isTable || event.kind === "damaged" || event.kind === "agentless") {
      this.#say(text);
    }
  }

  #failNothingThere(source: string): void {
    const { app } = this.#options;
    const which = app.length === 0 ? "" : ` that matches ${app.join(", ")}`;
    this.#failure ??= new CliError({
      message: `${source} has no application${which}`,
      hint: "one appears when its first service attaches to `microview agent`; `microview inspect` lists them",
    });
    this.#finished();
  }

  #summary(): string {
    return this.#collector.statistics.map((each) => statisticsLine(each)).join("\n");
  }

  /** Says something now, or when the screen is free again. */
  #tellAside(text: string): void {
    if (this.#isLive && this.#last.length < MAX_KEPT_NOTICES) this.#last.push(printable(text));
    if (!this.#isLive) this.#say(printable(text));
  }

  #say(text: string): void {
    this.#surroundings.stderr.write(`${text}\n`);
  }
}

function targetsOf(options: CollectOptions, endpoints: readonly Endpoint[]): Target[] {
  if (endpoints.length > 0) return endpoints.map(({ host, port }) => ({ host, port }));
  return [
    {
      socketPath: options.socket ?? defaultSocketPath(process.env, process.getuid?.()),
      mustAnswer: options.socket !== undefined,
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
    },
  ];
}
