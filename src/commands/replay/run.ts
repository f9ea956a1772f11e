// One run of `microview replay`: recordings, the pace, and where their snapshots go.

import { statSync } from "node:fs";
import { type Filter, Sightings, wantedBy } from "../../collector/index.ts";
import { CliError, once, UsageError } from "../../command-line/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import { rfc3339 } from "../../sinks/index.ts";
import { bytesPerSample, Recording, RecordingError } from "../../sinks/recording/index.ts";
import { counted, formatBytes, globs } from "../../text/index.ts";
import { notDelivered, type OutputOptions, Outputs } from "../output/outputs.ts";
import type { Moment } from "./flags.ts";

/** Others get their turn so often, however fast it goes. */
const TURN_MS = 20;
const PROGRESS_MS = 5_000;
/** How often it is looked whether receivers have taken all. */
const DELIVERY_MS = 10;
/** Of files in which nothing was found. */
const SPANS_SHOWN = 3;

interface ReplayOptions extends OutputOptions {
  app: readonly string[];
  service: readonly string[];
  metric: readonly string[];
  from: Moment | undefined;
  to: Moment | undefined;
  speed: number;
  now: boolean;
  loop: boolean;
  repair: boolean;
}

interface ReplaySurroundings {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  stop: AbortSignal;
}

export class ReplayRun {
  readonly #options: ReplayOptions;
  readonly #files: readonly string[];
  readonly #surroundings: ReplaySurroundings;
  readonly #filter: Filter;
  readonly #sightings: Sightings;
  /** When the first files begin and end, for the error that says that nothing was found. */
  readonly #spans: string[] = [];
  #outputs: Outputs | undefined;
  #failure: Error | undefined;
  /** Somebody has had enough, or the output cannot be written on. */
  readonly #enough = new AbortController();
  #snapshots = 0;
  #samples = 0;
  /** Of the files. */
  #bytes = 0;
  /** When the file was begun, and the time of its first snapshot. */
  #pace: { startedMs: number; firstMs: number } | undefined;
  /** By how much monotonic clocks are ahead of the recorded ones: later files follow earlier ones. */
  #aheadNs = 0;
  #lastNs = Number.NEGATIVE_INFINITY;

  constructor(options: ReplayOptions, files: readonly string[], surroundings: ReplaySurroundings) {
    this.#options = options;
    this.#files = files;
    this.#surroundings = surroundings;
    this.#filter = { apps: options.app, services: options.service, metrics: options.metric };
    this.#sightings = new Sightings(this.#filter);
    const { speed, now, loop, from, to } = options;
    if (from !== undefined && to !== undefined && isLater(from, to)) {
      throw new UsageError(...later(from, to));
    }
    if (now && speed === Number.POSITIVE_INFINITY) {
      throw new UsageError("--now and --speed max exclude each other");
    }
    const isPushed = options.remoteWrite !== undefined || options.otlp !== undefined;
    if (loop && isPushed && !now) {
      throw new UsageError(
        "--loop would push the same times again, which receivers refuse",
        "add --now",
      );
    }
    if (loop && options.out !== undefined) {
      throw new UsageError("--loop and --out exclude each other", "the file would grow for ever");
    }
    for (const file of files) {
      if (options.out !== undefined && isSame(file, options.out.path)) {
        throw new UsageError(`--out ${options.out.path} is the file that is replayed`);
      }
      const [, format] = /\.(ndjson|csv)(\.\w+)?$/.exec(file) ?? [];
      if (format === undefined) continue;
      throw new UsageError(
        `${file} cannot be replayed: ${format} does not hold the buckets of histograms, nor what metrics are`,
        "record with --out run.parquet",
      );
    }
  }

  /** @throws CliError when a recording cannot be read, or what it goes to fails */
  async finish(): Promise<void> {
    const { stop } = this.#surroundings;
    stop.addEventListener("abort", () => this.#enough.abort(), { once: true });
    const startedMs = performance.now();
    try {
      if (this.#options.repair) return await this.#repair();
      do {
        for (const file of this.#files) await this.#replay(file);
        if (!this.#isOver) this.#checkFound();
      } while (this.#options.loop && !this.#isOver);
      while (this.#outputs?.isDelivered === false && !this.#isOver) await Bun.sleep(DELIVERY_MS);
      if (this.#isLive && !this.#isOver) await once(this.#enough.signal);
    } catch (error) {
      this.#failure ??= asFailure(error as Error);
    } finally {
      const keepsFile = this.#failure === undefined || this.#sightings.isAnyWanted;
      const ends = (await this.#outputs?.close({ keepsFile })) ?? [];
      const failed = stop.aborted ? ends.find(({ error }) => error !== undefined) : ends[0];
      if (failed !== undefined) this.#failure ??= notDelivered(failed);
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#outputs?.sayAllLast();
    if (stop.reason === "EPIPE") return;
    // Of a part of a file its size says nothing.
    const isWhole = !this.#isOver && this.#isUnfiltered && this.#bytes > 0 && this.#samples > 0;
    const size = isWhole
      ? `, ${formatBytes(this.#bytes)}, ${bytesPerSample(this.#bytes, this.#samples)}`
      : "";
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const what = this.#files.length === 1 ? this.#files[0] : counted(this.#files.length, "file");
    this.#say(
      `replayed ${what}: ${counted(this.#snapshots, "snapshot")}, ${counted(this.#samples, "sample")} in ${seconds} s${size}`,
    );
  }

  get #isUnfiltered(): boolean {
    const { app, from, to } = this.#options;
    return app.length === 0 && from === undefined && to === undefined;
  }

  get #isOver(): boolean {
    return this.#enough.signal.aborted;
  }

  get #isLive(): boolean {
    return this.#outputs?.isLive === true;
  }

  async #repair(): Promise<void> {
    for (const file of this.#files) {
      using recording = await Recording.open(file, wantedBy(this.#filter).metric);
      const { repaired = "it is complete", snapshotCount } = recording;
      this.#say(`${file}: ${repaired}; ${counted(snapshotCount, "snapshot")}`);
    }
  }

  async #replay(file: string): Promise<void> {
    if (this.#isOver) return;
    using recording = await Recording.open(file, wantedBy(this.#filter).metric);
    if (recording.repaired !== undefined) this.#say(`${file}: ${recording.repaired}`);
    const { from, to } = this.#options;
    const { firstMs } = recording;
    const unixMs = (moment: Moment) =>
      "unixMs" in moment ? moment.unixMs : firstMs + moment.afterMs;
    if (from !== undefined && to !== undefined && unixMs(from) > unixMs(to)) {
      const [message, hint] = later(from, to);
      throw new CliError({ message, hint });
    }
    if (this.#options.perWriter && !recording.isPerWriter) {
      throw new CliError({
        message: `--per-writer: ${file} was not recorded per writer`,
        hint: "record it with --per-writer, or replay it without",
      });
    }
    this.#outputs ??= await this.#openOutputs(recording);
    this.#bytes += statSync(file).size;
    if (this.#spans.length < SPANS_SHOWN) this.#spans.push(`${file} ${spanOf(recording)}`);
    this.#sightings.addApps(recording.pools.map(({ app }) => app));
    const range = {
      app: globs(this.#filter.apps),
      ...(from === undefined ? {} : { fromMs: unixMs(from) }),
      ...(to === undefined ? {} : { toMs: unixMs(to) }),
    };
    this.#pace = undefined;
    this.#aheadNs = Math.max(0, this.#lastNs);
    let turnMs = performance.now();
    let toldMs = turnMs;
    const before = this.#samples;
    for await (const snapshot of recording.snapshots(range)) {
      await this.#due(snapshot);
      if (this.#isOver) break;
      this.#sightings.add(snapshot);
      this.#write(snapshot);
      this.#samples = before + recording.sampleCount;
      while (this.#outputs.isBehind && !this.#isOver) await Bun.sleep(1);
      const nowMs = performance.now();
      if (nowMs - turnMs > TURN_MS) {
        await Bun.sleep(0);
        turnMs = performance.now();
      }
      if (nowMs - toldMs > PROGRESS_MS) {
        toldMs = nowMs;
        this.#tellProgress(file, recording, snapshot);
      }
    }
  }

  /** Waits until a snapshot's time has come. */
  async #due({ takenAtMs }: PoolSnapshot): Promise<void> {
    const { speed } = this.#options;
    this.#pace ??= { startedMs: performance.now(), firstMs: takenAtMs };
    if (speed === Number.POSITIVE_INFINITY) return;
    const { startedMs, firstMs } = this.#pace;
    const dueMs = startedMs + (takenAtMs - firstMs) / speed;
    const { signal } = this.#enough;
    for (;;) {
      const leftMs = dueMs - performance.now();
      if (leftMs < 0.5 || signal.aborted) return;
      // In pieces, so that the end need not be waited for.
      await Bun.sleep(Math.min(leftMs, 50));
    }
  }

  #write(snapshot: PoolSnapshot): void {
    const takenAtMs = this.#options.now ? Date.now() : snapshot.takenAtMs;
    const monotonicNs = snapshot.monotonicNs + this.#aheadNs;
    this.#lastNs = Math.max(this.#lastNs, monotonicNs);
    this.#outputs!.write({ ...snapshot, takenAtMs, monotonicNs });
    this.#snapshots++;
  }

  /** @throws CliError when the files have nothing of what is asked for */
  #checkFound(): void {
    if (this.#snapshots === 0 && !this.#isUnfiltered) {
      const { from, to, app } = this.#options;
      const noApp = this.#sightings.appFailure((text) => this.#say(text));
      if (noApp !== undefined) throw noApp;
      const parts = [from && `from ${from.text}`, to && `to ${to.text}`].filter(Boolean);
      const of = app.length === 0 ? "" : ` of ${app.join(", ")}`;
      throw new CliError({
        message: `nothing was recorded${of} ${parts.join(" ")}`,
        hint: this.#spans.join("; "),
      });
    }
    const failure = this.#sightings.failure((text) => this.#say(text));
    if (failure !== undefined) throw failure;
  }

  async #openOutputs(recording: Recording): Promise<Outputs> {
    const { firstMs, lastMs, snapshotCount, pools } = recording;
    const rounds = snapshotCount / Math.max(1, pools.length);
    const outputs = new Outputs(this.#options, {
      ...this.#surroundings,
      filter: this.#filter,
      intervalMs: rounds > 1 ? (lastMs - firstMs) / (rounds - 1) : 1000,
      labelSource: new Set(pools.map(({ source }) => source)).size > 1,
      once: false,
      isRecorded: true,
      statistics: () => [],
      onQuit: () => this.#enough.abort(),
      onFailure: (error) => {
        this.#failure ??= error;
        this.#enough.abort();
      },
    });
    await outputs.open();
    return outputs;
  }

  #tellProgress(file: string, { firstMs, lastMs }: Recording, { takenAtMs }: PoolSnapshot): void {
    if (this.#isLive) return;
    const share = (takenAtMs - firstMs) / Math.max(1, lastMs - firstMs);
    this.#say(`${file}: ${Math.round(share * 100)} %, ${counted(this.#snapshots, "snapshot")}`);
  }

  #say(text: string): void {
    if (this.#isLive && !this.#isOver) this.#outputs!.sayLast(text);
    else this.#surroundings.stderr.write(`${text}\n`);
  }
}

/** Whether it is known before a recording is opened that one is later: both are of one kind. */
function isLater(from: Moment, to: Moment): boolean {
  if ("unixMs" in from) return "unixMs" in to && from.unixMs > to.unixMs;
  return "afterMs" in to && from.afterMs > to.afterMs;
}

function later(from: Moment, to: Moment): [message: string, hint: string] {
  return [`--from ${from.text} is later than --to ${to.text}`, "give the earlier one to --from"];
}

function asFailure(error: Error): Error {
  if (!(error instanceof RecordingError)) return error;
  const isAbsent = error.code === "ENOENT";
  return new CliError({
    message: error.message,
    hint: isAbsent ? "`microview collect --out run.parquet` records a run" : undefined,
    cause: error,
  });
}

function spanOf({ firstMs, lastMs }: Recording): string {
  const seconds = ((lastMs - firstMs) / 1000).toFixed(1);
  return `is from ${rfc3339(firstMs)} to ${rfc3339(lastMs)}, ${seconds} s`;
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev;
}
