// One run of `microview collect`: a collector, a sink, and the conditions under which it ends.

import { formatEndpoint } from "../../calling/index.ts";
import {
  Collector,
  type CollectorEvent,
  credentialFiles,
  type Filter,
  namedTwice,
  type PollMode,
  RunProgress,
  Sightings,
  type Target,
  type TransportChoice,
  timeoutExponent,
} from "../../collector/index.ts";
import {
  type AgentEndpoint,
  CliError,
  finishing,
  formatDurationMs,
  once,
  UsageError,
} from "../../command-line/index.ts";
import type { RdmaPortSpec } from "../../ffi/index.ts";
import { defaultSocketPath, type PoolSnapshot } from "../../layout/index.ts";
import { printable } from "../../text/index.ts";
import { notDelivered, type OutputOptions, Outputs } from "../output/outputs.ts";
import { statisticsLine } from "./statistics-line.ts";

/** Events that the live table does not show by itself. */
const SAID_LAST: ReadonlySet<CollectorEvent["kind"]> = new Set(["damaged", "partial", "agentless"]);

/** How messages name the files of what agents are shown. */
const CREDENTIAL_FLAGS = {
  token: "--token-file",
  ca: "--ca",
  cert: "--client-cert",
  key: "--client-key",
};

interface CollectOptions extends OutputOptions {
  app: readonly string[];
  service: readonly string[];
  metric: readonly string[];
  interval: number;
  once: boolean;
  count: number | undefined;
  duration: number | undefined;
  transport: TransportChoice;
  socket: string | undefined;
  poolDir: string | undefined;
  tokenFile: string | undefined;
  tls: boolean;
  ca: string | undefined;
  clientCert: string | undefined;
  clientKey: string | undefined;
  rdma: RdmaPortSpec | "auto";
  rdmaMtu: number;
  rdmaTimeout: number;
  rdmaRetries: number;
  rdmaCm: boolean;
  poll: PollMode;
}

interface CollectSurroundings {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  stop: AbortSignal;
}

export class CollectRun {
  readonly #options: CollectOptions;
  readonly #surroundings: CollectSurroundings;
  readonly #collector: Collector;
  readonly #outputs: Outputs;
  readonly #rounds: RunProgress;
  /** Why there is nothing to read, by agent. */
  readonly #troubles = new Map<string, string>();
  readonly #sightings: Sightings;
  /** Agents with a pool, or a file under a pool's name, that cannot be read. */
  readonly #unreadable = new Set<string>();
  /** Every pool was read once. */
  #isLooked = false;
  #finished: () => void = () => {};
  #failure: Error | undefined;

  constructor(
    options: CollectOptions,
    endpoints: readonly AgentEndpoint[],
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
    const filter: Filter = {
      apps: options.app,
      services: options.service,
      metrics: options.metric,
    };
    checkSchemes(endpoints, options);
    const targets = targetsOf(options, endpoints);
    const wantedRounds = options.once ? 1 : (options.count ?? Number.POSITIVE_INFINITY);
    this.#rounds = new RunProgress(targets.length, wantedRounds);
    this.#outputs = new Outputs(options, {
      ...surroundings,
      filter,
      intervalMs: options.interval,
      labelSource: targets.length > 1,
      once: options.once,
      isRecorded: false,
      statistics: () => this.#collector.statistics,
      troubles: () => [...this.#troubles.values()],
      onQuit: () => this.#finished(),
      onFailure: (error) => {
        this.#failure ??= error;
        this.#finished();
      },
    });
    this.#sightings = new Sightings(filter);
    const tls = options.tls || endpoints.some((each) => each.tls === true);
    const { tokenFile: token, ca, clientCert: cert, clientKey: key } = options;
    const credentials = credentialFiles({ token, ca, cert, key }, tls, CREDENTIAL_FLAGS, (text) =>
      this.#outputs.tellAside(text),
    );
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
    const finished = new Promise<void>((resolve) => {
      this.#finished = resolve;
    });
    await this.#outputs.open();
    const { duration } = this.#options;
    let timer: Timer | undefined;
    try {
      this.#collector.start();
      timer = setTimeout(
        () => {
          if (this.#rounds.isEmpty) this.#failNothingRead(duration!);
          this.#finished();
        },
        duration ?? 2 ** 31 - 1,
      );
      await Promise.race([finished, once(stop)]);
    } finally {
      clearTimeout(timer);
      await finishing("ending the reads", this.#collector.stop());
      await this.#closeOutputs();
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#outputs.sayAllLast();
    if (stop.reason === "EPIPE") return;
    if (!this.#options.once) this.#say(this.#summary());
    const failure =
      this.#rounds.isComplete(1) && this.#sightings.failure((text) => this.#say(text));
    if (failure) throw failure;
  }

  /** What a bounded run could not deliver makes it fail, and what could not be closed any run. */
  async #closeOutputs(): Promise<void> {
    const hasFailed =
      this.#failure !== undefined ||
      (this.#rounds.isComplete(1) && this.#sightings.unmatchedGlobs().length > 0);
    const keepsFile = !hasFailed || this.#sightings.isAnyWanted;
    const ends = await this.#outputs.close({ keepsFile });
    const failed = this.#rounds.isBounded ? ends[0] : ends.find(({ error }) => error !== undefined);
    if (failed !== undefined) this.#failure ??= notDelivered(failed);
  }

  #take(snapshot: PoolSnapshot): void {
    if (!this.#rounds.take(snapshot)) return;
    this.#outputs.write(snapshot);
    this.#sightings.add(snapshot);
    this.#look();
    if (this.#rounds.isBounded && this.#rounds.isComplete()) this.#finished();
  }

  /** Says, once every pool was read, which globs match nothing yet; a bounded run says it at its end. */
  #look(): void {
    if (this.#isLooked || !this.#rounds.isComplete(1)) return;
    this.#isLooked = true;
    if (this.#outputs.isLive || this.#rounds.isBounded) return;
    for (const { message, hint } of this.#sightings.unmatchedGlobs()) {
      this.#say(`${message} yet: ${hint}`);
    }
  }

  #note(event: CollectorEvent): void {
    if (event.kind === "connected") {
      this.#troubles.delete(event.source);
      this.#sightings.addApps(event.apps ?? []);
      this.#rounds.expect(event.source, event.pools ?? 0);
      if (this.#rounds.isBounded && event.pools === 0) this.#failNothingThere(event.source);
      this.#look();
      return;
    }
    if (event.kind === "away") this.#outputs.gone(event.source);
    if (event.app !== undefined) this.#outputs.gone(event.source, event.app);
    const text = `${event.source}: ${printable(event.message)}`;
    if (event.kind === "away" || event.kind === "empty") this.#troubles.set(event.source, text);
    if (event.kind === "found") this.#troubles.delete(event.source);
    if (
      event.kind === "away" &&
      (event.fatal ||
        (this.#rounds.isBounded && this.#rounds.expectedOf(event.source) === undefined))
    ) {
      this.#failure ??= new CliError({
        message: event.message,
        hint: event.fatal
          ? undefined
          : "is `microview agent` running there? `microview doctor` tells more",
      });
      this.#finished();
      return;
    }
    if (event.kind === "damaged") this.#unreadable.add(event.source);
    // The live table shows itself which agents are away, or have nothing to read.
    if (!this.#outputs.isLive) this.#say(text);
    else if (SAID_LAST.has(event.kind)) this.#outputs.sayLast(text);
    if (event.unread !== undefined) this.#noteUnread(event.source, event.unread);
  }

  /** A bounded run ends with what the other pools have delivered; with none of them it fails. */
  #noteUnread(source: string, app: string): void {
    this.#rounds.giveUp({ source, app });
    if (!this.#rounds.isBounded || !this.#rounds.isComplete()) return;
    if (this.#rounds.isEmpty) return this.#failUnreadable(source);
    this.#finished();
  }

  #failUnreadable(source: string): void {
    this.#failure ??= new CliError({
      message: `no pool of ${source} can be read`,
      hint: "`microview doctor` says what is wrong with each",
    });
    this.#finished();
  }

  /** A run that ends by its time without any snapshot is no empty answer. */
  #failNothingRead(durationMs: number): void {
    const reasons = this.#collector.statistics.flatMap(({ source, away }) => {
      const trouble = this.#troubles.get(source);
      if (trouble !== undefined) return [trouble];
      if (away !== undefined) return [`${source}: ${away}`];
      return this.#rounds.expectedOf(source) === 0 ? [`${source} has no application`] : [];
    });
    this.#failure ??=
      this.#sightings.appFailure((line) => this.#say(line)) ??
      new CliError({
        message: `nothing was read within ${formatDurationMs(durationMs)}`,
        hint: reasons.length > 0 ? reasons.join("; ") : "`microview doctor` says what is missing",
      });
  }

  #failNothingThere(source: string): void {
    if (this.#unreadable.has(source)) return this.#failUnreadable(source);
    const which = this.#options.app.length === 0 ? "" : " that is asked for";
    this.#failure ??=
      this.#sightings.appFailure((line) => this.#say(line)) ??
      new CliError({
        message: `${source} has no application${which}`,
        hint: "one appears when its first service attaches to `microview agent`; `microview inspect` lists them",
      });
    this.#finished();
  }

  #summary(): string {
    return this.#collector.statistics.map((each) => statisticsLine(each)).join("\n");
  }

  #say(text: string): void {
    this.#outputs.say(text);
  }
}

/** One run speaks TLS with all its agents, or with none. @throws UsageError for URLs that say otherwise */
function checkSchemes(endpoints: readonly AgentEndpoint[], options: CollectOptions): void {
  const { tls, ca, clientCert } = options;
  const plain = endpoints.find((each) => each.tls === false);
  const isTls =
    tls || ca !== undefined || clientCert !== undefined || endpoints.some((each) => each.tls);
  if (plain === undefined || !isTls) return;
  throw new UsageError(
    `http://${formatEndpoint(plain)} is without TLS, which is spoken with all agents of a run`,
    "write https://, or read it in a run of its own",
  );
}

function targetsOf(options: CollectOptions, endpoints: readonly AgentEndpoint[]): Target[] {
  if (endpoints.length > 0) {
    const targets = endpoints.map(({ host, port }) => ({ host, port }));
    const twice = namedTwice(targets);
    if (twice !== undefined)
      throw new UsageError(`the agent ${twice} is named twice: name it once`);
    return targets;
  }
  return [
    {
      socketPath: options.socket ?? defaultSocketPath(process.env, process.getuid?.()),
      mustAnswer: options.socket !== undefined,
      ...(options.poolDir === undefined ? {} : { poolDir: options.poolDir }),
    },
  ];
}
