// This thread as a writer: keeps its series, and sees to it in the background that they get pages.
// Nothing here is on the way of a store; without an agent all goes on in private memory.

import { threadId } from "node:worker_threads";
import { foreignWords, jittered } from "../calling/index.ts";
import { ownerOfSocket, ownUids, ShimError, shim } from "../ffi/index.ts";
import { initialValue, type MetricDefinition } from "../layout/index.ts";
import type { ApiError, PlacedRun, RegisterResponse, SeriesRequest } from "../rest/index.ts";
import { AgentApi, AgentRefusal } from "./agent-api.ts";
import { AgentUnavailable, whyUnavailable, whyUnreachable } from "./agent-unavailable.ts";
import { Attachment } from "./attachment.ts";
import { AttachmentStatus, type Readiness } from "./attachment-status.ts";
import { type Cell, moveSeries, PrivateMemory, type Series } from "./cells.ts";
import { OutOfRange } from "./out-of-range.ts";
import { Refused } from "./refused.ts";
import { Releases } from "./releases.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;
/** How often an attached writer looks whether its pool is still the one that others read. */
const CHECK_INTERVAL_MS = 1_000;
const SERIES_PER_REQUEST = 5_000;
const RELEASE_INTERVAL_MS = 5_000;
/** How long close() waits for series that have no page yet. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Codes of an agent that does not know this writer, knows another one by its number, or has another pool. */
const GONE: readonly string[] = ["unknown-writer", "unknown-app", "wrong-secret", "pool-replaced"];

interface WriterOptions {
  app: string;
  service: string;
  socketPath: string;
  poolDir?: string;
  /** Told where the pool is, as soon as that is known and whenever it is elsewhere. */
  onPool?: (path: string) => void;
  /** Told once about each thing that does not work. */
  onWarning: (warning: ApiError) => void;
}

export class ThreadWriter {
  readonly #options: WriterOptions;
  readonly #api: AgentApi;
  readonly #memory = new PrivateMemory();
  readonly #series = new Map<Cell, Series>();
  /** Series to be registered at the next look. */
  #waiting: Series[] = [];
  readonly #refused = new Refused();
  #attachment: Attachment | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Series that were removed and that the agent is to be told of. */
  readonly #releases = new Releases();
  readonly #outOfRange = new OutOfRange((warning) => this.#tell(warning));
  #nextReleaseMs = 0;
  #seriesPerRequest = SERIES_PER_REQUEST;
  #closed = false;
  /** Whether the agent has said that it does not know this writer, or that its pool was replaced. */
  #isLost = false;
  /** A place that it holds and has not moved to yet: the agent must not take it for dead while it asks again. */
  #reserved: Attachment | undefined;
  readonly #status: AttachmentStatus;
  readonly #warned = new Set<string>();
  readonly #sinceMs = Date.now();

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#api = new AgentApi(options.socketPath, options.app);
    const { app, service, socketPath } = options;
    this.#status = new AttachmentStatus(
      `${app}/${service}`,
      whyUnavailable(socketPath),
      () => this.attached,
      (warning) => this.#tell(warning),
    );
    this.#schedule(0);
  }

  /** Resolves when all series that existed when the agent first answered have pages, or when that takes too long. */
  get ready(): Promise<Readiness> {
    return this.#status.ready;
  }

  /** Calls back when it is ready, and keeps no process from ending until then. */
  onReady(call: () => void): void {
    this.#status.onReady(call);
  }

  /** Whether stores go to the pool. */
  get attached(): boolean {
    return this.#attachment !== undefined;
  }

  /** Zeroed private memory for a new series. */
  take(slots: number): { values: Float64Array; at: number } {
    return this.#memory.take(slots);
  }

  /** Takes care of a series from now on. */
  add(series: Series): void {
    this.#series.set(series.cell, series);
    this.#waiting.push(series);
    this.#outOfRange.add(series);
    this.#releases.withdraw(series);
    // What is made in one go is registered in one go.
    if (this.#attachment !== undefined || this.#series.size === 1)
      this.#schedule(this.#delayOf(series));
  }

  /** Forgets a series: it counts on in private memory, and its place is given up at one of the next looks. */
  remove(cell: Cell): void {
    const series = this.#series.get(cell);
    if (series === undefined) return;
    this.#series.delete(cell);
    series.gone = true;
    this.#refused.remove(series);
    if (series.placed) this.#vacate(series);
  }

  /**
   * Ends the writer: registers what is still waiting if the agent answers within a second, then lets go of the pool.
   * Handles stay usable and count into private memory.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await atMost(CLOSE_TIMEOUT_MS, this.#lastLook());
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#outOfRange.look();
    const writer = this.#leave();
    this.#status.closed();
    // The agent sees by itself that the lock is gone; telling it is quicker.
    if (writer !== undefined) {
      await atMost(
        CLOSE_TIMEOUT_MS,
        this.#api.detach(writer).catch(() => {}),
      );
    }
  }

  #schedule(delayMs: number): void {
    if (this.#closed || this.#running !== undefined) return;
    if (this.#timer !== undefined) {
      if (delayMs > 0) return;
      clearTimeout(this.#timer);
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, delayMs);
    // A service that is done ends; it does not wait for its metrics.
    if (delayMs > 0) this.#timer.unref();
  }

  /** After the one that is under way, if there is something left to do. */
  async #lastLook(): Promise<void> {
    await this.#running;
    const isPlaced = this.#waiting.length === 0 && this.#refused.size === 0;
    // Also to where its pool is now: what it leaves in a lost one is the agent's only as long as that agent lives.
    if (isPlaced && this.#attachment?.isCurrent !== false) return;
    this.#refused.hasten();
    await this.#run();
  }

  #run(): Promise<void> {
    this.#running ??= this.#settle().then((nextMs) => {
      this.#running = undefined;
      this.#outOfRange.look();
      this.#schedule(nextMs);
    });
    return this.#running;
  }

  /** One attempt at having everything in its place. @returns when to look again, in ms */
  async #settle(): Promise<number> {
    try {
      if (this.#attachment?.isForked) this.#leave();
      if (this.#attachment === undefined || this.#isLost || !this.#attachment.isCurrent) {
        await this.#arrive(this.#attachment);
      }
      if (this.#attachment === undefined) return FIRST_RETRY_MS;
      await this.#release(this.#attachment);
      await this.#register(this.#attachment);
      await this.#registerRefused(this.#attachment);
      this.#status.placed(this.#refused.size === 0);
      this.#retryMs = FIRST_RETRY_MS;
      return this.#waiting.some((series) => this.#delayOf(series) === 0) ? 0 : CHECK_INTERVAL_MS;
    } catch (error) {
      if (error instanceof AgentRefusal) {
        // It goes on storing where it is until the agent has named another place.
        if (GONE.includes(error.code)) this.#isLost = true;
        else this.#warn(error);
      } else if (error instanceof AgentUnavailable) {
        this.#status.failed(whyUnavailable(this.#options.socketPath, error.cause));
      } else if (error instanceof ShimError) {
        this.#warn(error);
        this.#status.hopeless();
      } else {
        this.#status.failed(whyUnreachable(error as Error));
      }
    }
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
    // Services that start together do not knock together.
    return jittered(this.#retryMs);
  }

  /**
   * Attaches, or asks the agent whether there is another place than the one that this writer has. It leaves none before
   * it has arrived: what is stored is in one place at any time, and counted there.
   */
  async #arrive(from: Attachment | undefined): Promise<void> {
    const { app, service, poolDir, socketPath } = this.#options;
    // Who could not use a place takes none.
    shim();
    const answer = await this.#api.attach({
      service,
      pid: process.pid,
      threadId,
      since: this.#sinceMs,
      ...(from === undefined ? {} : { previous: from.place }),
    });
    const isKnown = answer.writer === from?.writer && answer.pool.lineage === from.place.lineage;
    if (isKnown && answer.pool.poolId === from.poolId) {
      // It may have another name.
      from.follow(answer, app, poolDir);
      this.#options.onPool?.(from.path);
      this.#reserve(undefined);
      this.#isLost = false;
      return;
    }
    if (this.#closed) return;
    const reserved = this.#reserved;
    const isReserved = reserved?.writer === answer.writer && reserved.poolId === answer.pool.poolId;
    const to = isReserved
      ? reserved
      : Attachment.open(answer, app, poolDir, ownUids(ownerOfSocket(socketPath)));
    if (to === undefined) return;
    if (!isReserved) this.#reserve(to);
    try {
      await this.#hold(to);
    } catch (error) {
      // When the pool was lost as well, or the agent, the place is held until there is another.
      if (error instanceof AgentRefusal && error.code !== "pool-replaced") this.#reserve(undefined);
      throw error;
    }
    if (this.#closed) return this.#reserve(undefined);
    if (isKnown) from.moveTo(to, this.#placed());
    else if (from !== undefined) this.#giveUp(from, answer.counted === true);
    from?.close();
    this.#attachment = to;
    this.#reserved = undefined;
    this.#isLost = false;
    this.#options.onPool?.(to.path);
  }

  /** Holds a place to come, instead of the one before. */
  #reserve(place: Attachment | undefined): void {
    this.#reserved?.close();
    this.#reserved = place;
  }

  #placed(): Series[] {
    return [...this.#series.values()].filter(({ placed }) => placed);
  }

  /** Tells the agent that the lock is taken. */
  async #hold({ writer, poolId }: Attachment): Promise<void> {
    try {
      await this.#api.hold(writer, { poolId });
    } catch (error) {
      // An agent of an older version finds out by itself.
      if (!(error instanceof AgentRefusal) || error.code !== "no-such-route") throw error;
    }
  }

  /**
   * Takes what is in a place that the agent does not know as this writer's to private memory, to be registered again.
   * @param counted whether the agent has counted it already
   */
  #giveUp(from: Attachment, counted: boolean): void {
    this.#takeBack();
    for (const series of this.#placed()) {
      const { cell, metric, slots } = series;
      if (counted && metric.kind !== "gauge") cell.values.fill(0, cell.at, cell.at + slots);
      series.placed = false;
    }
    from.clear();
  }

  /** How long a new series waits, so that those that are likely to be refused are asked for together. */
  #delayOf({ metric }: Series): number {
    return this.#refused.has(metric) ? CHECK_INTERVAL_MS : 0;
  }

  async #register(attachment: Attachment): Promise<void> {
    while (this.#waiting.length > 0 && this.#attachment === attachment && !this.#closed) {
      this.#waiting = this.#waiting.filter(({ gone }) => !gone);
      const batch = this.#waiting.slice(0, this.#seriesPerRequest);
      if (batch.length === 0) break;
      const groups = groupByMetric(batch);
      const answer = await this.#ask(attachment, groups, batch.length);
      // Too long for the agent: the same again in smaller parts.
      if (answer === undefined) continue;
      if (this.#attachment !== attachment || this.#closed) return;
      attachment.add(answer.extents);
      for (const [i, { metric, series }] of groups.entries()) {
        const result = answer.results[i];
        const placed = place(attachment, series, result?.runs ?? []);
        // Removed while it was registered.
        for (const each of series.slice(0, placed)) if (each.gone) this.#vacate(each);
        const refused = series.slice(placed).filter(({ gone }) => !gone);
        if (placed === series.length) this.#refused.placed(metric);
        else this.#refused.add(metric, refused, performance.now());
        if (result?.error !== undefined) this.#warn(result.error);
      }
      this.#waiting = this.#waiting.slice(batch.length);
    }
  }

  /** Asks again for some of what was refused, and for more as long as there is room. */
  async #registerRefused(attachment: Attachment): Promise<void> {
    let before: number;
    do {
      before = this.#refused.size;
      this.#waiting = this.#waiting.concat(this.#refused.take(performance.now()));
      await this.#register(attachment);
    } while (this.#refused.size < before && !this.#closed);
  }

  /** Asks for places. @returns undefined when the request has to be made smaller first */
  async #ask(
    attachment: Attachment,
    groups: readonly { metric: MetricDefinition; series: Series[] }[],
    count: number,
  ): Promise<RegisterResponse | undefined> {
    try {
      return await this.#api.register(attachment.writer, {
        metrics: groups.map(
          ({ metric, series }): SeriesRequest => ({
            ...metric,
            series: series.map(({ labelValues }) => labelValues),
          }),
        ),
      });
    } catch (error) {
      if (!(error instanceof AgentRefusal) || error.code !== "body-full") throw error;
      // One that is too long by itself must not stand in the way of the others.
      if (count === 1) return { results: [{ runs: [], error }], extents: [], turn: 0 };
      this.#seriesPerRequest = Math.ceil(count / 2);
      return undefined;
    }
  }

  /** Takes a removed series out of its place, which then reads as if nobody had stored there. */
  #vacate(series: Series): void {
    const { values, at } = series.cell;
    const own = this.#memory.take(series.slots);
    moveSeries(series, own.values, own.at);
    values.fill(0, at, at + series.slots);
    values[at] = initialValue(series.metric);
    series.placed = false;
    this.#releases.add(series);
  }

  /** Tells the agent what was removed: many at once and not often, for its directory is rewritten each time. */
  async #release(attachment: Attachment): Promise<void> {
    if (this.#releases.size === 0 || Date.now() < this.#nextReleaseMs) return;
    this.#nextReleaseMs = Date.now() + RELEASE_INTERVAL_MS;
    const { request, series } = this.#releases.batch(SERIES_PER_REQUEST);
    try {
      // A release that the agent hears late must not undo a registration that it has heard before.
      const { turn } = await this.#api.register(attachment.writer, { metrics: [] });
      await this.#api.release(attachment.writer, { turn, metrics: request });
    } catch (error) {
      // An agent that cannot, for want of room or of this call, is asked again; the series are empty meanwhile.
      if (!(error instanceof AgentRefusal) || GONE.includes(error.code)) throw error;
      return;
    }
    this.#releases.done(series);
    this.#refused.hasten();
  }

  /**
   * Ends the attachment: what was stored stays in its place, for the agent to keep, and handles go on in private memory.
   * @returns the writer's id
   */
  #leave(): number | undefined {
    this.#reserve(undefined);
    const attachment = this.#attachment;
    if (attachment === undefined) return undefined;
    this.#takeBack();
    for (const series of this.#placed()) series.placed = false;
    this.#attachment = undefined;
    attachment.close();
    return attachment.writer;
  }

  /** Copies all values to private memory. */
  #takeBack(): void {
    this.#releases.clear();
    for (const series of this.#placed()) {
      const { values, at } = this.#memory.take(series.slots);
      moveSeries(series, values, at);
    }
    this.#refused.clear();
    this.#waiting = [...this.#series.values()];
  }

  #warn(warning: ApiError): void {
    this.#status.refused(warning);
    const key = `${warning.code} ${warning.message}`;
    if (this.#warned.has(key) || this.#warned.size > 100) return;
    this.#warned.add(key);
    this.#tell(warning);
  }

  /** In words that may be the agent's, or of what answers in its place. */
  #tell({ code, message, hint }: ApiError): void {
    const words = { message: foreignWords(message) ?? "", hint: foreignWords(hint) ?? "" };
    try {
      this.#options.onWarning({ code: foreignWords(code) ?? "unknown", ...words });
    } catch {
      // An error in the application's own callback must not reach the application through us.
    }
  }
}

/** Waits for a promise, but not for ever; the timer does not outlive the wait. */
async function atMost(ms: number, promise: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}

function groupByMetric(batch: readonly Series[]): { metric: MetricDefinition; series: Series[] }[] {
  const groups = new Map<MetricDefinition, Series[]>();
  for (const series of batch) {
    const group = groups.get(series.metric);
    if (group === undefined) groups.set(series.metric, [series]);
    else group.push(series);
  }
  return [...groups].map(([metric, series]) => ({ metric, series }));
}

/** Moves series to where the agent has placed them. @returns how many */
function place(
  attachment: Attachment,
  series: readonly Series[],
  runs: readonly PlacedRun[],
): number {
  let placed = 0;
  for (const [page, slot, count] of runs) {
    for (let i = 0; i < count; i++) {
      const each = series[placed];
      if (each === undefined) return placed;
      const { values, at } = attachment.placeOf(page, slot + i * each.slots);
      moveSeries(each, values, at);
      each.placed = true;
      placed++;
    }
  }
  return placed;
}
