// OTLP over HTTP: snapshots into requests, and from a bounded backlog to the receiver. `collect` makes one for --otlp.
// https://opentelemetry.io/docs/specs/otlp/#otlphttp

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { PoolSnapshot } from "../../layout/index.ts";
import { counted } from "../../text/index.ts";
import { MemoryBacklog } from "../delivery/backlog.ts";
import type { ExportCounters } from "../delivery/export-counters.ts";
import { Presence } from "../delivery/presence.ts";
import { hostOf, type PushSink, receiverAt, summaryLine } from "../delivery/push-sink.ts";
import { countersOf, Sender, type SenderOptions } from "../delivery/sender.ts";
import type { SinkEnd } from "../sink.ts";
import { decodePartialSuccess, parsePartialSuccess } from "./answer.ts";
import { OtlpEncoder, type OtlpEncoderOptions } from "./encoder.ts";
import { type Job, Jobs, pointsOf } from "./jobs.ts";
import { JsonForm } from "./json.ts";
import type { OtlpForm, Part } from "./model.ts";
import { ProtobufForm } from "./protobuf.ts";

export interface OtlpOptions
  extends OtlpEncoderOptions,
    Pick<
      SenderOptions,
      "url" | "ca" | "identity" | "flags" | "timeoutMs" | "onNotice" | "backoffMs"
    > {
  format: "protobuf" | "json";
  compression: "gzip" | "none";
  headers: () => Record<string, string>;
  /** A snapshot of each application is sent at most so often. */
  intervalMs: number;
  maxMemoryBytes?: number;
  /** Data points after which a request is full. */
  maxPoints?: number;
  /** A source that has brought no snapshot for so long has ended, as far as the receiver is concerned. */
  awayMs?: number;
}

const DEFAULTS = { maxMemoryBytes: 64 << 20, maxPoints: 5_000, awayMs: 60_000 } as const;
/** Snapshots come a little early at times. */
const EARLY = 0.9;
/** "Retryable response codes"; everything else is given up. */
const RETRYABLE: readonly number[] = [429, 502, 503, 504];
/** How a connection ends when a receiver of gRPC is spoken to in HTTP/1.1. */
const GRPC_SIGNS: readonly string[] = ["ECONNRESET", "ConnectionClosed", "Malformed_HTTP_Response"];
const GRPC_HINT =
  "a port for OTLP over gRPC does so, as 4317 mostly is: give the one for OTLP over HTTP, mostly 4318";
/** Warnings of a receiver that are shown. */
const MAX_WARNINGS = 10;
/** Fast, and what we write is so regular that more would gain little. */
const COMPRESSION = { level: 1 } as const;

const compress = promisify(gzip) as (
  plain: Uint8Array,
  options: typeof COMPRESSION,
) => Promise<Uint8Array<ArrayBuffer>>;

export class Otlp implements PushSink {
  readonly form: OtlpForm<unknown>;
  readonly encoder: OtlpEncoder<unknown>;
  readonly backlog: MemoryBacklog;
  readonly sender: Sender;
  readonly #maxMemoryBytes: number;
  readonly #jobs: Jobs;
  /** Data points of the snapshot that is being encoded which are in no request yet, at most. */
  #underWay = 0;
  /** Data points that could not be encoded, and those that were not when the sink was closed; at most, likewise. */
  #failed = 0;
  #unsent = 0;
  #encoding: Promise<void> | undefined;
  /** Data points that a receiver did not take of requests that it took. */
  rejected = 0;
  readonly #presence: Presence;
  #rejectionSaid = false;
  readonly #warnings = new Set<string>();
  #failureSaid = false;
  #end: Promise<SinkEnd> | undefined;
  #isClosed = false;

  constructor(readonly options: OtlpOptions) {
    const { format, compression, awayMs = DEFAULTS.awayMs } = options;
    const { maxMemoryBytes, maxPoints } = { ...DEFAULTS, ...options };
    this.form = format === "json" ? new JsonForm() : (new ProtobufForm() as OtlpForm<unknown>);
    this.encoder = new OtlpEncoder(options, this.form, maxPoints);
    this.#maxMemoryBytes = maxMemoryBytes;
    this.#jobs = new Jobs(maxMemoryBytes);
    this.backlog = new MemoryBacklog(maxMemoryBytes);
    this.sender = new Sender(this.backlog, {
      ...options,
      name: receiverAt(options.url),
      itemNoun: "sample",
      headers: () => ({
        ...options.headers(),
        ...(compression === "gzip" ? { "content-encoding": "gzip" } : {}),
        "content-type": this.form.contentType,
        "user-agent": `microview/${options.version}`,
      }),
      // One that has taken anything does not speak gRPC.
      hintOf: (code) =>
        GRPC_SIGNS.includes(code) && this.sender.counters.items === 0 ? GRPC_HINT : undefined,
      mayPass: (status) => RETRYABLE.includes(status),
      onTaken: ({ items }, answer, contentType) => this.#readAnswer(items, answer, contentType),
    });
    this.sender.start();
    this.#presence = new Presence(awayMs, (source, app) =>
      this.#later({ kind: "end", source, app, atMs: Date.now() }),
    );
  }

  /** Of the slots nothing is used: they may be live. */
  write(snapshot: Omit<PoolSnapshot, "slots">): void {
    const present = this.#presence.see(snapshot);
    // By the source's clock: what was recorded may come faster or slower than it was taken.
    const takenMs = snapshot.monotonicNs / 1e6;
    // After the clock was reset, the next snapshot is sent at once.
    if (Math.abs(takenMs - present.sentMs) < this.options.intervalMs * EARLY) return;
    present.sentMs = takenMs;
    this.#later({ kind: "snapshot", taken: this.encoder.take(snapshot) });
  }

  /** Of a source that is away nothing ends before it has been away for long. */
  gone(source: string, app?: string): void {
    if (app !== undefined) this.#presence.end(source, app);
  }

  get isBehind(): boolean {
    return (this.backlog.bytes + this.#jobs.bytes) * 2 > this.#maxMemoryBytes;
  }

  get isIdle(): boolean {
    if (this.#isClosed) return true;
    return this.#encoding === undefined && this.backlog.items === 0;
  }

  get counters(): ExportCounters {
    const counters = countersOf("otlp", this.sender);
    const { rejected } = this;
    return {
      ...counters,
      items: counters.items - rejected,
      refused: counters.refused + rejected,
      dropped: counters.dropped + this.#jobs.dropped + this.#failed,
      waitingItems: counters.waitingItems + this.#jobs.points + this.#underWay + this.#unsent,
      waitingBytes: counters.waitingBytes + this.#jobs.bytes,
    };
  }

  close(graceMs: number): Promise<SinkEnd> {
    this.#end ??= this.#close(graceMs);
    return this.#end;
  }

  async #close(graceMs: number): Promise<SinkEnd> {
    this.#presence.close();
    await this.sender.stop(graceMs, this.#encoding);
    this.#isClosed = true;
    this.#unsent = this.#jobs.points + this.#underWay;
    this.#jobs.clear();
    this.#underWay = 0;
    const { requests, items, bytes, retries, refused } = this.sender.counters;
    const { rejected } = this;
    const { dropped, waitingItems: left } = this.counters;
    const sent = `${hostOf(this.options.url)}: ${counted(items, "data point")} in ${counted(requests, "request")} of ${bytes} bytes by OTLP`;
    const summary = summaryLine(sent, {
      "sent again": retries,
      "data points refused": refused,
      "data points rejected by a partial success": rejected,
      "data points dropped": dropped,
      "data points lost": left,
    });
    return { summary, undelivered: left + dropped + refused + rejected };
  }

  /** Takes on a job. They are done one after the other, in pieces, so that nobody waits for them. */
  #later(job: Job): void {
    this.#jobs.push(job);
    this.#encoding ??= this.#encodeAll();
  }

  async #encodeAll(): Promise<void> {
    // The caller that handed the snapshot over continues first.
    await Promise.resolve();
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      this.#underWay = pointsOf(job);
      try {
        const parts =
          job.kind === "snapshot"
            ? this.encoder.parts(job.taken)
            : this.encoder.end(job.source, job.app, job.atMs);
        for (const part of parts) {
          await this.#encode(part);
          if (this.#isClosed) return;
        }
      } catch (error) {
        this.#failed += this.#underWay;
        this.#noteFailure(error as Error);
      }
      this.#underWay = 0;
    }
    this.#encoding = undefined;
  }

  /** The next snapshot is tried all the same. The error is told once, because it would be the same for each. */
  #noteFailure({ message }: Error): void {
    if (!this.#failureSaid) this.options.onNotice(`a snapshot could not be encoded: ${message}`);
    this.#failureSaid = true;
  }

  async #encode(part: Part<unknown>): Promise<void> {
    const plain = this.form.write(part);
    const isPlain = this.options.compression === "none";
    // Compressing takes longer than all the rest, and is done by another thread.
    const body = isPlain ? plain : await compress(plain, COMPRESSION);
    if (isPlain) await new Promise(setImmediate);
    // What was counted as not sent must not be among what waits, too.
    if (this.#isClosed) return;
    this.backlog.push({ body, items: part.points });
    this.#underWay = Math.max(0, this.#underWay - part.points);
    this.sender.wake();
  }

  #readAnswer(points: number, body: Uint8Array, contentType: string): void {
    const isJson = contentType.startsWith("application/json");
    const partial = isJson
      ? parsePartialSuccess(new TextDecoder().decode(body))
      : decodePartialSuccess(body);
    if (partial === undefined || (partial.rejected === 0 && partial.message === "")) return;
    const message = partial.message.slice(0, 300);
    const rejected = Math.max(0, Math.min(points, partial.rejected));
    this.rejected += rejected;
    if (rejected === 0) this.#noteWarning(message);
    else if (!this.#rejectionSaid) {
      this.#rejectionSaid = true;
      this.options.onNotice(
        `${receiverAt(this.options.url)} has rejected ${rejected} of ${points} data points: ${message || "it does not say why"}`,
      );
    }
  }

  /** "Servers MAY also use the message to convey warnings": all was taken. Each is said once. */
  #noteWarning(message: string): void {
    if (message === "" || this.#warnings.has(message) || this.#warnings.size >= MAX_WARNINGS)
      return;
    this.#warnings.add(message);
    this.options.onNotice(
      `${receiverAt(this.options.url)} has taken everything, and warns: ${message}`,
    );
  }
}
