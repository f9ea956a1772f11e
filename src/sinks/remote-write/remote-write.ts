// Remote write: snapshots into requests, requests into a backlog, and from there to the receiver. `collect` makes one
// for each --remote-write.

import { ClashLog } from "../../exposition/index.ts";
import type { PoolSnapshot } from "../../layout/index.ts";
import { counted } from "../../text/index.ts";
import { type Backlog, MemoryBacklog } from "../delivery/backlog.ts";
import type { ExportCounters } from "../delivery/export-counters.ts";
import { Presence } from "../delivery/presence.ts";
import { hostOf, type PushSink, receiverAt, summaryLine } from "../delivery/push-sink.ts";
import { countersOf, Sender, type SenderOptions } from "../delivery/sender.ts";
import { WriteAhead } from "../delivery/write-ahead.ts";
import type { SinkEnd } from "../sink.ts";
import { RemoteWriteEncoder } from "./encoder.ts";
import type { FlatOptions } from "./flat-series.ts";
import { Negotiation, type RemoteWriteProtocol } from "./negotiation.ts";

export interface RemoteWriteOptions
  extends FlatOptions,
    Pick<SenderOptions, "url" | "ca" | "flags" | "onNotice" | "backoffMs"> {
  /** Those that say who we are. */
  headers: () => Record<string, string>;
  /** Where requests are kept until they are delivered; in memory without it. */
  writeAhead?: { folder: string; maxBytes: number };
  /** For requests that wait in memory. */
  maxMemoryBytes?: number;
  maxSamples?: number;
  /** How long a snapshot may wait for others to go with it. */
  delayMs?: number;
  /** A source that has brought no snapshot for so long has ended, as far as the receiver is concerned. */
  awayMs?: number;
  /** Reports and counts clashes of names; shared with whatever else shows them. */
  clashes?: ClashLog;
  /** Version of remote write: auto tries 2.0, and 1.0 where the receiver does not know it. */
  protocol?: RemoteWriteProtocol;
  /** Of microview. */
  version: string;
}

const DEFAULTS = {
  maxMemoryBytes: 64 << 20,
  maxSamples: 10_000,
  delayMs: 200,
  awayMs: 60_000,
} as const;

const PROMETHEUS_PATH = "/api/v1/write";

export class RemoteWrite implements PushSink {
  readonly encoder: RemoteWriteEncoder;
  readonly backlog: Backlog;
  readonly sender: Sender;
  readonly negotiation: Negotiation;
  /** Of what waits. */
  readonly #maxBytes: number;
  readonly #delayMs: number;
  readonly #presence: Presence;
  #timer: Timer | undefined;
  #end: Promise<SinkEnd> | undefined;
  #isClosed = false;
  #clashesSaid = false;
  readonly #clashes: ClashLog;

  /** @throws WriteAheadError when its folder cannot be used */
  constructor(readonly options: RemoteWriteOptions) {
    this.#clashes = options.clashes ?? new ClashLog(options.onNotice);
    const { writeAhead, maxMemoryBytes = DEFAULTS.maxMemoryBytes, onNotice } = options;
    this.#maxBytes = writeAhead?.maxBytes ?? maxMemoryBytes;
    this.#delayMs = options.delayMs ?? DEFAULTS.delayMs;
    this.#presence = new Presence(options.awayMs ?? DEFAULTS.awayMs, (source, app) => {
      this.encoder.end(source, app, Date.now());
      this.#later();
    });
    this.backlog =
      writeAhead === undefined
        ? new MemoryBacklog(maxMemoryBytes)
        : openWriteAhead(writeAhead.folder, writeAhead.maxBytes, onNotice);
    this.negotiation = new Negotiation(options.protocol ?? "auto", (reason) => {
      this.encoder.speak(1);
      onNotice(
        `${receiverAt(options.url)} speaks remote write 1.0, and is spoken to in that: ${reason}`,
      );
    });
    this.encoder = new RemoteWriteEncoder({
      ...options,
      protocol: this.negotiation.version,
      maxSamples: options.maxSamples ?? DEFAULTS.maxSamples,
      onRequest: ({ body, samples, version }) => {
        this.backlog.push({ body, items: samples, version });
        this.sender.wake();
      },
    });
    this.sender = new Sender(this.backlog, {
      ...options,
      name: receiverAt(options.url),
      itemNoun: "sample",
      headers: (request) => ({
        ...options.headers(),
        "content-encoding": "snappy",
        "user-agent": `microview/${options.version}`,
        ...this.negotiation.headersOf(request),
      }),
      bodyOf: (request) => this.negotiation.bodyOf(request),
      assess: (request, response) => this.negotiation.assess(request, response),
      // "Recoverable errors": everything of the server's, and too many requests.
      mayPass: (status) => status >= 500 || status === 429,
      hintOf: (code) => (["404", "405"].includes(code) ? pathHint(options.url) : undefined),
    });
    this.sender.start();
  }

  write(snapshot: PoolSnapshot): void {
    this.#presence.see(snapshot);
    this.encoder.write(snapshot);
    this.#clashes.see(this.encoder.names.clashes);
    if (this.encoder.counters.clashes > 0 && !this.#clashesSaid) {
      this.#clashesSaid = true;
      this.options.onNotice(
        `${snapshot.app} of ${snapshot.source} has series with the labels of others: they are left out of what is sent`,
      );
    }
    this.#later();
  }

  /** Of a source that is away nothing ends before it has been away for long. */
  gone(source: string, app?: string): void {
    if (app !== undefined) this.#presence.end(source, app);
  }

  get isBehind(): boolean {
    return this.backlog.bytes * 2 > this.#maxBytes;
  }

  get isIdle(): boolean {
    if (this.#isClosed) return true;
    return !this.encoder.pending && this.backlog.items === 0;
  }

  get counters(): ExportCounters {
    return countersOf("remote-write", this.sender);
  }

  close(graceMs: number): Promise<SinkEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinkEnd> {
    this.#presence.close();
    clearTimeout(this.#timer);
    this.encoder.flush();
    await this.sender.stop(graceMs);
    this.backlog.close();
    this.#isClosed = true;
    const { items: left, dropped } = this.backlog;
    const undelivered = left + dropped + this.sender.counters.refused;
    return { summary: this.#summary(left), undelivered };
  }

  #later(): void {
    if (this.#timer !== undefined || !this.encoder.pending) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.encoder.flush();
    }, this.#delayMs);
  }

  #summary(left: number): string {
    const { requests, items, bytes, retries, refused } = this.sender.counters;
    const { late, clashes, ended } = this.encoder.counters;
    const { dropped, durable } = this.backlog;
    const sent = `${hostOf(this.options.url)}: ${counted(items, "sample")} in ${counted(requests, "request")} of ${bytes} bytes by remote write ${this.negotiation.version}.0`;
    return summaryLine(ended > 0 ? `${sent}; ${ended} series ended` : sent, {
      "sent again": retries,
      "samples refused": refused,
      "samples dropped": dropped,
      [durable ? "samples kept for later" : "samples lost"]: left,
      "snapshots older than the one before": late,
      "series with the labels of others": clashes,
    });
  }
}

/** What may be wrong with an address at which nothing takes remote write. */
function pathHint(url: string): string {
  const { pathname } = new URL(url);
  return pathname === PROMETHEUS_PATH
    ? "Prometheus takes it there with --web.enable-remote-write-receiver"
    : `is that the whole address? Prometheus and VictoriaMetrics take remote write at ${PROMETHEUS_PATH}, Mimir at /api/v1/push`;
}

/** Opens what is kept in files, and says what an earlier run has left there. */
function openWriteAhead(
  folder: string,
  maxBytes: number,
  onNotice: (text: string) => void,
): WriteAhead {
  const files = new WriteAhead(folder, maxBytes, onNotice);
  if (files.items > 0) {
    onNotice(
      `${counted(files.items, "sample")} that an earlier run has left in ${folder} will be sent first`,
    );
  }
  if (files.damagedBytes > 0) {
    onNotice(`${files.damagedBytes} bytes in ${folder} cannot be read: a write that was cut off`);
  }
  return files;
}
